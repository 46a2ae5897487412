"""Requisites of contacts and companies, their presets and their bank details."""

from typing import Any

import pytest

from gateway.sandbox.portal import SandboxPortal
from tests.clock import ManualClock
from tests.sandbox.client import RestClient, row_ids
from tests.sandbox.examples import compare, documented

NEW = {
    "crm.requisite": {
        "ENTITY_TYPE_ID": 4, "ENTITY_ID": 1, "PRESET_ID": 1, "NAME": "Organization", "XML_ID": "5e4641fd",
        "ACTIVE": "Y", "ADDRESS_ONLY": "N", "SORT": 500, "RQ_COMPANY_NAME": "Ltd.", "RQ_COMPANY_FULL_NAME": "Limited",
        "RQ_COMPANY_REG_DATE": "06.04.2007", "RQ_DIRECTOR": "SMITH JOHN", "RQ_INN": "1717586110",
        "RQ_KPP": "770501001", "RQ_OGRN": "5077746476209",
    },
    "crm.requisite.preset": {
        "ENTITY_TYPE_ID": 8, "COUNTRY_ID": 1, "NAME": "Smith LLC", "XML_ID": "EXAMPLE_1", "ACTIVE": "Y", "SORT": 520,
    },
    "crm.requisite.bankdetail": {"ENTITY_ID": 1, "NAME": "Bank", "RQ_BIK": "044525225", "SORT": 600},
}  # fmt: skip
TITLES = {
    "crm.requisite": "Requisite",
    "crm.requisite.preset": "Preset",
    "crm.requisite.bankdetail": "RequisiteBankDetail",
}
PREFIXES = tuple(NEW)
DOCUMENTED = ("crm.requisite", "crm.requisite.preset")


@pytest.mark.parametrize("prefix", PREFIXES)
async def test_a_row_is_added_read_changed_and_deleted(webhook: RestClient, clock: ManualClock, prefix: str) -> None:
    row_id = (await webhook.call(f"{prefix}.add", fields=NEW[prefix])).result
    row = (await webhook.call(f"{prefix}.get", id=row_id)).result
    assert row["ID"] == str(row_id)
    assert {name: row[name] for name in NEW[prefix]} == {name: str(value) for name, value in NEW[prefix].items()}
    assert (row["DATE_MODIFY"], row["MODIFY_BY_ID"], row["CREATED_BY_ID"]) == ("", None, "1")
    await clock.advance(60)
    changes = {"NAME": "Renamed", "SORT": "7 or so", "ACTIVE": "no", "ID": 9, "CREATED_BY_ID": 9, "ENTITY_ID": 9}
    assert (await webhook.call(f"{prefix}.update", id=row_id, fields=changes)).result is True
    [changed] = (await webhook.call(f"{prefix}.list", filter={"=ID": row_id})).result
    assert changed["DATE_MODIFY"] > row["DATE_CREATE"]
    stamps = {"DATE_MODIFY": changed["DATE_MODIFY"], "MODIFY_BY_ID": "1"}
    assert {name: changed[name] for name in row} == {**row, "NAME": "Renamed", "SORT": "7", "ACTIVE": "N", **stamps}
    assert (await webhook.call(f"{prefix}.delete", id=row_id)).result is True
    assert (await webhook.call(f"{prefix}.list", filter={"ID": row_id})).result == []
    assert (await webhook.call(f"{prefix}.add", fields=NEW[prefix])).result == row_id + 1


@pytest.mark.parametrize("prefix", DOCUMENTED)
async def test_answers_have_the_documented_keys_and_types(webhook: RestClient, prefix: str) -> None:
    added = await webhook.call(f"{prefix}.add", fields=NEW[prefix])
    compare(added.body, f"{prefix}.add")
    compare((await webhook.call(f"{prefix}.get", id=added.result)).body, f"{prefix}.get")
    select = list(documented(f"{prefix}.list")["result"][0])
    compare((await webhook.call(f"{prefix}.list", select=select)).body, f"{prefix}.list")
    compare((await webhook.call(f"{prefix}.update", id=added.result, fields={"SORT": 1})).body, f"{prefix}.update")
    compare((await webhook.call(f"{prefix}.delete", id=added.result)).body, f"{prefix}.delete")


