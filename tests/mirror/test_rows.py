"""Rows in the form of the contract: names, types and special cases."""

from collections import Counter
from typing import Any

import pytest

from gateway.sandbox.content.portal_data import PortalData
from tests.gateway import Gateway, Sandbox, authorize
from tests.support.portal_rows import FIELDS, PIPELINES, STEPS, USERS, Mirrored, each_list

ENUM_TYPES = {
    "string", "integer", "double", "boolean", "datetime", "enumeration", "iblock_section", "iblock_element", "employee",
    "crm_status", "crm", "address", "money", "url", "file", "crm_pena_tag",
}  # fmt: skip
ENTITIES = {
    "CRM_LEAD", "CRM_COMPANY", "CRM_CONTACT", "CRM_DEAL", "CRM_INVOICE", "CRM_SMART_INVOICE", "CRM_QUOTE",
    "CRM_REQUISITE",
}  # fmt: skip


async def listed(gateway: Gateway, sandbox: Sandbox, mirrored: Mirrored, row: dict[str, Any]) -> dict[str, Any]:
    """The listed form of *row*, the only one of the portal, without the properties that the gateway adds."""
    mirrored.fill(sandbox.portal.data, 0)
    table = mirrored.table(sandbox.portal.data)
    table[int(row.get("ID", row.get("id", 0)))] = row
    await gateway.connect(sandbox.webhook)
    (found,) = await gateway.rows(mirrored.name)
    assert isinstance(found.pop(mirrored.own_id), int)
    assert found.pop("accountID") == sandbox.host
    assert found.pop("deleted") is False
    created_at = found.pop("createdAt")
    if mirrored is USERS:
        assert created_at == "2027-01-15T08:00:00Z"
    else:
        assert created_at == 1_800_000_000
    return found


async def test_a_user_has_the_names_and_types_of_the_contract(gateway: Gateway, sandbox: Sandbox) -> None:
    row = {
        "ID": "77",
        "NAME": 'Анна "Ann" <b>',
        "LAST_NAME": "O’Neill\\ \u0001\n",
        "SECOND_NAME": "小明 🌷",
        "TITLE": "Dr.",
        "EMAIL": "ann@example.com",
        "UF_DEPARTMENT": [3, 1],
        "WORK_POSITION": "Engineer 🔧",
        "PERSONAL_MOBILE": "not kept",
    }
    assert await listed(gateway, sandbox, USERS, row) == {
        "bitrixUserID": "77",
        "name": 'Анна "Ann" <b>',
        "lastName": "O’Neill\\ \u0001\n",
        "secondName": "小明 🌷",
        "title": "Dr.",
        "email": "ann@example.com",
        "uf_department": [3, 1],
        "workPosition": "Engineer 🔧",
    }


@pytest.mark.parametrize(
    "empty",
    [
        {},
        dict.fromkeys(("NAME", "LAST_NAME", "SECOND_NAME", "TITLE", "EMAIL", "UF_DEPARTMENT", "WORK_POSITION")),
        dict.fromkeys(("NAME", "LAST_NAME", "SECOND_NAME", "TITLE", "EMAIL", "UF_DEPARTMENT", "WORK_POSITION"), ""),
        dict.fromkeys(("NAME", "LAST_NAME", "SECOND_NAME", "TITLE", "EMAIL", "UF_DEPARTMENT", "WORK_POSITION"), False),
    ],
    ids=["absent", "null", "empty", "false"],
)
async def test_a_user_without_values_has_empty_texts_and_no_email(
    gateway: Gateway, sandbox: Sandbox, empty: dict[str, Any]
) -> None:
    assert await listed(gateway, sandbox, USERS, {"ID": "5", **empty}) == {
        "bitrixUserID": "5",
        "name": "",
        "lastName": "",
        "secondName": "",
        "title": "",
        "uf_department": [],
        "workPosition": "",
    }


@pytest.mark.parametrize("email", ["", " ", "no address", "@example.com", "a b@example.com", "a@", 5, ["a@b.c"], {}])
async def test_an_invalid_email_address_is_left_out(gateway: Gateway, sandbox: Sandbox, email: object) -> None:
    assert "email" not in await listed(gateway, sandbox, USERS, {"ID": "5", "EMAIL": email})


