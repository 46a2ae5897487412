"""Lists read by offset or at once, also from portals whose totals, pages and offsets are not as documented."""

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
from gateway.bitrix.lists.page import MAX_PAGE_ATTEMPTS, ListCall
from gateway.bitrix.protocol.v2 import Answer, Command
from gateway.bitrix.transport.session import PortalSession
from gateway.sandbox.portal import SandboxPortal
from tests.bitrix.conftest import client_of
from tests.clock import ManualClock
from tests.support.rogue import answering

FIELDS = ListCall("crm.deal.userfield.list")
STATUSES = ListCall("crm.status.list")
ADDRESSES = ListCall("crm.address.list")
BROKEN = r"the portal's answer cannot be read: "


def categories(entity_type_id: int) -> ListCall:
    return ListCall("crm.category.list", {"entityTypeId": entity_type_id})


class PastTheEnd(Enum):
    """What a portal returns for an offset past the end of a list."""

    EMPTY = "no rows"
    LAST_PAGE = "the last page"
    LAST_ROWS = "as many of the last rows as a page has"
    FIRST_PAGE = "the first page"
    NO_OFFSETS = "the first page, for every offset"

    def start(self, requested: int, rows: int, size: int) -> int:
        """The offset that the portal reads from for the *requested* one."""
        if self is PastTheEnd.NO_OFFSETS:
            return 0
        if requested < rows or self is PastTheEnd.EMPTY:
            return requested
        starts = {PastTheEnd.LAST_PAGE: max(rows - 1, 0) // size * size, PastTheEnd.LAST_ROWS: max(rows - size, 0)}
        return starts.get(self, 0)


class OffsetPortal:
    """The client of a portal with one list. *changes* is called before each command, with its number and the ids."""

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
    assert isinstance(found, dict)
    return [int(str(row["ID"])) for row in found.values()]


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
def test_a_list_is_complete_or_fails_whatever_the_portal_does(
    rows: int, total: Callable[[int], int | None], size: int, past_the_end: PastTheEnd
) -> None:
    portal = OffsetPortal(rows, total=total, size=size, past_the_end=past_the_end)
    try:
        assert asyncio.run(read(portal)) == portal.ids
    except WalkFailed:
        assert (size, total) != (50, TOTALS[0]) or (past_the_end is PastTheEnd.NO_OFFSETS and rows > 50)
    assert portal.requests <= 30


@given(st.integers(0, 420), st.sampled_from([case for case in PastTheEnd if case is not PastTheEnd.NO_OFFSETS]))
def test_a_right_total_costs_two_requests_at_most(rows: int, past_the_end: PastTheEnd) -> None:
    portal = OffsetPortal(rows, past_the_end=past_the_end)
    assert asyncio.run(read(portal)) == portal.ids
    assert portal.requests == (1 if rows < 50 else 2)
    assert portal.commands == 2 + max(rows // 50, 0)


@pytest.mark.parametrize("rows", [49, 50, 51, 99, 100, 101, 120, 2_500, 10_020])
@pytest.mark.parametrize("past_the_end", [case for case in PastTheEnd if case is not PastTheEnd.NO_OFFSETS])
async def test_a_list_is_read_to_its_end_although_its_total_stays_50(rows: int, past_the_end: PastTheEnd) -> None:
    portal = OffsetPortal(rows, total=lambda rows: min(rows, 50), past_the_end=past_the_end)
    assert await read(portal) == portal.ids
    assert portal.requests <= 24


@pytest.mark.parametrize(("rows", "size"), [(21, 20), (120, 20), (120, 49), (50, 49), (420, 1)])
@pytest.mark.parametrize("total", [lambda rows: rows, lambda _rows: 20, lambda _rows: 10**12])
async def test_smaller_pages_fail_with_their_size(rows: int, size: int, total: Callable[[int], int]) -> None:
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
async def test_a_list_that_cannot_be_complete_fails_with_the_reason(portal: OffsetPortal, reason: str) -> None:
    with pytest.raises(WalkFailed, match=BROKEN + reason):
        await read(portal)


async def test_a_row_deleted_between_two_pages_hides_no_other_despite_a_wrong_total() -> None:
    def delete(number: int, ids: list[int]) -> None:
        if number == 2:  # the first page has been read
            ids.remove(3)

    portal = OffsetPortal(120, total=lambda _rows: 50, changes=delete)
    assert await read(portal) == [1, 2, *range(4, 121)]


async def test_a_list_with_a_wrong_total_that_changes_in_every_reading_fails() -> None:
    def delete(_number: int, ids: list[int]) -> None:
        del ids[bisect_left(ids, 60)]

    with pytest.raises(WalkFailed, match=r"the list changed while it was read|has rows that no other page has"):
        await read(OffsetPortal(400, total=lambda _rows: 50, changes=delete))


@pytest.mark.parametrize("rows", [0, 1, 49, 50, 51, 100, 130])
@pytest.mark.parametrize("total", [lambda rows: rows, lambda _rows: None])
async def test_an_unpaged_list_is_read_at_once(rows: int, total: Callable[[int], int | None]) -> None:
    portal = OffsetPortal(rows, total=total, size=10**6, past_the_end=PastTheEnd.NO_OFFSETS)
    assert await read(portal, STATUSES) == portal.ids
    assert portal.requests == (2 if rows in (50, 100) else 1)


@pytest.mark.parametrize("rows", [50, 51, 100, 130])
@pytest.mark.parametrize("total", [lambda rows: rows, lambda _rows: 50, lambda _rows: None])
async def test_an_unpaged_list_that_has_pages_is_read_to_its_end(rows: int, total: Callable[[int], int | None]) -> None:
    portal = OffsetPortal(rows, total=total)
    assert await read(portal, STATUSES) == portal.ids


@pytest.mark.parametrize("rows", [0, 1, 49, 50, 51, 120])
async def test_a_list_known_for_wrong_totals_is_read_whatever_its_total(rows: int) -> None:
    portal = OffsetPortal(rows, total=lambda _rows: 50)
    assert await read(portal, ADDRESSES) == portal.ids
    assert portal.requests == (1 if rows < 50 else 2 if rows == 50 else 4 if rows < 100 else 6)


def rows(*ids: int) -> list[dict[str, object]]:
    return [{"ID": str(row_id)} for row_id in ids]


async def test_lists_of_every_kind_are_read_together(client: PortalClient, portal: SandboxPortal) -> None:
    calls = [
        STATUSES,
        categories(2),
        ListCall("crm.type.list"),
        ListCall("crm.deal.userfield.list", {"filter": {"LANG": "ru"}}),
        ListCall("userfieldconfig.list", {"moduleId": "crm"}),
    ]
    data = portal.data
    data.categories[2][max(data.categories[2])]["sort"] = 1
    lists = await read_full(client, calls)
    sizes = [len(data.statuses), len(data.categories[2]), len(data.types), len(data.userfields["CRM_DEAL"])]
    for call, found in zip(calls, lists, strict=True):
        assert isinstance(found, dict)
        ids = [int(str(row[call.spec.id_key])) for row in found.values()]
        assert len(ids) > 1
        assert ids == list(found) == sorted(set(ids))
        assert len(found) == (sizes.pop(0) if sizes else sum(map(len, data.userfields.values())))
    assert portal.http_requests <= 3


async def test_a_list_that_the_portal_refuses_is_returned_as_its_error(client: PortalClient) -> None:
    leads, deals = await read_full(client, [categories(1), categories(2)])
    assert isinstance(leads, PortalError)
    assert "ENTITY_TYPE_NOT_SUPPORTED" in leads.detail
    assert isinstance(deals, dict)


@pytest.mark.parametrize("fault", ["error=INTERNAL_SERVER_ERROR", "invalid_token", "error=OVERLOAD_LIMIT"])
async def test_an_error_of_more_than_one_list_fails_them_all(
    client: PortalClient, portal: SandboxPortal, clock: ManualClock, fault: str
) -> None:
    portal.fault(f"crm.status.list:{fault}*")
    with pytest.raises(WalkFailed, match=r"crm\.status\.list"):
        await clock.until(read_full(client, [STATUSES, categories(2)]))


@pytest.mark.parametrize("fault", ["crm.status.list:error=INTERNAL_SERVER_ERROR*2", "batch:drop", "batch:qle"])
async def test_a_temporary_fault_is_retried(
    client: PortalClient, portal: SandboxPortal, clock: ManualClock, fault: str
) -> None:
    portal.fault(fault)
    (found,) = await clock.until(read_full(client, [STATUSES]))
    assert isinstance(found, dict)
    assert len(found) == len(portal.data.statuses)


async def test_no_lists_send_no_request(client: PortalClient, portal: SandboxPortal) -> None:
    assert await read_full(client, []) == []
    assert portal.http_requests == 0


@pytest.mark.parametrize(
    ("method", "answers_with"),
    [
        ("crm.status.list", {"result": rows(1, 2), "total": 3}),
        ("crm.status.list", {"result": rows(1, 1), "total": 2}),
        ("crm.status.list", {"result": {"1": {"ID": "1"}}, "total": 1}),
        ("crm.deal.userfield.list", {"result": rows(1, 2), "total": 3}),
        ("crm.deal.userfield.list", {"result": rows(1, 2)}),
        ("crm.deal.userfield.list", {"result": rows(*range(1, 51)), "total": 100}),  # the same page for every offset
    ],
)
async def test_a_list_with_contradictory_answers_is_read_three_times_and_fails(
    session: PortalSession, clock: ManualClock, method: str, answers_with: dict[str, object]
) -> None:
    first_pages: list[object] = []

    def answer(_method: str, params: dict[str, object]) -> dict[str, object]:
        if params.get("start") in (None, "0") and params.get("order") != {"ID": "DESC"}:
            first_pages.append(params)
        return answers_with

    async with answering(answer) as endpoint:
        client = client_of(session, clock, endpoint)
        with pytest.raises(WalkFailed):
            await clock.until(read_full(client, [ListCall(method)]))
    assert len(first_pages) == MAX_PAGE_ATTEMPTS


async def test_a_list_that_changed_while_it_was_read_is_read_again(session: PortalSession, clock: ManualClock) -> None:
    last: dict[str, object] = {"result": rows(*range(60, 10, -1))}
    answers = [
        {"result": rows(*range(1, 51)), "total": 60},
        last,
        {"result": rows(*range(52, 61)), "total": 59},  # row 1 was deleted, so row 51 moved to the page already read
        {"result": rows(*range(2, 52)), "total": 59},
        last,
        {"result": rows(*range(52, 61)), "total": 59},
    ]

    async with answering(lambda _method, _params: answers.pop(0)) as endpoint:
        client = client_of(session, clock, endpoint)
        (found,) = await clock.until(read_full(client, [ListCall("crm.deal.userfield.list")]))
    assert isinstance(found, dict)
    assert [int(str(row["ID"])) for row in found.values()] == list(range(2, 61))