@pytest.mark.parametrize("prefix", DOCUMENTED)
async def test_fields_are_described_as_documented(webhook: RestClient, prefix: str) -> None:
    reference = documented(f"{prefix}.fields")["result"]
    ours = (await webhook.call(f"{prefix}.fields")).result
    standard = [name for name in reference if not reference[name]["isDynamic"]]
    assert [name for name in ours if not ours[name]["isDynamic"]] == standard
    for name in standard:
        assert {**ours[name], "title": ""} == {**reference[name], "title": ""}, name


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize("verb", ["get", "update", "delete"])
async def test_a_missing_row_is_not_found(webhook: RestClient, prefix: str, verb: str) -> None:
    answer = await webhook.call(f"{prefix}.{verb}", id=5700, fields={"NAME": "New"})
    text = f"The {TITLES[prefix]} with ID '5700' is not found"
    assert (answer.status, answer.body) == (400, {"error": "", "error_description": text})
    if prefix in DOCUMENTED:
        expected = documented(f"{prefix}.{verb}.error")["error_description"]
        assert text.replace("5700", "") == expected.replace("57", "").replace("347", "").replace("27", "")
    for wrong in (0, "x", -1, [7]):
        answer = await webhook.call(f"{prefix}.{verb}", id=wrong)
        assert answer.body == {"error": "", "error_description": "ID is not defined or invalid."}


@pytest.mark.parametrize(
    ("prefix", "fields", "text"),
    [
        ("crm.requisite", {"ENTITY_TYPE_ID": 2}, "ENTITY_TYPE_ID is not defined or invalid."),
        ("crm.requisite", {"ENTITY_ID": 0}, "ENTITY_ID is not defined or invalid."),
        ("crm.requisite", {"ENTITY_ID": 999_999}, "Entity not found."),
        ("crm.requisite", {"PRESET_ID": 99}, "PRESET_ID is not defined or invalid."),
        ("crm.requisite", {"NAME": ""}, "NAME is not defined or invalid."),
        ("crm.requisite.preset", {"ENTITY_TYPE_ID": 3}, "ENTITY_TYPE_ID is not defined or invalid"),
        ("crm.requisite.preset", {"COUNTRY_ID": 2}, "COUNTRY_ID is not defined or invalid"),
        ("crm.requisite.bankdetail", {"ENTITY_ID": 99}, "ENTITY_ID is not defined or invalid."),
    ],
)
async def test_a_row_needs_valid_fields(webhook: RestClient, prefix: str, fields: dict[str, Any], text: str) -> None:
    answer = await webhook.call(f"{prefix}.add", fields={**NEW[prefix], **fields})
    assert (answer.status, answer.body) == (400, {"error": "", "error_description": text})


@pytest.mark.parametrize("prefix", PREFIXES)
async def test_fields_must_be_an_array(webhook: RestClient, prefix: str) -> None:
    answer = await webhook.call(f"{prefix}.add", fields="NAME")
    assert answer.body == {"error": "", "error_description": "Parameter 'fields' must be array."}
    assert "is not defined or invalid" in (await webhook.call(f"{prefix}.add")).body["error_description"]


@pytest.mark.parametrize("example", ["crm.requisite.add.error", "crm.requisite.preset.add.error"])
async def test_a_row_without_fields_is_refused_as_documented(webhook: RestClient, example: str) -> None:
    answer = await webhook.call(example.removesuffix(".error"), fields={})
    assert (answer.status, answer.body) == (400, documented(example))


@pytest.mark.parametrize("prefix", DOCUMENTED)
async def test_without_the_right_to_owners_a_list_is_refused(
    webhook: RestClient, portal: SandboxPortal, prefix: str
) -> None:
    portal.deny("contacts")
    portal.deny("companies")
    answer = await webhook.call(f"{prefix}.list")
    assert (answer.status, answer.body) == (400, documented(f"{prefix}.list.error"))
    for verb in ("get", "update", "delete"):
        answer = await webhook.call(f"{prefix}.{verb}", id=1)
        assert answer.body == {"error": "", "error_description": "Access denied."}
    answer = await webhook.call(f"{prefix}.add", fields=NEW[prefix])
    assert answer.body == {"error": "", "error_description": "Access denied."}


