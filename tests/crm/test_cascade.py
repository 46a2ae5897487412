"""A record is deleted with the contact and the company that it is linked to, and each of the three is told."""

import asyncio
from typing import Any

import pytest

from tests.gateway import Answer, Gateway, Sandbox
from tests.support.records import change as edit
from tests.support.records import enable, portal_ids

CARDS = ("leads", "deals", "quotes", "invoices", "items/128")
BOTH = "?cascade=contact,company"
NAMES = {"invoices": ("contactId", "companyId"), "items/128": ("contactId", "companyId")}


async def delete(gateway: Gateway, path: str, **headers: str) -> Answer:
    """Delete, and let the time pass that it waits."""
    return await gateway.clock.until(gateway.delete(f"/bitrix/{path}", headers=headers))


async def create_card(gateway: Gateway, resource: str = "deals") -> tuple[int, int, int]:
    """The ids of a new record, of its contact and of its company."""
    contact = await gateway.post("/bitrix/contacts", json={"NAME": "Zoë"})
    company = await gateway.post("/bitrix/companies", json={"TITLE": "Zoo"})
    names = NAMES.get(resource, ("CONTACT_ID", "COMPANY_ID"))
    title = "title" if resource in NAMES else "TITLE"
    links = dict(zip(names, (contact.json["id"], company.json["id"]), strict=True))
    card = await gateway.post(f"/bitrix/{resource}", json={title: "x", **links})
    assert card.status == 201, card.body
    return card.json["id"], contact.json["id"], company.json["id"]


async def called(gateway: Gateway, sandbox: Sandbox, method: str) -> None:
    """Wait for a call of *method*."""
    while method not in [call.method for call in sandbox.portal.seen]:
        await gateway.clock.sleep(0.1)


def deleted(row_id: int) -> dict[str, Any]:
    return {"id": row_id, "deleted": True}


@pytest.mark.parametrize("resource", CARDS)
async def test_a_record_is_deleted_with_its_contact_and_company(
    connected: Gateway, sandbox: Sandbox, resource: str
) -> None:
    card, contact, company = await create_card(connected, resource)
    answer = await delete(connected, f"{resource}/{card}{BOTH}")
    assert (answer.status, answer.json) == (
        200,
        {"item": deleted(card), "contact": deleted(contact), "company": deleted(company)},
    )
    for table, row_id in ((resource, card), ("contacts", contact), ("companies", company)):
        assert row_id not in portal_ids(sandbox, table)


async def test_only_what_is_named_is_deleted(connected: Gateway, sandbox: Sandbox) -> None:
    card, contact, company = await create_card(connected)
    answer = await delete(connected, f"deals/{card}?cascade=company")
    assert answer.json == {"item": deleted(card), "contact": None, "company": deleted(company)}
    assert contact in portal_ids(sandbox, "contacts")


async def test_what_is_not_linked_is_null(connected: Gateway) -> None:
    card = (await connected.post("/bitrix/deals", json={"TITLE": "x"})).json["id"]
    answer = await delete(connected, f"deals/{card}{BOTH}")
    assert answer.json == {"item": deleted(card), "contact": None, "company": None}


async def test_a_linked_record_that_is_gone_is_not_deleted(connected: Gateway, sandbox: Sandbox) -> None:
    card, contact, company = await create_card(connected)
    edit(sandbox, "contacts", removed=[contact])
    answer = await delete(connected, f"deals/{card}{BOTH}")
    told = answer.json["contact"]
    assert (told["id"], told["deleted"], told["error"]["description"]) == (contact, False, "Element not found")
    assert answer.json["company"] == deleted(company)


async def test_a_refused_contact_is_kept_with_the_words_of_the_portal(connected: Gateway, sandbox: Sandbox) -> None:
    card, contact, company = await create_card(connected)
    sandbox.portal.deny("contacts")
    answer = await delete(connected, f"deals/{card}{BOTH}")
    error = {"code": "", "description": "Access denied.", "status": 400}
    assert (answer.status, answer.json["contact"]) == (200, {"id": contact, "deleted": False, "error": error})
    assert answer.json["company"] == deleted(company)
    assert contact in portal_ids(sandbox, "contacts")


async def test_a_record_that_cannot_be_deleted_keeps_the_others(connected: Gateway, sandbox: Sandbox) -> None:
    card, *_ = await create_card(connected)
    sandbox.portal.fault("crm.deal.delete:error=ACCESS_DENIED")
    answer = await delete(connected, f"deals/{card}{BOTH}")
    assert (answer.status, answer.json["code"]) == (403, "access_denied")
    answer = await delete(connected, f"deals/999999{BOTH}")
    assert (answer.status, answer.json["code"]) == (404, "portal_not_found")
    assert answer.json["detail"] == "the portal has no record 999999 of deals"
    assert sandbox.portal.calls["crm.contact.delete"] == sandbox.portal.calls["crm.company.delete"] == 0


