"""A contact or company is deleted, and the mirrored records that were linked to it follow the portal."""

from typing import Any

import pytest

from tests.gateway import Gateway, Sandbox
from tests.support.records import change, enable, sync_again

LINKED = ("leads", "deals", "quotes", "invoices", "items/128")
ITEMS = ("invoices", "items/128")
CLEANED_S = 120


def names_of(resource: str) -> tuple[str, str, str]:
    """The names of the title, the contact and the company of a record."""
    return ("title", "contactId", "companyId") if resource in ITEMS else ("TITLE", "CONTACT_ID", "COMPANY_ID")


async def create(gateway: Gateway, resource: str, **fields: Any) -> int:
    answer = await gateway.post(f"/bitrix/{resource}", json=fields)
    assert answer.status == 201, answer.body
    row_id: int = answer.json["id"]
    return row_id


async def create_linked(gateway: Gateway, resource: str, contact: int | None, company: int | None) -> int:
    values = dict(zip(names_of(resource), ("x", contact, company), strict=True))
    return await create(gateway, resource, **{name: value for name, value in values.items() if value is not None})


async def mirrored(gateway: Gateway, path: str, name: str) -> int | None:
    """The id in a field of a mirrored record; None if it is empty."""
    value = (await gateway.get(f"/bitrix/{path}?source=mirror")).json[name]
    return int(value) or None if value else None


async def becomes(gateway: Gateway, path: str, name: str, wanted: int | None) -> None:
    """Wait until the field of a mirrored record has the *wanted* id."""

    async def wait() -> None:
        while await mirrored(gateway, path, name) != wanted:
            await gateway.clock.sleep(0.1)

    await gateway.clock.until(wait(), limit_s=60)


@pytest.mark.parametrize("path", ["contacts", "cascade"])
async def test_records_lose_a_deleted_contact(connected: Gateway, path: str) -> None:
    await enable(connected, *LINKED)
    contact, other = [await create(connected, "contacts", NAME=name) for name in "ab"]
    linked = {resource: await create_linked(connected, resource, contact, None) for resource in LINKED}
    beside = await create_linked(connected, "deals", other, None)
    if path == "cascade":
        card = await create_linked(connected, "deals", contact, None)
        answer = await connected.clock.until(connected.delete(f"/bitrix/deals/{card}?cascade=contact"))
        assert answer.json["contact"] == {"id": contact, "deleted": True}
    else:
        assert (await connected.clock.until(connected.delete(f"/bitrix/contacts/{contact}"))).status == 204
    for resource, row_id in linked.items():
        await becomes(connected, f"{resource}/{row_id}", names_of(resource)[1], None)
        assert (await connected.get(f"/bitrix/{resource}?contactId={contact}")).json["items"] == []
    assert await mirrored(connected, f"deals/{beside}", "CONTACT_ID") == other


async def test_an_item_loses_a_contact_that_is_not_its_first(connected: Gateway) -> None:
    await enable(connected, *ITEMS)
    first, second = [await create(connected, "contacts", NAME=name) for name in "ab"]
    paths = {}
    for resource in ITEMS:
        row_id = await create(connected, resource, title="x", contactIds=[first, second])
        paths[f"{resource}/{row_id}"] = first
    await connected.clock.until(connected.delete(f"/bitrix/contacts/{second}"))

    async def read_again() -> None:
        for path in paths:
            while (await connected.get(f"/bitrix/{path}?source=mirror")).json["contactIds"] != [first]:
                await connected.clock.sleep(0.1)

    await connected.clock.until(read_again(), limit_s=60)


async def test_records_follow_the_portal_when_a_company_is_deleted(connected: Gateway) -> None:
    await enable(connected, *LINKED, "contacts")
    company = await create(connected, "companies", TITLE="x")
    contact = await create(connected, "contacts", NAME="a", COMPANY_ID=company)
    linked = {resource: await create_linked(connected, resource, None, company) for resource in LINKED}
    await connected.clock.until(connected.delete(f"/bitrix/companies/{company}"))
    for path in (f"contacts/{contact}", f"leads/{linked['leads']}", f"deals/{linked['deals']}"):
        await becomes(connected, path, "COMPANY_ID", None)
    for resource in ("quotes", *ITEMS):  # the portal keeps these links
        assert await mirrored(connected, f"{resource}/{linked[resource]}", names_of(resource)[2]) == company


async def test_links_that_a_portal_removes_later_are_read_then(connected: Gateway, sandbox: Sandbox) -> None:
    await enable(connected, "quotes")
    company = await create(connected, "companies", TITLE="x")
    quote = await create_linked(connected, "quotes", None, company)
    await connected.clock.until(connected.delete(f"/bitrix/companies/{company}"))
    table = sandbox.portal.data.tables["quotes"]
    table[quote] = table[quote] | {"COMPANY_ID": None}  # its time of modification stays
    await connected.clock.advance(CLEANED_S)
    await becomes(connected, f"quotes/{quote}", "COMPANY_ID", None)
    calls = sandbox.portal.calls["crm.quote.list"]
    await connected.clock.advance(10 * CLEANED_S)
    assert sandbox.portal.calls["crm.quote.list"] == calls


