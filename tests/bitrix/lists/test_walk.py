"""The walk against the sandbox: a complete list in order, or an error."""

import math
from collections.abc import Iterable, Sequence

import pytest

from gateway.bitrix.client import PortalClient
from gateway.bitrix.errors import CredentialRefused, WalkFailed
from gateway.bitrix.lists.list_specs import Row
from gateway.bitrix.lists.page import MAX_PAGE_ATTEMPTS, ListCall, Page
from gateway.bitrix.lists.walk import walk
from gateway.bitrix.transport.session import PortalSession
from gateway.errors import InvalidInput
from gateway.sandbox.portal import SandboxPortal
from gateway.sandbox.settings import SandboxSettings
from tests.bitrix.conftest import client_of
from tests.clock import ManualClock
from tests.support.rogue import answering

USERS = ListCall("user.get")


async def pages_of(client: PortalClient, call: ListCall = USERS, cursor: int = 0) -> list[Page[list[Row]]]:
    return [page async for page in walk(client, call, cursor=cursor)]


def ids_of(pages: Iterable[Page[list[Row]]]) -> list[int]:
    return [int(str(row["ID"])) for page in pages for row in page.rows]


def are_contiguous(pages: Sequence[Page[list[Row]]], cursor: int = 0) -> bool:
    """Whether the pages join without a gap, and only the last one is marked as the end."""
    return [page.after for page in pages] == [cursor, *(page.upto for page in pages[:-1])] and pages[-1].upto is None


def set_users(portal: SandboxPortal, ids: Iterable[int]) -> list[int]:
    """Replace the portal's users by users with exactly these *ids*, and return them sorted."""
    users = portal.data.users
    template = users[1]
    for user_id in list(users):
        del users[user_id]
    for user_id in sorted(ids):
        users[user_id] = {**template, "ID": str(user_id)}
    return sorted(ids)


@pytest.mark.parametrize(
    "settings",
    [
        SandboxSettings(users=users, holes=holes, tariff="off")
        for users in (1, 49, 50, 51, 100, 2000)
        for holes in (0.0, 0.3, 0.9)
    ],
)
async def test_every_row_is_read_once_and_in_order(
    client: PortalClient, portal: SandboxPortal, clock: ManualClock
) -> None:
    pages = await clock.until(pages_of(client))
    assert ids_of(pages) == sorted(portal.data.users)
    assert are_contiguous(pages)


@pytest.mark.parametrize(
    "ids",
    [
        [*range(1, 121), *range(10**6, 10**6 + 300), 10**8],
        [*range(1, 5000, 100), *range(10**6, 10**6 + 3000)],
        [7, *range(10**9, 10**9 + 60)],
        [2**40 + step**3 for step in range(200)],
    ],
)
async def test_clusters_and_wide_gaps_are_read_in_few_requests(
    client: PortalClient, portal: SandboxPortal, clock: ManualClock, ids: list[int]
) -> None:
    user_ids = set_users(portal, ids)
    pages = await clock.until(pages_of(client))
    assert ids_of(pages) == user_ids
    assert are_contiguous(pages)
    assert portal.http_requests <= 20


@pytest.mark.parametrize("settings", [SandboxSettings(users=10_000, holes=0.0, tariff="off")])
async def test_dense_ids_cost_hardly_more_than_full_batches(
    client: PortalClient, portal: SandboxPortal, clock: ManualClock
) -> None:
    assert len(ids_of(await clock.until(pages_of(client)))) == 10_000
    assert portal.http_requests <= 1.1 * math.ceil(10_000 / 2500) + 3


@pytest.mark.parametrize("users", [50, 200])
async def test_an_end_after_a_full_page_is_proven_too(
    client: PortalClient, portal: SandboxPortal, clock: ManualClock, users: int
) -> None:
    user_ids = set_users(portal, range(1, users + 1))
    pages = await clock.until(pages_of(client))
    assert ids_of(pages) == user_ids
    assert are_contiguous(pages)


async def test_an_empty_list_is_a_proven_end(client: PortalClient) -> None:
    assert await pages_of(client, cursor=10**9) == [Page([], [], 10**9, None)]


async def test_a_walk_continues_from_the_end_of_any_page(
    client: PortalClient, portal: SandboxPortal, clock: ManualClock
) -> None:
    pages = await clock.until(pages_of(client))
    for at, page in enumerate(pages[:-1]):
        assert page.upto is not None
        rest = await clock.until(pages_of(client, cursor=page.upto))
        assert ids_of(pages[: at + 1]) + ids_of(rest) == sorted(portal.data.users)
        assert are_contiguous(rest, page.upto)


async def test_the_callers_own_filter_is_kept(client: PortalClient, portal: SandboxPortal, clock: ManualClock) -> None:
    dismissed = [user_id for user_id, user in portal.data.users.items() if not user["ACTIVE"]]
    pages = await clock.until(pages_of(client, ListCall("user.get", {"FILTER": {"ACTIVE": False}})))
    assert ids_of(pages) == sorted(dismissed)
    assert 0 < len(dismissed) < len(portal.data.users)


