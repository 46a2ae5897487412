"""Queries of mirrored records through the API."""

import asyncio
from typing import Any
from urllib.parse import quote

import orjson
import pytest

from handlers.app_keys import DATABASE
from storage.mirror_queries import QueryStore, Selection, Window
from storage.sync_settings import SyncSettingsStore
from tests.gateway import Answer, Gateway, Sandbox
from tests.support.records import change, enable, page, portal_ids, sync_again
from tests.support.stored import select


@pytest.fixture
async def deals(connected: Gateway) -> Gateway:
    """Account "acme" mirrors deals."""
    await enable(connected, "deals")
    return connected


async def ask(gateway: Gateway, path: str = "deals", *, account: str = "acme", **params: Any) -> Answer:
    """Query records; a parameter that is not a string is sent as JSON."""
    texts = {name: value if isinstance(value, str) else orjson.dumps(value).decode() for name, value in params.items()}
    query = "&".join(f"{name}={quote(text)}" for name, text in texts.items())
    return await gateway.get(f"/bitrix/{path}?{query}", account=account)


def ids(answer: Answer) -> list[int]:
    assert answer.status == 200, answer.body
    return [row["id"] for row in answer.json["items"]]


def refusal(answer: Answer) -> tuple[int, str, str]:
    (error,) = answer.json["errors"]
    return answer.status, error["code"], error.get("pointer", error.get("parameter"))


async def test_a_filter_selects_by_stage_and_pipeline(deals: Gateway, sandbox: Sandbox) -> None:
    rows = {row_id: sandbox.portal.data.tables["deals"][row_id] for row_id in portal_ids(sandbox, "deals")}
    expected = [i for i, row in rows.items() if row["STAGE_ID"] == "C7:NEW" and row["CATEGORY_ID"] == "7"]
    answer = await ask(deals, filter=[["STAGE_ID", "=", "C7:NEW"], ["CATEGORY_ID", 7]], size="1000")
    assert ids(answer) == expected
    assert answer.json["count"] == len(expected) > 0
    assert "next" not in answer.json


async def test_pages_by_cursor_join_to_the_whole_list_in_both_directions(deals: Gateway, sandbox: Sandbox) -> None:
    for params in ({}, {"order": "-OPPORTUNITY"}, {"order": "COMPANY_ID"}, {"order": "-COMPANY_ID"}, {"order": "id"}):
        whole = ids(await ask(deals, size="1000", **params))
        assert sorted(whole) == portal_ids(sandbox, "deals")
        pages, links = [], []
        answer = await ask(deals, cursor="", size="40", **params)
        while True:
            pages.append(ids(answer))
            links.append(answer.headers["Link"])
            if answer.json["next"] is None:
                break
            answer = await ask(deals, cursor=answer.json["next"], size="40", **params)
        assert [row_id for page in pages for row_id in page] == whole
        back = [pages[-1]]
        link = links[-1]
        while 'rel="prev"' in link:
            (target,) = [part for part in link.split(", ") if 'rel="prev"' in part]
            answer = await deals.get("/bitrix/deals" + target[1 : target.index(">")])
            back.insert(0, ids(answer))
            link = answer.headers["Link"]
        assert back == pages


async def test_numbered_pages_have_links(deals: Gateway) -> None:
    answer = await ask(deals, page="2", size="100")
    assert answer.headers["Link"] == (
        '<?page=1&size=100>; rel="first", <?page=3&size=100>; rel="next", <?page=1&size=100>; rel="prev"'
    )
    last = await ask(deals, page="3", size="100")
    assert 'rel="next"' not in last.headers["Link"]
    filtered = await ask(deals, filter=[["id", ">", 0]], size="100", page="2")
    assert "page=3&filter=%5B%5B%22id" in filtered.headers["Link"]


