"""The lists of CRM records: filter, order, select and pages of the old methods and crm.item."""

from itertools import pairwise
from typing import Any

import pytest

from gateway.sandbox.content.catalog import DEAL, LEAD, TRAINING
from gateway.sandbox.portal import SandboxPortal
from gateway.sandbox.tables.table import Row
from tests.sandbox.client import RestClient


@pytest.fixture
def deals(portal: SandboxPortal) -> dict[int, Row]:
    return dict(portal.data.records[DEAL].items())


def ids(rows: list[dict[str, Any]]) -> list[int]:
    return [int(row["ID"] if "ID" in row else row["id"]) for row in rows]


async def whole(client: RestClient, **params: Any) -> list[int]:
    """The ids of all pages of crm.deal.list, by offset."""
    found: list[int] = []
    start: int | None = 0
    while start is not None:
        answer = await client.call("crm.deal.list", start=start, **params)
        found += ids(answer.result)
        start = answer.body.get("next")
    assert answer.body["total"] == len(found)
    return found


@pytest.mark.parametrize(
    "method",
    ["crm.lead.list", "crm.deal.list", "crm.contact.list", "crm.company.list", "crm.quote.list", "crm.invoice.list"],
)
async def test_an_old_list_is_read_completely_by_keyset(
    webhook: RestClient, portal: SandboxPortal, method: str
) -> None:
    table = {**portal.data.tables, "companys": portal.data.tables["companies"]}
    name = {"crm.invoice.list": "old_invoices"}.get(method, method.split(".")[1] + "s")
    found: list[int] = []
    rows: list[Row] = []
    while not found or len(rows) == 50:
        conditions = {">ID": found[-1] if found else 0}
        rows = (await webhook.call(method, filter=conditions, order={"ID": "ASC"}, start=-1)).result
        found += ids(rows)
    assert found == list(table[name])
    assert all(isinstance(row["ID"], str) for row in rows)


@pytest.mark.parametrize("type_id", [1, 2, 3, 4, 7, 31, 128, 156, 1036])
async def test_crm_item_list_is_read_completely_by_keyset(
    webhook: RestClient, portal: SandboxPortal, type_id: int
) -> None:
    found: list[int] = []
    items: list[Row] = []
    while not found or len(items) == 50:
        conditions = {">id": found[-1] if found else 0}
        order = {"id": "ASC"}
        answer = await webhook.call("crm.item.list", entityTypeId=type_id, filter=conditions, order=order, start=-1)
        items = answer.result["items"]
        found += ids(items)
    assert found == list(portal.data.records[type_id])
    assert all(type(item["id"]) is int and item["entityTypeId"] == type_id for item in items)
    assert (answer.body["total"], "next" in answer.body) == (0, False)


