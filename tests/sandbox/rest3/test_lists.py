"""Lists of REST 3.0: select, order, pages and cursors."""

from typing import Any

import pytest

from gateway.sandbox.portal import SandboxPortal
from gateway.sandbox.settings import SandboxSettings
from tests.sandbox.client import RestClient
from tests.sandbox.rest3.answers import refused


def ids(items: list[dict[str, Any]]) -> list[int]:
    return [item["id"] for item in items]


async def items(client: RestClient, method: str, **params: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await client.call(method, **params)).result["items"]
    return found


async def test_pages_follow_each_other_to_the_end(rest3: RestClient, portal: SandboxPortal) -> None:
    pages = [await items(rest3, "main.eventlog.list", pagination={"page": page}) for page in (1, 2, 3, 4)]
    assert [len(page) for page in pages] == [50, 50, 20, 0]
    assert ids([row for page in pages for row in page]) == list(portal.data.eventlog)


async def test_lists_have_no_total_and_no_next(rest3: RestClient) -> None:
    assert list((await rest3.call("main.eventlog.list")).body) == ["result", "time"]


async def test_pagination_selects_the_requested_rows(rest3: RestClient, portal: SandboxPortal) -> None:
    everything = list(portal.data.eventlog)
    for pagination, expected in (
        ({"limit": 3, "offset": 2}, everything[2:5]),
        ({"limit": 3, "page": 3, "offset": 1}, everything[6:9]),
        ({"limit": 3, "page": 0}, everything[:3]),
        ({"limit": 100_000}, everything),
        ({"offset": 100}, everything[100:]),
    ):
        assert ids(await items(rest3, "main.eventlog.list", pagination=pagination)) == expected


class TestLongLists:
    @pytest.fixture
    def settings(self) -> SandboxSettings:
        return SandboxSettings(users=5, tasks=30_000, eventlog=1200)

    async def test_a_page_has_at_most_a_thousand_rows(self, rest3: RestClient) -> None:
        assert len(await items(rest3, "main.eventlog.list", pagination={"limit": 5000})) == 1000

    async def test_a_page_of_tasks_has_at_most_fifty_rows(self, rest3: RestClient, portal: SandboxPortal) -> None:
        everything = list(portal.data.tasks)
        for pagination, expected in (
            ({"limit": 1000}, everything[:50]),
            ({"limit": 1000, "page": 3}, everything[100:150]),
            ({"limit": 1000, "offset": 1000}, everything[1000:1050]),
            ({"limit": 20, "page": 2}, everything[20:40]),
        ):
            assert ids(await items(rest3, "tasks.task.list", pagination=pagination)) == expected

    async def test_a_range_of_ids_is_read_by_its_bounds(self, rest3: RestClient, portal: SandboxPortal) -> None:
        everything = list(portal.data.tasks)
        bounds = [["id", ">", everything[19_999]], ["id", "<=", everything[20_009]]]
        assert ids(await items(rest3, "tasks.task.list", filter=bounds)) == everything[20_000:20_010]


class TestPagesOfAnotherSize:
    @pytest.fixture
    def settings(self) -> SandboxSettings:
        return SandboxSettings(users=5, tasks=200, eventlog=200, rest3_page_rows=30)

    @pytest.mark.parametrize(
        ("method", "params"),
        [
            ("tasks.task.list", {}),
            ("tasks.task.list", {"pagination": {"limit": 1000}}),
            ("main.eventlog.list", {}),
            ("main.eventlog.list", {"pagination": {"limit": 31}}),
            ("main.eventlog.tail", {}),
            ("main.eventlog.tail", {"cursor": {"field": "id", "limit": 1000}}),
        ],
    )
    async def test_every_list_uses_the_page_size(self, rest3: RestClient, method: str, params: dict[str, Any]) -> None:
        assert len(await items(rest3, method, **params)) == 30

    async def test_a_smaller_limit_applies(self, rest3: RestClient) -> None:
        assert len(await items(rest3, "main.eventlog.tail", cursor={"field": "id", "limit": 7})) == 7


@pytest.mark.parametrize("pagination", [{"limit": "abc"}, {"limit": 0}, {"limit": -1}, {"page": -1}, {"offset": -1}, 5])
async def test_an_invalid_pagination_is_refused(rest3: RestClient, pagination: Any) -> None:
    answer = await rest3.call("main.eventlog.list", pagination=pagination)
    assert refused(answer, 400, "INVALIDPAGINATIONEXCEPTION")


async def test_rows_are_in_the_requested_order(rest3: RestClient, portal: SandboxPortal) -> None:
    everything = list(portal.data.eventlog)
    assert ids(await items(rest3, "main.eventlog.list", order={"id": "DESC"})) == everything[:-51:-1]
    rows = await items(
        rest3, "main.eventlog.list", order={"auditTypeId": "asc", "id": "desc"}, pagination={"limit": 1000}
    )
    assert rows == sorted(rows, key=lambda row: (row["auditTypeId"], -row["id"]))
    nulls = await items(rest3, "main.eventlog.list", order={"userId": "ASC"}, pagination={"limit": 1})
    assert nulls[0]["userId"] is None


