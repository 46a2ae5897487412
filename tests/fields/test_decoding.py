"""Decoding what the portal says about the fields of a list, by its documented examples."""

import json
from pathlib import Path
from typing import Any

import pytest

from gateway.bitrix.lists.list_fields import Field, decode_fields

EXAMPLES = Path(__file__).parents[1] / "data" / "bitrix24"


def documented(method: str) -> dict[str, Field]:
    """The fields of a documented answer."""
    result: dict[str, Any] = json.loads((EXAMPLES / f"{method}.json").read_text())["result"]
    return decode_fields(result.get("fields", result))


@pytest.mark.parametrize(
    ("method", "field"),
    [
        ("crm.deal.fields", Field("ID", "integer", title="ID", read_only=True)),
        ("crm.deal.fields", Field("TITLE", "string", title="Title")),
        ("crm.deal.fields", Field("CATEGORY_ID", "crm_category", title="Sales Funnel", immutable=True)),
        ("crm.deal.fields", Field("CONTACT_IDS", "crm_contact", multiple=True, title="Contacts")),
        ("crm.contact.fields", Field("NAME", "string", title="First Name", required=True)),
        ("crm.contact.fields", Field("PHONE", "crm_multifield", multiple=True, title="Phone")),
        ("crm.item.fields", Field("id", "integer", other_name="ID", title="ID", read_only=True)),
        (
            "crm.item.fields",
            Field("opened", "boolean", other_name="OPENED", title="Publicly available", required=True),
        ),
        ("crm.item.fields", Field("observers", "user", multiple=True, other_name="OBSERVERS", title="Observers")),
        ("user.fields", Field("LAST_NAME", title="Last Name")),
    ],
)
def test_a_documented_field_is_decoded(method: str, field: Field) -> None:
    assert documented(method)[field.name] == field


@pytest.mark.parametrize("method", ["crm.deal.fields", "crm.item.fields", "user.fields"])
def test_every_documented_field_is_decoded_with_its_title(method: str) -> None:
    result = json.loads((EXAMPLES / f"{method}.json").read_text())["result"]
    fields = documented(method)
    assert list(fields) == list(result.get("fields", result))
    assert [name for name, field in fields.items() if not field.title or field.name != name] == []


CUSTOM: dict[str, object] = {
    "type": "enumeration",
    "isRequired": True,
    "isReadOnly": False,
    "isImmutable": False,
    "isMultiple": True,
    "isDynamic": True,
    "items": [{"ID": "11", "VALUE": "Red"}, {"ID": 12, "VALUE": "Blue"}],
    "title": "UF_CRM_1",
    "listLabel": "In the list",
    "formLabel": "In the form",
    "filterLabel": "In the filter",
}


def test_a_custom_field_has_its_label_in_the_form_as_title_and_its_choices() -> None:
    choices = (("11", "Red"), ("12", "Blue"))
    field = Field("UF_CRM_1", "enumeration", True, title="In the form", required=True, choices=choices)
    assert decode_fields({"UF_CRM_1": CUSTOM}) == {"UF_CRM_1": field}
    assert field.custom


@pytest.mark.parametrize("label", [None, "", []])
def test_a_custom_field_without_a_label_keeps_its_title(label: object) -> None:
    assert decode_fields({"UF_CRM_1": CUSTOM | {"formLabel": label}})["UF_CRM_1"].title == "UF_CRM_1"


def test_a_field_of_the_portal_itself_has_no_label() -> None:
    assert decode_fields({"X": {"title": "Title", "formLabel": "Label", "isDynamic": False}})["X"].title == "Title"


@pytest.mark.parametrize("description", [None, [], 7, {}, {"type": None, "title": [], "items": "x"}])
def test_a_description_without_anything_usable_still_names_the_field(description: object) -> None:
    expected = Field("X", title="7") if description == 7 else Field("X")
    assert decode_fields({"X": description}) == {"X": expected}


@pytest.mark.parametrize("flag", ["isMultiple", "isRequired", "isReadOnly", "isImmutable"])
@pytest.mark.parametrize("value", ["Y", "true", 1, None, [], {}])
def test_only_a_true_flag_counts(flag: str, value: object) -> None:
    assert decode_fields({"X": {flag: value}}) == {"X": Field("X")}


@pytest.mark.parametrize("items", [None, "x", 1, {"0": {"ID": "1", "VALUE": "a"}}, [], ["x", None, [1]]])
def test_choices_that_are_no_list_of_objects_are_left_out(items: object) -> None:
    assert decode_fields({"X": {"items": items}})["X"].choices == ()


def test_a_choice_without_an_id_is_left_out_and_one_without_a_text_is_kept() -> None:
    items = [{"VALUE": "a"}, {"ID": None, "VALUE": "b"}, {"ID": [], "VALUE": "c"}, {"ID": "4"}, "x"]
    assert decode_fields({"X": {"items": items}})["X"].choices == (("4", ""),)


def test_true_and_false_are_no_texts() -> None:
    assert decode_fields({"X": {"type": True, "title": False}, "Y": True}) == {"X": Field("X"), "Y": Field("Y")}
