"""The contacts of leads, deals, companies and quotes, and the companies of contacts."""

from typing import Any

import pytest

from gateway.sandbox.content.catalog import CONTACT
from gateway.sandbox.content.client_bindings import contacts_of
from gateway.sandbox.content.events import Handler
from gateway.sandbox.content.portal_data import PortalData
from gateway.sandbox.portal import SandboxPortal
from tests.clock import ManualClock
from tests.sandbox.client import RestClient
from tests.sandbox.examples import compare, documented
from tests.support.executed_lines import count_lines

GROUPS = ["lead.contact", "deal.contact", "company.contact", "quote.contact", "contact.company"]
NEW = {"TITLE": "New", "NAME": "New"}


def key_of(group: str) -> str:
    return f"{group.partition('.')[2].upper()}_ID"


async def add(client: RestClient, entity: str, **fields: Any) -> int:
    return int((await client.call(f"crm.{entity}.add", fields=NEW | fields)).result)


async def items(client: RestClient, group: str, owner: int) -> list[tuple[int, int, str]]:
    rows = (await client.call(f"crm.{group}.items.get", id=owner)).result
    return [(row[key_of(group)], row["SORT"], row["IS_PRIMARY"]) for row in rows]


@pytest.fixture
async def made(webhook: RestClient, group: str) -> tuple[int, list[int]]:
    """A new owner, and three new records to bind."""
    owner, _, bound = group.partition(".")
    return await add(webhook, owner), [await add(webhook, bound) for _ in range(3)]


@pytest.mark.parametrize("group", GROUPS)
async def test_bindings_live_from_add_to_delete(webhook: RestClient, group: str, made: tuple[int, list[int]]) -> None:
    owner, (one, two, three) = made
    key = key_of(group)

    async def change(name: str, **params: Any) -> Any:
        answer = await webhook.call(f"crm.{group}.{name}", id=owner, **params)
        compare(answer.body, f"crm.{group}.{name}")
        return answer.result

    compare((await webhook.call(f"crm.{group}.fields")).body, f"crm.{group}.fields")
    assert await items(webhook, group, owner) == []
    assert await change("add", fields={key: one}) is True
    assert await change("add", fields={key: two, "SORT": 5, "IS_PRIMARY": "N"}) is True
    assert await change("add", fields={key: one}) is False
    assert await items(webhook, group, owner) == [(two, 5, "N"), (one, 10, "Y")]
    assert await change("add", fields={key: three, "IS_PRIMARY": "Y"}) is True
    compare((await webhook.call(f"crm.{group}.items.get", id=owner)).body, f"crm.{group}.items.get")
    assert await items(webhook, group, owner) == [(two, 5, "N"), (one, 10, "N"), (three, 20, "Y")]
    assert await change("delete", fields={key: three}) is True
    assert await change("delete", fields={key: three}) is False
    assert await items(webhook, group, owner) == [(two, 5, "Y"), (one, 10, "N")]
    assert await change("items.set", items=[{key: three}, {key: one, "IS_PRIMARY": "Y"}]) is True
    assert await items(webhook, group, owner) == [(one, 10, "Y"), (three, 20, "N")]
    assert await change("items.set", items={"0": {key: two}, "1": {"SORT": 1}}) is True
    assert await items(webhook, group, owner) == [(two, 30, "Y")]
    assert await change("items.delete") is True
    assert await items(webhook, group, owner) == []


@pytest.mark.parametrize("group", GROUPS)
async def test_a_change_gives_the_owner_a_new_modified_time(
    webhook: RestClient, portal: SandboxPortal, clock: ManualClock, group: str, made: tuple[int, list[int]]
) -> None:
    owner, (one, *_) = made
    entity = group.partition(".")[0]
    event = Handler(f"ONCRM{entity.upper()}UPDATE", offline=True)
    portal.data.events.handlers.append(event)
    await clock.advance(60)
    await webhook.call(f"crm.{group}.add", id=owner, fields={key_of(group): one})
    record = (await webhook.call(f"crm.{entity}.get", id=owner)).result
    assert record["DATE_MODIFY"] == "2027-01-15T11:01:00+03:00"
    other = (await webhook.call(f"crm.{group.partition('.')[2]}.get", id=one)).result
    assert other["DATE_MODIFY"] == "2027-01-15T11:00:00+03:00"
    assert [row["EVENT_DATA"]["FIELDS"]["ID"] for row in portal.data.offline_events.values()] == [str(owner)]