@pytest.mark.parametrize(
    ("order", "name"),
    [
        (["id"], "INVALIDORDEREXCEPTION"),
        ("id", "INVALIDORDEREXCEPTION"),
        ({"id": "UP"}, "INVALIDORDEREXCEPTION"),
        ({"nope": "ASC"}, "UNKNOWNDTOPROPERTYEXCEPTION"),
        ({"description": "ASC"}, "VALIDATION_REQUESTVALIDATIONEXCEPTION"),
    ],
)
async def test_an_invalid_order_is_refused(rest3: RestClient, order: Any, name: str) -> None:
    assert refused(await rest3.call("tasks.task.list", order=order), 400, name)


async def test_without_a_select_tasks_have_only_ids_and_entries_all_fields(rest3: RestClient) -> None:
    assert {tuple(row) for row in await items(rest3, "tasks.task.list")} == {("id",)}
    assert len((await items(rest3, "main.eventlog.list"))[0]) == 13


async def test_a_select_can_name_fields_of_related_objects(rest3: RestClient, portal: SandboxPortal) -> None:
    select = ["id", "title", "nope", "responsible.name", "responsible.email", "group.title"]
    row = (await items(rest3, "tasks.task.list", select=select))[0]
    assert list(row) == ["id", "title", "responsible", "group"]
    person = portal.data.users[portal.data.tasks[row["id"]]["responsibleId"]]
    assert row["responsible"] == {"name": person["NAME"], "email": person.get("EMAIL")}
    assert row["group"] is None
    whole = (await rest3.call("tasks.task.get", id=row["id"], select=["creator"])).result["item"]
    assert list(whole["creator"]) == ["id", "name", "lastName", "secondName", "email", "gender", "workPosition"]


@pytest.mark.parametrize(
    ("select", "name"),
    [
        ("id", "INVALIDSELECTEXCEPTION"),
        ({"a": "id"}, "INVALIDSELECTEXCEPTION"),
        ([1], "INVALIDSELECTEXCEPTION"),
        (["responsible.stageId"], "UNKNOWNDTOPROPERTYEXCEPTION"),
        (["nobody.name"], "UNKNOWNDTOPROPERTYEXCEPTION"),
    ],
)
async def test_an_invalid_select_is_refused(rest3: RestClient, select: Any, name: str) -> None:
    for method in ("tasks.task.list", "tasks.task.get"):
        assert refused(await rest3.call(method, id=1, select=select), 400, name)


async def test_a_cursor_reads_to_the_end_including_new_rows(rest3: RestClient, portal: SandboxPortal) -> None:
    last, seen = 0, []
    while rows := await items(rest3, "main.eventlog.tail", cursor={"field": "id", "value": last, "limit": 45}):
        seen += ids(rows)
        last = seen[-1]
    assert seen == list(portal.data.eventlog)
    portal.data.eventlog[last + 5] = {**portal.data.eventlog[last], "id": last + 5}
    assert ids(await items(rest3, "main.eventlog.tail", cursor={"field": "id", "value": last})) == [last + 5]


async def test_a_cursor_can_descend_by_any_field_with_a_filter(rest3: RestClient, portal: SandboxPortal) -> None:
    assert ids(await items(rest3, "main.eventlog.tail")) == list(portal.data.eventlog)[:50]
    known = [row for row in portal.data.eventlog.values() if row["severity"] == "SECURITY"]
    cursor = {"field": "timestampX", "order": "DESC", "value": known[9]["timestampX"], "limit": 5}
    rows = await items(rest3, "main.eventlog.tail", cursor=cursor, filter=["severity", "SECURITY"])
    assert rows == known[8:3:-1]


@pytest.mark.parametrize(
    ("params", "name"),
    [
        ({"filter": [["id", ">", 1]]}, "INVALIDFILTEREXCEPTION"),
        ({"cursor": {"field": "userId"}, "filter": [["userId", 1]]}, "INVALIDFILTEREXCEPTION"),
        ({"cursor": {"value": 5}}, "INVALIDPAGINATIONEXCEPTION"),
        ({"cursor": {"field": "id", "limit": 0}}, "INVALIDPAGINATIONEXCEPTION"),
        ({"cursor": {"field": "id", "order": "UP"}}, "INVALIDORDEREXCEPTION"),
        ({"cursor": {"field": "nope"}}, "UNKNOWNDTOPROPERTYEXCEPTION"),
        ({"cursor": {"field": "id", "value": "5"}}, "VALIDATION_REQUESTVALIDATIONEXCEPTION"),
    ],
)
async def test_an_invalid_cursor_is_refused(rest3: RestClient, params: dict[str, Any], name: str) -> None:
    assert refused(await rest3.call("main.eventlog.tail", **params), 400, name)
