"""The lists of addresses, statuses, pipelines and smart process types."""

from typing import Any

import pytest

from gateway.sandbox.portal import SandboxPortal
from tests.sandbox.client import RestClient, row_ids


async def test_addresses_are_sorted_by_key_and_filtered_by_column(webhook: RestClient, portal: SandboxPortal) -> None:
    key = ("ENTITY_ID", "ENTITY_TYPE_ID", "TYPE_ID")
    rows = (await webhook.call("crm.address.list", order=dict.fromkeys(key, "DESC"))).result
    keys = [tuple(int(row[name]) for name in key) for row in rows]
    assert keys == sorted(keys, reverse=True)
    assert len(set(keys)) == len(keys) == len(portal.data.addresses)
    params = {"filter": {"ENTITY_ID": 3, "NOPE": 1}, "select": ["TYPE_ID", "NOPE"], "order": {"TYPE_ID": "ASC"}}
    assert (await webhook.call("crm.address.list", **params)).result == [{"TYPE_ID": "1"}, {"TYPE_ID": "6"}]


async def test_statuses_are_returned_unpaged_in_order(webhook: RestClient, portal: SandboxPortal) -> None:
    portal.data.statuses[min(portal.data.statuses)]["SORT"] = "9000"
    body = (await webhook.call("crm.status.list", start=50)).body
    assert len(body["result"]) == body["total"] == len(portal.data.statuses) > 50
    assert "next" not in body
    places = [(int(row["SORT"]), int(row["ID"])) for row in body["result"]]
    assert places == sorted(places)
    assert places[-1] == (9000, min(portal.data.statuses))


async def test_statuses_are_filtered_and_unknown_names_ignored(webhook: RestClient) -> None:
    rows = (
        await webhook.call("crm.status.list", FILTER={"ENTITY_ID": "DEAL_STAGE_7", "NOPE": 1}, order={"ID": "DESC"})
    ).result
    assert [row["STATUS_ID"] for row in rows] == [
        "C7:APOLOGY",
        "C7:LOSE",
        "C7:WON",
        "C7:EXECUTING",
        "C7:PREPARATION",
        "C7:NEW",
    ]
    assert {row["CATEGORY_ID"] for row in rows} == {"7"}
    assert [row["EXTRA"]["SEMANTICS"] for row in rows] == [
        "apology",
        "failure",
        "success",
        "process",
        "process",
        "process",
    ]


async def test_every_kind_of_status_exists(webhook: RestClient) -> None:
    kinds = {row["ENTITY_ID"] for row in (await webhook.call("crm.status.list")).result}
    pipelines = {
        "DEAL_STAGE",
        "DEAL_STAGE_2",
        "DEAL_STAGE_7",
        "SMART_INVOICE_STAGE_9",
        "DYNAMIC_128_STAGE_12",
        "SMART_DOCUMENT_STAGE_6",
    }
    assert {"STATUS", "QUOTE_STATUS", "SOURCE", "INDUSTRY", "CALL_LIST"} | pipelines <= kinds
    sources = (await webhook.call("crm.status.list", filter={"ENTITY_ID": "SOURCE"})).result
    assert all("EXTRA" not in row for row in sources)


@pytest.mark.parametrize(
    ("entity_type_id", "count"), [(2, 3), (3, 1), (4, 2), (31, 2), (36, 1), (128, 2), (156, 1), ("1036", 2)]
)
async def test_types_with_pipelines_return_them(webhook: RestClient, entity_type_id: int | str, count: int) -> None:
    answer = await webhook.call("crm.category.list", entityTypeId=entity_type_id)
    rows = answer.result["categories"]
    assert len(rows) == answer.body["total"] == count
    assert {row["entityTypeId"] for row in rows} == {int(entity_type_id)}
    assert [row["isDefault"] for row in rows].count("Y") == 1


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({"entityTypeId": 1}, "ENTITY_TYPE_NOT_SUPPORTED"),
        ({"entityTypeId": 7}, "ENTITY_TYPE_NOT_SUPPORTED"),
        ({"entityTypeId": 5}, "NOT_FOUND"),
        ({"entityTypeId": 8}, "NOT_FOUND"),
        ({"entityTypeId": 9999}, "NOT_FOUND"),
        ({}, "100"),
        ({"ENTITYTYPEID": 2}, "100"),
        ({"entityTypeId": "two"}, "100"),
        ({"entityTypeId": [2]}, "100"),
    ],
)
async def test_pipelines_of_other_types_are_refused(webhook: RestClient, params: dict[str, Any], code: str) -> None:
    answer = await webhook.call("crm.category.list", **params)
    assert (answer.status, answer.error) == (400, code)


async def test_a_new_smart_process_is_known_immediately(webhook: RestClient, portal: SandboxPortal) -> None:
    portal.data.types[40] = {**portal.data.types[3], "id": 40, "entityTypeId": 1040}
    assert (await webhook.call("crm.category.list", entityTypeId=1040)).result == {"categories": []}
    del portal.data.types[3]
    assert (await webhook.call("crm.category.list", entityTypeId=128)).error == "NOT_FOUND"


async def test_types_are_filtered_by_nested_conditions(webhook: RestClient) -> None:
    either = {"logic": "OR", "0": {"title": "Закупки"}, "1": {">entityTypeId": 1000}}
    answer = await webhook.call("crm.type.list", filter={"0": either}, order={"id": "DESC"})
    assert row_ids(answer.result["types"]) == [17, 3]
    assert answer.body["total"] == 2


@pytest.mark.parametrize(
    "params", [{"filter": {"NOPE": 1}}, {"order": {"NOPE": "ASC"}}, {"filter": {"0": {"NOPE": 1}}}]
)
async def test_a_controller_refuses_unknown_names(webhook: RestClient, params: dict[str, Any]) -> None:
    assert (await webhook.call("crm.type.list", **params)).error == "INVALID_ARG_VALUE"
