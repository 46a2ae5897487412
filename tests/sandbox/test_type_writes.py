"""Writing types of smart processes."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from gateway.sandbox.portal import SandboxPortal
from tests.sandbox.client import RestClient, row_ids
from tests.sandbox.examples import EXAMPLES, compare

RELATIONS = {
    "parent": [{"entityTypeId": 2, "isChildrenListEnabled": "true"}, {"entityTypeId": "x"}, "y"],
    "child": [{"entityTypeId": 3, "isChildrenListEnabled": "Y"}],
}
FULL = {
    "title": "Договоры",
    "entityTypeId": 2024,
    "isClientEnabled": "Y",
    "isStagesEnabled": "Y",
    "isUseInUserfieldEnabled": "Y",
    "relations": RELATIONS,
    "linkedUserFields": {"TASKS_TASK|UF_CRM_TASK": "true"},
}


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("crm.type.add", {"fields": FULL}),
        ("crm.type.fields", {}),
    ],
)
async def test_an_answer_has_the_documented_keys_and_types(
    webhook: RestClient, method: str, params: dict[str, Any]
) -> None:
    compare((await webhook.call(method, **params)).body, method)


async def test_a_type_lives_from_add_to_delete(webhook: RestClient) -> None:
    added = (await webhook.call("crm.type.add", fields=FULL)).result["type"]
    key = {"id": added["id"]}
    assert added["id"] == 18
    assert (added["title"], added["entityTypeId"], added["createdBy"]) == ("Договоры", 2024, 1)
    shown = await webhook.call("crm.type.get", **key)
    compare(shown.body, "crm.type.get")
    by_entity = await webhook.call("crm.type.getByEntityTypeId", entityTypeId=2024)
    compare(by_entity.body, "crm.type.getByEntityTypeId")
    assert shown.result["type"] == by_entity.result["type"] == added
    changed = await webhook.call("crm.type.update", **key, fields={"title": "Сделки", "relations": {"child": []}})
    assert changed.result["type"] == {
        **added,
        "title": "Сделки",
        "relations": {"parent": added["relations"]["parent"][:2], "child": []},
    }
    without_clients = {"isClientEnabled": "N", "relations": {"child": RELATIONS["child"]}}
    compare((await webhook.call("crm.type.update", **key, fields=without_clients)).body, "crm.type.update")
    [listed] = (await webhook.call("crm.type.list", filter={"id": added["id"]})).result["types"]
    assert (listed["title"], "relations" in listed) == ("Сделки", False)
    compare((await webhook.call("crm.type.delete", **key)).body, "crm.type.delete")
    assert (await webhook.call("crm.type.get", **key)).status == 400
    assert (await webhook.call("crm.type.add", fields={"title": "x"})).result["type"]["id"] == added["id"] + 1


async def test_a_new_type_is_generated_with_all_switches_off(webhook: RestClient) -> None:
    row = (await webhook.call("crm.type.add", fields={"title": "x"})).result["type"]
    assert row["entityTypeId"] == 1030
    assert [name for name, value in row.items() if value == "Y"] == ["isSetOpenPermissions"]
    assert row["createdTime"] == row["updatedTime"]
    assert row["relations"] == {"parent": [], "child": []}
    assert set(row["linkedUserFields"].values()) == {"N"}


async def test_relations_and_user_fields_are_kept_as_passed(webhook: RestClient) -> None:
    row = (await webhook.call("crm.type.add", fields=FULL)).result["type"]
    predefined = [(relation["entityTypeId"], relation["isPredefined"]) for relation in row["relations"]["parent"]]
    assert predefined == [(3, "Y"), (4, "Y"), (2, "N")]
    assert row["relations"]["parent"][2]["isChildrenListEnabled"] == "Y"
    assert row["relations"]["child"] == [{"entityTypeId": 3, "isChildrenListEnabled": "N", "isPredefined": "N"}]
    assert row["linkedUserFields"]["TASKS_TASK|UF_CRM_TASK"] == "Y"
    assert row["linkedUserFields"]["CALENDAR_EVENT|UF_CRM_CAL_EVENT"] == "N"


async def test_a_new_type_has_pipelines_stages_fields_and_no_items(webhook: RestClient) -> None:
    await webhook.call("crm.type.add", fields=FULL)
    [pipeline] = (await webhook.call("crm.category.list", entityTypeId=2024)).result["categories"]
    fields = (await webhook.call("crm.item.fields", entityTypeId=2024)).result["fields"]
    assert fields["stageId"]["statusType"] == f"DYNAMIC_2024_STAGE_{pipeline['id']}"
    assert {"companyId"} <= set(fields)
    assert (await webhook.call("crm.item.list", entityTypeId=2024)).body["total"] == 0


async def test_the_fields_of_items_follow_the_switches(webhook: RestClient) -> None:
    key = {"entityTypeId": 156}
    [item] = (await webhook.call("crm.item.list", **key, filter={"id": 1})).result["items"]
    assert "companyId" not in item
    await webhook.call("crm.type.update", id=13, fields={"isClientEnabled": "Y", "isStagesEnabled": "N"})
    [item] = (await webhook.call("crm.item.list", **key, filter={"id": 1})).result["items"]
    assert (item["companyId"], item["contactIds"]) == (None, [])
    assert "stageId" not in item
    assert set((await webhook.call("crm.item.fields", **key)).result["fields"]) >= {"companyId", "contactIds"}


async def test_a_deleted_type_leaves_nothing_behind(webhook: RestClient, portal: SandboxPortal) -> None:
    row = (await webhook.call("crm.type.add", fields=FULL)).result["type"]
    tables = set(portal.data.tables)
    portal.deny("items/2024")
    assert (await webhook.call("crm.type.delete", id=row["id"])).result == []
    gone = {"categories/2024", f"userfields/CRM_{row['id']}", "items/2024"}
    assert tables - set(portal.data.tables) == gone
    assert not [status for status in portal.data.statuses.values() if "2024" in status["ENTITY_ID"]]
    for method in ("crm.item.list", "crm.category.list"):
        assert (await webhook.call(method, entityTypeId=2024)).error == "NOT_FOUND"
    again = (await webhook.call("crm.type.add", fields=FULL)).result["type"]
    [pipeline] = (await webhook.call("crm.category.list", entityTypeId=2024)).result["categories"]
    assert (again["id"], pipeline["id"]) == (row["id"] + 1, 18)
    assert (await webhook.call("crm.item.list", entityTypeId=2024)).body["total"] == 0


async def test_a_type_with_items_is_not_deleted(webhook: RestClient) -> None:
    answer = await webhook.call("crm.type.delete", id=3)
    assert (answer.status, answer.body) == (400, json.loads((EXAMPLES / "crm.type.delete.error.json").read_text()))
    assert row_ids((await webhook.call("crm.type.list")).result["types"]) == [3, 13, 17]


async def test_deleting_without_an_id_does_nothing(webhook: RestClient) -> None:
    answer = await webhook.call("crm.type.delete")
    assert (answer.status, answer.result) == (200, None)


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("crm.type.get", {"id": 99}),
        ("crm.type.getByEntityTypeId", {"entityTypeId": 9998}),
        ("crm.type.update", {"id": 99, "fields": {}}),
        ("crm.type.add", {"fields": {"title": "x", "entityTypeId": 5}}),
        ("crm.type.add", {"fields": {"title": "x", "entityTypeId": 1031}}),
        ("crm.type.add", {"fields": {"title": "x", "entityTypeId": 128}}),
    ],
)
async def test_an_error_matches_the_documentation(webhook: RestClient, method: str, params: dict[str, Any]) -> None:
    answer = await webhook.call(method, **params)
    assert (answer.status, answer.body) == (400, json.loads((EXAMPLES / f"{method}.error.json").read_text()))


@pytest.mark.parametrize("method", ["list", "fields", "get", "getByEntityTypeId", "add", "update", "delete"])
async def test_only_the_administrator_has_access(
    anonymous: RestClient, tokens_of: Callable[[int], str], method: str
) -> None:
    params = {"auth": tokens_of(2), "id": 13, "entityTypeId": 156, "fields": {"title": "x"}}
    answer = await anonymous.call(f"/rest/crm.type.{method}", **params)
    assert (answer.status, answer.body) == (400, {"error": "ACCESS_DENIED", "error_description": "Access denied"})


@pytest.mark.parametrize(
    ("method", "params", "code", "text"),
    [
        ("add", {}, "100", "Could not find value for parameter {fields}"),
        ("add", {"fields": {}}, 0, "Field 'TITLE' is required"),
        ("update", {"id": 13, "fields": {"title": " "}}, 0, "Field 'TITLE' is required"),
        ("get", {}, "100", "Could not find value for parameter {id}"),
    ],
)
async def test_invalid_parameters_are_refused(
    webhook: RestClient, method: str, params: dict[str, Any], code: str | int, text: str
) -> None:
    answer = await webhook.call(f"crm.type.{method}", **params)
    assert (answer.status, answer.body) == (400, {"error": code, "error_description": text})