async def test_bank_details_follow_the_rights_to_their_owner(webhook: RestClient, portal: SandboxPortal) -> None:
    detail_id = (await webhook.call("crm.requisite.bankdetail.add", fields=NEW["crm.requisite.bankdetail"])).result
    portal.deny("contacts")
    denied = {"error": "", "error_description": "Access denied."}
    assert (await webhook.call("crm.requisite.bankdetail.get", id=detail_id)).body == denied
    assert (await webhook.call("crm.requisite.bankdetail.list")).status == 200
    portal.deny("companies")
    assert (await webhook.call("crm.requisite.bankdetail.list")).body == denied


async def test_every_generated_address_belongs_to_a_requisite(webhook: RestClient) -> None:
    addresses = (await webhook.call("crm.address.list")).result
    requisites = {row["ID"]: row for row in (await webhook.call("crm.requisite.list")).result}
    assert {row["ENTITY_ID"] for row in addresses} == set(requisites)
    for row in addresses:
        owner = requisites[row["ENTITY_ID"]]
        assert (row["ANCHOR_TYPE_ID"], row["ANCHOR_ID"]) == (owner["ENTITY_TYPE_ID"], owner["ENTITY_ID"])


async def test_requisites_are_filtered_ordered_and_selected(webhook: RestClient) -> None:
    conditions = {"!%RQ_INN": "1", ">ID": 3, "ENTITY_TYPE_ID": 3, "NOPE": 1}
    rows = (await webhook.call("crm.requisite.list", filter=conditions, order={"ID": "DESC"}, select=["ID"])).result
    assert row_ids(rows) == [20, 9, 8, 7, 6, 5, 4]
    assert set(rows[0]) == {"ID"}


async def test_a_custom_field_is_stored_and_listed_on_request(webhook: RestClient, portal: SandboxPortal) -> None:
    fields = {row["USER_TYPE_ID"]: row["FIELD_NAME"] for row in portal.data.userfields["CRM_REQUISITE"].values()}
    values = {fields["double"]: 45, fields["boolean"]: "1", fields["datetime"]: "2026-01-02T03:04:05+03:00"}
    row_id = (await webhook.call("crm.requisite.add", fields={**NEW["crm.requisite"], **values, "NOPE": 1})).result
    answer = await webhook.call("crm.requisite.list", filter={fields["double"]: 45}, select=list(values))
    assert answer.result == [{name: str(value) for name, value in values.items()}]
    assert not any(
        name.startswith(("UF_", "NOPE")) for name in (await webhook.call("crm.requisite.get", id=row_id)).result
    )


async def test_a_deleted_requisite_takes_its_addresses_and_bank_details_with_it(
    webhook: RestClient, portal: SandboxPortal
) -> None:
    await webhook.call("crm.requisite.bankdetail.add", fields=NEW["crm.requisite.bankdetail"])
    assert (await webhook.call("crm.requisite.delete", id=1)).result is True
    assert portal.data.bank_details == {}
    assert "1" not in {row["ENTITY_ID"] for row in portal.data.addresses.values()}
    assert len(portal.data.requisites) == 19


async def test_a_preset_in_use_cannot_be_deleted(webhook: RestClient) -> None:
    answer = await webhook.call("crm.requisite.preset.delete", id=3)
    text = "Вы не можете удалить шаблон, так как по нему уже созданы реквизиты"
    assert (answer.status, answer.body) == (400, {"error": "", "error_description": text})
    assert (await webhook.call("crm.requisite.preset.delete", id=4)).result is True


async def test_countries_are_listed_as_documented(webhook: RestClient) -> None:
    answer = await webhook.call("crm.requisite.preset.countries")
    compare(answer.body, "crm.requisite.preset.countries")
    expected = documented("crm.requisite.preset.countries")["result"]
    assert [row["CODE"] for row in answer.result] == [row["CODE"] for row in expected]


async def test_a_bank_detail_has_the_country_of_the_preset(webhook: RestClient) -> None:
    preset = {**NEW["crm.requisite.preset"], "COUNTRY_ID": 46}
    preset_id = (await webhook.call("crm.requisite.preset.add", fields=preset)).result
    requisite = {**NEW["crm.requisite"], "PRESET_ID": preset_id}
    requisite_id = (await webhook.call("crm.requisite.add", fields=requisite)).result
    detail = {**NEW["crm.requisite.bankdetail"], "ENTITY_ID": requisite_id, "COUNTRY_ID": 1}
    detail_id = (await webhook.call("crm.requisite.bankdetail.add", fields=detail)).result
    assert (await webhook.call("crm.requisite.bankdetail.get", id=detail_id)).result["COUNTRY_ID"] == "46"