@pytest.mark.parametrize(
    ("departments", "shown"),
    [([1, 3], [1, 3]), (["1", "3"], [1, 3]), (7, [7]), ("7", [7]), ([None, 1, "x", 2**31, {}, True], [1]), ({}, [])],
)
async def test_departments_are_32_bit_numbers(
    gateway: Gateway, sandbox: Sandbox, departments: object, shown: list[int]
) -> None:
    row = await listed(gateway, sandbox, USERS, {"ID": "5", "UF_DEPARTMENT": departments})
    assert row["uf_department"] == shown


@pytest.mark.parametrize(
    ("entity_id", "category_id", "pipeline_id"),
    [
        ("DEAL_STAGE_7", "7", 7),
        ("DEAL_STAGE_7", 7, 7),
        ("DEAL_STAGE_7", None, 7),
        ("DEAL_STAGE", None, 0),
        ("DEAL_STAGE", "0", 0),
        ("SMART_INVOICE_STAGE_9", None, 9),
        ("DYNAMIC_128_STAGE_12", None, 12),
        ("SOURCE", None, 0),
        ("EMPLOYEES_5", None, 0),
        ("DEAL_STAGE_99999999999", None, 0),
        ("DEAL_STAGE_7", "no number", 7),
    ],
)
async def test_a_step_has_its_pipeline(
    gateway: Gateway, sandbox: Sandbox, entity_id: str, category_id: object, pipeline_id: int
) -> None:
    row = {"ID": "5", "ENTITY_ID": entity_id, "STATUS_ID": "C7:WON", "NAME": "Won", "CATEGORY_ID": category_id}
    assert await listed(gateway, sandbox, STEPS, row) == {
        "bitrixID": "5",
        "entityID": entity_id,
        "statusID": "C7:WON",
        "name": "Won",
        "nameInit": "",
        "color": "",
        "pipelineID": pipeline_id,
    }


async def test_a_step_has_its_color_and_initial_name(gateway: Gateway, sandbox: Sandbox) -> None:
    row = {"ID": 5, "ENTITY_ID": "STATUS", "STATUS_ID": 1, "NAME": "Новый", "NAME_INIT": "New", "COLOR": "#39A8EF"}
    found = await listed(gateway, sandbox, STEPS, row)
    assert (found["nameInit"], found["color"], found["statusID"], found["bitrixID"]) == ("New", "#39A8EF", "1", "5")


async def test_a_pipeline_id_is_a_number_and_may_be_zero(gateway: Gateway, sandbox: Sandbox) -> None:
    row = {"id": 0, "name": "Общая", "sort": 300, "entityTypeId": 2, "isDefault": "Y"}
    assert await listed(gateway, sandbox, PIPELINES, row) == {"bitrixID": 0, "name": "Общая", "entityTypeId": 2}


async def test_pipelines_of_every_entity_type_are_listed_under_it(connected: Gateway, sandbox: Sandbox) -> None:
    shown = {(row["entityTypeId"], row["bitrixID"]) for row in await connected.rows("pipelines")}
    offered = sandbox.portal.data.categories
    assert shown == {(kind, row_id) for kind in (2, 3, 4, 31) for row_id in offered[kind]}
    assert (2, 2) in shown  # the same id under two types means two pipelines
    assert (4, 2) in shown


async def test_fields_of_every_entity_are_listed_under_it(connected: Gateway) -> None:
    rows = await connected.rows("fields")
    assert {row["entityID"] for row in rows} == ENTITIES
    assert {row["fieldType"] for row in rows if row["entityID"] == "CRM_LEAD"} == ENUM_TYPES
    assert all(isinstance(row["bitrixID"], str) for row in rows)


async def test_a_date_becomes_a_datetime_and_unknown_types_are_left_out_and_counted(
    gateway: Gateway, sandbox: Sandbox
) -> None:
    FIELDS.fill(sandbox.portal.data, 5)
    for field_id, kind in enumerate(("date", "resourcebooking", "partner_type", "", None), start=1):
        FIELDS.table(sandbox.portal.data)[field_id]["USER_TYPE_ID"] = kind
    await gateway.connect(sandbox.webhook)
    (row,) = await gateway.rows("fields")
    assert (row["bitrixID"], row["fieldType"]) == ("1", "datetime")
    (run,) = await gateway.sync("fields")
    assert (run["state"], run["rows"], run["leftOut"]) == ("done", 5, 4)


