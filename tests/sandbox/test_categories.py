"""Reading and writing pipelines, by crm.category and by the old crm.dealcategory."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from gateway.sandbox.portal import SandboxPortal
from tests.sandbox.client import RestClient
from tests.sandbox.examples import EXAMPLES, compare


async def stages_of(webhook: RestClient, entity_id: str) -> list[str]:
    rows = (await webhook.call("crm.status.list", filter={"ENTITY_ID": entity_id})).result
    return [row["STATUS_ID"] for row in rows]


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("crm.category.get", {"entityTypeId": 2, "id": 7}),
        ("crm.category.fields", {"entityTypeId": 2}),
        ("crm.category.add", {"entityTypeId": 128, "fields": {"name": "Новая", "sort": 50, "isDefault": "Y"}}),
        ("crm.category.update", {"entityTypeId": 128, "id": 13, "fields": {"name": "x", "isDefault": "Y"}}),
    ],
)
async def test_an_answer_has_the_documented_keys_and_types(
    webhook: RestClient, method: str, params: dict[str, Any]
) -> None:
    compare((await webhook.call(method, **params)).body, method)


@pytest.mark.parametrize(
    ("type_id", "category_id", "entity_id", "stage"),
    [(2, 8, "DEAL_STAGE_8", "C8:NEW"), (128, 17, "DYNAMIC_128_STAGE_17", "DT128_17:NEW")],
)
async def test_a_pipeline_lives_from_add_to_delete(
    webhook: RestClient, type_id: int, category_id: int, entity_id: str, stage: str
) -> None:
    added = await webhook.call("crm.category.add", entityTypeId=type_id, fields={"name": "Новая", "no": 1})
    category = added.result["category"]
    assert category["id"] == category_id
    assert (category["name"], category["sort"], category["isDefault"]) == ("Новая", 500, "N")
    assert (await stages_of(webhook, entity_id))[0] == stage
    key = {"entityTypeId": type_id, "id": category_id}
    changed = await webhook.call("crm.category.update", **key, fields={"name": "Другая", "sort": -7})
    assert changed.result["category"] == {**category, "name": "Другая", "sort": 0}
    assert (await webhook.call("crm.category.get", **key)).result == changed.result
    listed = (await webhook.call("crm.category.list", entityTypeId=type_id)).result["categories"]
    assert listed[0] == changed.result["category"]
    deleted = await webhook.call("crm.category.delete", **key)
    compare(deleted.body, "crm.category.delete")
    assert await stages_of(webhook, entity_id) == []
    again = await webhook.call("crm.category.add", entityTypeId=type_id, fields={"name": "Новая"})
    assert again.result["category"]["id"] == category_id + 1


async def test_the_default_pipeline_of_a_smart_process_changes_hands(webhook: RestClient) -> None:
    await webhook.call("crm.category.update", entityTypeId=128, id=13, fields={"isDefault": "Y"})
    rows = (await webhook.call("crm.category.list", entityTypeId=128)).result["categories"]
    assert {row["id"]: row["isDefault"] for row in rows} == {12: "N", 13: "Y"}


@pytest.mark.parametrize("flag", ["Y", "N"])
async def test_the_default_pipeline_of_deals_never_changes(webhook: RestClient, flag: str) -> None:
    for category_id, expected in ((0, "Y"), (7, "N")):
        answer = await webhook.call(
            "crm.category.update", entityTypeId=2, id=category_id, fields={"isDefault": flag, "originId": "x"}
        )
        assert answer.result["category"]["isDefault"] == expected
        assert answer.result["category"].get("originId") == (None if category_id == 0 else "x")


async def test_pipelines_of_deals_have_an_origin_and_others_a_code(webhook: RestClient) -> None:
    described = [
        set((await webhook.call("crm.category.fields", entityTypeId=number)).result["fields"]) for number in (2, 128)
    ]
    assert described[0] - described[1] == {"originId", "originatorId"}
    assert described[1] - described[0] == {"code", "isSystem"}
    row = (await webhook.call("crm.category.get", entityTypeId=128, id=12)).result["category"]
    assert set(row) == described[1]


@pytest.mark.parametrize("method", ["add", "fields", "update", "get", "delete"])
async def test_an_error_matches_the_documentation(webhook: RestClient, method: str) -> None:
    type_id = 2 if method in ("get", "delete") else 8
    answer = await webhook.call(f"crm.category.{method}", entityTypeId=type_id, id=99, fields={"name": "x"})
    documented = json.loads((EXAMPLES / f"crm.category.{method}.error.json").read_text())
    documented["error_description"] = documented["error_description"].replace("SPA", "Smart process")
    assert (answer.status, answer.body) == (400, documented)


@pytest.mark.parametrize(
    ("method", "params", "code", "text"),
    [
        ("add", {"entityTypeId": 2, "fields": {}}, 0, "Field 'NAME' is required"),
        ("add", {"entityTypeId": 2, "fields": {"name": " \t"}}, 0, "Field 'NAME' is required"),
        (
            "add",
            {"entityTypeId": 2, "fields": {"name": "x" * 256}},
            0,
            "The field 'NAME' is longer than 255 characters",
        ),
        ("add", {"entityTypeId": 2}, "100", "Could not find value for parameter {fields}"),
        ("update", {"entityTypeId": 2, "id": 7, "fields": {"name": ""}}, 0, "Field 'NAME' is required"),
        ("add", {"entityTypeId": 1, "fields": {}}, "ENTITY_TYPE_NOT_SUPPORTED", "Entity type LEAD is not supported"),
        (
            "add",
            {"entityTypeId": 3, "fields": {"name": "x", "isDefault": "Y"}},
            0,
            "Default client category does not support updating default state",
        ),
        (
            "update",
            {"entityTypeId": 128, "id": 12, "fields": {"isDefault": "N"}},
            "BX_ERROR",
            "This funnel is the default funnel",
        ),
        ("delete", {"entityTypeId": 2, "id": 0}, 0, "Default deal category cannot be deleted"),
        ("delete", {"entityTypeId": 2, "id": 2}, 0, "Deals related to the funnel Розница found"),
        ("delete", {"entityTypeId": 128, "id": 12}, "BX_ERROR", "This funnel is the default funnel"),
        ("delete", {"entityTypeId": 128, "id": 13}, "BX_ERROR", "Elements related to the funnel found"),
    ],
)
async def test_an_invalid_change_is_refused(
    webhook: RestClient, method: str, params: dict[str, Any], code: str | int, text: str
) -> None:
    answer = await webhook.call(f"crm.category.{method}", **params)
    assert (answer.status, answer.body) == (400, {"error": code, "error_description": text})


async def test_a_system_pipeline_is_not_deleted(webhook: RestClient, portal: SandboxPortal) -> None:
    portal.data.categories[4][4]["isSystem"] = "Y"
    answer = await webhook.call("crm.category.delete", entityTypeId=4, id=4)
    assert answer.error == "REMOVING_DISABLED"
    portal.data.categories[4][4]["isSystem"] = "N"
    assert (await webhook.call("crm.category.delete", entityTypeId=4, id=4)).result is None


async def test_only_the_administrator_writes_pipelines(anonymous: RestClient, tokens_of: Callable[[int], str]) -> None:
    params = {"auth": tokens_of(2), "entityTypeId": 2, "id": 7, "fields": {"name": "x"}}
    for method in ("add", "update", "delete"):
        answer = await anonymous.call(f"/rest/crm.category.{method}", **params)
        assert (answer.status, answer.error) == (400, "ACCESS_DENIED")
    assert (await anonymous.call("/rest/crm.category.get", **params)).status == 200
    for method in ("add", "update", "delete", "default.set"):
        answer = await anonymous.call(f"/rest/crm.dealcategory.{method}", **params)
        assert (answer.status, answer.body) == (400, {"error": "", "error_description": "Access denied."})


async def test_old_methods_list_all_pipelines_of_deals_but_the_default_one(webhook: RestClient) -> None:
    body = (await webhook.call("crm.dealcategory.list", order={"ID": "DESC"}, select=["ID", "NAME"])).body
    assert body["result"] == [{"ID": "7", "NAME": "Оптовые продажи 📦"}, {"ID": "2", "NAME": "Розница"}]
    assert body["total"] == 2
    default = (await webhook.call("crm.dealcategory.default.get")).result
    documented = json.loads((EXAMPLES / "crm.dealcategory.default.get.json").read_text())
    assert default == {**documented, "NAME": "Общая"}


async def test_a_pipeline_of_deals_lives_from_add_to_delete_by_old_methods(webhook: RestClient) -> None:
    row_id = (await webhook.call("crm.dealcategory.add", fields={"NAME": "Новая", "SORT": 20})).result
    row = (await webhook.call("crm.dealcategory.get", id=row_id)).result
    assert row == {**row, "ID": "8", "NAME": "Новая", "SORT": "20", "IS_LOCKED": "N"}
    assert set(row) == set((await webhook.call("crm.dealcategory.fields")).result)
    assert (await webhook.call("crm.dealcategory.update", id=row_id, fields={"NAME": "Другая"})).result is True
    shown = (await webhook.call("crm.category.get", entityTypeId=2, id=row_id)).result["category"]
    assert (shown["name"], shown["sort"]) == ("Другая", 20)
    assert (await webhook.call("crm.dealcategory.status", id=row_id)).result == "DEAL_STAGE_8"
    stages = (await webhook.call("crm.dealcategory.stage.list", id=row_id)).result
    assert stages[0] == {"NAME": "Новая", "SORT": 10, "STATUS_ID": "C8:NEW"}
    assert (await webhook.call("crm.dealcategory.delete", id=row_id)).result is True
    assert (await webhook.call("crm.dealcategory.stage.list", id=row_id)).result == []
    missing = await webhook.call("crm.dealcategory.get", id=row_id)
    assert missing.body == {"error": "", "error_description": "Not found"}
    assert (await webhook.call("crm.dealcategory.get")).body["error_description"] == "ID is not defined or invalid."
    assert (await webhook.call("crm.dealcategory.add")).body["error_description"] == "Parameter 'fields' must be array."


async def test_the_default_pipeline_of_deals_has_stages_and_a_new_name(webhook: RestClient) -> None:
    stages = (await webhook.call("crm.dealcategory.stage.list")).result
    assert [stage["STATUS_ID"] for stage in stages[:2]] == ["NEW", "PREPARATION"]
    assert (await webhook.call("crm.dealcategory.status", id=0)).result == "DEAL_STAGE"
    assert (await webhook.call("crm.dealcategory.default.set", fields={"NAME": "Главная"})).result is True
    assert (await webhook.call("crm.dealcategory.default.get")).result == {"ID": 0, "NAME": "Главная"}
