"""Writing addresses, which have no id: of requisites and of leads."""

from typing import Any

import pytest

from gateway.sandbox.portal import SandboxPortal
from tests.sandbox.client import RestClient
from tests.sandbox.examples import compare, documented

KEY = {"TYPE_ID": 9, "ENTITY_TYPE_ID": 8, "ENTITY_ID": 3}
NEW = {**KEY, "ADDRESS_1": "Main street 1", "CITY": "Berlin", "ANCHOR_ID": 99, "NOPE": 1}


async def stored(webhook: RestClient, **key: int) -> list[dict[str, Any]]:
    return list((await webhook.call("crm.address.list", filter={**KEY, **key})).result)


async def test_an_address_is_added_changed_and_deleted(webhook: RestClient) -> None:
    compare((await webhook.call("crm.address.add", fields=NEW)).body, "crm.address.add")
    [row] = await stored(webhook)
    assert (row["ADDRESS_1"], row["CITY"], row["POSTAL_CODE"]) == ("Main street 1", "Berlin", "")
    assert (row["ANCHOR_TYPE_ID"], row["ANCHOR_ID"]) == ("3", "3")
    compare((await webhook.call("crm.address.update", fields={**KEY, "CITY": "Köln"})).body, "crm.address.update")
    assert await stored(webhook) == [{**row, "CITY": "Köln"}]
    compare((await webhook.call("crm.address.delete", fields=KEY)).body, "crm.address.delete")
    assert await stored(webhook) == []


async def test_an_added_address_has_the_documented_columns(webhook: RestClient) -> None:
    await webhook.call("crm.address.add", fields=NEW)
    compare((await webhook.call("crm.address.list", filter=KEY)).body, "crm.address.list.2")


async def test_a_lead_is_its_own_anchor(webhook: RestClient) -> None:
    fields = {**NEW, "ENTITY_TYPE_ID": 1, "ENTITY_ID": 1}
    assert (await webhook.call("crm.address.add", fields=fields)).result is True
    [row] = await stored(webhook, ENTITY_TYPE_ID=1, ENTITY_ID=1)
    assert (row["ANCHOR_TYPE_ID"], row["ANCHOR_ID"]) == ("1", "1")


async def test_a_location_is_copied_only_if_no_text_is_given(webhook: RestClient) -> None:
    [source] = await stored(webhook, TYPE_ID=1)
    location = {"LOC_ADDR_ID": source["LOC_ADDR_ID"]}
    await webhook.call("crm.address.add", fields={**KEY, **location})
    await webhook.call("crm.address.add", fields={**KEY, **location, "TYPE_ID": 11, "CITY": "Berlin"})
    [copied], [written] = await stored(webhook), await stored(webhook, TYPE_ID=11)
    assert copied == {**source, "TYPE_ID": "9"}
    assert (written["CITY"], written["ADDRESS_1"], written["LOC_ADDR_ID"]) == ("Berlin", "", source["LOC_ADDR_ID"])


@pytest.mark.parametrize("verb", ["add", "update", "delete"])
@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"TYPE_ID": 2}, "TYPE_ID is not defined or invalid."),
        ({"ENTITY_TYPE_ID": 3}, "ENTITY_TYPE_ID is not defined or invalid."),
        ({"ENTITY_TYPE_ID": 4}, "ENTITY_TYPE_ID is not defined or invalid."),
        ({"ENTITY_ID": "x"}, "ENTITY_ID is not defined or invalid."),
    ],
)
async def test_an_address_needs_a_valid_key(webhook: RestClient, verb: str, fields: dict[str, Any], text: str) -> None:
    answer = await webhook.call(f"crm.address.{verb}", fields={**KEY, **fields})
    assert (answer.status, answer.body) == (400, {"error": "", "error_description": text})


@pytest.mark.parametrize("verb", ["add", "update"])
async def test_a_missing_owner_is_refused_as_documented(webhook: RestClient, verb: str) -> None:
    answer = await webhook.call(f"crm.address.{verb}", fields={"TYPE_ID": 1, "ENTITY_TYPE_ID": 8})
    assert (answer.status, answer.body) == (400, documented(f"crm.address.{verb}.error"))


@pytest.mark.parametrize("verb", ["update", "delete"])
async def test_a_missing_address_is_not_found(webhook: RestClient, verb: str) -> None:
    answer = await webhook.call(f"crm.address.{verb}", fields=KEY)
    assert (answer.status, answer.body) == (400, documented("crm.address.delete.error"))


async def test_a_requisite_has_one_address_of_each_kind(webhook: RestClient) -> None:
    answer = await webhook.call("crm.address.add", fields={**NEW, "TYPE_ID": 1})
    assert (answer.status, answer.body) == (400, {"error": "", "error_description": "TypeAddress exists."})


@pytest.mark.parametrize("owner", [{"ENTITY_ID": 999}, {"ENTITY_TYPE_ID": 1, "ENTITY_ID": 999_999}])
async def test_an_address_of_a_missing_owner_is_denied(webhook: RestClient, owner: dict[str, int]) -> None:
    answer = await webhook.call("crm.address.add", fields={**NEW, **owner})
    assert answer.body == {"error": "", "error_description": "Access denied."}


async def test_an_address_of_a_denied_contact_is_denied(webhook: RestClient, portal: SandboxPortal) -> None:
    portal.deny("contacts")
    for verb, key in (("add", KEY), ("update", {**KEY, "TYPE_ID": 1}), ("delete", {**KEY, "TYPE_ID": 1})):
        answer = await webhook.call(f"crm.address.{verb}", fields=key)
        assert answer.body == {"error": "", "error_description": "Access denied."}


async def test_fields_of_addresses_are_described_as_documented(webhook: RestClient) -> None:
    compare((await webhook.call("crm.address.fields")).body, "crm.address.fields")
    reference = documented("crm.address.fields")["result"]
    fields = (await webhook.call("crm.address.fields")).result
    assert {name: {**row, "title": ""} for name, row in fields.items()} == {
        name: {**row, "title": ""} for name, row in reference.items()
    }
