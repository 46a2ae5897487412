"""PUT finds or creates a record in one request, and callers who come at once do not create it twice."""

import asyncio
from typing import Any

import pytest

from tests.gateway import Answer, Gateway, Sandbox
from tests.support.records import ALL_RECORDS, change, enable, held, portal_ids

TITLES = {"contacts": "NAME", "invoices": "title", "items/128": "title"}


async def upsert(gateway: Gateway, resource: str, match: str, body: Any, **headers: str) -> Answer:
    path = f"/bitrix/{resource}?match={match}"
    return await gateway.clock.until(gateway.request("PUT", path, json=body, headers=headers))


def values(record: dict[str, Any], name: str) -> list[str]:
    return [entry["VALUE"] for entry in record[name]]


@pytest.mark.parametrize("resource", ["contacts", "companies", "leads"])
async def test_a_record_is_created_once_and_found_then(connected: Gateway, sandbox: Sandbox, resource: str) -> None:
    title = TITLES.get(resource, "TITLE")
    before = len(portal_ids(sandbox, resource))
    created = await upsert(connected, resource, "PHONE", {title: "A", "PHONE": "+7 (900) 123-45-67"})
    assert created.status == 201, created.body
    assert created.headers["Location"] == f"/bitrix/{resource}/{created.json['id']}"
    found = await upsert(connected, resource, "PHONE", {title: "B", "PHONE": "79001234567", "EMAIL": "b@example.org"})
    assert (found.status, found.json["id"], found.json[title]) == (200, created.json["id"], "B")
    assert values(found.json, "PHONE") == ["+7 (900) 123-45-67"]
    assert values(found.json, "EMAIL") == ["b@example.org"]
    assert len(portal_ids(sandbox, resource)) == before + 1


async def test_fields_are_tried_in_their_order(connected: Gateway) -> None:
    phone = (await upsert(connected, "contacts", "PHONE", {"NAME": "phone", "PHONE": "+491"})).json
    email = (await upsert(connected, "contacts", "EMAIL", {"NAME": "email", "EMAIL": "Anna@Example.org"})).json
    both = {"PHONE": ["+491", "+492"], "EMAIL": " anna@example.ORG "}
    answer = await upsert(connected, "contacts", "EMAIL,PHONE", both)
    assert (answer.status, answer.json["id"], values(answer.json, "PHONE")) == (200, email["id"], ["+491", "+492"])
    assert values(answer.json, "EMAIL") == ["Anna@Example.org"]
    other = {"EMAIL": "other@example.org", "PHONE": "+492"}
    answer = await upsert(connected, "contacts", "EMAIL,PHONE", other)
    assert (answer.status, answer.json["id"], values(answer.json, "EMAIL")) == (200, email["id"], [other["EMAIL"]])
    answer = await upsert(connected, "contacts", "PHONE,EMAIL", {"EMAIL": other["EMAIL"], "NAME": "no phone"})
    assert (answer.json["id"], answer.json["NAME"]) == (email["id"], "no phone")
    assert (await connected.get(f"/bitrix/contacts/{phone['id']}")).json["NAME"] == "phone"


async def test_a_phone_with_other_digits_is_another_one(connected: Gateway) -> None:
    first = await upsert(connected, "contacts", "PHONE", {"NAME": "x", "PHONE": "+7 900 123-45-67"})
    other = await upsert(connected, "contacts", "PHONE", {"NAME": "x", "PHONE": "+49 900 123-45-67"})
    national = await upsert(connected, "contacts", "PHONE", {"NAME": "x", "PHONE": "8 900 123-45-67"})
    assert (first.status, other.status, national.status) == (201, 201, 201)


@pytest.mark.parametrize("resource", ALL_RECORDS)
async def test_any_field_with_one_value_finds_a_record(connected: Gateway, sandbox: Sandbox, resource: str) -> None:
    title = TITLES.get(resource, "TITLE")
    created = await upsert(connected, resource, title, {title: "Ключ & 🧩 1"})
    assert created.status == 201, created.body
    comments = {"comments": "x"} if resource == "invoices" else {} if resource == "items/128" else {"COMMENTS": "x"}
    found = await upsert(connected, resource, title, {title: "Ключ & 🧩 1", **comments})
    assert (found.status, found.json["id"]) == (200, created.json["id"])
    assert found.json | comments == found.json
    assert max(portal_ids(sandbox, resource)) == created.json["id"]


async def test_nothing_but_the_matched_value_writes_nothing(connected: Gateway, sandbox: Sandbox) -> None:
    created = await upsert(connected, "deals", "TITLE", {"TITLE": "the same"})
    again = await upsert(connected, "deals", "TITLE", {"TITLE": "the same"})
    assert (again.status, again.json["id"]) == (200, created.json["id"])
    assert sandbox.portal.calls["crm.deal.update"] == 0


