"""The fields of the presets of requisites."""

from typing import Any

import pytest

from gateway.sandbox.portal import SandboxPortal
from tests.sandbox.client import RestClient

PREFIX = "crm.requisite.preset.field"
PRESET = {"ID": 1}
NEW = {"FIELD_NAME": "RQ_NAME", "FIELD_TITLE": "TEST", "IN_SHORT_LIST": "N", "SORT": 580}


async def refusal(webhook: RestClient, verb: str, **params: Any) -> str:
    answer = await webhook.call(f"{PREFIX}.{verb}", **params)
    assert (answer.status, answer.error) == (400, "")
    return str(answer.body["error_description"])


async def available(webhook: RestClient) -> list[str]:
    return list((await webhook.call(f"{PREFIX}.availabletoadd", preset=PRESET)).result)


async def test_a_field_is_added_read_changed_and_deleted(webhook: RestClient) -> None:
    before = (await webhook.call(f"{PREFIX}.list", preset=PRESET)).result
    field_id = (await webhook.call(f"{PREFIX}.add", preset=PRESET, fields=NEW)).result
    assert field_id == len(before) + 1
    one = {"id": field_id, "preset": PRESET}
    assert (await webhook.call(f"{PREFIX}.get", **one)).result == {"ID": field_id, **NEW}
    changes = {"FIELD_NAME": "RQ_NAME", "FIELD_TITLE": "Name", "ID": 9}
    assert (await webhook.call(f"{PREFIX}.update", **one, fields=changes)).result is True
    assert (await webhook.call(f"{PREFIX}.list", preset=PRESET)).result == [
        *before,
        {"ID": field_id, **NEW, "FIELD_TITLE": "Name"},
    ]
    assert (await webhook.call(f"{PREFIX}.delete", **one)).result is True
    assert (await webhook.call(f"{PREFIX}.list", preset=PRESET)).result == before


async def test_a_field_is_added_once(webhook: RestClient, portal: SandboxPortal) -> None:
    names = await available(webhook)
    custom = {row["FIELD_NAME"] for row in portal.data.userfields["CRM_REQUISITE"].values()}
    assert {"RQ_NAME", "RQ_STAMP", *custom} <= set(names)
    assert not {"RQ_INN", "NAME", "ID"} & set(names)
    await webhook.call(f"{PREFIX}.add", preset=PRESET, fields=NEW)
    assert set(names) - set(await available(webhook)) == {"RQ_NAME"}
    assert await refusal(webhook, "add", preset=PRESET, fields=NEW) == "The field 'RQ_NAME' can not be added."
    assert await refusal(webhook, "add", preset=PRESET, fields={}) == "The field '' can not be added."


@pytest.mark.parametrize("verb", ["add", "get", "list", "update", "delete"])
async def test_a_field_needs_an_existing_preset(webhook: RestClient, portal: SandboxPortal, verb: str) -> None:
    params = {"preset": {"ID": 27}, "id": 1, "fields": NEW}
    assert await refusal(webhook, verb, **params) == "The Preset with ID '27' is not found"
    portal.deny("companies")
    assert await refusal(webhook, verb, **params) == "Access denied."


@pytest.mark.parametrize("verb", ["get", "update", "delete"])
async def test_a_missing_field_is_not_found(webhook: RestClient, verb: str) -> None:
    assert await refusal(webhook, verb, preset=PRESET, id=99) == "The PresetField with ID '99' is not found"
    assert await refusal(webhook, verb, preset=PRESET) == "ID is not defined or invalid."


async def test_a_missing_preset_has_no_available_fields(webhook: RestClient) -> None:
    assert await refusal(webhook, "availabletoadd", preset={"ID": 27}) == "Шаблон не найден."


async def test_a_new_preset_has_no_fields(webhook: RestClient) -> None:
    fields = {"ENTITY_TYPE_ID": 8, "COUNTRY_ID": 122, "NAME": "New"}
    preset = {"ID": (await webhook.call("crm.requisite.preset.add", fields=fields)).result}
    assert (await webhook.call(f"{PREFIX}.list", preset=preset)).result == []
    assert (await webhook.call(f"{PREFIX}.add", preset=preset, fields={"FIELD_NAME": "RQ_INN"})).result == 1
    assert (await webhook.call("crm.requisite.preset.delete", id=preset["ID"])).result is True


async def test_the_name_of_a_field_is_required(webhook: RestClient) -> None:
    fields = (await webhook.call(f"{PREFIX}.fields")).result
    assert list(fields) == ["ID", "FIELD_NAME", "FIELD_TITLE", "SORT", "IN_SHORT_LIST"]
    assert [name for name in fields if fields[name]["isRequired"]] == ["FIELD_NAME"]
