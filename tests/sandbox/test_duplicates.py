"""Searching records by phone or e-mail address, and merging them."""

from typing import Any

import pytest

from gateway.sandbox.content.records import multivalue
from gateway.sandbox.portal import SandboxPortal
from gateway.sandbox.settings import SandboxSettings
from tests.sandbox.client import RestClient
from tests.sandbox.examples import compare, documented
from tests.support.executed_lines import count_lines

FIND, MERGE = "crm.duplicate.findbycomm", "crm.entity.mergeBatch"
CONTACT = 3


def phones(*values: str) -> list[dict[str, str]]:
    return [multivalue(900_000 + place, "PHONE", value) for place, value in enumerate(values)]


def set_contact(portal: SandboxPortal, contact_id: int, **columns: Any) -> None:
    portal.data.write("contacts", contact_id, columns, portal.now())


async def find(webhook: RestClient, kind: str, *values: str, **params: Any) -> Any:
    return (await webhook.call(FIND, type=kind, values=list(values), **params)).result


@pytest.mark.parametrize(("kind", "table"), [("PHONE", "contacts"), ("EMAIL", "leads"), ("PHONE", "companies")])
async def test_every_generated_value_is_found(
    webhook: RestClient, portal: SandboxPortal, kind: str, table: str
) -> None:
    rows = portal.data.tables[table]
    ids = [row_id for row_id in rows if rows[row_id][kind]][-15:]
    values = [rows[row_id][kind][0]["VALUE"] for row_id in ids]
    assert list((await find(webhook, kind, *values)).values()) == [ids]


async def test_an_answer_has_the_documented_keys_and_types(webhook: RestClient, portal: SandboxPortal) -> None:
    set_contact(portal, 1, PHONE=phones("+49 30 1234567"))
    set_contact(portal, 2, PHONE=phones("+49 (30) 123-45-67", "112"))
    answer = await webhook.call(FIND, type="PHONE", values=["+49301234567"], entity_type="CONTACT")
    compare(answer.body, FIND)
    assert answer.result == {"CONTACT": [1, 2]}


@pytest.mark.parametrize(
    "value", ["8 (912) 345-67-89", "+7 912 345 67 89", "9123456789", "+79123456789 доб. 12", "79123456789;ext=3"]
)
async def test_phones_are_compared_without_form_country_and_extension(
    webhook: RestClient, portal: SandboxPortal, value: str
) -> None:
    set_contact(portal, 1, PHONE=phones("+7 (912) 345-67-89 #45"))
    assert await find(webhook, "PHONE", value) == {"CONTACT": [1]}


async def test_short_phones_are_equal_only_in_full(webhook: RestClient, portal: SandboxPortal) -> None:
    set_contact(portal, 1, PHONE=phones("897-65-43"))
    assert await find(webhook, "PHONE", "8976543") == {"CONTACT": [1]}
    assert await find(webhook, "PHONE", "976543", "78976543", "none") == []


async def test_emails_are_compared_without_case(webhook: RestClient, portal: SandboxPortal) -> None:
    set_contact(portal, 2, EMAIL=[multivalue(7, "EMAIL", "Anna@Example.org")])
    assert await find(webhook, "EMAIL", " anna@example.ORG ") == {"CONTACT": [2]}
    assert await find(webhook, "EMAIL", "LEADS1@example.com") == {"LEAD": [1]}


async def test_an_old_value_and_a_deleted_record_are_not_found(webhook: RestClient, portal: SandboxPortal) -> None:
    value = portal.data.records[CONTACT][1]["PHONE"][0]["VALUE"]
    set_contact(portal, 1, PHONE=phones("+491"))
    assert await find(webhook, "PHONE", value) == []
    assert await find(webhook, "PHONE", "+491") == {"CONTACT": [1]}
    del portal.data.records[CONTACT][1]
    assert await find(webhook, "PHONE", "+491") == []


async def test_enough_hits_of_one_type_hide_the_next_types(webhook: RestClient, portal: SandboxPortal) -> None:
    portal.data.write("companies", 1, {"PHONE": phones("+4930555")}, portal.now())
    for contact_id in range(1, 21):
        set_contact(portal, contact_id, PHONE=phones("+4930555"))
    assert await find(webhook, "PHONE", "4930555") == {"CONTACT": list(range(1, 21))}
    assert await find(webhook, "PHONE", "4930555", entity_type="company") == {"COMPANY": [1]}
    del portal.data.records[CONTACT][20]
    assert set(await find(webhook, "PHONE", "4930555")) == {"CONTACT", "COMPANY"}


async def test_values_after_the_twentieth_are_ignored(webhook: RestClient) -> None:
    emails = [*(f"nobody{number}@example.org" for number in range(20)), "leads1@example.com"]
    assert await find(webhook, "EMAIL", *emails) == []
    assert await find(webhook, "EMAIL", *emails[1:]) == {"LEAD": [1]}


