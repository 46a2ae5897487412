"""Any row of a portal is decoded as documented, left out, or reported as broken."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.bitrix.errors import PortalBroken
from gateway.bitrix.lists.list_specs import decode_row_id
from gateway.bitrix.rows.dictionaries import (
    FIELD_TYPES,
    decode_pipeline,
    decode_step,
    decode_user,
    decode_userfield,
    decode_userfieldconfig,
)
from gateway.mirror.resources import DICTIONARIES, PortalList, Resource
from gateway.mirror.row_json import render_rows
from storage.records import MirrorRow
from tests.gateway import CONTRACT

LISTS = [(resource, portal_list) for resource in DICTIONARIES.values() for portal_list in resource.lists("ru")]
HEADERS = {
    "Content-Type": "application/json; charset=utf-8",
    "X-Request-ID": "0123456789abcdef0123456789abcdef",
    "X-Content-Type-Options": "nosniff",
    "ETag": '"a.1.1.1"',
    "Cache-Control": "private, no-cache",
    "Vary": "Authorization",
}

# JSON as orjson decodes it: 64-bit integers, no lone surrogates.
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**64 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
    st.sampled_from(["", "0", "7", "-1", "007", "٣", "2147483648", "9223372036854775808", "Y", "date", "string"]),
    st.sampled_from(["a@b", "a b@c", "DEAL_STAGE_7", "DYNAMIC_128_STAGE_12", "STAGE_99999999999", "money"]),
)
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner))
NAMES = [
    "ID",
    "id",
    "NAME",
    "name",
    "LAST_NAME",
    "SECOND_NAME",
    "TITLE",
    "EMAIL",
    "UF_DEPARTMENT",
    "WORK_POSITION",
    "ENTITY_ID",
    "STATUS_ID",
    "NAME_INIT",
    "COLOR",
    "CATEGORY_ID",
    "FIELD_NAME",
    "USER_TYPE_ID",
    "EDIT_FORM_LABEL",
    "entityId",
    "fieldName",
    "userTypeId",
    "editFormLabel",
    "SOMETHING_NEW",
]
ROWS = st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=len(NAMES))
IDS = st.one_of(st.integers(0, 2**63 - 1), st.integers(0, 2**63 - 1).map(str))


def render(portal_list: PortalList, row: dict[str, Any]) -> list[MirrorRow]:
    return render_rows(portal_list.call.spec.ids([row]), [row], portal_list.decode)


def accept(resource: Resource, portal_list: PortalList, row: dict[str, Any]) -> bool:
    """Return whether *row* is shown, and check the shown properties against openapi.yaml."""
    rendered = render(portal_list, row)
    for _, suffix in rendered:
        item = resource.prefix(1_800_000_000) % 1 + b'"p.bitrix24.ru"' + suffix
        CONTRACT.check("GET", f"/bitrix/{resource.name}", 200, HEADERS, b'{"count":1,"items":[%b]}' % item)
    return bool(rendered)


@given(of=st.sampled_from(LISTS), row=ROWS, portal_id=st.one_of(st.none(), IDS))
def test_any_row_is_shown_as_documented_left_out_or_broken(
    of: tuple[Resource, PortalList], row: dict[str, Any], portal_id: int | str | None
) -> None:
    resource, portal_list = of
    id_key = portal_list.call.spec.id_key
    if portal_id is not None:
        row = {**row, id_key: portal_id}
    try:
        shown = accept(resource, portal_list, row)
    except PortalBroken:
        with pytest.raises(PortalBroken):
            decode_row_id(row, id_key)
    else:
        assert shown or resource.name not in ("users", "steps")  # the contract can represent all of their rows


@given(row=ROWS, portal_id=IDS)
def test_unknown_fields_do_not_change_the_result(row: dict[str, Any], portal_id: int | str) -> None:
    (portal_list,) = DICTIONARIES["users"].lists("ru")
    ((kept_id, suffix),) = render(portal_list, {**row, "ID": portal_id, "IS_ONLINE": "Y"})
    assert [(kept_id, suffix)] == render(portal_list, {**row, "ID": portal_id, "IS_ONLINE": "N", "LAST_LOGIN": ""})
    assert kept_id == int(portal_id)


@pytest.mark.parametrize(("value", "found"), [(7, 7), ("7", 7), ("007", 7), (0, 0), ("0", 0), (2**63 - 1, 2**63 - 1)])
def test_an_id_is_a_number_or_a_string_of_digits(value: object, found: int) -> None:
    assert decode_row_id({"ID": value}, "ID") == found


@pytest.mark.parametrize(
    "value",
    [None, "", " 7", "7 ", "+7", "-7", -7, "7.0", 7.0, True, [7], {}, "٣", "1_000", 2**63, str(2**63), "9" * 5000],
)
def test_an_invalid_id_makes_a_row_broken(value: object) -> None:
    with pytest.raises(PortalBroken, match="usable ID"):
        decode_row_id({"ID": value}, "ID")


@pytest.mark.parametrize("row", [None, [], "row", 7, {"id": 7}])
def test_a_row_without_its_id_is_broken(row: object) -> None:
    with pytest.raises(PortalBroken):
        decode_row_id(row, "ID")


@pytest.mark.parametrize(
    ("departments", "shown"),
    [([1, "2"], [1, 2]), (3, [3]), ("4", [4]), ([], []), (None, []), (False, []), ([None, "x", 2**31, True], [])],
)
def test_departments_that_are_not_numbers_are_dropped(departments: object, shown: list[int]) -> None:
    assert decode_user({"UF_DEPARTMENT": departments}, 1)["uf_department"] == shown


@pytest.mark.parametrize("email", ["", None, "not an address", "a@b c", "@", ["a@b.ru"], 5])
def test_an_invalid_email_address_is_dropped(email: object) -> None:
    assert "email" not in decode_user({"EMAIL": email}, 1)
    assert decode_user({"EMAIL": "a@b.ru"}, 1)["email"] == "a@b.ru"


@pytest.mark.parametrize(
    ("entity_id", "category_id", "pipeline_id"),
    [
        ("DEAL_STAGE", "0", 0),
        ("DEAL_STAGE", None, 0),
        ("DEAL_STAGE", "-5", 0),
        ("DEAL_STAGE_7", "7", 7),
        ("DEAL_STAGE_7", None, 7),
        ("DEAL_STAGE_7", "", 7),
        ("SMART_INVOICE_STAGE_9", None, 9),
        ("DYNAMIC_128_STAGE_12", None, 12),
        ("DYNAMIC_128_STAGE_12", "13", 13),
        ("SOURCE", None, 0),
        ("STATUS", None, 0),
        ("DEAL_STAGE_99999999999", None, 0),
        ("DEAL_STAGE_7_X", None, 0),
    ],
)
def test_a_stages_pipeline_comes_from_its_category_or_its_entity(
    entity_id: str, category_id: object, pipeline_id: int
) -> None:
    row = {"ID": "1", "ENTITY_ID": entity_id, "CATEGORY_ID": category_id}
    assert decode_step(row, 1)["pipelineID"] == pipeline_id


def test_a_pipeline_with_an_id_outside_the_contract_is_left_out() -> None:
    assert decode_pipeline({"name": "x"}, 2**31, entity_type_id=2) is None
    assert decode_pipeline({"name": "x"}, 2**31 - 1, entity_type_id=2) is not None


@pytest.mark.parametrize("user_type", [*sorted(FIELD_TYPES), "date"])
def test_a_field_of_a_known_type_is_shown(user_type: str) -> None:
    field = decode_userfield({"FIELD_NAME": "UF_CRM_1", "USER_TYPE_ID": user_type}, 1, "CRM_DEAL")
    assert field is not None
    assert field["fieldType"] == ("datetime" if user_type == "date" else user_type)


@pytest.mark.parametrize("user_type", ["", None, "rest_12_mine", "STRING", 5, ["string"]])
def test_a_field_of_a_type_outside_the_contract_is_left_out(user_type: object) -> None:
    assert decode_userfield({"FIELD_NAME": "UF", "USER_TYPE_ID": user_type}, 1, "CRM_DEAL") is None


@pytest.mark.parametrize(
    ("label", "shown"),
    [
        ({"ru": "Метка", "en": "Label"}, "Метка"),
        ({"en": "Label"}, "UF_CRM_1"),
        ("Метка", "Метка"),
        ({"ru": ""}, "UF_CRM_1"),
        ({"ru": None}, "UF_CRM_1"),
        ([], "UF_CRM_1"),
        (None, "UF_CRM_1"),
    ],
)
def test_a_field_without_a_label_in_the_language_is_labelled_with_its_name(label: object, shown: str) -> None:
    row = {"id": "1", "fieldName": "UF_CRM_1", "userTypeId": "string", "editFormLabel": label}
    field = decode_userfieldconfig(row, 1, "CRM_SMART_INVOICE", "ru")
    assert field is not None
    assert field["editFromLabel"] == shown


@given(text=st.text(st.characters(exclude_categories=["Cs"])))
def test_a_text_is_not_changed(text: str) -> None:
    (portal_list,) = DICTIONARIES["users"].lists("ru")
    ((_, suffix),) = render(portal_list, {"ID": "1", "NAME": text})
    assert orjson.loads(b"{" + suffix[1:])["name"] == text
