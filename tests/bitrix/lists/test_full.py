"""Lists that are read by offset, from portals whose totals, pages and offsets are not as documented."""

import asyncio
from bisect import bisect_left
from collections.abc import Callable, Sequence
from enum import Enum
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.bitrix.client import PortalClient
from gateway.bitrix.errors import PortalError, WalkFailed
from gateway.bitrix.lists.full import MAX_OFFSET_ROWS, read_full
from gateway.bitrix.lists.page import ListCall
from gateway.bitrix.protocol.v2 import Answer, Command

FIELDS = ListCall("crm.deal.userfield.list")
STATUSES = ListCall("crm.status.list")
ADDRESSES = ListCall("crm.address.list")
BROKEN = r"the portal's answer cannot be read: "


class PastTheEnd(Enum):
    """What a portal gives for an offset past the end of a list."""

    EMPTY = "no rows"
    LAST_PAGE = "the last page"
    LAST_ROWS = "as many of the last rows as a page has"
    FIRST_PAGE = "the first page"
    NO_OFFSETS = "the first page, for every offset"

    def start(self, given: int, rows: int, size: int) -> int:
        """The offset that is read from for the one *given*."""
        if self is PastTheEnd.NO_OFFSETS:
            return 0
        if given < rows or self is PastTheEnd.EMPTY:
            return given
        starts = {PastTheEnd.LAST_PAGE: max(rows - 1, 0) // size * size, PastTheEnd.LAST_ROWS: max(rows - size, 0)}
        return starts.get(self, 0)


class OffsetPortal:
    """A portal's client with one list. *changes* happens before each command, by its number."""

    def __init__(
        self,
        rows: int,
        *,
        total: Callable[[int], int | None] = lambda rows: rows,
        size: int = 50,
        past_the_end: PastTheEnd = PastTheEnd.EMPTY,
        changes: Callable[[int, list[int]], None] = lambda _number, _ids: None,
    ) -> None:
        self.ids = list(range(1, rows + 1))
        self.requests = self.commands = 0
        self._total, self._size, self._past_the_end, self._changes = total, size, past_the_end, changes

    async def batch(self, commands: Sequence[Command]) -> list[Answer | PortalError]:
        self.requests += 1
        return [self._answer(command.params) for command in commands]

    def _answer(self, params: Any) -> Answer:
        self._changes(self.commands, self.ids)
        self.commands += 1
        found = self.ids[::-1] if "DESC" in params.get("order", {}).values() else self.ids
        start = self._past_the_end.start(params.get("start", 0), len(found), self._size)
        page = found[start : start + self._size]
        rows = [{"ID": str(row_id), "ENTITY_ID": row_id, "ENTITY_TYPE_ID": 8, "TYPE_ID": 1} for row_id in page]
        return Answer(rows, total=self._total(len(found)))


async def read(portal: OffsetPortal, call: ListCall = FIELDS) -> list[int]:
    (found,) = await read_full(cast("PortalClient", portal), [call])
    assert isinstance(found, list)
    return [int(str(row["ID"])) for row in found]


TOTALS: list[Callable[[int], int | None]] = [
    lambda rows: rows,
    lambda rows: min(rows, 50),
    lambda rows: min(rows, 100),
    lambda rows: min(rows, 20),
    lambda _rows: 50,
    lambda _rows: 0,
    lambda _rows: -1,
    lambda rows: rows - 1,
    lambda rows: rows + 1,
    lambda rows: 2 * rows,
    lambda _rows: 10**12,
    lambda _rows: None,
]


@given(st.integers(0, 420), st.sampled_from(TOTALS), st.integers(1, 70) | st.just(50), st.sampled_from(PastTheEnd))
def test_whatever_the_portal_does_a_list_is_never_shorter(
    rows: int, total: Callable[[int], int | None], size: int, past_the_end: PastTheEnd
) -> None:
    portal = OffsetPortal(rows, total=total, size=size, past_the_end=past_the_end)
    try:
        assert asyncio.run(read(portal)) == portal.ids
    except WalkFailed:
        assert (size, total) != (50, TOTALS[0]) or (past_the_end is PastTheEnd.NO_OFFSETS and rows > 50)
    assert portal.requests <= 30


@given(st.integers(0, 420), st.sampled_from([one for one in PastTheEnd if one is not PastTheEnd.NO_OFFSETS]))
def test_an_honest_total_costs_two_requests_at_most(rows: int, past_the_end: PastTheEnd) -> None:
    portal = OffsetPortal(rows, past_the_end=past_the_end)
    assert asyncio.run(read(portal)) == portal.ids
    assert portal.requests == (1 if rows < 50 else 2)
    assert portal.commands == 2 + max(rows // 50, 0)


@pytest.mark.parametrize("rows", [49, 50, 51, 99, 100, 101, 120, 2_500, 10_020])
@pytest.mark.parametrize("past_the_end", [one for one in PastTheEnd if one is not PastTheEnd.NO_OFFSETS])
async def test_a_total_that_stays_50_is_found_out_and_the_list_is_read_to_its_end(
    rows: int, past_the_end: PastTheEnd
) -> None:
    portal = OffsetPortal(rows, total=lambda rows: min(rows, 50), past_the_end=past_the_end)
    assert await read(portal) == portal.ids
    assert portal.requests <= 24


@pytest.mark.parametrize(("rows", "size"), [(21, 20), (120, 20), (120, 49), (50, 49), (420, 1)])
@pytest.mark.parametrize("total", [lambda rows: rows, lambda _rows: 20, lambda _rows: 10**12])
async def test_smaller_pages_fail_by_name(rows: int, size: int, total: Callable[[int], int]) -> None:
    with pytest.raises(WalkFailed, match=f"{BROKEN}the portal gives pages of {size} rows, not 50"):
        await read(OffsetPortal(rows, size=size, total=total))


@pytest.mark.parametrize(
    ("portal", "reason"),
    [
        (OffsetPortal(6, total=lambda _rows: 7), "the portal counts 7 rows and gives 6"),
        (OffsetPortal(120, total=lambda _rows: 150), "the portal counts 150 rows and gives 120"),
        (OffsetPortal(6, total=lambda _rows: None), "the portal does not count the rows of the list"),
        (
            OffsetPortal(120, total=lambda _rows: 50, past_the_end=PastTheEnd.NO_OFFSETS),
            "the last page of the list has rows that no other page has",
        ),
        (OffsetPortal(120, total=lambda _rows: 10**12), "more than 50000 rows in a list that is read by offset"),
        (OffsetPortal(MAX_OFFSET_ROWS + 100, total=lambda _rows: 50), "more than 50000 rows"),
    ],
    ids=["one more", "a page more", "no total", "no offsets", "an endless total", "an endless list"],
)
async def test_a_list_that_cannot_be_whole_fails_by_name(portal: OffsetPortal, reason: str) -> None:
    with pytest.raises(WalkFailed, match=BROKEN + reason):
        await read(portal)


async def test_a_row_deleted_between_two_pages_hides_no_other_although_the_total_does_not_tell() -> None:
    def delete(number: int, ids: list[int]) -> None:
        if number == 2:  # the first page has been read
            ids.remove(3)

    portal = OffsetPortal(120, total=lambda _rows: 50, changes=delete)
    assert await read(portal) == [1, 2, *range(4, 121)]


async def test_a_list_that_changes_in_every_reading_and_does_not_count_its_rows_fails() -> None:
    def delete(_number: int, ids: list[int]) -> None:
        del ids[bisect_left(ids, 60)]

    with pytest.raises(WalkFailed, match=r"the list changed while it was read|has rows that no other page has"):
        await read(OffsetPortal(400, total=lambda _rows: 50, changes=delete))


@pytest.mark.parametrize("rows", [0, 1, 49, 50, 51, 100, 130])
@pytest.mark.parametrize("total", [lambda rows: rows, lambda _rows: None])
async def test_a_list_without_pages_is_whole_at_once(rows: int, total: Callable[[int], int | None]) -> None:
    portal = OffsetPortal(rows, total=total, size=10**6, past_the_end=PastTheEnd.NO_OFFSETS)
    assert await read(portal, STATUSES) == portal.ids
    assert portal.requests == (2 if rows in (50, 100) else 1)


@pytest.mark.parametrize("rows", [50, 51, 100, 130])
@pytest.mark.parametrize("total", [lambda rows: rows, lambda _rows: 50, lambda _rows: None])
async def test_a_list_documented_without_pages_that_has_some_is_read_to_its_end(
    rows: int, total: Callable[[int], int | None]
) -> None:
    portal = OffsetPortal(rows, total=total)
    assert await read(portal, STATUSES) == portal.ids


@pytest.mark.parametrize("rows", [0, 1, 49, 50, 51, 120])
async def test_a_list_known_for_its_total_is_read_whatever_it_counts(rows: int) -> None:
    portal = OffsetPortal(rows, total=lambda _rows: 50)
    assert await read(portal, ADDRESSES) == portal.ids
    assert portal.requests == (1 if rows < 50 else 2 if rows == 50 else 4 if rows < 100 else 6)