async def test_a_disconnected_account_reads_nothing_again(connected: Gateway, sandbox: Sandbox) -> None:
    await enable(connected, "quotes")
    company = await create(connected, "companies", TITLE="x")
    quote = await create_linked(connected, "quotes", None, company)
    await connected.clock.until(connected.delete(f"/bitrix/companies/{company}"))
    await connected.clock.advance(1)
    assert await mirrored(connected, f"quotes/{quote}", "COMPANY_ID") == company
    assert (await connected.clock.until(connected.delete("/bitrix/account"))).status < 300
    calls = sandbox.portal.calls.copy()
    await connected.clock.advance(2 * CLEANED_S)
    assert sandbox.portal.calls == calls


async def test_deletes_without_linked_records_cost_no_call(connected: Gateway, sandbox: Sandbox) -> None:
    await enable(connected, *LINKED)
    contact = await create(connected, "contacts", NAME="a")
    lead = await create_linked(connected, "leads", None, None)
    sandbox.portal.seen.clear()
    for path in (f"contacts/{contact}", f"leads/{lead}"):
        await connected.clock.until(connected.delete(f"/bitrix/{path}"))
    await connected.clock.advance(2 * CLEANED_S)
    assert {call.method for call in sandbox.portal.seen} == {"crm.contact.delete", "crm.lead.delete"}


async def test_many_linked_records_share_a_request(connected: Gateway, sandbox: Sandbox) -> None:
    contact = await create(connected, "contacts", NAME="a")
    table = sandbox.portal.data.tables["deals"]
    linked = list(table)[:120]
    change(sandbox, "deals", {row_id: {"CONTACT_ID": str(contact), "CONTACT_IDS": [str(contact)]} for row_id in linked})
    await enable(connected, "deals")
    requests = sandbox.portal.http_requests
    await connected.clock.until(connected.delete(f"/bitrix/contacts/{contact}"))
    for row_id in linked:
        await becomes(connected, f"deals/{row_id}", "CONTACT_ID", None)
    assert sandbox.portal.http_requests - requests == 2


async def test_records_that_are_deleted_one_after_the_other_share_a_reading(
    connected: Gateway, sandbox: Sandbox
) -> None:
    await enable(connected, "deals")
    contacts = [await create(connected, "contacts", NAME="a") for _ in range(5)]
    deals = [await create_linked(connected, "deals", contact, None) for contact in contacts]
    calls = sandbox.portal.calls["crm.deal.list"]
    for contact in contacts:
        assert (await connected.delete(f"/bitrix/contacts/{contact}")).status == 204
    for deal in deals:
        await becomes(connected, f"deals/{deal}", "CONTACT_ID", None)
    assert sandbox.portal.calls["crm.deal.list"] == calls + 1
    await connected.clock.advance(2 * CLEANED_S)
    assert sandbox.portal.calls["crm.deal.list"] == calls + 1


async def test_a_contact_that_a_sync_finds_deleted_leaves_records_too(connected: Gateway, sandbox: Sandbox) -> None:
    contact = await create(connected, "contacts", NAME="a")
    table = sandbox.portal.data.tables["deals"]
    deal = next(iter(table))
    table[deal] = table[deal] | {"CONTACT_ID": str(contact), "CONTACT_IDS": [str(contact)]}  # modified long ago
    await enable(connected, "deals", "contacts")
    called = await connected.post("/bitrix/call/crm.contact.delete", json={"id": contact})
    assert called.status == 200
    await sync_again(connected, "deals", "incremental")
    assert await mirrored(connected, f"deals/{deal}", "CONTACT_ID") == contact
    await sync_again(connected, "contacts", "incremental")
    await becomes(connected, f"deals/{deal}", "CONTACT_ID", None)


async def test_links_that_cannot_be_read_again_are_logged(
    connected: Gateway, sandbox: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    await enable(connected, "deals")
    contact = await create(connected, "contacts", NAME="a")
    deal = await create_linked(connected, "deals", contact, None)
    sandbox.portal.fault("crm.deal.list:error=ACCESS_DENIED")
    assert (await connected.clock.until(connected.delete(f"/bitrix/contacts/{contact}"))).status == 204

    async def logged() -> None:
        while "records that are linked to deleted ones were not read again" not in caplog.messages:
            await connected.clock.sleep(0.1)

    await connected.clock.until(logged(), limit_s=60)
    assert await mirrored(connected, f"deals/{deal}", "CONTACT_ID") == contact