async def test_several_matches_are_a_conflict_that_lists_them(connected: Gateway, sandbox: Sandbox) -> None:
    first, _, third = portal_ids(sandbox, "contacts")[:3]
    phones = [{"ID": "1", "VALUE_TYPE": "WORK", "VALUE": "+1 555", "TYPE_ID": "PHONE"}]
    change(sandbox, "contacts", {first: {"PHONE": phones}, third: {"PHONE": phones}})
    answer = await upsert(connected, "contacts", "PHONE", {"PHONE": "1555", "NAME": "x"})
    assert (answer.status, answer.json["code"], answer.json["ids"]) == (409, "several_match", [first, third])
    deals = portal_ids(sandbox, "deals")[:2]
    change(sandbox, "deals", {deal: {"TITLE": "twice"} for deal in deals})
    answer = await upsert(connected, "deals", "TITLE", {"TITLE": "twice"})
    assert (answer.status, answer.json["ids"]) == (409, deals)


async def test_so_many_similar_phones_that_the_portal_hides_some_are_a_conflict(
    connected: Gateway, sandbox: Sandbox
) -> None:
    phones = [{"ID": "1", "VALUE_TYPE": "WORK", "VALUE": "+49 1234567890", "TYPE_ID": "PHONE"}]
    similar = portal_ids(sandbox, "contacts")[:20]
    change(sandbox, "contacts", {row_id: {"PHONE": phones} for row_id in similar})
    answer = await upsert(connected, "contacts", "PHONE", {"PHONE": "+1 1234567890"})
    assert (answer.status, answer.json["code"]) == (409, "several_match")


@pytest.mark.parametrize(
    ("match", "body", "place", "code"),
    [
        ("", {"PHONE": "1"}, "match", "required"),
        ("PHONE,", {"PHONE": "1"}, "match", "unknown_field"),
        ("PHNE", {"PHONE": "1"}, "match", "unknown_field"),
        ("PHONE,PHONE", {"PHONE": "1"}, "match", "repeated"),
        ("WEB", {"WEB": "example.org"}, "match", "invalid_value"),
        ("PHOTO", {"NAME": "1"}, "match", "invalid_value"),
        ("COMPANY_IDS", {"COMPANY_IDS": [1]}, "match", "invalid_value"),
        ("PHONE", {"NAME": "x"}, "", "no_value"),
        ("PHONE", {"PHONE": None}, "", "no_value"),
        ("PHONE", {"PHONE": "no digits"}, "/PHONE", "no_value"),
        ("EMAIL,PHONE", {"PHONE": ["-", "no digits"]}, "/PHONE", "no_value"),
        ("PHONE,NAME", {"NAME": ""}, "", "no_value"),
        ("PHONE", {"PHONE": [str(number) for number in range(21)]}, "/PHONE", "too_many_values"),
        ("PHONE", {"PHONE": 5}, "/PHONE", "invalid_value"),
        ("PHONE", {"PHONE": "1", "SHOE": 1}, "/SHOE", "unknown_field"),
    ],
)
async def test_a_wrong_request_names_its_mistake(
    connected: Gateway, sandbox: Sandbox, match: str, body: Any, place: str, code: str
) -> None:
    answer = await upsert(connected, "contacts", match, body)
    (error,) = answer.json["errors"]
    assert (answer.status, error.get("parameter", error.get("pointer")), error["code"]) == (400, place, code)
    assert sandbox.portal.calls["crm.contact.add"] == 0
    if (place, code) == ("/PHONE", "no_value"):
        assert error["detail"] == "has no digits, by which phones are compared"


async def test_a_hundred_callers_with_one_phone_get_one_record(connected: Gateway, sandbox: Sandbox) -> None:
    await connected.get("/bitrix/contacts/fields")
    before, requests = portal_ids(sandbox, "contacts"), sandbox.portal.http_requests
    bodies = [{"PHONE": f"+7 900 000-00-0{number % 2 and 1}", "NAME": f"caller {number}"} for number in range(100)]
    sent = [connected.request("PUT", "/bitrix/contacts?match=PHONE", json=body) for body in bodies]
    answers = await connected.clock.until(asyncio.gather(*sent))
    assert sorted(answer.status for answer in answers) == [200] * 98 + [201] * 2
    created = set(portal_ids(sandbox, "contacts")) - set(before)
    assert {answer.json["id"] for answer in answers} == created
    assert len(created) == 2
    assert sandbox.portal.http_requests - requests <= 75  # one after the other they take 300