@pytest.mark.parametrize("group", ["lead.contact", "deal.contact", "quote.contact", "contact.company"])
async def test_the_columns_of_the_record_agree(webhook: RestClient, group: str, made: tuple[int, list[int]]) -> None:
    owner, (one, two, three) = made
    entity, key = group.partition(".")[0], key_of(group)
    await webhook.call(f"crm.{group}.items.set", id=owner, items=[{key: one}, {key: two, "IS_PRIMARY": "Y"}])
    assert (await webhook.call(f"crm.{entity}.get", id=owner)).result[key] == str(two)
    await webhook.call(f"crm.{entity}.update", id=owner, fields={f"{key}S": [three, one]})
    assert await items(webhook, group, owner) == [(three, 10, "Y"), (one, 20, "N")]
    await webhook.call(f"crm.{entity}.update", id=owner, fields={key: two})
    assert await items(webhook, group, owner) == [(two, 10, "Y"), (one, 20, "N")]


async def test_companies_and_contacts_have_one_relation(webhook: RestClient) -> None:
    contacts = [await add(webhook, "contact") for _ in range(2)]
    company = await add(webhook, "company", CONTACT_ID=contacts[:1])
    assert await items(webhook, "contact.company", contacts[0]) == [(company, 10, "Y")]
    await webhook.call("crm.contact.company.add", id=contacts[1], fields={"COMPANY_ID": company})
    assert await items(webhook, "company.contact", company) == [(contacts[0], 10, "Y"), (contacts[1], 20, "N")]
    await webhook.call("crm.company.contact.delete", id=company, fields={"CONTACT_ID": contacts[0]})
    assert (await webhook.call("crm.contact.get", id=contacts[0])).result["COMPANY_ID"] is None
    await webhook.call("crm.contact.update", id=contacts[1], fields={"COMPANY_IDS": []})
    assert await items(webhook, "company.contact", company) == []
    await webhook.call("crm.contact.company.add", id=contacts[1], fields={"COMPANY_ID": company})
    await webhook.call("crm.company.delete", id=company)
    assert await items(webhook, "contact.company", contacts[1]) == []


async def test_generated_contacts_belong_to_their_companies(webhook: RestClient, portal: SandboxPortal) -> None:
    contact = next(row for row in portal.data.records[CONTACT].values() if row["COMPANY_ID"])
    company = int(contact["COMPANY_ID"])
    found = await items(webhook, "company.contact", company)
    assert int(contact["ID"]) in [contact_id for contact_id, _, _ in found]
    assert (await webhook.call("crm.company.contact.items.delete", id=company)).result is True
    assert await items(webhook, "contact.company", int(contact["ID"])) == []


@pytest.mark.parametrize("group", GROUPS)
@pytest.mark.parametrize("method", ["add", "delete", "items.get", "items.set", "items.delete"])
async def test_an_error_is_as_documented(webhook: RestClient, group: str, method: str) -> None:
    error = documented(f"crm.{group}.{method}.error")
    params: dict[str, Any] = {"id": 999_999, "fields": {key_of(group): 1}, "items": [{key_of(group): 1}]}
    if "ownerEntityID" in error["error_description"]:
        params |= {"id": 0}
    if "items" in error["error_description"]:
        params |= {"items": "x"}
    answer = await webhook.call(f"crm.{group}.{method}", **params)
    text = answer.body["error_description"].rstrip(".")
    assert (answer.status, answer.error, text) == (400, error["error"], error["error_description"].rstrip("."))


@pytest.mark.parametrize(
    ("method", "params", "text"),
    [
        ("add", {"fields": 1}, "The parameter 'fields' must be array."),
        ("add", {"fields": {}}, "The parameter 'fields' is not valid."),
        ("add", {"fields": {"CONTACT_ID": -1}}, "The parameter 'fields' is not valid."),
        ("delete", {}, "The parameter 'item' must be array."),
        ("items.set", {}, "The parameter items must be array."),
        (
            "items.set",
            {"items": [{"CONTACT_ID": 999_999}]},
            "[Contact #999999] You do not have permission to view this item",
        ),
    ],
)
async def test_bad_arguments_are_refused(webhook: RestClient, method: str, params: dict[str, Any], text: str) -> None:
    answer = await webhook.call(f"crm.quote.contact.{method}", id=await add(webhook, "quote"), **params)
    assert (answer.status, answer.body) == (400, {"error": "", "error_description": text})