@pytest.mark.parametrize("settings", [SandboxSettings(contacts=1_000_000)])
async def test_a_search_does_not_scan_the_table(webhook: RestClient, portal: SandboxPortal) -> None:
    table = portal.data.records[CONTACT]
    found = next(row_id for row_id in reversed(table.ids_between(0, table.next_id)[-9:]) if table[row_id]["PHONE"])
    values = [table[found]["PHONE"][0]["VALUE"], *(f"+4930{number:07d}" for number in range(19))]
    with count_lines() as lines:
        assert await find(webhook, "PHONE", *values) == {"CONTACT": [found]}
    assert lines.count < 500_000  # half a line a contact


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({"values": ["1"]}, "Communication type is not defined"),
        ({"type": "WEB", "values": ["1"]}, "Communication type 'WEB' is not supported in current context"),
        ({"type": "PHONE"}, "Communication values is not defined"),
        ({"type": "PHONE", "values": []}, "Communication values is not defined"),
        ({"type": "PHONE", "values": "1"}, "Communication values is not defined"),
    ],
)
async def test_a_search_needs_a_type_and_values(webhook: RestClient, params: dict[str, Any], code: str) -> None:
    answer = await webhook.call(FIND, **params)
    assert (answer.status, answer.error) == (400, code)
    if "type" not in params:
        assert answer.body == documented(f"{FIND}.error")


async def test_a_search_skips_denied_types(webhook: RestClient, portal: SandboxPortal) -> None:
    portal.deny("contacts")
    assert await find(webhook, "EMAIL", "contacts1@example.com", "leads1@example.com") == {"LEAD": [1]}
    answer = await webhook.call(FIND, type="EMAIL", values=["contacts1@example.com"], entity_type="CONTACT")
    assert (answer.status, answer.error) == (403, "Access denied")


async def merge(webhook: RestClient, *ids: int, type_id: int = CONTACT) -> Any:
    return await webhook.call(MERGE, params={"entityTypeId": type_id, "entityIds": list(ids)})


def make_twins(portal: SandboxPortal, *ids: int, **columns: Any) -> None:
    """Make contacts equal to the first of *ids*, except for *columns*."""
    table = portal.data.records[CONTACT]
    for contact_id in ids[1:]:
        table[contact_id] = {**table[ids[0]], "ID": str(contact_id), **columns}


async def test_equal_records_are_merged_into_the_first(webhook: RestClient, portal: SandboxPortal) -> None:
    make_twins(portal, 1, 2, 3, PHONE=phones("+491"), ASSIGNED_BY_ID="2", COMMENTS="Second")
    set_contact(portal, 1, POST="", COMMENTS="First")
    set_contact(portal, 3, POST="Director")
    phone = portal.data.records[CONTACT][1]["PHONE"]
    comment = {"ENTITY_TYPE": "contact", "ENTITY_ID": 2, "COMMENT": "Kept"}
    await webhook.call("crm.timeline.comment.add", fields=comment)
    answer = await merge(webhook, 1, 2, 3)
    compare(answer.body, MERGE)
    assert answer.result == {"STATUS": "SUCCESS", "ENTITY_IDS": [2, 3]}
    record = (await webhook.call("crm.contact.get", id=1)).result
    assert (record["POST"], record["COMMENTS"]) == ("Director", "First\nSecond")
    assert record["PHONE"] == [*phone, *phones("+491")]
    assert not {2, 3} & set(portal.data.records[CONTACT])
    requisites = (await webhook.call("crm.requisite.list", filter={"ENTITY_TYPE_ID": 3, "ENTITY_ID": 1})).result
    addresses = (await webhook.call("crm.address.list", filter={"ANCHOR_ID": 1})).result
    assert {row["ID"] for row in requisites} == {row["ENTITY_ID"] for row in addresses} == {"1", "2", "3"}
    assert (await webhook.call("crm.timeline.comment.list", filter={**comment, "ENTITY_ID": 1})).body["total"] == 1


async def test_different_values_are_a_conflict(webhook: RestClient, portal: SandboxPortal) -> None:
    make_twins(portal, 1, 2)
    set_contact(portal, 2, LAST_NAME="Smith")
    assert (await merge(webhook, 1, 2)).result == {"STATUS": "CONFLICT", "ENTITY_IDS": []}
    assert {1, 2} <= set(portal.data.records[CONTACT])


@pytest.mark.parametrize(
    ("params", "text"),
    [
        ({"entityIds": [1, 2]}, "The parameter entityTypeId is required."),
        ({"entityTypeId": 8, "entityIds": [1, 2]}, "Entity type 8 is not supported"),
        ({"entityTypeId": 3}, "The parameter entityIds does not contains valid elements."),
        ({"entityTypeId": 3, "entityIds": [0, "x"]}, "The parameter entityIds does not contains valid elements."),
        ({"entityTypeId": 3, "entityIds": [1, "1"]}, "The parameter entityIds must contains at least two elements."),
        ({"entityTypeId": 3, "entityIds": [1, 999_999]}, "Owner was not found"),
    ],
)
async def test_a_merge_needs_two_records_of_one_type(webhook: RestClient, params: dict[str, Any], text: str) -> None:
    answer = await webhook.call(MERGE, params=params)
    assert (answer.status, answer.body) == (400, {**documented(f"{MERGE}.error"), "error_description": text})


async def test_a_merge_needs_an_administrator_with_the_right_to_the_records(
    webhook: RestClient, anonymous: RestClient, portal: SandboxPortal, tokens_of: Any
) -> None:
    params = {"entityTypeId": 3, "entityIds": [1, 2]}
    answer = await anonymous.call(f"/rest/{MERGE}", auth=tokens_of(2), params=params)
    assert (answer.status, answer.body) == (403, {"error": 0, "error_description": "Access denied"})
    portal.deny("contacts")
    assert (await merge(webhook, 1, 2)).status == 403
