"""A complete read, or a loud failure."""

import math
from collections.abc import Iterable, Sequence

import pytest

from gateway.bitrix.auth.credentials import WebhookCredential
from gateway.bitrix.client import PortalClient
from gateway.bitrix.errors import CredentialRefused, PortalError, WalkFailed
from gateway.bitrix.limits.limiter import PortalLimiter
from gateway.bitrix.lists.by_ids import read_by_ids
from gateway.bitrix.lists.full import read_full
from gateway.bitrix.lists.list_specs import Row
from gateway.bitrix.lists.page import MAX_PAGE_ATTEMPTS, ListCall, Page
from gateway.bitrix.lists.walk import walk
from gateway.bitrix.transport.session import PortalSession
from gateway.errors import InvalidInput
from gateway.sandbox.portal import SandboxPortal, SandboxSettings
from tests.clock import ManualClock
from tests.support.rogue import answering

USERS = ListCall("user.get")
STATUSES = ListCall("crm.status.list")


def categories(entity_type_id: int) -> ListCall:
    return ListCall("crm.category.list", {"entityTypeId": entity_type_id})


async def pages_of(client: PortalClient, call: ListCall = USERS, cursor: int = 0) -> list[Page[list[Row]]]:
    return [page async for page in walk(client, call, cursor=cursor)]


def ids_of(pages: Iterable[Page[list[Row]]]) -> list[int]:
    return [int(str(row["ID"])) for page in pages for row in page.rows]


def follow_on(pages: Sequence[Page[list[Row]]], cursor: int = 0) -> bool:
    """Whether the pages join without a gap, and the last alone says that it is the end."""
    return [page.after for page in pages] == [cursor, *(page.upto for page in pages[:-1])] and pages[-1].upto is None


def keep(portal: SandboxPortal, ids: Iterable[int]) -> list[int]:
    """Leave the portal with users of exactly these *ids*."""
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
async def test_every_row_comes_once_and_in_order(
    client: PortalClient, portal: SandboxPortal, clock: ManualClock
) -> None:
    pages = await clock.until(pages_of(client))
    assert ids_of(pages) == sorted(portal.data.users)
    assert follow_on(pages)


@pytest.mark.parametrize(
    "ids",
    [
        [*range(1, 121), *range(10**6, 10**6 + 300), 10**8],
        [*range(1, 5000, 100), *range(10**6, 10**6 + 3000)],
        [7, *range(10**9, 10**9 + 60)],
        [2**40 + step**3 for step in range(200)],
    ],
)
async def test_clusters_and_gulfs_are_walked_in_few_requests(
    client: PortalClient, portal: SandboxPortal, clock: ManualClock, ids: list[int]
) -> None:
    kept = keep(portal, ids)
    pages = await clock.until(pages_of(client))
    assert ids_of(pages) == kept
    assert follow_on(pages)
    assert portal.http_requests <= 20


@pytest.mark.parametrize("settings", [SandboxSettings(users=10_000, holes=0.0, tariff="off")])
async def test_dense_ids_cost_hardly_more_than_they_must(
    client: PortalClient, portal: SandboxPortal, clock: ManualClock
) -> None:
    assert len(ids_of(await clock.until(pages_of(client)))) == 10_000
    assert portal.http_requests <= 1.1 * math.ceil(10_000 / 2500) + 3


@pytest.mark.parametrize("users", [50, 200])
async def test_an_end_at_a_full_page_is_proven_too(
    client: PortalClient, portal: SandboxPortal, clock: ManualClock, users: int
) -> None:
    kept = keep(portal, range(1, users + 1))
    pages = await clock.until(pages_of(client))
    assert ids_of(pages) == kept
    assert follow_on(pages)


async def test_an_empty_list_is_a_proven_end(client: PortalClient) -> None:
    assert await pages_of(client, cursor=10**9) == [Page([], [], 10**9, None)]


async def test_a_walk_goes_on_from_any_cursor_it_gave(
    client: PortalClient, portal: SandboxPortal, clock: ManualClock
) -> None:
    pages = await clock.until(pages_of(client))
    for at, page in enumerate(pages[:-1]):
        assert page.upto is not None
        rest = await clock.until(pages_of(client, cursor=page.upto))
        assert ids_of(pages[: at + 1]) + ids_of(rest) == sorted(portal.data.users)
        assert follow_on(rest, page.upto)


async def test_the_callers_own_filter_stays(client: PortalClient, portal: SandboxPortal, clock: ManualClock) -> None:
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
    keep(portal, range(1, 701))
    pages = await clock.until(pages_of(client, ListCall("user.get", {"FILTER": conditions})))
    wanted = [90, 100, 110, 700] if "@ID" in conditions else range(1, 701)
    assert ids_of(pages) == [row_id for row_id in wanted if first <= row_id <= last]
    assert pages[-1].upto is None