async def test_links_of_a_long_filter_are_left_out_instead_of_exceeding_what_clients_read(deals: Gateway) -> None:
    long = [["id", "in", list(range(300))], ["TITLE", "!=", "x" * 4000]]
    for params in ({"page": "1"}, {"cursor": ""}):
        answer = await ask(deals, filter=long, size="1", **params)
        assert (answer.status, "Link" in answer.headers) == (200, False)
    assert answer.json["next"] is not None
    shorter = [["id", ">", 0], ["TITLE", "!=", "x" * 1200]]
    link = (await ask(deals, filter=shorter, size="1", page="2")).headers["Link"]
    assert [relation for relation in ("first", "prev", "next") if f'rel="{relation}"' in link] == ["prev", "next"]


async def test_select_names_the_fields_and_adds_the_id(deals: Gateway) -> None:
    (row, *_) = (await ask(deals, select="TITLE,STAGE_ID")).json["items"]
    assert list(row) == ["id", "TITLE", "STAGE_ID"]


async def test_counts_are_limited_unless_an_exact_one_is_requested(deals: Gateway) -> None:
    answer = await ask(deals, filter=[["id", ">", 0]], count="exact", size="1")
    assert answer.json["count"] == 300


async def test_a_cursor_belongs_to_its_list_account_filter_and_order(deals: Gateway, other: Sandbox) -> None:
    await enable(deals, "contacts")
    await deals.connect(other.webhook, account="beta")
    await enable(deals, "deals", account="beta")
    cursor = (await ask(deals, cursor="", size="10", filter=[["id", ">", 5]], order="TITLE")).json["next"]
    same: dict[str, Any] = {"cursor": cursor, "filter": [["id", ">", 5]], "order": "TITLE"}
    assert (await ask(deals, **same)).status == 200
    mismatch = (400, "cursor_mismatch", "cursor")
    assert refusal(await ask(deals, **(same | {"order": "-TITLE"}))) == mismatch
    assert refusal(await ask(deals, **(same | {"filter": [["id", ">", 6]]}))) == mismatch
    assert refusal(await ask(deals, account="beta", **same)) == mismatch
    contacts = (await ask(deals, "contacts", cursor="", size="10")).json["next"]
    assert refusal(await ask(deals, cursor=contacts)) == mismatch
    for forged in ("x", cursor[:-2], cursor[:-1] + "~", "A" * 20_000, "é"):
        assert refusal(await ask(deals, **(same | {"cursor": forged}))) == (400, "invalid_cursor", "cursor")


@pytest.mark.parametrize(
    ("params", "error"),
    [
        ({"filter": "{"}, ("not_json", "filter")),
        ({"filter": "[" * 2000}, ("too_deep", "filter")),
        ({"filter": "null"}, ("invalid_value", "filter")),
        ({"filter": [["TITEL", "=", 1]]}, ("unknown_field", "/0/0")),
        ({"filter": [["OPPORTUNITY", ">", "abc"]]}, ("invalid_value", "/0/2")),
        ({"order": "-TITEL"}, ("unknown_field", "order")),
        ({"select": "TITEL"}, ("unknown_field", "select")),
        ({"size": "1001"}, ("invalid_value", "size")),
        ({"cursor": "", "page": "1"}, ("invalid_value", "page")),
        ({"count": "yes"}, ("invalid_value", "count")),
        ({"page": "401", "order": "TITLE"}, ("page_too_deep", "page")),
        ({"sort": "TITLE"}, ("unknown_parameter", "sort")),
    ],
)
async def test_a_query_that_is_not_valid_is_400_with_its_place(
    deals: Gateway, params: dict[str, Any], error: tuple[str, str]
) -> None:
    assert refusal(await ask(deals, **params)) == (400, *error)