@pytest.mark.parametrize(("group", "table", "status"), [("deal", "deals", 400), ("quote", "quotes", 403)])
async def test_without_rights_there_are_no_bindings(
    webhook: RestClient, portal: SandboxPortal, group: str, table: str, status: int
) -> None:
    portal.deny(table)
    answer = await webhook.call(f"crm.{group}.contact.items.get", id=1)
    denied = {"error": "ACCESS_DENIED", "error_description": "Access denied!"}
    assert (answer.status, answer.body) == (status, denied)


def test_the_contacts_of_a_company_are_found_without_making_whole_contacts() -> None:
    data = PortalData.generate(users=1, holes=0.3, seed=1, records={"companies": 1000, "contacts": 10_000})
    company = next(int(row["COMPANY_ID"]) for row in data.records[CONTACT].values() if row["COMPANY_ID"])
    with count_lines() as lines:
        assert contacts_of(data, company)
        assert contacts_of(data, 10_000_000) == []
    assert lines.count < 100_000  # ten lines a contact


async def test_a_deleted_contact_leaves_all_records(webhook: RestClient, clock: ManualClock) -> None:
    gone, low, high = sorted([await add(webhook, "contact") for _ in range(3)])[:3]
    owners = {name: await add(webhook, name, CONTACT_IDS=[gone, high, low]) for name in ("lead", "deal", "quote")}
    item = (await webhook.call("crm.item.add", entityTypeId=31, fields={"contactIds": [gone, high]})).result["item"]
    company = await add(webhook, "company")
    await webhook.call("crm.company.contact.add", id=company, fields={"CONTACT_ID": gone})
    before = {name: (await webhook.call(f"crm.{name}.get", id=owner)).result for name, owner in owners.items()}
    await clock.advance(60)
    await webhook.call("crm.contact.delete", id=gone)
    for name, owner in owners.items():
        row = (await webhook.call(f"crm.{name}.get", id=owner)).result
        assert (row["CONTACT_ID"], row["DATE_MODIFY"]) == (str(low), before[name]["DATE_MODIFY"])
        assert sorted(contact for contact, *_ in await items(webhook, f"{name}.contact", owner)) == [low, high]
    shown = (await webhook.call("crm.item.get", entityTypeId=31, id=item["id"])).result["item"]
    assert (shown["contactId"], shown["contactIds"], shown["updatedTime"]) == (high, [high], item["updatedTime"])
    assert await items(webhook, "company.contact", company) == []


async def test_a_deleted_company_leaves_contacts_leads_and_deals(webhook: RestClient, clock: ManualClock) -> None:
    gone, kept = await add(webhook, "company"), await add(webhook, "company")
    contact = await add(webhook, "contact", COMPANY_ID=gone)
    await webhook.call("crm.contact.company.add", id=contact, fields={"COMPANY_ID": kept})
    owners = {name: await add(webhook, name, COMPANY_ID=gone) for name in ("lead", "deal", "quote")}
    others = {name: await add(webhook, name, COMPANY_ID=kept) for name in owners}
    modified = (await webhook.call("crm.deal.get", id=owners["deal"])).result["DATE_MODIFY"]
    await clock.advance(60)
    await webhook.call("crm.company.delete", id=gone)
    companies = {
        name: (await webhook.call(f"crm.{name}.get", id=owner)).result["COMPANY_ID"] for name, owner in owners.items()
    }
    assert companies == {"lead": None, "deal": None, "quote": str(gone)}
    assert (await webhook.call("crm.deal.get", id=owners["deal"])).result["DATE_MODIFY"] == modified
    assert await items(webhook, "contact.company", contact) == [(kept, 20, "Y")]
    for name, owner in others.items():
        assert (await webhook.call(f"crm.{name}.get", id=owner)).result["COMPANY_ID"] == str(kept)