@pytest.mark.parametrize(
    "conditions",
    [{">ID": "x"}, {">ID": [1]}, {">ID": None}, {"ID": 1.5}, "ID", {"=>ID": 5}, {"<>id": 5}, {"~ID": 5}, {"> ID": 5}],
    ids=str,
)
async def test_a_bound_on_the_id_that_is_not_understood_is_refused(client: PortalClient, conditions: object) -> None:
    with pytest.raises(InvalidInput):
        await pages_of(client, ListCall("user.get", {"FILTER": conditions}))


async def test_changes_meanwhile_lose_and_double_nothing_that_stays(
    client: PortalClient, portal: SandboxPortal, clock: ManualClock
) -> None:
    stay = keep(portal, range(1, 1001))
    users, template, seen = portal.data.users, portal.data.users[1], []

    async def read() -> None:
        async for page in walk(client, USERS):
            seen.extend(ids_of([page]))
            if page.after == 0:
                for gone in (3, 500, 900):
                    del users[gone]
                for new in range(2000, 2120):
                    users[new] = {**template, "ID": str(new)}

    await clock.until(read())
    assert seen == sorted(set(seen))
    assert set(seen) >= (set(stay) - {3, 500, 900}) | set(range(2000, 2120))


@pytest.mark.parametrize(
    "fault", ["error=INTERNAL_SERVER_ERROR*3@5", "qle*3@5", "drop@5", "truncated@10", "html500@1", "otl@7"]
)
async def test_a_fault_on_the_way_loses_no_row(
    client: PortalClient, portal: SandboxPortal, clock: ManualClock, fault: str
) -> None:
    portal.fault(f"user.get:{fault}")
    pages = await clock.until(pages_of(client))
    assert ids_of(pages) == sorted(portal.data.users)
    assert not list(portal.faults)


@pytest.mark.parametrize("after", [0, 1, 2, 7])
async def test_what_fails_for_good_fails_the_walk_at_the_cursor_it_reached(
    client: PortalClient, portal: SandboxPortal, clock: ManualClock, after: int
) -> None:
    portal.fault(f"user.get:error=ACCESS_DENIED*@{after}")
    got: list[Page[list[Row]]] = []

    async def read() -> None:
        async for page in walk(client, USERS):
            got.extend([page])

    with pytest.raises(WalkFailed, match=r"user\.get.*ACCESS_DENIED") as caught:
        await clock.until(read())
    assert caught.value.cursor == (got[-1].upto if got else 0)
    portal.clear_faults()
    rest = await clock.until(pages_of(client, cursor=caught.value.cursor))
    assert ids_of([*got, *rest]) == sorted(portal.data.users)


async def test_a_dead_credential_shows_through_a_failed_walk(client: PortalClient, portal: SandboxPortal) -> None:
    portal.fault("batch:error=INVALID_CREDENTIALS*")
    with pytest.raises(WalkFailed) as caught:
        await pages_of(client)
    assert caught.value.credential_dead
    assert isinstance(caught.value.cause, CredentialRefused)


def rows(*ids: int) -> list[dict[str, object]]:
    return [{"ID": str(row_id)} for row_id in ids]