async def test_an_unknown_name_asks_the_portal_for_its_fields_once_a_minute(deals: Gateway, sandbox: Sandbox) -> None:
    calls = sandbox.portal.calls["crm.deal.fields"]
    assert (await ask(deals, order="TITEL")).status == 400
    assert sandbox.portal.calls["crm.deal.fields"] == calls
    await deals.clock.advance(61)
    for _ in range(2):
        answer = await ask(deals, order="TITEL")
        assert answer.json["errors"][0]["detail"] == "unknown field 'TITEL'; did you mean 'TITLE'?"
    assert sandbox.portal.calls["crm.deal.fields"] == calls + 1


async def test_a_page_is_cached_until_its_list_changes(deals: Gateway, sandbox: Sandbox) -> None:
    query: dict[str, Any] = {"filter": [["TITLE", "=", "fresh"]]}
    first = await ask(deals, **query)
    assert first.json["count"] == 0
    again = await deals.get(
        f"/bitrix/deals?filter={quote(orjson.dumps(query['filter']))}", headers={"If-None-Match": first.headers["ETag"]}
    )
    assert again.status == 304
    row_id = portal_ids(sandbox, "deals")[0]
    await deals.clock.advance(10)
    change(sandbox, "deals", {row_id: {"TITLE": "fresh"}})
    before = again.headers["X-Synced-At"]
    await sync_again(deals, "deals")
    answer = await ask(deals, **query)
    assert ids(answer) == [row_id]
    assert answer.headers["X-Synced-At"] > before
    assert answer.headers["ETag"] != first.headers["ETag"]


async def indexed(gateway: Gateway, *names: str) -> None:
    """Index fields, and wait until the indexes are built."""
    answer = await gateway.request("PUT", "/bitrix/sync/deals", json={"indexed": list(names)})
    assert (answer.status, answer.json["indexed"]) == (200, list(names))
    for _ in range(50):
        states = {state for (state,) in select(gateway, "SELECT state FROM mirror_indexes")}
        if states <= {"ready"}:
            return
        await asyncio.sleep(0.02)
    raise AssertionError("the indexes are not built")


async def test_indexed_fields_give_the_same_answers(deals: Gateway) -> None:
    fields = (await deals.get("/bitrix/deals/fields")).json["items"]
    multiple = [field["name"] for field in fields if field["multiple"] and field["type"] in ("string", "integer")]
    questions: list[dict[str, Any]] = [
        {"filter": [["OPPORTUNITY", ">=", 20000]], "size": "1000"},
        {"filter": [["OPPORTUNITY", "between", [100, 30000]], ["TITLE", "!=", "x"]], "size": "1000"},
        {"filter": [["SOURCE_ID", "=", None]], "size": "1000"},
        {"filter": [["DATE_CREATE", "<", "2019-01-14T15:00:00+05:00"]], "size": "1000"},
        {"order": "OPPORTUNITY", "size": "1000"},
        {"order": "-SOURCE_ID", "size": "1000"},
        {"order": "-DATE_CREATE", "filter": [["STAGE_ID", "NEW"]], "size": "1000"},
    ]
    questions += [{"filter": [[name, "=", None]], "size": "1000"} for name in multiple]
    before = [ids(await ask(deals, **question)) for question in questions]
    assert all(before)
    names = ["OPPORTUNITY", "TITLE", "SOURCE_ID", "DATE_CREATE", *multiple[:10]]
    await indexed(deals, *names)
    await deals.restart()
    assert [ids(await ask(deals, **question)) for question in questions] == before
    pages, answer = [], await ask(deals, order="-SOURCE_ID", cursor="", size="70")
    while True:
        pages += ids(answer)
        if answer.json["next"] is None:
            break
        answer = await ask(deals, order="-SOURCE_ID", cursor=answer.json["next"], size="70")
    assert pages == before[5]