@pytest.mark.parametrize(
    ("conditions", "first", "last"),
    [
        ({">ID": 5}, 6, 10**9),
        ({">=ID": "100", "<ID": 200}, 100, 199),
        ({">id": 7, ">ID": 9, "<=ID": 300}, 10, 300),
        ({"ID": 120}, 120, 120),
        ({"=ID": 120}, 120, 120),
        ({"@ID": [90, 100, 110, 700], "<=ID": 600}, 90, 110),
        ({">ID": 500, "<ID": 400}, 1, 0),
        ({"@ID": []}, 1, 0),
    ],
    ids=str,
)
async def test_a_filter_that_bounds_the_id_narrows_the_walk(
    client: PortalClient,
    portal: SandboxPortal,
    clock: ManualClock,
    conditions: dict[str, object],
    first: int,
    last: int,
) -> None:
    set_users(portal, range(1, 701))
    pages = await clock.until(pages_of(client, ListCall("user.get", {"FILTER": conditions})))
    wanted = [90, 100, 110, 700] if "@ID" in conditions else range(1, 701)
    assert ids_of(pages) == [row_id for row_id in wanted if first <= row_id <= last]
    assert pages[-1].upto is None


@pytest.mark.parametrize(
    "conditions",
    [{">ID": "x"}, {">ID": [1]}, {">ID": None}, {"ID": 1.5}, "ID", {"=>ID": 5}, {"<>id": 5}, {"~ID": 5}, {"> ID": 5}],
    ids=str,
)
async def test_an_invalid_bound_on_the_id_is_refused(client: PortalClient, conditions: object) -> None:
    with pytest.raises(InvalidInput):
        await pages_of(client, ListCall("user.get", {"FILTER": conditions}))


async def test_changes_during_a_walk_lose_and_duplicate_no_unchanged_row(
    client: PortalClient, portal: SandboxPortal, clock: ManualClock
) -> None:
    unchanged = set_users(portal, range(1, 1001))
    users, template, read_ids = portal.data.users, portal.data.users[1], []

    async def read_list() -> None:
        async for page in walk(client, USERS):
            read_ids.extend(ids_of([page]))
            if page.after == 0:
                for deleted in (3, 500, 900):
                    del users[deleted]
                for added in range(2000, 2120):
                    users[added] = {**template, "ID": str(added)}

    await clock.until(read_list())
    assert read_ids == sorted(set(read_ids))
    assert set(read_ids) >= (set(unchanged) - {3, 500, 900}) | set(range(2000, 2120))


@pytest.mark.parametrize(
    "fault", ["error=INTERNAL_SERVER_ERROR*3@5", "qle*3@5", "drop@5", "truncated@10", "html500@1", "otl@7"]
)
async def test_a_temporary_fault_loses_no_row(
    client: PortalClient, portal: SandboxPortal, clock: ManualClock, fault: str
) -> None:
    portal.fault(f"user.get:{fault}")
    pages = await clock.until(pages_of(client))
    assert ids_of(pages) == sorted(portal.data.users)
    assert not list(portal.faults)


@pytest.mark.parametrize("after", [0, 1, 2, 7])
async def test_a_permanent_failure_fails_the_walk_at_the_end_of_its_last_page(
    client: PortalClient, portal: SandboxPortal, clock: ManualClock, after: int
) -> None:
    portal.fault(f"user.get:error=ACCESS_DENIED*@{after}")
    pages: list[Page[list[Row]]] = []

    async def read_list() -> None:
        async for page in walk(client, USERS):
            pages.extend([page])

    with pytest.raises(WalkFailed, match=r"user\.get.*ACCESS_DENIED") as failed:
        await clock.until(read_list())
    assert failed.value.cursor == (pages[-1].upto if pages else 0)
    portal.clear_faults()
    rest = await clock.until(pages_of(client, cursor=failed.value.cursor))
    assert ids_of([*pages, *rest]) == sorted(portal.data.users)


async def test_a_failed_walk_reports_a_dead_credential(client: PortalClient, portal: SandboxPortal) -> None:
    portal.fault("batch:error=INVALID_CREDENTIALS*")
    with pytest.raises(WalkFailed) as failed:
        await pages_of(client)
    assert failed.value.credential_dead
    assert isinstance(failed.value.cause, CredentialRefused)


def rows(*ids: int) -> list[dict[str, object]]:
    return [{"ID": str(row_id)} for row_id in ids]


@pytest.mark.parametrize(
    "page",
    [
        {"0": {"ID": "1"}, "2": {"ID": "3"}},  # PHP's form of a list with a removed row
        rows(2, 1),
        rows(1, 1),
        rows(0, 1),
        rows(*range(1, 52)),
        [{"NAME": "no id"}],
        [{"ID": "1e3"}],
        [{"ID": None}],
        ["1"],
        "1",
    ],
)
async def test_a_page_that_fails_a_check_is_requested_again_and_then_fails_the_walk(
    session: PortalSession, clock: ManualClock, page: object
) -> None:
    methods: list[str] = []

    def answer(method: str, _params: dict[str, object]) -> dict[str, object]:
        methods.append(method)
        return {"result": page}

    async with answering(answer) as endpoint:
        client = client_of(session, clock, endpoint)
        with pytest.raises(WalkFailed):
            await clock.until(pages_of(client))
    assert len(methods) == 2 * MAX_PAGE_ATTEMPTS


async def test_a_portal_that_ignores_the_bounds_fails_the_walk(session: PortalSession, clock: ManualClock) -> None:
    def answer(_method: str, params: dict[str, object]) -> dict[str, object]:
        return {"result": rows(*range(1, 51)) if params["order"] == "ASC" else rows(*range(900, 850, -1))}

    async with answering(answer) as endpoint:
        client = client_of(session, clock, endpoint)
        with pytest.raises(WalkFailed) as failed:
            await clock.until(pages_of(client))
    assert failed.value.cursor == 50