@pytest.mark.parametrize(
    "page",
    [
        {"0": {"ID": "1"}, "2": {"ID": "3"}},  # a list out of which a row was taken
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
async def test_a_page_that_breaks_a_check_is_asked_for_again_and_then_fails(
    session: PortalSession, limiter: PortalLimiter, clock: ManualClock, page: object
) -> None:
    asked: list[str] = []

    def answer(method: str, _params: dict[str, object]) -> dict[str, object]:
        asked.append(method)
        return {"result": page}

    async with answering(answer) as endpoint:
        client = PortalClient(session, limiter, WebhookCredential(endpoint), clock)
        with pytest.raises(WalkFailed):
            await clock.until(pages_of(client))
    assert len(asked) == 2 * MAX_PAGE_ATTEMPTS


async def test_a_portal_that_ignores_the_bounds_is_found_out(
    session: PortalSession, limiter: PortalLimiter, clock: ManualClock
) -> None:
    def answer(_method: str, params: dict[str, object]) -> dict[str, object]:
        return {"result": rows(*range(1, 51)) if params["order"] == "ASC" else rows(*range(900, 850, -1))}

    async with answering(answer) as endpoint:
        client = PortalClient(session, limiter, WebhookCredential(endpoint), clock)
        with pytest.raises(WalkFailed) as caught:
            await clock.until(pages_of(client))
    assert caught.value.cursor == 50


async def test_lists_of_every_kind_are_read_whole_together(client: PortalClient, portal: SandboxPortal) -> None:
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
        assert isinstance(found, list)
        ids = [int(str(row[call.spec.id_key])) for row in found]
        assert len(ids) > 1
        assert ids == sorted(set(ids))
        assert len(found) == (sizes.pop(0) if sizes else sum(map(len, data.userfields.values())))
    assert portal.http_requests <= 3


async def test_a_list_that_the_portal_refuses_stands_as_its_error(client: PortalClient) -> None:
    leads, deals = await read_full(client, [categories(1), categories(2)])
    assert isinstance(leads, PortalError)
    assert "ENTITY_TYPE_NOT_SUPPORTED" in leads.detail
    assert isinstance(deals, list)


@pytest.mark.parametrize("fault", ["error=INTERNAL_SERVER_ERROR", "invalid_token", "error=OVERLOAD_LIMIT"])
async def test_what_concerns_more_than_one_list_fails_them_all(
    client: PortalClient, portal: SandboxPortal, clock: ManualClock, fault: str
) -> None:
    portal.fault(f"crm.status.list:{fault}*")
    with pytest.raises(WalkFailed, match=r"crm\.status\.list"):
        await clock.until(read_full(client, [STATUSES, categories(2)]))


@pytest.mark.parametrize("fault", ["crm.status.list:error=INTERNAL_SERVER_ERROR*2", "batch:drop", "batch:qle"])
async def test_a_whole_read_outlasts_a_fault(
    client: PortalClient, portal: SandboxPortal, clock: ManualClock, fault: str
) -> None:
    portal.fault(fault)
    (found,) = await clock.until(read_full(client, [STATUSES]))
    assert isinstance(found, list)
    assert len(found) == len(portal.data.statuses)


async def test_no_lists_ask_for_nothing(client: PortalClient, portal: SandboxPortal) -> None:
    assert await read_full(client, []) == []
    assert await read_by_ids(client, USERS, []) == []
    assert portal.http_requests == 0


@pytest.mark.parametrize(
    ("method", "steady"),
    [
        ("crm.status.list", {"result": rows(1, 2), "total": 3}),
        ("crm.status.list", {"result": rows(1, 1), "total": 2}),
        ("crm.status.list", {"result": {"1": {"ID": "1"}}, "total": 1}),
        ("crm.deal.userfield.list", {"result": rows(1, 2), "total": 3}),
        ("crm.deal.userfield.list", {"result": rows(1, 2)}),
        ("crm.deal.userfield.list", {"result": rows(*range(1, 51)), "total": 100}),  # the same page for every offset
    ],
)
async def test_a_list_that_does_not_add_up_is_read_three_times_and_fails(
    session: PortalSession, limiter: PortalLimiter, clock: ManualClock, method: str, steady: dict[str, object]
) -> None:
    firsts: list[object] = []

    def answer(_method: str, params: dict[str, object]) -> dict[str, object]:
        if params.get("start") in (None, "0") and params.get("order") != {"ID": "DESC"}:
            firsts.append(params)
        return steady

    async with answering(answer) as endpoint:
        client = PortalClient(session, limiter, WebhookCredential(endpoint), clock)
        with pytest.raises(WalkFailed):
            await clock.until(read_full(client, [ListCall(method)]))
    assert len(firsts) == MAX_PAGE_ATTEMPTS


async def test_a_list_that_changed_while_it_was_read_is_read_again(
    session: PortalSession, limiter: PortalLimiter, clock: ManualClock
) -> None:
    last: dict[str, object] = {"result": rows(*range(60, 10, -1))}
    answers = [
        {"result": rows(*range(1, 51)), "total": 60},
        last,
        {"result": rows(*range(52, 61)), "total": 59},  # one was deleted, and another slipped through
        {"result": rows(*range(2, 52)), "total": 59},
        last,
        {"result": rows(*range(52, 61)), "total": 59},
    ]

    async with answering(lambda _method, _params: answers.pop(0)) as endpoint:
        client = PortalClient(session, limiter, WebhookCredential(endpoint), clock)
        (found,) = await clock.until(read_full(client, [ListCall("crm.deal.userfield.list")]))
    assert isinstance(found, list)
    assert [int(str(row["ID"])) for row in found] == list(range(2, 61))


async def test_rows_are_had_by_their_ids_as_far_as_there_are_any(client: PortalClient, portal: SandboxPortal) -> None:
    there = sorted(portal.data.users)[::3]
    found = await read_by_ids(client, USERS, [*there, 10**9, *there[:5]])
    assert [int(str(row["ID"])) for row in found] == there
    assert portal.http_requests == 2


@pytest.mark.parametrize("answer", [{"result": rows(1, 2, 3), "total": 3}, {"result": rows(1), "total": 2}])
async def test_rows_by_ids_are_complete_or_fail(
    session: PortalSession, limiter: PortalLimiter, clock: ManualClock, answer: dict[str, object]
) -> None:
    async with answering(lambda _method, _params: answer) as endpoint:
        client = PortalClient(session, limiter, WebhookCredential(endpoint), clock)
        with pytest.raises(WalkFailed):
            await clock.until(read_by_ids(client, USERS, [1, 2]))


@pytest.mark.parametrize("fault", ["user.get:error=ACCESS_DENIED", "batch:error=INVALID_CREDENTIALS"])
async def test_a_refusal_to_give_rows_by_ids_is_loud(client: PortalClient, portal: SandboxPortal, fault: str) -> None:
    portal.fault(fault)
    with pytest.raises(WalkFailed):
        await read_by_ids(client, USERS, [1])
