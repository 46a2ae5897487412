"""Fields that appear on the portal or vanish from it, at their addresses and in queries."""

from typing import Any
from urllib.parse import urlencode

import orjson
import pytest

from tests.gateway import Answer, Gateway, Sandbox
from tests.support.records import change, change_sync, enable, page, portal_ids, sync_again

NAME = "UF_CRM_BUDGET"
FIELD_ID = 9001
REFRESH_S = 61  # older fields are read again before a name is refused


@pytest.fixture
async def deals(connected: Gateway) -> Gateway:
    """Account "acme" mirrors deals."""
    await enable(connected, "deals")
    return connected


def add_field(sandbox: Sandbox) -> None:
    """Add an integer field to the deals of the portal, with a value in the first deal."""
    table = sandbox.portal.data.userfields["CRM_DEAL"]
    sample = table[min(table)]
    field = {"ID": str(FIELD_ID), "FIELD_NAME": NAME, "USER_TYPE_ID": "integer", "MULTIPLE": "N", "MANDATORY": "N"}
    change(sandbox, "userfields/CRM_DEAL", {FIELD_ID: {**sample, **field}})


def fill_field(sandbox: Sandbox) -> int:
    """Set the new field of the first deal to 7. Return the id of the deal."""
    deal_id = portal_ids(sandbox, "deals")[0]
    sandbox.portal.data.write("deals", deal_id, {NAME: "7"}, sandbox.portal.now())
    return deal_id


def remove_field(sandbox: Sandbox) -> None:
    """Delete the new field from the portal."""
    change(sandbox, "userfields/CRM_DEAL", removed=[FIELD_ID])


async def ask(gateway: Gateway, **params: Any) -> Answer:
    """Query deals; a parameter that is not a string is sent as JSON."""
    texts = {name: value if isinstance(value, str) else orjson.dumps(value).decode() for name, value in params.items()}
    return await gateway.get(f"/bitrix/deals?{urlencode(texts)}")


async def listed(gateway: Gateway) -> list[str]:
    return [field["name"] for field in (await page(gateway, "/bitrix/deals/fields")).json["items"]]


def is_unknown(answer: Answer) -> bool:
    """Whether the query was refused for a name that is unknown."""
    return answer.status == 400 and [error["code"] for error in answer.json["errors"]] == ["unknown_field"]


QUERIES: tuple[dict[str, Any], ...] = ({"filter": [[NAME, "=", 7]]}, {"order": NAME}, {"select": NAME})
each_query = pytest.mark.parametrize("query", QUERIES, ids=lambda query: next(iter(query)))


async def test_a_new_field_is_found_by_name_and_then_listed_once_the_known_fields_are_a_minute_old(
    connected: Gateway, sandbox: Sandbox
) -> None:
    await connected.get("/bitrix/deals/fields")
    add_field(sandbox)
    assert (await connected.get(f"/bitrix/deals/fields/{NAME}")).status == 404
    assert NAME not in await listed(connected)
    await connected.clock.advance(REFRESH_S)
    found = await page(connected, f"/bitrix/deals/fields/{NAME}")
    assert (found.json["name"], found.json["type"]) == (NAME, "integer")
    assert NAME in await listed(connected)
    assert sandbox.portal.calls["crm.deal.fields"] == 2


@each_query
async def test_a_field_that_appeared_between_two_syncs_can_be_queried_once_the_known_fields_are_a_minute_old(
    deals: Gateway, sandbox: Sandbox, query: dict[str, Any]
) -> None:
    add_field(sandbox)
    assert is_unknown(await ask(deals, **query))
    await deals.clock.advance(REFRESH_S)
    asked = sandbox.portal.calls["crm.deal.fields"]
    answer = await ask(deals, **query)
    assert answer.status == 200, answer.body
    assert bool(answer.json["items"]) is ("filter" not in query)  # no row was read with the field yet
    assert sandbox.portal.calls["crm.deal.fields"] == asked + 1
    assert NAME in await listed(deals)


@pytest.mark.parametrize("mode", ["full", "incremental"])
async def test_a_sync_reads_new_fields_with_their_values(deals: Gateway, sandbox: Sandbox, mode: str) -> None:
    await deals.clock.advance(5)
    add_field(sandbox)
    deal_id = fill_field(sandbox)
    await sync_again(deals, "deals", mode)
    assert NAME in await listed(deals)
    (row,) = (await ask(deals, filter=[[NAME, "=", 7]])).json["items"]
    assert (row["id"], row[NAME]) == (deal_id, "7")
    assert (await ask(deals, order=f"-{NAME}", size="1")).json["items"][0]["id"] == deal_id


@pytest.mark.parametrize("indexed", [False, True])
async def test_a_field_that_vanished_is_unknown_after_the_next_sync_and_rows_lose_it(
    deals: Gateway, sandbox: Sandbox, indexed: bool
) -> None:
    add_field(sandbox)
    deal_id = fill_field(sandbox)
    await sync_again(deals, "deals", "full")
    if indexed:
        await change_sync(deals, "deals", indexed=[NAME])
    assert len((await ask(deals, filter=[[NAME, "=", 7]])).json["items"]) == 1
    remove_field(sandbox)
    run = await sync_again(deals, "deals", "full")
    assert run["rows"] == len(portal_ids(sandbox, "deals"))
    assert NAME not in await listed(deals)
    assert (await deals.get(f"/bitrix/deals/fields/{NAME}")).status == 404
    assert NAME not in (await page(deals, f"/bitrix/deals/{deal_id}")).json
    for query in QUERIES:
        assert is_unknown(await ask(deals, **query))


async def test_an_incremental_sync_forgets_vanished_fields_too(deals: Gateway, sandbox: Sandbox) -> None:
    add_field(sandbox)
    await sync_again(deals, "deals", "full")
    remove_field(sandbox)
    await sync_again(deals, "deals", "incremental")
    assert NAME not in await listed(deals)
    for query in QUERIES:
        assert is_unknown(await ask(deals, **query))
