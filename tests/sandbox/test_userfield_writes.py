"""Writing custom fields by the methods of each entity."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from gateway.sandbox.portal import SandboxPortal
from tests.sandbox.client import RestClient
from tests.sandbox.examples import EXAMPLES, compare

CLASSIC = ("lead", "deal", "contact", "company", "quote")
TEXT = {"FIELD_NAME": "hello_world", "USER_TYPE_ID": "string"}
COLOURS = {
    "FIELD_NAME": "COLOURS",
    "USER_TYPE_ID": "enumeration",
    "LIST": [
        {"VALUE": "Red", "SORT": 20, "DEF": "Y", "XML_ID": "red"},
        {"VALUE": "Blue", "SORT": 10, "DEF": "Y"},
        {"VALUE": ""},
        {"SORT": 5},
    ],
}


def documented_error(method: str) -> Any:
    return json.loads((EXAMPLES / f"{method}.error.json").read_text())


@pytest.mark.parametrize("entity", CLASSIC)
async def test_answers_have_the_documented_keys_and_types(webhook: RestClient, entity: str) -> None:
    method = f"crm.{entity}.userfield"
    added = await webhook.call(f"{method}.add", fields=TEXT)
    compare(added.body, f"{method}.add")
    field_id = added.result
    changed = await webhook.call(f"{method}.update", id=field_id, fields={"LABEL": "Привет"})
    compare(changed.body, f"{method}.update")
    compare((await webhook.call(f"{method}.get", id=field_id)).body, f"{method}.get")
    compare((await webhook.call(f"{method}.delete", id=field_id)).body, f"{method}.delete")


@pytest.mark.parametrize("entity", [*CLASSIC, "requisite", "invoice"])
async def test_a_field_lives_from_add_to_delete(webhook: RestClient, portal: SandboxPortal, entity: str) -> None:
    method = f"crm.{entity}.userfield"
    highest = portal.data.userfields.next_id - 1
    field_id = (await webhook.call(f"{method}.add", fields=TEXT)).result
    assert field_id == highest + 1
    row = (await webhook.call(f"{method}.get", id=field_id)).result
    assert row == row | {
        "ID": str(field_id),
        "ENTITY_ID": f"CRM_{entity.upper()}",
        "FIELD_NAME": "UF_CRM_HELLO_WORLD",
        "XML_ID": None,
        "SORT": "100",
        "EDIT_IN_LIST": "Y",
        **dict.fromkeys(("MULTIPLE", "MANDATORY", "SHOW_FILTER", "SHOW_IN_LIST", "IS_SEARCHABLE"), "N"),
    }
    changes = {
        "XML_ID": "code",
        "SORT": 2000,
        "MANDATORY": "Y",
        "SHOW_FILTER": "Y",
        "SETTINGS": {"ROWS": "3"},
        "FIELD_NAME": "OTHER",
        "USER_TYPE_ID": "integer",
        "MULTIPLE": "Y",
    }
    assert (await webhook.call(f"{method}.update", id=field_id, fields=changes)).result is True
    [listed] = (await webhook.call(f"{method}.list", filter={"ID": field_id})).result
    assert listed["SETTINGS"] == {**row["SETTINGS"], "ROWS": 3}
    kept = {name: row[name] for name in ("FIELD_NAME", "USER_TYPE_ID", "MULTIPLE")}
    assert listed == listed | kept | {"XML_ID": "code", "SORT": "2000", "MANDATORY": "Y", "SHOW_FILTER": "E"}
    assert (await webhook.call(f"{method}.delete", id=field_id)).result is True
    missing = await webhook.call(f"{method}.get", id=field_id)
    text = f"The entity with ID '{field_id}' is not found"
    assert missing.body == {"error": "ERROR_NOT_FOUND", "error_description": text}
    assert (await webhook.call(f"{method}.add", fields=TEXT)).result == field_id + 1


@pytest.mark.parametrize("name", ["x", "UF_X", "uf_crm_x"])
async def test_a_name_gets_the_prefix(webhook: RestClient, name: str) -> None:
    field_id = (await webhook.call("crm.deal.userfield.add", FIELD_NAME=name, USER_TYPE_ID="integer")).result
    assert (await webhook.call("crm.deal.userfield.get", id=field_id)).result["FIELD_NAME"] == "UF_CRM_X"


async def test_a_field_appears_in_records_and_vanishes_with_its_values(
    webhook: RestClient, portal: SandboxPortal
) -> None:
    values: dict[str, Any] = {"A": None, "B": []}
    ids = []
    for name, multiple in (("A", "N"), ("B", "Y")):
        fields = {"FIELD_NAME": name, "USER_TYPE_ID": "string", "MULTIPLE": multiple}
        ids.append((await webhook.call("crm.deal.userfield.add", fields=fields)).result)
    described = (await webhook.call("crm.deal.fields")).result
    assert (described["UF_CRM_A"]["isMultiple"], described["UF_CRM_B"]["isMultiple"]) == (False, True)
    fields = (await webhook.call("crm.item.fields", entityTypeId=2)).result["fields"]
    assert {"ufCrmA", "ufCrmB"} <= set(fields)
    deal = (await webhook.call("crm.deal.get", id=1)).result
    assert (deal["UF_CRM_A"], deal["UF_CRM_B"]) == (None, False)
    item = (await webhook.call("crm.item.get", entityTypeId=2, id=1)).result["item"]
    assert {name: item[f"ufCrm{name}"] for name in values} == values
    portal.data.write("deals", 1, {"UF_CRM_A": "x"}, portal.now())
    [found] = (await webhook.call("crm.deal.list", filter={"UF_CRM_A": "x"}, select=["UF_CRM_A"])).result
    assert found == {"UF_CRM_A": "x"}
    for field_id in ids:
        await webhook.call("crm.deal.userfield.delete", id=field_id)
    assert not {"UF_CRM_A", "UF_CRM_B"} & set((await webhook.call("crm.deal.get", id=1)).result)
    assert not {"UF_CRM_A", "UF_CRM_B"} & set((await webhook.call("crm.deal.fields")).result)
    assert (await webhook.call("crm.item.list", entityTypeId=2, filter={"ufCrmA": "x"})).error == "INVALID_ARG_VALUE"
    await webhook.call("crm.deal.userfield.add", fields={"FIELD_NAME": "A", "USER_TYPE_ID": "string"})
    assert (await webhook.call("crm.deal.get", id=1)).result["UF_CRM_A"] is None


async def test_a_list_has_choices_with_ids(webhook: RestClient) -> None:
    field_id = (await webhook.call("crm.lead.userfield.add", fields=COLOURS)).result
    blue, red = (await webhook.call("crm.lead.userfield.get", id=field_id)).result["LIST"]
    assert (blue["VALUE"], blue["SORT"], blue["DEF"]) == ("Blue", "10", "Y")
    assert (red["VALUE"], red["XML_ID"], red["DEF"]) == ("Red", "red", "N")
    changes = [{"ID": red["ID"], "DEL": "Y"}, {"ID": blue["ID"], "VALUE": "Navy"}, {"VALUE": "Green"}]
    await webhook.call("crm.lead.userfield.update", id=field_id, fields={"LIST": changes})
    navy, green = (await webhook.call("crm.lead.userfield.get", id=field_id)).result["LIST"]
    assert navy == {**blue, "VALUE": "Navy"}
    assert (green["VALUE"], int(green["ID"]) > int(red["ID"]), green["SORT"]) == ("Green", True, "500")
    described = (await webhook.call("crm.lead.fields")).result["UF_CRM_COLOURS"]
    assert described["items"] == [{"ID": choice["ID"], "VALUE": choice["VALUE"]} for choice in (navy, green)]


async def test_several_defaults_need_a_multiple_field(webhook: RestClient) -> None:
    field_id = (await webhook.call("crm.lead.userfield.add", fields={**COLOURS, "MULTIPLE": "Y"})).result
    row = (await webhook.call("crm.lead.userfield.get", id=field_id)).result
    assert [choice["DEF"] for choice in row["LIST"]] == ["Y", "Y"]


async def test_a_boolean_is_never_multiple(webhook: RestClient) -> None:
    fields = {"FIELD_NAME": "AGREED", "USER_TYPE_ID": "boolean", "MULTIPLE": "Y"}
    field_id = (await webhook.call("crm.lead.userfield.add", fields=fields)).result
    assert (await webhook.call("crm.lead.userfield.get", id=field_id)).result["MULTIPLE"] == "N"


async def test_labels_are_texts_for_all_languages_or_for_each(webhook: RestClient) -> None:
    labels = {"LABEL": "Any", "EDIT_FORM_LABEL": {"ru": "Форма"}, "LIST_FILTER_LABEL": "Filter"}
    field_id = (await webhook.call("crm.deal.userfield.add", fields={**TEXT, **labels})).result
    row = (await webhook.call("crm.deal.userfield.get", id=field_id)).result
    assert (row["EDIT_FORM_LABEL"]["ru"], row["EDIT_FORM_LABEL"]["en"]) == ("Форма", "Any")
    assert set(row["LIST_FILTER_LABEL"].values()) == {"Filter"}
    assert set(row["HELP_MESSAGE"].values()) == {"Any"}
    assert (await webhook.call("crm.deal.fields")).result["UF_CRM_HELLO_WORLD"]["formLabel"] == "Форма"
    changes = {"EDIT_FORM_LABEL": {"en": "Form"}}
    await webhook.call("crm.deal.userfield.update", id=field_id, fields=changes)
    label = (await webhook.call("crm.deal.userfield.get", id=field_id)).result["EDIT_FORM_LABEL"]
    assert (label["en"], label["ru"]) == ("Form", "")
    [listed] = (await webhook.call("crm.deal.userfield.list", filter={"ID": field_id, "LANG": "en"})).result
    assert listed["EDIT_FORM_LABEL"] == "Form"


@pytest.mark.parametrize(
    ("fields", "code", "text"),
    [
        ({"USER_TYPE_ID": "string"}, "", "The 'FIELD_NAME' field is not found."),
        ({**TEXT, "FIELD_NAME": "x" * 44}, "ERROR_CORE", "Field name is too long (more than 50 characters)."),
        (
            {**TEXT, "FIELD_NAME": "ЦВЕТ"},
            "ERROR_CORE",
            "Field name contains invalid characters. Allowed characters are: A-Z, 0-9 and _.",
        ),
        ({**TEXT, "USER_TYPE_ID": "nope"}, "ERROR_CORE", "Invalid custom type specified."),
        (
            {**COLOURS, "LIST": [{"VALUE": "a", "XML_ID": "x"}, {"VALUE": "b", "XML_ID": "x"}]},
            "ERROR_CORE",
            "List item with XML_ID=x already exists.",
        ),
        ("x", "", "Parameter 'fields' must be array."),
    ],
)
async def test_an_invalid_field_is_not_added(webhook: RestClient, fields: Any, code: str, text: str) -> None:
    answer = await webhook.call("crm.deal.userfield.add", fields=fields)
    assert (answer.status, answer.body) == (400, {"error": code, "error_description": text})
    assert (await webhook.call("crm.deal.userfield.list")).body["total"] == 65


async def test_the_longest_name_has_43_letters_of_its_own_and_is_used_once(webhook: RestClient) -> None:
    fields = {**TEXT, "FIELD_NAME": "x" * 43}
    assert (await webhook.call("crm.deal.userfield.add", fields=fields)).status == 200
    again = await webhook.call("crm.deal.userfield.add", fields=fields)
    text = f"Field UF_CRM_{'X' * 43} for object CRM_DEAL already exists."
    assert again.body == {"error": "ERROR_CORE", "error_description": text}
    assert (await webhook.call("crm.lead.userfield.add", fields=fields)).status == 200


@pytest.mark.parametrize("entity", CLASSIC)
async def test_an_error_matches_the_documentation(
    webhook: RestClient, anonymous: RestClient, tokens_of: Callable[[int], str], entity: str
) -> None:
    method = f"crm.{entity}.userfield"
    answer = await webhook.call(f"{method}.add", fields={"FIELD_NAME": "X"})
    assert (answer.status, answer.body) == (400, documented_error(f"{method}.add"))
    answer = await webhook.call(f"{method}.get", id=0)
    assert (answer.status, answer.body) == (400, documented_error(f"{method}.get"))
    for verb in ("update", "delete"):
        params = {"auth": tokens_of(2), "id": 201, "fields": {}}
        answer = await anonymous.call(f"/rest/{method}.{verb}", **params)
        assert (answer.status, answer.body) == (400, documented_error(f"{method}.{verb}"))


async def test_a_field_of_another_entity_is_refused(webhook: RestClient, portal: SandboxPortal) -> None:
    field_id = min(portal.data.userfields["CRM_LEAD"])
    for verb in ("get", "update", "delete"):
        answer = await webhook.call(f"crm.deal.userfield.{verb}", id=field_id, fields={})
        assert answer.body == {"error": "", "error_description": "Access denied."}


async def test_an_update_needs_fields(webhook: RestClient) -> None:
    answer = await webhook.call("crm.lead.userfield.update", id=201)
    assert answer.body == {"error": "", "error_description": "Parameter 'fields' must be array."}
