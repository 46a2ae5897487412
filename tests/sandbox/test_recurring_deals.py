"""Recurring deals: settings, their dates, and the deals made from a template."""

from typing import Any

import pytest

from gateway.sandbox.content.events import Handler
from gateway.sandbox.portal import SandboxPortal
from tests.clock import ManualClock
from tests.sandbox.client import RestClient
from tests.sandbox.examples import compare, documented

PREFIX = "crm.deal.recurring"
PARAMS: dict[str, Any] = {
    "MODE": "multiple",
    "MULTIPLE_TYPE": "month",
    "MULTIPLE_INTERVAL": 1,
    "OFFSET_BEGINDATE_TYPE": "day",
    "OFFSET_BEGINDATE_VALUE": 1,
    "OFFSET_CLOSEDATE_TYPE": "month",
    "OFFSET_CLOSEDATE_VALUE": "2",
}
FIELDS = {"CATEGORY_ID": "2", "IS_LIMIT": "D", "LIMIT_DATE": "2028-03-05", "START_DATE": "2027-01-31", "PARAMS": PARAMS}


@pytest.fixture
async def deal(webhook: RestClient) -> int:
    """A deal with a product."""
    deal_id = int((await webhook.call("crm.deal.add", fields={"TITLE": "Аренда", "OPPORTUNITY": 5})).result)
    await webhook.call("crm.deal.productrows.set", id=deal_id, rows=[{"PRICE": 100}])
    return deal_id


async def settings_of(client: RestClient, row_id: int) -> dict[str, Any]:
    row: dict[str, Any] = (await client.call(f"{PREFIX}.get", id=row_id)).result
    return row


async def test_settings_live_from_add_to_delete(webhook: RestClient, portal: SandboxPortal, deal: int) -> None:
    names = [f"ONCRMDEALRECURRING{action}" for action in ("ADD", "UPDATE", "EXPOSE", "DELETE")]
    portal.data.events.handlers += [Handler(name, offline=True) for name in names]
    answer = await webhook.call(f"{PREFIX}.add", fields={"DEAL_ID": deal, **FIELDS})
    compare(answer.body, f"{PREFIX}.add")
    row_id = answer.result
    answer = await webhook.call(f"{PREFIX}.get", id=row_id)
    row = answer.result
    assert row.keys() == documented(f"{PREFIX}.get")["result"].keys()
    assert row["PARAMS"].keys() == documented(f"{PREFIX}.get")["result"]["PARAMS"].keys()
    compare(answer.body, f"{PREFIX}.get")
    assert (row["BASED_ID"], row["CATEGORY_ID"], row["IS_LIMIT"], row["ACTIVE"]) == (str(deal), "2", "D", "Y")
    assert row["START_DATE"] == row["NEXT_EXECUTION"] == "2027-01-31T03:00:00+03:00"
    template = (await webhook.call("crm.deal.get", id=row["DEAL_ID"])).result
    assert (template["IS_RECURRING"], template["TITLE"], template["OPPORTUNITY"]) == ("Y", "Аренда", "100.00")
    answer = await webhook.call(f"{PREFIX}.update", id=row_id, fields={"ACTIVE": "N", "DEAL_ID": 1, "IS_LIMIT": "X"})
    compare(answer.body, f"{PREFIX}.update")
    changed = await settings_of(webhook, row_id)
    assert changed == {**row, "ACTIVE": "N", "IS_LIMIT": "N", "NEXT_EXECUTION": ""}
    answer = await webhook.call(f"{PREFIX}.expose", id=row_id)
    compare(answer.body, f"{PREFIX}.expose")
    made = (await webhook.call("crm.deal.get", id=answer.result["DEAL_ID"])).result
    assert (made["IS_RECURRING"], made["CATEGORY_ID"], made["STAGE_ID"]) == ("N", "2", "C2:NEW")
    assert (made["BEGINDATE"][:10], made["CLOSEDATE"][:10]) == ("2027-01-16", "2027-03-15")
    assert (await webhook.call("crm.deal.productrows.get", id=made["ID"])).result[0]["PRICE"] == 100
    answer = await webhook.call(f"{PREFIX}.delete", id=row_id)
    assert (answer.status, answer.body) == (400, documented(f"{PREFIX}.delete.error"))
    await webhook.call("crm.deal.delete", id=row["DEAL_ID"])
    compare((await webhook.call(f"{PREFIX}.delete", id=row_id)).body, f"{PREFIX}.delete")
    answer = await webhook.call(f"{PREFIX}.get", id=row_id)
    assert (answer.status, answer.body) == (400, documented(f"{PREFIX}.get.error"))
    events = [(event["EVENT_NAME"], event["EVENT_DATA"]) for event in portal.data.offline_events.values()]
    assert [name for name, _ in events] == names
    for name, data in events:
        assert data["FIELDS"].keys() == documented(f"event.payload.{name}")["data"]["FIELDS"].keys()


