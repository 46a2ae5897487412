"""Streams of lists that change while they are read."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from gateway.sandbox.content.changes import Change
from gateway.sandbox.settings import SandboxSettings
from tests.gateway import Gateway, Sandbox

LIST = "crm.deal.list"
OPENING = 2  # commands of the first batch

# The rows that are deleted: already read, still to be read, or at the end of the list.
PLACES: dict[str, Callable[[list[int]], list[int]]] = {
    "below": lambda ids: ids[5:45],
    "inside": lambda ids: ids[1500:1700],
    "at the end": lambda ids: ids[-60:],
}


@pytest.fixture
def sandbox_settings(sandbox_settings: SandboxSettings) -> SandboxSettings:
    return replace(sandbox_settings, deals=4000, eventlog=4500, users=5)


@pytest.fixture
def ids(sandbox: Sandbox) -> list[int]:
    """The ids of all deals, ascending."""
    return sorted(sandbox.portal.data.tables["deals"])


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("calls", [OPENING, 20])
async def test_rows_deleted_during_a_stream_hide_no_other_row(
    connected: Gateway, sandbox: Sandbox, ids: list[int], place: str, calls: int
) -> None:
    gone = PLACES[place](ids)
    sandbox.portal.change_after(LIST, calls, Change("deals", removed=tuple(gone)))
    stream = await connected.stream("deals")
    assert not sandbox.portal.changes
    assert set(stream.ids) >= set(ids) - set(gone)
    assert set(stream.ids) <= set(ids)
    assert stream.ids == sorted(set(stream.ids))
    assert (stream.end["count"], stream.end["complete"]) == (len(stream.rows), True)
    assert stream.ids[-1] <= stream.end["cursor"] <= ids[-1]


@pytest.mark.parametrize("place", ["below", "inside", "above"])
@pytest.mark.parametrize("calls", [OPENING, 20])
async def test_rows_added_during_a_stream_hide_no_other_row(
    connected: Gateway, sandbox: Sandbox, ids: list[int], place: str, calls: int
) -> None:
    if place == "above":
        new = list(range(ids[-1] + 1, ids[-1] + 131))
    else:
        low, high = (ids[0], ids[300]) if place == "below" else (ids[1200], ids[2000])
        new = sorted(set(range(low, high)) - set(ids))
    assert new
    sandbox.portal.change_after(LIST, calls, Change("deals", edited={row_id: {} for row_id in new}))
    stream = await connected.stream("deals")
    assert not sandbox.portal.changes
    assert set(ids) <= set(stream.ids) <= set(ids) | set(new)
    assert stream.ids == sorted(set(stream.ids))
    if place == "above":
        assert set(new) <= set(stream.ids)
    assert stream.end == {"count": len(stream.rows), "complete": True, "cursor": stream.ids[-1]}


async def test_rows_deleted_during_a_rest_3_stream_hide_no_other_row(connected: Gateway, sandbox: Sandbox) -> None:
    ids = sorted(sandbox.portal.data.tables["eventlog"])
    gone = ids[100:200] + ids[2000:2100]
    sandbox.portal.change_after("main.eventlog.tail", 2, Change("eventlog", removed=tuple(gone)))
    stream = await connected.stream("eventlog")
    assert stream.ids == [row_id for row_id in ids if row_id not in gone[100:]]
    assert stream.end["complete"] is True