@pytest.mark.parametrize(
    ("conditions", "matches"),
    [
        ({"STAGE_ID": "WON"}, lambda row: row["STAGE_ID"] == "WON"),
        ({"STAGE_ID": ["WON", "NEW"]}, lambda row: row["STAGE_ID"] in ("WON", "NEW")),
        ({"@STAGE_ID": ["WON", "NEW"]}, lambda row: row["STAGE_ID"] in ("WON", "NEW")),
        ({"!@STAGE_ID": ["WON", "NEW"]}, lambda row: row["STAGE_ID"] not in ("WON", "NEW")),
        ({"!STAGE_ID": "WON"}, lambda row: row["STAGE_ID"] != "WON"),
        ({"!=CATEGORY_ID": "7"}, lambda row: row["CATEGORY_ID"] != "7"),
        ({">OPPORTUNITY": 20000}, lambda row: float(row["OPPORTUNITY"]) > 20000),
        ({">=PROBABILITY": "50", "<PROBABILITY": 90}, lambda row: 50 <= int(row["PROBABILITY"]) < 90),
        ({"%TITLE": "m²"}, lambda row: "m²" in row["TITLE"]),
        ({"=%TITLE": "Kitchen%"}, lambda row: row["TITLE"].startswith("Kitchen")),
        ({"%=TITLE": "%7"}, lambda row: row["TITLE"].endswith("7")),
        ({"COMPANY_ID": ""}, lambda row: row["COMPANY_ID"] is None),
        ({"!COMPANY_ID": ""}, lambda row: row["COMPANY_ID"] is not None),
        ({"<=BEGINDATE": "2021-06-01"}, lambda row: "" < row["BEGINDATE"] < "2021-06-01"),
        ({"%STAGE_ID": "WO"}, lambda _: False),  # LIKE means equality for statuses
        ({"%STAGE_ID": "WON"}, lambda row: row["STAGE_ID"] == "WON"),
        ({"UF_CRM_1713790245": ""}, lambda row: row["UF_CRM_1713790245"] is False),
        (
            {"UF_CRM_1713790245": "2021-11-23T10:00:00+03:00"},
            lambda row: "2021-11-23T10:00:00+03:00" in (row["UF_CRM_1713790245"] or ()),
        ),
        ({"NONSENSE": 1}, lambda _: True),
        ({"title": "x"}, lambda _: True),
        ({"Stage_Id": "WON"}, lambda _: True),
        ({"=>OPPORTUNITY": 20000}, lambda _: True),
        ({"<>TITLE": "x"}, lambda _: True),
        ({"~TITLE": "x"}, lambda _: True),
        ({"==TITLE": "x"}, lambda _: True),
        ({">!OPPORTUNITY": 1}, lambda _: True),
        ({"!%TITLE": "Kitchen"}, lambda _: True),
        ({"!=%TITLE": "Kitchen%"}, lambda _: True),
        ({"logic": "OR", "0": {"STAGE_ID": "WON"}}, lambda _: True),
        ({"CONTACT_IDS": [1]}, lambda _: True),
        ({"@ID": [], "STAGE_ID": "WON"}, lambda _: False),
    ],
)
async def test_an_old_list_filters_as_documented_and_ignores_unknown_names(
    webhook: RestClient, deals: dict[int, Row], conditions: dict[str, Any], matches: Any
) -> None:
    assert await whole(webhook, filter=conditions) == [row_id for row_id, row in deals.items() if matches(row)]


@pytest.mark.parametrize(
    ("conditions", "matches"),
    [
        (
            {">opportunity": 20000, "stageId": "WON"},
            lambda r: float(r["OPPORTUNITY"]) > 20000 and r["STAGE_ID"] == "WON",
        ),
        (
            {"logic": "OR", "0": {"stageId": "WON"}, "1": {"stageId": "LOSE"}},
            lambda r: r["STAGE_ID"] in ("WON", "LOSE"),
        ),
        (
            {"0": {"logic": "OR", "0": {"stageId": "WON"}, "1": {"0": {">opportunity": 49000}, "categoryId": 7}}},
            lambda r: r["STAGE_ID"] == "WON" or (float(r["OPPORTUNITY"]) > 49000 and r["CATEGORY_ID"] == "7"),
        ),
        ({"!%title": "Kitchen"}, lambda r: "Kitchen" not in r["TITLE"]),
        ({"%stageId": "PREP"}, lambda r: "PREP" in r["STAGE_ID"]),
        ({"@categoryId": [2, 7]}, lambda r: r["CATEGORY_ID"] in ("2", "7")),
        ({"ufCrm_1713790243": 1}, lambda r: r["UF_CRM_1713790243"] is True),
        ({"ufCrm_1713790243": 0}, lambda r: r["UF_CRM_1713790243"] is False),
    ],
)
async def test_crm_item_filters_as_documented(
    webhook: RestClient, deals: dict[int, Row], conditions: dict[str, Any], matches: Any
) -> None:
    answer = await webhook.call("crm.item.list", entityTypeId=DEAL, filter=conditions, order={"id": "DESC"})
    expected = [row_id for row_id, row in deals.items() if matches(row)][::-1]
    assert (ids(answer.result["items"]), answer.body["total"]) == (expected[:50], len(expected))


