"""Writing custom fields by userfieldconfig, and the description of their types."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from gateway.sandbox.portal import SandboxPortal
from tests.sandbox.client import RestClient
from tests.sandbox.examples import EXAMPLES, compare

MODULE = {"moduleId": "crm"}
TEXT = {"entityId": "CRM_13", "fieldName": "UF_CRM_13_NOTE", "userTypeId": "string"}
COLOURS = {
    **TEXT,
    "userTypeId": "enumeration",
    "editFormLabel": {"en": "Colours", "de": "Farben"},
    "enum": [{"value": "Red", "def": "N", "sort": 100}, {"value": "Blue", "def": "Y", "sort": 200}],
}


async def test_answers_have_the_documented_keys_and_types(webhook: RestClient) -> None:
    added = await webhook.call("userfieldconfig.add", **MODULE, field=COLOURS)
    compare(added.body, "userfieldconfig.get")
    field_id = added.result["field"]["id"]
    shown = await webhook.call("userfieldconfig.get", **MODULE, id=field_id)
    compare(shown.body, "userfieldconfig.get")
    assert shown.result == added.result


async def test_a_field_lives_from_add_to_delete(webhook: RestClient, portal: SandboxPortal) -> None:
    highest = portal.data.userfields.next_id - 1
    unprocessed = {"showInList": "N", "label": "x", "listColumnLabel": "x"}
    field = (await webhook.call("userfieldconfig.add", **MODULE, field={**TEXT, **unprocessed})).result["field"]
    assert field["id"] == str(highest + 1)
    assert (field["showInList"], field["editInList"], field["languageId"]) == ("Y", "Y", [])
    item = (await webhook.call("crm.item.get", entityTypeId=156, id=1)).result["item"]
    assert item["ufCrm13Note"] is None
    key = {**MODULE, "id": field["id"]}
    changes = {"mandatory": "Y", "sort": 7, "editFormLabel": {"en": "Note"}, "userTypeId": "integer"}
    changed = (await webhook.call("userfieldconfig.update", **key, field=changes)).result["field"]
    assert changed == {
        **field,
        "mandatory": "Y",
        "sort": "7",
        "languageId": {"en": "en"},
        "editFormLabel": {"en": "Note"},
        **{name: {"en": None} for name in ("listColumnLabel", "listFilterLabel", "errorMessage", "helpMessage")},
    }
    listed = (await webhook.call("userfieldconfig.list", **MODULE, filter={"id": field["id"]})).result["fields"]
    assert [row["mandatory"] for row in listed] == ["Y"]
    deleted = await webhook.call("userfieldconfig.delete", **key)
    assert (deleted.status, deleted.result) == (200, None)
    assert "ufCrm13Note" not in (await webhook.call("crm.item.get", entityTypeId=156, id=1)).result["item"]
    gone = await webhook.call("userfieldconfig.get", **key)
    assert gone.body == json.loads((EXAMPLES / "userfieldconfig.get.error.json").read_text())


async def test_a_list_gets_exactly_the_choices_of_an_update(webhook: RestClient) -> None:
    field = (await webhook.call("userfieldconfig.add", **MODULE, field=COLOURS)).result["field"]
    red, blue = field["enum"]
    assert (red["userFieldId"], blue["def"]) == (field["id"], "Y")
    key = {**MODULE, "id": field["id"]}
    enum = [{"id": blue["id"]}, {"value": "Green", "sort": 300}]
    untouched = (await webhook.call("userfieldconfig.update", **key, field={"enum": enum})).result["field"]
    assert untouched == field
    params = {"userTypeId": "enumeration", "enum": enum}
    changed = (await webhook.call("userfieldconfig.update", **key, field=params)).result["field"]
    assert changed["enum"][0] == blue
    assert [choice["value"] for choice in changed["enum"]] == ["Blue", "Green"]
    params["enum"] = [[""]]
    assert (await webhook.call("userfieldconfig.update", **key, field=params)).result["field"]["enum"] == []


@pytest.mark.parametrize(
    ("field", "text"),
    [
        ({**TEXT, "fieldName": ""}, "The 'FIELD_NAME' field is not found."),
        ({**TEXT, "userTypeId": ""}, "The 'USER_TYPE_ID' field is not found."),
        ({**TEXT, "fieldName": "UF_CRM_NOTE"}, "You cannot create custom fields"),
        ({**TEXT, "entityId": "CRM_99"}, "You cannot create custom fields"),
        ({**TEXT, "fieldName": "UF_CRM_13_1713790653"}, "Field UF_CRM_13_1713790653 already exists"),
    ],
)
async def test_an_invalid_field_is_not_added(webhook: RestClient, field: dict[str, Any], text: str) -> None:
    answer = await webhook.call("userfieldconfig.add", **MODULE, field=field)
    assert (answer.status, answer.body) == (400, {"error": "", "error_description": text})


@pytest.mark.parametrize(
    ("method", "text"),
    [
        ("add", "Access denied"),
        ("update", "You cannot change the settings of the user field"),
        ("delete", "You cannot delete the user field"),
    ],
)
async def test_only_the_administrator_writes_fields(
    webhook: RestClient, anonymous: RestClient, tokens_of: Callable[[int], str], method: str, text: str
) -> None:
    refusal = (400, {"error": "", "error_description": text})
    params = {**MODULE, "id": 653, "field": TEXT}
    answer = await anonymous.call(f"/rest/userfieldconfig.{method}", auth=tokens_of(2), **params)
    assert (answer.status, answer.body) == refusal
    if method != "add":
        missing = await webhook.call(f"userfieldconfig.{method}", **{**params, "id": 999_999})
        assert (missing.status, missing.body) == refusal


@pytest.mark.parametrize("method", ["get", "add", "update", "delete", "getTypes"])
async def test_only_the_crm_has_fields(webhook: RestClient, method: str) -> None:
    answer = await webhook.call(f"userfieldconfig.{method}", moduleId="disk", id=653, field=TEXT)
    assert answer.body == {"error": "", "error_description": "No settings for UserFieldAccess"}


@pytest.mark.parametrize("method", ["crm.userfield.types", "userfieldconfig.getTypes"])
async def test_the_standard_types_are_listed_as_documented(webhook: RestClient, method: str) -> None:
    answer = (await webhook.call(method, **MODULE)).result
    documented = json.loads((EXAMPLES / f"{method}.json").read_text())["result"]
    if method == "crm.userfield.types":
        assert [list(row) for row in answer] == [["ID", "title"]] * len(documented)
        assert [row["ID"] for row in answer] == [row["ID"] for row in documented]
    else:
        documented["types"].pop("rest_219_test")  # a type that an application has added
        assert set(answer["types"]) == set(documented["types"])
        assert {kind: row["userTypeId"] for kind, row in answer["types"].items()} == {
            kind: row["userTypeId"] for kind, row in documented["types"].items()
        }


async def test_the_characteristics_of_fields_are_described(webhook: RestClient) -> None:
    described = (await webhook.call("crm.userfield.fields")).result
    row = (await webhook.call("crm.deal.userfield.get", id=201 + 18 * 2 + 12)).result
    assert set(row) - {"LIST"} == set(described) - {"LIST"}
    assert described["FIELD_NAME"]["isImmutable"] is True
    assert described["ID"]["isReadOnly"] is True
    choice = (await webhook.call("crm.userfield.enumeration.fields")).result
    assert list(choice) == ["ID", "SORT", "VALUE", "DEF", "DEL"]


async def test_the_settings_of_every_type_are_described(webhook: RestClient) -> None:
    for row in (await webhook.call("crm.userfield.types")).result:
        settings = (await webhook.call("crm.userfield.settings.fields", type=row["ID"])).result
        assert all(set(setting) == {"type", "title"} for setting in dict(settings).values())
    double = (await webhook.call("crm.userfield.settings.fields", type="double")).result
    assert {name: setting["type"] for name, setting in double.items()} == {
        "DEFAULT_VALUE": "double",
        "PRECISION": "int",
    }
    assert (await webhook.call("crm.userfield.settings.fields", type="employee")).result == []
    missing = await webhook.call("crm.userfield.settings.fields")
    text = "Parameter 'type' is not specified or empty."
    assert (missing.status, missing.body) == (400, {"error": "", "error_description": text})


async def test_a_scripted_field_needs_no_labels(webhook: RestClient, portal: SandboxPortal) -> None:
    del portal.data.userfields["CRM_13"][653]["HELP_MESSAGE"]
    select = {"0": "*", "language": "ru"}
    [row] = (await webhook.call("userfieldconfig.list", **MODULE, select=select, filter={"id": 653})).result["fields"]
    field = (await webhook.call("userfieldconfig.get", **MODULE, id=653)).result["field"]
    assert row["helpMessage"] is None
    assert (field["helpMessage"], field["editFormLabel"]["ru"]) == ({"ru": None, "en": None}, "Строка")