async def test_a_record_that_was_deleted_after_it_was_found_is_created_again(
    connected: Gateway, sandbox: Sandbox
) -> None:
    first = await upsert(connected, "contacts", "PHONE", {"PHONE": "+1555", "NAME": "a"})
    sandbox.portal.hold("crm.contact.update")
    caller = asyncio.ensure_future(
        connected.request("PUT", "/bitrix/contacts?match=PHONE", json={"PHONE": "+1555", "NAME": "b"})
    )
    await connected.clock.until(held(connected, sandbox, "crm.contact.update"))
    change(sandbox, "contacts", removed=[first.json["id"]])
    sandbox.portal.release("crm.contact.update")
    answer = await connected.clock.until(caller)
    assert (answer.status, answer.json["NAME"]) == (201, "b")


@pytest.mark.parametrize("fault", ["cut", "drop"])
async def test_a_lost_answer_creates_one_record(connected: Gateway, sandbox: Sandbox, fault: str) -> None:
    before = len(portal_ids(sandbox, "contacts"))
    sandbox.portal.fault(f"crm.contact.add:{fault}")
    sent = [
        connected.request("PUT", "/bitrix/contacts?match=PHONE", json={"PHONE": "+1555", "NAME": f"caller {number}"})
        for number in range(5)
    ]
    answers = await connected.clock.until(asyncio.gather(*sent))
    assert sorted(answer.status for answer in answers) == [200, 200, 200, 200, 201]
    assert len({answer.json["id"] for answer in answers}) == 1
    assert len(portal_ids(sandbox, "contacts")) == before + 1


@pytest.mark.parametrize("fault", ["cut", "drop"])
async def test_another_caller_waits_for_a_create_that_may_still_go_on(
    connected: Gateway, sandbox: Sandbox, fault: str
) -> None:
    """The gateway stops in the middle of a create. Another caller comes with the phone after it has started again."""
    before = len(portal_ids(sandbox, "contacts"))
    sandbox.portal.fault(f"crm.contact.add:{fault}")
    sandbox.portal.hold("crm.contact.list")
    body, key = {"PHONE": "+1555", "NAME": "x"}, {"Idempotency-Key": "1"}
    caller = asyncio.ensure_future(connected.request("PUT", "/bitrix/contacts?match=PHONE", json=body, headers=key))
    await connected.clock.until(held(connected, sandbox, "crm.contact.list"))
    caller.cancel()  # a PUT is repeated by its client, also while the gateway stops
    await asyncio.gather(caller, return_exceptions=True)
    await connected.clock.until(connected.stop())
    sandbox.portal.release("crm.contact.list")
    await connected.start()
    started = connected.clock.now()
    other = await upsert(connected, "contacts", "PHONE", body)
    again = await upsert(connected, "contacts", "PHONE", body, **key)
    assert (other.status, connected.clock.now() - started >= 60) == ((200, False) if fault == "cut" else (201, True))
    assert (again.status, again.json["id"]) == (201 if fault == "cut" else 200, other.json["id"])
    assert len(portal_ids(sandbox, "contacts")) == before + 1


async def stop_during(gateway: Gateway, sandbox: Sandbox, method: str, path: str, body: Any, key: str) -> None:
    """Stop the gateway while the portal holds a call of *method* for this PUT, and start it again."""
    sandbox.portal.hold(method)
    caller = asyncio.ensure_future(gateway.request("PUT", path, json=body, headers={"Idempotency-Key": key}))
    await gateway.clock.until(held(gateway, sandbox, method))
    caller.cancel()
    await asyncio.gather(caller, return_exceptions=True)
    await gateway.clock.until(gateway.stop())
    await gateway.start()


async def test_a_record_that_was_found_by_the_callers_origin_is_changed_after_a_restart(
    connected: Gateway, sandbox: Sandbox
) -> None:
    created = await upsert(connected, "deals", "ORIGIN_ID", {"TITLE": "old", "ORIGIN_ID": "7"})
    body, path = {"TITLE": "new", "ORIGIN_ID": "7"}, "/bitrix/deals?match=ORIGIN_ID"
    sandbox.portal.fault("crm.deal.update:drop")
    await stop_during(connected, sandbox, "crm.deal.update", path, body, "1")
    sandbox.portal.release("crm.deal.update")
    again = await upsert(connected, "deals", "ORIGIN_ID", body, **{"Idempotency-Key": "1"})
    assert (again.status, again.json["id"], again.json["TITLE"]) == (200, created.json["id"], "new")