@pytest.mark.parametrize(
    ("path", "rule"),
    [
        ("deals/1?cascade=", "must be contact or company"),
        ("deals/1?cascade=contact,companies", "must be contact or company"),
        ("deals/1?cascade=contact,", "must be contact or company"),
        ("deals/1?cascade=contact&cascade=company", "is given more than once"),
        ("contacts/1?cascade=company", "is not valid for contacts"),
        ("companies/1?cascade=contact", "is not valid for companies"),
    ],
)
async def test_a_cascade_that_is_none_is_refused(connected: Gateway, sandbox: Sandbox, path: str, rule: str) -> None:
    requests = sandbox.portal.http_requests
    answer = await delete(connected, path)
    (error,) = answer.json["errors"]
    assert (answer.status, error["parameter"], sandbox.portal.http_requests) == (400, "cascade", requests)
    assert rule in error["detail"]


@pytest.mark.parametrize("fault", ["cut", "drop"])
@pytest.mark.parametrize("method", ["crm.deal.delete", "crm.contact.delete", "crm.company.delete"])
async def test_a_lost_answer_is_looked_up(connected: Gateway, sandbox: Sandbox, method: str, fault: str) -> None:
    card, contact, company = await create_card(connected)
    sandbox.portal.fault(f"{method}:{fault}")
    answer = await delete(connected, f"deals/{card}{BOTH}")
    assert answer.json == {"item": deleted(card), "contact": deleted(contact), "company": deleted(company)}
    assert sandbox.portal.calls[method] == (1 if fault == "cut" else 2)


async def test_a_contact_whose_state_stays_unknown_is_told(connected: Gateway, sandbox: Sandbox) -> None:
    card, contact, company = await create_card(connected)
    sandbox.portal.fault("crm.contact.delete:cut")
    sandbox.portal.fault("crm.contact.get:drop*")
    answer = await delete(connected, f"deals/{card}{BOTH}")
    told = answer.json["contact"]
    assert (told["id"], told["deleted"], told["error"]["code"]) == (contact, False, "outcome_unknown")
    assert "not known whether" in told["error"]["description"]
    assert answer.json["company"] == deleted(company)


async def test_the_mirror_buries_each_that_was_deleted(connected: Gateway, sandbox: Sandbox) -> None:
    await enable(connected, "deals", "contacts", "companies")
    card, contact, company = await create_card(connected)
    sandbox.portal.deny("companies")
    await delete(connected, f"deals/{card}{BOTH}")
    for path, code in ((f"deals/{card}", "record_deleted"), (f"contacts/{contact}", "record_deleted")):
        assert (await connected.get(f"/bitrix/{path}")).json["code"] == code
    assert (await connected.get(f"/bitrix/companies/{company}")).json["TITLE"] == "Zoo"


async def test_a_key_gets_the_same_answer(connected: Gateway, sandbox: Sandbox) -> None:
    card, *_ = await create_card(connected)
    key = {"Idempotency-Key": "1"}
    first = await delete(connected, f"deals/{card}{BOTH}", **key)
    await connected.restart()
    again = await delete(connected, f"deals/{card}?cascade=company,contact", **key)
    assert (again.status, again.body, again.headers["Idempotent-Replayed"]) == (200, first.body, "true")
    for path in (f"deals/{card}", f"deals/{card}?cascade=contact"):
        assert (await delete(connected, path, **key)).json["code"] == "idempotency_key_reused"
    assert sandbox.portal.calls["crm.deal.delete"] == 1


@pytest.mark.parametrize("held", ["crm.deal.get", "crm.contact.delete"])
async def test_a_gateway_that_stops_in_the_middle_goes_on_with_the_same_key(
    connected: Gateway, sandbox: Sandbox, held: str
) -> None:
    card, contact, company = await create_card(connected)
    key = {"Idempotency-Key": "1"}
    sandbox.portal.hold(held)
    if held == "crm.deal.get":
        sandbox.portal.fault("crm.deal.delete:cut")
    caller = asyncio.ensure_future(connected.request("DELETE", f"/bitrix/deals/{card}{BOTH}", headers=key))
    await connected.clock.until(called(connected, sandbox, held))
    caller.cancel()  # the client would repeat a DELETE by itself
    await asyncio.gather(caller, return_exceptions=True)
    await connected.clock.until(connected.stop())
    assert card not in portal_ids(sandbox, "deals")
    sandbox.portal.release(held)
    await connected.start()
    answer = await delete(connected, f"deals/{card}{BOTH}", **key)
    assert answer.json == {"item": deleted(card), "contact": deleted(contact), "company": deleted(company)}
    assert contact not in portal_ids(sandbox, "contacts")