async def test_an_index_follows_changes_and_deletions(deals: Gateway, sandbox: Sandbox) -> None:
    await indexed(deals, "TITLE")
    first, second, third, *_ = portal_ids(sandbox, "deals")
    await deals.clock.advance(5)
    change(sandbox, "deals", {first: {"TITLE": "one"}, second: {"TITLE": "two"}}, removed=[third])
    await sync_again(deals, "deals")
    assert ids(await ask(deals, filter=[["TITLE", "in", ["one", "two"]]])) == [first, second]
    change(sandbox, "deals", {first: {"TITLE": "two"}, third: {"TITLE": "one"}})
    await sync_again(deals, "deals")
    assert ids(await ask(deals, filter=[["TITLE", "=", "two"]])) == [first, second]
    assert ids(await ask(deals, filter=[["TITLE", "=", "one"]])) == [third]
    await indexed(deals)
    assert select(deals, "SELECT count(*) FROM mirror_values") == [(0,)]


async def test_only_known_fields_of_mirrored_records_are_indexed(deals: Gateway) -> None:
    answer = await deals.request("PUT", "/bitrix/sync/deals", json={"indexed": ["TITLE", "TITEL"]})
    assert refusal(answer) == (400, "unknown_field", "/indexed/1")
    answer = await deals.request("PUT", "/bitrix/sync/deals", json={"indexed": "TITLE"})
    assert refusal(answer) == (400, "invalid_value", "/indexed")
    answer = await deals.request("PUT", "/bitrix/sync/users", json={"indexed": ["TITLE"]})
    assert refusal(answer) == (400, "not_records", "/indexed")
    answer = await deals.request("PUT", "/bitrix/sync/leads", json={"indexed": ["TITLE"]})
    assert (answer.status, answer.json["code"]) == (409, "not_mirrored")


async def test_a_count_is_that_of_the_rows_of_the_page(deals: Gateway, sandbox: Sandbox) -> None:
    path = '/bitrix/deals?filter=[["ID",">",0]]&size=1'
    ids = portal_ids(sandbox, "deals")
    for removed in (0, 3, 4):
        change(sandbox, "deals", removed=ids[:removed])
        await sync_again(deals, "deals")
        for number in (1, 2):
            assert (await page(deals, f"{path}&page={number}")).json["count"] == len(ids) - removed


async def test_a_query_that_is_overtaken_by_a_purge_finds_no_list(deals: Gateway) -> None:
    store, clock = QueryStore(deals.app[DATABASE]), deals.clock
    ((list_id,),) = select(deals, "SELECT list_id FROM mirror_lists WHERE resource = 'deals'")
    window = Window(list_id, None, zone_s=0, after=0, rows=100)
    assert await store.select(Selection(list_id), clock.timeout(60)) is not None
    assert await store.lines(window, clock.timeout(60)) is not None
    await SyncSettingsStore(deals.app[DATABASE]).purge(list_id)
    assert select(deals, f"SELECT count(*) > 0 FROM mirror_rows WHERE list_id = {list_id}") == [(1,)]
    assert await store.select(Selection(list_id), clock.timeout(60)) is None
    assert await store.lines(window, clock.timeout(60)) is None


async def test_a_filter_of_too_many_conditions_or_levels_is_refused_with_the_limit(deals: Gateway) -> None:
    many = await deals.get(f"/bitrix/deals?filter=[{','.join(['[%22ID%22,1]'] * 1001)}]")
    assert refusal(many) == (400, "invalid_filter", "/1000")
    assert many.json["errors"][0]["detail"] == "/1000 must not exceed 1000 conditions in all"
    nested: object = ["ID", 1]
    for levels in range(1, 65):
        nested = {"logic": "or", "conditions": [nested]}
        if levels in (32, 33, 64):
            answer = await ask(deals, filter=[nested])
            assert answer.status == (200 if levels == 32 else 400)
            assert levels == 32 or "must not be nested deeper than 32 groups" in answer.json["detail"]
    endless = await ask(deals, filter=[["ID", 1]] * 2000)
    assert (endless.status, endless.json["detail"]) == (400, "the address is longer than 32768 characters")