async def test_what_is_added_to_a_found_record_is_added_once_after_a_restart(
    connected: Gateway, sandbox: Sandbox
) -> None:
    """The portal goes on with the change for half a minute after the gateway was stopped."""
    await upsert(connected, "contacts", "PHONE", {"PHONE": "+1555", "NAME": "x"})
    body, path = {"PHONE": "+1555", "EMAIL": "a@b.example"}, "/bitrix/contacts?match=PHONE"
    await stop_during(connected, sandbox, "crm.contact.update", path, body, "1")
    again = asyncio.ensure_future(connected.request("PUT", path, json=body, headers={"Idempotency-Key": "1"}))
    await connected.clock.advance(30)
    sandbox.portal.release("crm.contact.update")
    answer = await connected.clock.until(again)
    assert (answer.status, values(answer.json, "EMAIL")) == (200, ["a@b.example"])


async def test_a_portal_that_cannot_be_searched_does_not_free_the_key_of_an_unknown_write(
    connected: Gateway, sandbox: Sandbox
) -> None:
    body, path, key = {"PHONE": "+1555", "NAME": "x"}, "/bitrix/contacts?match=PHONE", {"Idempotency-Key": "1"}
    sandbox.portal.fault("crm.contact.add:cut")
    await stop_during(connected, sandbox, "crm.contact.list", path, body, "1")
    sandbox.portal.release("crm.contact.list")
    sandbox.portal.fault("crm.contact.list:error=ACCESS_DENIED*")
    answer = await upsert(connected, "contacts", "PHONE", body, **key)
    assert (answer.status, answer.json["code"]) == (502, "outcome_unknown")
    sandbox.portal.clear_faults()
    assert (await upsert(connected, "contacts", "PHONE", body, **key)).status == 201


async def test_a_phone_that_the_found_record_lacks_is_not_taken_for_found(connected: Gateway, sandbox: Sandbox) -> None:
    first = await upsert(connected, "contacts", "PHONE", {"PHONE": "+1555", "NAME": "x"})
    sandbox.portal.hold("crm.duplicate.findbycomm")
    bodies = ({"PHONE": ["+1555", "+1666"], "NAME": "both"}, {"PHONE": "+1666", "NAME": "other"})
    callers = []
    for body in bodies:
        callers.append(asyncio.ensure_future(connected.request("PUT", "/bitrix/contacts?match=PHONE", json=body)))
        await connected.clock.advance(0.5)
    sandbox.portal.release("crm.duplicate.findbycomm")
    both, other = await connected.clock.until(asyncio.gather(*callers))
    assert (both.status, both.json["id"]) == (200, first.json["id"])
    assert (other.status, values(other.json, "PHONE")) == (201, ["+1666"])


async def test_a_key_gets_the_same_answer(connected: Gateway) -> None:
    await enable(connected, "contacts")
    key = {"Idempotency-Key": "1"}
    first = await upsert(connected, "contacts", "PHONE", {"PHONE": "+1555", "NAME": "x"}, **key)
    again = await upsert(connected, "contacts", "PHONE", {"PHONE": "+1555", "NAME": "x"}, **key)
    assert (again.status, again.body, again.headers["Idempotent-Replayed"]) == (201, first.body, "true")
    for match, body in (("PHONE", {"PHONE": "+1556"}), ("EMAIL", {"EMAIL": "a@b.c"})):
        answer = await upsert(connected, "contacts", match, body, **key)
        assert (answer.status, answer.json["code"]) == (422, "idempotency_key_reused")
    shown = await connected.get(f"/bitrix/contacts/{first.json['id']}")
    assert shown.json == first.json


async def test_a_portal_that_refuses_a_search_is_heard(connected: Gateway, sandbox: Sandbox) -> None:
    sandbox.portal.fault("crm.duplicate.findbycomm:error=insufficient_scope")
    answer = await upsert(connected, "contacts", "PHONE", {"PHONE": "+1555"})
    assert (answer.status, answer.json["portalError"]["code"]) == (403, "insufficient_scope")
    assert sandbox.portal.calls["crm.contact.add"] == 0


@pytest.mark.parametrize("resource", ["companies", "quotes"])
async def test_a_required_title_may_be_left_out_only_where_a_record_is_found(
    connected: Gateway, sandbox: Sandbox, resource: str
) -> None:
    before = len(portal_ids(sandbox, resource))
    key = "COMMENTS" if resource == "quotes" else "PHONE"
    answer = await upsert(connected, resource, key, {key: "+4930"})
    (error,) = answer.json["errors"]
    assert (answer.status, error["pointer"], error["code"]) == (400, "/TITLE", "required")
    assert len(portal_ids(sandbox, resource)) == before
    assert (await upsert(connected, resource, key, {key: "+4930", "TITLE": "A"})).status == 201
    assert (await upsert(connected, resource, key, {key: "+4930"})).status == 200