async def test_a_template_is_linked_once(webhook: RestClient) -> None:
    fields = {"TITLE": "Шаблон", "IS_RECURRING": "Y"}
    deal = (await webhook.call("crm.deal.add", fields=fields)).result
    row_id = (await webhook.call(f"{PREFIX}.add", fields={"DEAL_ID": deal})).result
    row = await settings_of(webhook, row_id)
    assert (row["DEAL_ID"], row["BASED_ID"], row["NEXT_EXECUTION"]) == (str(deal), None, "")
    answer = await webhook.call(f"{PREFIX}.add", fields={"DEAL_ID": deal})
    assert (answer.status, answer.body) == (400, documented(f"{PREFIX}.add.error"))


async def test_settings_are_listed(webhook: RestClient, deal: int) -> None:
    ids = [
        (await webhook.call(f"{PREFIX}.add", fields={"DEAL_ID": deal, **FIELDS, "CATEGORY_ID": category})).result
        for category in (2, 7)
    ]
    answer = await webhook.call(f"{PREFIX}.list", order={"ID": "DESC"}, filter={"PARAMS": "x", "NAME": "x"})
    assert ([row["id"] for row in answer.result], answer.body["total"]) == ([str(row_id) for row_id in ids[::-1]], 2)
    assert answer.result[0].keys() == documented(f"{PREFIX}.list")["result"][0].keys()
    answer = await webhook.call(f"{PREFIX}.list", filter={"CATEGORY_ID": 7, ">ID": ids[0]})
    assert [row["id"] for row in answer.result] == [str(ids[1])]
    compare((await webhook.call(f"{PREFIX}.fields")).body, f"{PREFIX}.fields")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, "2027-01-31"),
        ({"START_DATE": "2026-12-31"}, "2027-01-31"),
        ({"START_DATE": "2026-11-30", "PARAMS": {"MULTIPLE_INTERVAL": 3}}, "2027-02-28"),
        ({"START_DATE": "2027-01-05", "PARAMS": {"MULTIPLE_TYPE": "week"}}, "2027-01-19"),
        ({"START_DATE": ""}, ""),
        ({"ACTIVE": "N"}, ""),
        ({"LIMIT_DATE": "2027-01-30"}, ""),
        ({"IS_LIMIT": "T", "LIMIT_REPEAT": 0}, ""),
        (
            {
                "PARAMS": {
                    "MODE": "single",
                    "SINGLE_BEFORE_START_DATE_TYPE": "day",
                    "SINGLE_BEFORE_START_DATE_VALUE": 3,
                }
            },
            "2027-01-28",
        ),
    ],
)
async def test_the_next_date_follows_from_the_settings(
    webhook: RestClient, deal: int, changes: dict[str, Any], expected: str
) -> None:
    row_id = (await webhook.call(f"{PREFIX}.add", fields={"DEAL_ID": deal, **FIELDS})).result
    await webhook.call(f"{PREFIX}.update", id=row_id, fields=changes)
    assert (await settings_of(webhook, row_id))["NEXT_EXECUTION"][:10] == expected


async def test_a_number_of_deals_may_be_the_limit(webhook: RestClient, deal: int, clock: ManualClock) -> None:
    fields = {"DEAL_ID": deal, "IS_LIMIT": "T", "LIMIT_REPEAT": 2, "START_DATE": "2027-01-15"}
    row_id = (await webhook.call(f"{PREFIX}.add", fields=fields)).result
    dates = []
    for _ in range(2):
        await webhook.call(f"{PREFIX}.expose", id=row_id)
        dates.append((await settings_of(webhook, row_id))["NEXT_EXECUTION"][:10])
        await clock.advance(86_400)
    row = await settings_of(webhook, row_id)
    assert (dates, row["COUNTER_REPEAT"], row["LAST_EXECUTION"][:10]) == (["2027-01-16", ""], "2", "2027-01-16")


@pytest.mark.parametrize(
    ("method", "params", "error"),
    [
        ("get", {"id": 1}, "get.error"),
        ("update", {"id": 1, "fields": {}}, "update.error"),
        ("expose", {}, "expose.error"),
    ],
)
async def test_an_error_is_as_documented(webhook: RestClient, method: str, params: dict[str, Any], error: str) -> None:
    answer = await webhook.call(f"{PREFIX}.{method}", **params)
    assert (answer.status, answer.body) == (400, documented(f"{PREFIX}.{error}"))


@pytest.mark.parametrize(
    ("method", "params", "text"),
    [
        ("add", {}, "Parameter 'fields' must be array."),
        ("add", {"fields": {}}, "Deal id is empty"),
        ("add", {"fields": {"DEAL_ID": 999_999}}, "Deal is not found."),
        ("delete", {"id": "x"}, "id is not defined or invalid."),
    ],
)
async def test_a_refusal_has_its_text(webhook: RestClient, method: str, params: dict[str, Any], text: str) -> None:
    answer = await webhook.call(f"{PREFIX}.{method}", **params)
    assert (answer.status, answer.body) == (400, {"error": "", "error_description": text})


@pytest.mark.parametrize("method", ["fields", "list"])
async def test_recurring_deals_need_the_right_to_deals(webhook: RestClient, portal: SandboxPortal, method: str) -> None:
    portal.deny("deals")
    answer = await webhook.call(f"{PREFIX}.{method}")
    assert (answer.status, answer.body) == (400, documented(f"{PREFIX}.{method}.error"))
