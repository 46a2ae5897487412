"""Writing statuses: the values of directories and the stages of pipelines."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from gateway.sandbox.portal import SandboxPortal
from tests.sandbox.client import RestClient
from tests.sandbox.examples import EXAMPLES, compare

SOURCE = {"ENTITY_ID": "SOURCE", "STATUS_ID": "FAIR", "NAME": "Ярмарка"}
STAGE = {"ENTITY_ID": "DEAL_STAGE_7", "STATUS_ID": "DECISION", "NAME": "Решение", "SORT": 35}
FINAL = (
    "Cannot create more stages after the final stage because the final successful stage already exists. "
    "Try using sort order values less than that of the final stage."
)


async def id_of(webhook: RestClient, entity_id: str, code: str) -> int:
    [row] = (await webhook.call("crm.status.list", filter={"ENTITY_ID": entity_id, "STATUS_ID": code})).result
    return int(row["ID"])


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("crm.status.fields", {}),
        ("crm.status.add", {"fields": SOURCE}),
        ("crm.status.update", {"id": 105, "fields": {"NAME": "Новое"}}),
        ("crm.status.entity.types", {}),
        ("crm.status.entity.items", {"entityId": "DEAL_STAGE"}),
    ],
)
async def test_an_answer_has_the_documented_keys_and_types(
    webhook: RestClient, method: str, params: dict[str, Any]
) -> None:
    compare((await webhook.call(method, **params)).body, method)


async def test_a_stage_has_the_documented_keys_and_types(webhook: RestClient) -> None:
    status_id = await id_of(webhook, "DYNAMIC_128_STAGE_12", "DT128_12:SUCCESS")
    compare((await webhook.call("crm.status.get", id=status_id)).body, "crm.status.get")


async def test_a_status_lives_from_add_to_delete(webhook: RestClient, portal: SandboxPortal) -> None:
    highest = max(portal.data.statuses)
    status_id = (await webhook.call("crm.status.add", fields={**SOURCE, "COLOR": "#FFA900", "NO": 1})).result
    assert status_id == highest + 1
    row = (await webhook.call("crm.status.get", id=status_id)).result
    assert row == {
        **SOURCE,
        "ID": str(status_id),
        "NAME_INIT": "",
        "SORT": "10",
        "SYSTEM": "N",
        "CATEGORY_ID": None,
        "COLOR": None,
        "SEMANTICS": None,
    }
    changes = {"NAME": "Выставка", "SORT": 15, "STATUS_ID": "OTHER", "SYSTEM": "Y"}
    assert (await webhook.call("crm.status.update", id=status_id, fields=changes)).result is True
    [listed] = (await webhook.call("crm.status.list", filter={"ENTITY_ID": "SOURCE", "NAME": "Выставка"})).result
    assert listed == {**row, "NAME": "Выставка", "SORT": "15"}
    items = (await webhook.call("crm.status.entity.items", entityId="SOURCE")).result
    assert [item["STATUS_ID"] for item in items] == ["CALL", "FAIR", "EMAIL", "WEB", "UC_QUIZ01"]
    deleted = await webhook.call("crm.status.delete", id=status_id)
    compare(deleted.body, "crm.status.delete")
    assert (await webhook.call("crm.status.get", id=status_id)).body["error_description"] == "Status is not found."
    assert (await webhook.call("crm.status.add", fields=SOURCE)).result == status_id + 1


async def test_a_stage_gets_the_prefix_the_pipeline_and_the_group(webhook: RestClient) -> None:
    for fields in (STAGE, {**STAGE, "STATUS_ID": "C7:SECOND", "SEMANTICS": "F", "SORT": 70, "COLOR": "#123456"}):
        await webhook.call("crm.status.add", fields=fields)
    rows = (await webhook.call("crm.status.list", filter={"ENTITY_ID": "DEAL_STAGE_7", "SYSTEM": "N"})).result
    added = {row["STATUS_ID"]: row for row in rows}
    assert added["C7:DECISION"]["EXTRA"] == {"SEMANTICS": "process", "COLOR": "#39A8EF"}
    assert (added["C7:DECISION"]["CATEGORY_ID"], added["C7:DECISION"]["SEMANTICS"]) == ("7", None)
    assert added["C7:SECOND"]["EXTRA"] == {"SEMANTICS": "apology", "COLOR": "#123456"}
    assert added["C7:SECOND"]["SEMANTICS"] == "F"
    await webhook.call("crm.status.update", id=added["C7:SECOND"]["ID"], fields={"COLOR": "#000000"})
    [row] = (await webhook.call("crm.status.list", filter={"STATUS_ID": "C7:SECOND"})).result
    assert row["COLOR"] == row["EXTRA"]["COLOR"] == "#000000"


@pytest.mark.parametrize(
    ("entity_id", "longest"),
    [("STATUS", 21), ("QUOTE_STATUS", 22), ("DEAL_STAGE", 22), ("DEAL_STAGE_7", 19), ("SOURCE", 50)],
)
async def test_the_length_of_a_code_depends_on_the_directory(webhook: RestClient, entity_id: str, longest: int) -> None:
    fields = {"ENTITY_ID": entity_id, "NAME": "x"}
    too_long = await webhook.call("crm.status.add", fields={**fields, "STATUS_ID": "x" * (longest + 1)})
    assert too_long.body == {"error": "", "error_description": "Error on creating status."}
    assert (await webhook.call("crm.status.add", fields={**fields, "STATUS_ID": "x" * longest})).status == 200


@pytest.mark.parametrize(
    ("fields", "code", "text"),
    [
        ({}, "", "The field ENTITY_ID is required.<br>The field STATUS_ID is required."),
        ({"ENTITY_ID": "SOURCE"}, "", "The field STATUS_ID is required."),
        ({**SOURCE, "NAME": " "}, "", "The field Title is required."),
        ({**SOURCE, "ENTITY_ID": "DEAL_STAGE_99"}, "", "Specified entity type is not supported."),
        ({**SOURCE, "STATUS_ID": "CALL"}, "ERROR_CORE", "The specified status ID already exists."),
        ({**STAGE, "STATUS_ID": "C7:NEW"}, "ERROR_CORE", "The specified status ID already exists."),
        ({**STAGE, "STATUS_ID": "СТАДИЯ"}, "", "Error on creating status."),
        ({**STAGE, "SORT": 45}, "", FINAL),
        ({**STAGE, "SEMANTICS": "S"}, "", FINAL),
        ({**STAGE, "SEMANTICS": "F"}, "", "Cannot add semantics with the specified sort order"),
        ("x", "", "Parameter 'fields' must be array."),
        (None, "", "Parameter 'fields' must be array."),
    ],
)
async def test_an_invalid_status_is_not_added(webhook: RestClient, fields: Any, code: str, text: str) -> None:
    answer = await webhook.call("crm.status.add", **({} if fields is None else {"fields": fields}))
    assert (answer.status, answer.body) == (400, {"error": code, "error_description": text})


async def test_a_missing_code_is_refused_as_documented(webhook: RestClient) -> None:
    answer = await webhook.call("crm.status.add", fields={"ENTITY_ID": "SOURCE", "NAME": "x"})
    assert answer.body == json.loads((EXAMPLES / "crm.status.add.error.json").read_text())


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("crm.status.get", {"id": 999_999}),
        ("crm.status.update", {"id": 0, "fields": {"NAME": "x"}}),
        ("crm.status.delete", {"id": "x"}),
        ("crm.status.entity.items", {}),
    ],
)
async def test_an_error_has_the_text_that_its_page_prints_as_the_code(
    webhook: RestClient, method: str, params: dict[str, Any]
) -> None:
    documented = json.loads((EXAMPLES / f"{method}.error.json").read_text())
    answer = await webhook.call(method, **params)
    assert (answer.status, answer.body) == (400, {"error": "", "error_description": documented["error"]})


async def test_a_blank_name_is_not_saved(webhook: RestClient) -> None:
    answer = await webhook.call("crm.status.update", id=105, fields={"NAME": ""})
    assert answer.body == {"error": "", "error_description": "Error on updating status."}


async def test_a_system_status_is_deleted_by_force(webhook: RestClient) -> None:
    status_id = await id_of(webhook, "SOURCE", "CALL")
    refused = await webhook.call("crm.status.delete", id=status_id, params={"FORCED": "N"})
    text = 'CRM System Status can be deleted only if parameter FORCED is specified and equal to "Y".'
    assert refused.body == {"error": "", "error_description": text}
    assert (await webhook.call("crm.status.delete", id=status_id, params={"FORCED": "Y"})).result is True


@pytest.mark.parametrize(
    ("entity_id", "code"),
    [("DEAL_STAGE", "EXECUTING"), ("STATUS", "IN_PROCESS"), ("DYNAMIC_128_STAGE_12", "DT128_12:CLIENT")],
)
async def test_a_stage_with_records_is_not_deleted(webhook: RestClient, entity_id: str, code: str) -> None:
    answer = await webhook.call("crm.status.delete", id=await id_of(webhook, entity_id, code))
    assert answer.body == {"error": "", "error_description": "There are active items in this status."}


async def test_a_stage_without_records_is_deleted(webhook: RestClient) -> None:
    status_id = (await webhook.call("crm.status.add", fields=STAGE)).result
    assert (await webhook.call("crm.status.delete", id=status_id)).result is True
    documents = await id_of(webhook, "SMART_DOCUMENT_STAGE_6", "DT36_6:CLIENT")
    assert (await webhook.call("crm.status.delete", id=documents)).result is True


async def test_only_the_administrator_writes_statuses(anonymous: RestClient, tokens_of: Callable[[int], str]) -> None:
    token = tokens_of(2)
    for method in ("add", "update", "delete"):
        answer = await anonymous.call(f"/rest/crm.status.{method}", auth=token, id=105, fields=SOURCE)
        assert (answer.status, answer.body) == (400, {"error": "", "error_description": "Access denied."})
    assert (await anonymous.call("/rest/crm.status.get", auth=token, id=105)).status == 200


async def test_every_directory_of_a_status_is_an_entity_type(webhook: RestClient) -> None:
    types = {row["ID"]: row for row in (await webhook.call("crm.status.entity.types")).result}
    assert {row["ENTITY_ID"] for row in (await webhook.call("crm.status.list")).result} == set(types)
    assert (types["DEAL_STAGE"]["CATEGORY_ID"], types["DEAL_STAGE_7"]["CATEGORY_ID"]) == (0, "7")
    assert types["DYNAMIC_128_STAGE_12"]["PREFIX"] == "DT128_12"
    assert set(types["SOURCE"]) == {"ID", "NAME"}


async def test_an_unknown_directory_has_no_items(webhook: RestClient) -> None:
    assert (await webhook.call("crm.status.entity.items", entityId="NOPE")).result == []