async def test_crm_item_accepts_the_names_of_the_old_lists(webhook: RestClient, deals: dict[int, Row]) -> None:
    first, *_, last = deals
    filters: tuple[dict[str, Any], ...] = ({">ID": first, "<=ID": last}, {">id": first, "0": {"<=ID": last}})
    for conditions in filters:
        answer = await webhook.call(
            "crm.item.list",
            entityTypeId=DEAL,
            filter=conditions,
            order={"ID": "DESC"},
            select=["ID", "ASSIGNED_BY_ID"],
        )
        assert ids(answer.result["items"]) == sorted(deals, reverse=True)[:50]
        assert answer.body["total"] == len(deals) - 1
        assert set(answer.result["items"][0]) == {"id", "assignedById"}


@pytest.mark.parametrize(
    "params",
    [
        {"filter": {"BUDGET": 1}},
        {"filter": {"0": {"x": 1}}},
        {"filter": {"=>opportunity": 1}},
        {"filter": {"~title": "x"}},
        {"order": {"x": "ASC"}},
    ],
)
async def test_crm_item_refuses_an_unknown_name(webhook: RestClient, params: dict[str, Any]) -> None:
    answer = await webhook.call("crm.item.list", entityTypeId=DEAL, **params)
    assert (answer.status, answer.error) == (400, "INVALID_ARG_VALUE")


async def test_rows_are_sorted_by_several_columns(webhook: RestClient, deals: dict[int, Row]) -> None:
    found = await whole(webhook, order={"CATEGORY_ID": "desc", "OPPORTUNITY": "ASC"})
    assert found == sorted(deals, key=lambda i: (-int(deals[i]["CATEGORY_ID"]), float(deals[i]["OPPORTUNITY"]), i))
    assert await whole(webhook, order={"NONSENSE": "DESC", "ID": "DESC"}) == sorted(deals, reverse=True)


async def test_start_is_rounded_in_old_lists_and_exact_in_crm_item(webhook: RestClient, deals: dict[int, Row]) -> None:
    old = await webhook.call("crm.deal.list", start=75)
    assert (ids(old.result), old.body["next"]) == (sorted(deals)[50:100], 100)
    new = await webhook.call("crm.item.list", entityTypeId=DEAL, start=75)
    assert (ids(new.result["items"]), new.body["next"]) == (sorted(deals)[75:125], 125)


async def test_a_page_past_the_end_is_empty_and_has_a_total(webhook: RestClient, deals: dict[int, Row]) -> None:
    for method, empty in (("crm.deal.list", []), ("crm.item.list", {"items": []})):
        answer = await webhook.call(method, entityTypeId=DEAL, start=5000)
        assert (answer.result, answer.body["total"], "next" in answer.body) == (empty, len(deals), False)


@pytest.mark.parametrize(
    ("select", "there", "missing"),
    [
        (["TITLE"], {"TITLE"}, {"ID", "STATUS_ID", "PHONE"}),
        (["*"], {"ID", "TITLE"}, {"UF_CRM_1713790201", "PHONE"}),
        (["UF_*"], {"UF_CRM_1713790201"}, {"ID", "TITLE", "PHONE"}),
        ([], {"ID", "TITLE", "UF_CRM_1713790201"}, {"PHONE", "EMAIL", "CONTACT_IDS", "OBSERVERS"}),
        (["PHONE"], {"ID", "PHONE"}, {"TITLE", "EMAIL"}),
        (["TITLE", "NONSENSE"], {"TITLE"}, {"NONSENSE"}),
    ],
)
async def test_select_returns_the_named_columns(
    webhook: RestClient, select: list[str], there: set[str], missing: set[str]
) -> None:
    row = (await webhook.call("crm.lead.list", select=select)).result[0]
    assert there <= set(row)
    assert not missing & set(row)


