"""The walk against a portal in memory: any list, faults and changes, at both paces."""

import asyncio
import math
from collections.abc import Iterable
from contextlib import aclosing
from itertools import accumulate
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.bitrix.errors import (
    AccessDenied,
    OperatingLimitReached,
    PortalBroken,
    PortalError,
    PortalFailing,
    PortalUnreachable,
    QueryLimitExceeded,
    WalkFailed,
)
from gateway.bitrix.lists.list_specs import Row
from gateway.bitrix.lists.page import Page
from gateway.bitrix.lists.page_reader import Pace
from gateway.bitrix.lists.walk import walk
from gateway.bitrix.protocol.v2 import Answer, Command
from tests.bitrix.lists.memory_portal import MemoryPortal
from tests.bitrix.lists.walks import USERS, clusters, ids_of, read

PACES = st.sampled_from(Pace)

FAULTS = (
    PortalFailing("INTERNAL_SERVER_ERROR"),
    PortalBroken("not JSON"),
    PortalUnreachable("the connection was dropped", sent=True),
    QueryLimitExceeded("QUERY_LIMIT_EXCEEDED", status=200),
    OperatingLimitReached("OPERATION_TIME_LIMIT"),
)
BAD_PAGES = (
    Answer({"0": {"ID": "1"}, "2": {"ID": "3"}}),
    Answer([{"ID": "0"}]),
    Answer([{"ID": str(10**15)}] * 2),
    Answer([{"ID": str(10**15)}, {"ID": "7"}]),
    Answer("nothing"),
)


@st.composite
def id_lists(draw: st.DrawFn) -> list[int]:
    """The ids of a list: dense, with single ids missing, in clusters, with wide gaps or of falling density."""
    rng = Random(draw(st.integers(0, 10**6)))
    rows = draw(st.sampled_from((0, 1, 49, 50, 51, 100, 101, 777, 2500, 2551, 6000)) | st.integers(0, 4000))
    first = draw(st.sampled_from((1, 1000, 10**12)))
    kind = draw(st.sampled_from(("dense", "holes", "clusters", "wide gaps", "falling density")))
    ids: Iterable[int]
    if kind == "dense":
        ids = range(rows)
    elif kind == "holes":
        ids = accumulate(rng.randint(1, 6) for _ in range(rows))
    elif kind == "clusters":
        ids = clusters(rows, 0.6, rng, run=draw(st.sampled_from((5, 40, 900))))
    elif kind == "wide gaps":
        ids = accumulate(rng.choice((3, 50, 10**5)) if rng.random() < 0.02 else 1 for _ in range(rows))
    else:
        ids = (place**3 for place in range(rows))
    return [first + offset for offset in ids]


def are_contiguous(pages: list[Page[list[Row]]], cursor: int) -> bool:
    return [page.after for page in pages] == [cursor, *(page.upto for page in pages[:-1])] and pages[-1].upto is None


@given(id_lists(), PACES, st.floats(0, 1))
@settings(max_examples=150)
def test_every_row_after_the_cursor_is_read_once_in_order(ids: list[int], pace: Pace, share: float) -> None:
    cursor = ids[int(share * (len(ids) - 1))] if ids and share > 0.5 else 0
    portal = MemoryPortal(ids, bucket=40)
    pages = asyncio.run(read(portal, cursor=cursor, pace=pace))
    assert ids_of(pages) == [row_id for row_id in ids if row_id > cursor]
    assert are_contiguous(pages, cursor)
    assert portal.commands <= 4 * math.ceil(len(ids) / 50) + 250


@given(id_lists(), PACES, st.integers(0, 10**6), st.floats(0, 0.3))
@settings(max_examples=100)
def test_temporary_faults_lose_and_duplicate_no_row(ids: list[int], pace: Pace, seed: int, share: float) -> None:
    rng = Random(seed)
    faulty: set[object] = set()

    def fail_once(_number: int, command: Command) -> PortalError | Answer | None:
        filter_ = str(command.params["FILTER"])
        if rng.random() > share or filter_ in faulty:
            return None
        faulty.add(filter_)
        return rng.choice((*FAULTS, *BAD_PAGES))

    def fail_batch(number: int, _commands: object) -> PortalError | None:
        return rng.choice(FAULTS) if number and rng.random() < share / 3 and number not in faulty else None

    portal = MemoryPortal(ids, outcome=fail_once, broken=fail_batch, bucket=40)
    cursor, ids_read = 0, list[int]()
    for _ in range(50):
        try:
            pages = asyncio.run(read_into(portal, ids_read, cursor, pace))
        except WalkFailed as failed:  # too many faults in a row; the error must say where to continue
            cursor = failed.cursor
            portal = MemoryPortal(ids, outcome=fail_once, bucket=40)
        else:
            assert pages[-1].upto is None
            break
    assert ids_read == ids


async def read_into(portal: MemoryPortal, ids_read: list[int], cursor: int, pace: Pace) -> list[Page[list[Row]]]:
    pages = []
    async with aclosing(walk(portal, USERS, cursor=cursor, pace=pace)) as found:
        async for page in found:
            ids_read += ids_of([page])
            pages.append(page)
    return pages


@given(id_lists(), PACES, st.integers(0, 10**6))
@settings(max_examples=100)
def test_changes_during_a_walk_affect_no_unchanged_row(ids: list[int], pace: Pace, seed: int) -> None:
    rng = Random(seed)
    deleted: set[int] = set()
    top = max(ids, default=0)

    def change(number: int) -> None:
        if number % 3 == 0 and portal.ids:
            deleted.add(victim := rng.choice(portal.ids))
            portal.remove(victim)
        if number % 5 == 0:
            portal.add(rng.randint(1, top + 100), top + rng.randint(1, 200))

    portal = MemoryPortal(ids, before=change, bucket=40)
    ids_read = ids_of(asyncio.run(read(portal, pace=pace)))
    assert ids_read == sorted(set(ids_read))
    assert set(ids_read) >= set(ids) - deleted


@given(id_lists().filter(lambda ids: len(ids) > 200), PACES, st.integers(0, 10**6))
@settings(max_examples=60)
def test_a_permanently_failing_range_ends_the_walk_just_before_it(ids: list[int], pace: Pace, seed: int) -> None:
    failing_id = Random(seed).choice(ids[100:])

    def refuse(_number: int, command: Command) -> PortalError | None:
        bounds: object = command.params["FILTER"]
        assert isinstance(bounds, dict)
        covers = isinstance(bounds[">ID"], int) and bounds[">ID"] < failing_id <= bounds.get("<=ID", 0)
        return AccessDenied("ACCESS_DENIED") if covers else None

    ids_read: list[int] = []
    with pytest.raises(WalkFailed) as failed_walk:
        asyncio.run(read_into(MemoryPortal(ids, outcome=refuse, bucket=40), ids_read, 0, pace))
    assert ids_read == [row_id for row_id in ids if row_id <= failed_walk.value.cursor]
    assert failed_walk.value.cursor < failing_id
    asyncio.run(read_into(MemoryPortal(ids), ids_read, failed_walk.value.cursor, pace))
    assert ids_read == ids


async def test_a_list_that_keeps_growing_is_read_to_the_largest_id_of_the_second_round() -> None:
    portal = MemoryPortal(range(1, 301), before=lambda _number: portal.add(*range(top(), top() + 200)))

    def top() -> int:
        return portal.ids[-1] + 1

    pages = await asyncio.wait_for(read(portal), 20)
    assert are_contiguous(pages, 0)
    assert ids_of(pages) == list(range(1, len(ids_of(pages)) + 1))