async def test_a_field_whose_type_becomes_unknown_is_removed(gateway: Gateway, sandbox: Sandbox) -> None:
    FIELDS.fill(sandbox.portal.data, 2)
    await gateway.connect(sandbox.webhook)
    FIELDS.table(sandbox.portal.data)[1] |= {"USER_TYPE_ID": "partner_type"}
    await gateway.sync("fields")
    assert FIELDS.ids(await gateway.rows("fields")) == [2]


@pytest.mark.parametrize(("language", "label"), [("ru", "Цвет"), ("en", "Colour"), ("kz", "UF_CRM_1")])
async def test_labels_have_the_configured_language_or_are_the_field_name(
    gateway: Gateway, sandbox: Sandbox, language: str, label: str
) -> None:
    data = sandbox.portal.data
    FIELDS.fill(data, 1)
    FIELDS.table(data)[1]["EDIT_FORM_LABEL"] = {"ru": "Цвет", "en": "Colour"}
    data.userfields["CRM_SMART_INVOICE"][9] = FIELDS.table(data)[1] | {"ID": "9", "ENTITY_ID": "CRM_SMART_INVOICE"}
    await gateway.restart(GATEWAY_FIELD_LANGUAGE=language)
    await gateway.connect(sandbox.webhook)
    assert {row["entityID"]: row["editFromLabel"] for row in await gateway.rows("fields")} == {
        "CRM_DEAL": label,
        "CRM_SMART_INVOICE": label,
    }


async def test_fields_of_smart_invoices_are_separated_from_the_others(connected: Gateway, sandbox: Sandbox) -> None:
    data = sandbox.portal.data
    shown = Counter(row["entityID"] for row in await connected.rows("fields"))
    known = sum(row["USER_TYPE_ID"] in ENUM_TYPES | {"date"} for row in data.userfields["CRM_SMART_INVOICE"].values())
    assert shown["CRM_SMART_INVOICE"] == known
    assert "CRM_SMART_DOCUMENT" in data.userfields


@each_list
async def test_rows_name_the_same_portal_as_the_account(gateway: Gateway, sandbox: Sandbox, mirrored: Mirrored) -> None:
    await authorize(gateway, sandbox)
    await gateway.synced()
    bitrix_id = (await gateway.get("/bitrix/account")).json["bitrixID"]
    assert bitrix_id == sandbox.portal.member_id
    assert {row["accountID"] for row in await gateway.rows(mirrored.name)} == {bitrix_id}


@each_list
async def test_a_row_is_created_at_its_first_sync(gateway: Gateway, sandbox: Sandbox, mirrored: Mirrored) -> None:
    mirrored.fill(sandbox.portal.data, 1)
    await gateway.connect(sandbox.webhook)
    await gateway.clock.advance(86_400)
    mirrored.add(sandbox.portal.data, 2)
    mirrored.relabel(sandbox.portal.data, 1, "changed")
    await gateway.sync(mirrored.name)
    old, new = await gateway.rows(mirrored.name)
    if mirrored is USERS:
        assert (old["createdAt"][:10], new["createdAt"][:10]) == ("2027-01-15", "2027-01-16")
    else:
        assert old["createdAt"] == 1_800_000_000
        assert 86_400 <= new["createdAt"] - old["createdAt"] < 86_500


async def test_a_large_unusual_portal_is_listed_completely(gateway: Gateway, sandbox: Sandbox) -> None:
    sandbox.portal.data.users.clear()
    sandbox.portal.data.users.update(PortalData.generate(users=1200, holes=0.7, seed=5).users)
    await gateway.connect(sandbox.webhook)
    rows = (await gateway.get("/bitrix/users?size=2000")).json["items"]
    assert USERS.labels(rows) == {user_id: row["NAME"] for user_id, row in sandbox.portal.data.users.items()}