async def test_a_multifield_is_found_only_by_its_exact_value(webhook: RestClient, portal: SandboxPortal) -> None:
    leads = portal.data.records[LEAD]
    lead = next(row for row in leads.values() if row["PHONE"])
    number = lead["PHONE"][0]["VALUE"]
    for conditions, expected in (({"PHONE": number}, [int(lead["ID"])]), ({"%PHONE": number[:6]}, [])):
        assert ids((await webhook.call("crm.lead.list", filter=conditions)).result) == expected
    without = (await webhook.call("crm.lead.list", filter={"PHONE": ""}, select=["ID", "PHONE"])).result
    assert without
    assert all("PHONE" not in row for row in without)
    item = (await webhook.call("crm.item.get", entityTypeId=LEAD, id=lead["ID"])).result["item"]
    assert number in [entry["value"] for entry in item["fm"]]
    named = await webhook.call("crm.item.list", entityTypeId=LEAD, select=["id", "fm"])
    assert set(named.result["items"][0]) == {"id"}


async def test_custom_fields_have_another_name_by_default(webhook: RestClient) -> None:
    for original, name in (("N", "ufCrm17_"), ("Y", "UF_CRM_17_")):
        params = {"entityTypeId": TRAINING, "useOriginalUfNames": original}
        items = (await webhook.call("crm.item.list", **params)).result["items"]
        described = (await webhook.call("crm.item.fields", **params)).result["fields"]
        for names in (items[0], described):
            assert any(column.startswith(name) for column in names)
            assert all(column.startswith(name) for column in names if column.lower().startswith("uf"))
        assert {column for column in items[0] if column.startswith(name)} <= set(described)
        assert all(
            field["upperName"].startswith("UF_CRM_17_") for key, field in described.items() if key.startswith(name)
        )


async def test_an_item_has_numbers_where_the_old_row_has_strings(webhook: RestClient, deals: dict[int, Row]) -> None:
    deal_id, deal = next((row_id, row) for row_id, row in deals.items() if row["COMPANY_ID"] and row["BEGINDATE"] == "")
    item = (await webhook.call("crm.item.get", entityTypeId=DEAL, id=deal_id)).result["item"]
    assert item["opportunity"] == float(deal["OPPORTUNITY"])
    assert item["companyId"] == int(deal["COMPANY_ID"])
    assert (item["begindate"], deal["BEGINDATE"]) == (None, "")
    assert (item["createdTime"], item["title"]) == (deal["DATE_CREATE"], deal["TITLE"])


async def test_a_stage_belongs_to_its_pipeline(deals: dict[int, Row]) -> None:
    for deal in deals.values():
        pipeline = deal["CATEGORY_ID"]
        assert deal["STAGE_ID"].startswith(f"C{pipeline}:") if pipeline != "0" else ":" not in deal["STAGE_ID"]
        assert (deal["CLOSED"] == "Y") is (deal["STAGE_SEMANTIC_ID"] in "SF")


@pytest.mark.parametrize("type_id", [31, 128, 1036])
async def test_the_stages_of_a_type_refer_to_existing_statuses(webhook: RestClient, type_id: int) -> None:
    described = (await webhook.call("crm.item.fields", entityTypeId=type_id)).result["fields"]["stageId"]
    statuses = await webhook.call("crm.status.list", filter={"ENTITY_ID": described["statusType"]})
    items = (await webhook.call("crm.item.list", entityTypeId=type_id)).result["items"]
    assert {row["STATUS_ID"] for row in statuses.result} & {item["stageId"] for item in items}


async def test_rows_created_later_have_later_dates(deals: dict[int, Row]) -> None:
    assert all(before["DATE_CREATE"] < after["DATE_CREATE"] for before, after in pairwise(deals.values()))
    assert all(deal["DATE_CREATE"] <= deal["DATE_MODIFY"] for deal in deals.values())


@pytest.mark.parametrize("row_id", [0, "", "abc", [], None])
async def test_get_requires_an_id(webhook: RestClient, row_id: Any) -> None:
    answer = await webhook.call("crm.deal.get", id=row_id)
    assert (answer.status, answer.body["error_description"]) == (400, "ID is not defined or invalid.")


async def test_old_invoices_are_not_items(webhook: RestClient) -> None:
    assert (await webhook.call("crm.item.list", entityTypeId=5)).error == "NOT_FOUND"
