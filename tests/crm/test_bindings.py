"""Callers list, add and remove the contacts and companies of records, and the mirror is right at both ends."""

from typing import Any

import pytest

from tests.gateway import Answer, Gateway, Sandbox
from tests.support.records import enable, portal_ids

OWNERS = ("leads", "deals", "quotes", "companies", "contacts")
METHODS = {
    "leads": "crm.lead.contact",
    "deals": "crm.deal.contact",
    "quotes": "crm.quote.contact",
    "companies": "crm.company.contact",
    "contacts": "crm.contact.company",
}


def bound_to(owner: str) -> str:
    return "companies" if owner == "contacts" else "contacts"


async def send(gateway: Gateway, method: str, path: str, body: Any = None, **headers: str) -> Answer:
    """Send a request, and let the time pass that it waits."""
    return await gateway.clock.until(gateway.request(method, f"/bitrix/{path}", json=body, headers=headers))


async def new(gateway: Gateway, *resources: str) -> list[int]:
    """The ids of new records."""
    ids = []
    for resource in resources:
        answer = await send(gateway, "POST", resource, {"NAME" if resource == "contacts" else "TITLE": "new"})
        assert answer.status == 201, answer.body
        ids.append(answer.json["id"])
    return ids


async def bindings(gateway: Gateway, path: str) -> list[tuple[int, int, bool]]:
    answer = await send(gateway, "GET", path)
    assert answer.status == 200, answer.body
    return [(item["id"], item["sort"], item["primary"]) for item in answer.json["items"]]


@pytest.mark.parametrize("owner", OWNERS)
async def test_bindings_live_from_post_to_delete(connected: Gateway, owner: str) -> None:
    bound = bound_to(owner)
    row_id, one, two, three = await new(connected, owner, bound, bound, bound)
    path = f"{owner}/{row_id}/{bound}"
    assert await bindings(connected, path) == []
    added = await send(connected, "POST", path, {"id": one})
    assert (added.status, added.json) == (201, {"id": one, "primary": True, "sort": 10})
    added = await send(connected, "POST", path, {"id": two, "primary": False, "sort": 5})
    assert (added.status, added.json) == (201, {"id": two, "primary": False, "sort": 5})
    added = await send(connected, "POST", path, {"id": three, "primary": True})
    assert (added.status, added.json) == (201, {"id": three, "primary": True, "sort": 20})
    assert await bindings(connected, path) == [(two, 5, False), (one, 10, False), (three, 20, True)]
    removed = await send(connected, "DELETE", f"{path}/{three}")
    assert (removed.status, removed.body) == (204, b"")
    assert await bindings(connected, path) == [(two, 5, True), (one, 10, False)]
    for _ in range(2):
        assert (await send(connected, "DELETE", f"{path}/{two}")).status == 204
    assert await bindings(connected, path) == [(one, 10, True)]


async def test_a_binding_that_exists_is_no_error_and_takes_what_is_asked_for(
    connected: Gateway, sandbox: Sandbox
) -> None:
    row_id, one, two = await new(connected, "deals", "contacts", "contacts")
    path = f"deals/{row_id}/contacts"
    for contact in (one, two):
        await send(connected, "POST", path, {"id": contact})
    sandbox.portal.seen.clear()
    for body in ({"id": two}, {"id": two, "primary": False, "sort": 20}, {"id": one, "primary": True}):
        answer = await send(connected, "POST", path, body)
        assert (answer.status, answer.json["id"]) == (200, body["id"])
    assert {call.method for call in sandbox.portal.seen if call.method.startswith("crm.deal.contact")} == {
        "crm.deal.contact.items.get"
    }
    answer = await send(connected, "POST", path, {"id": two, "primary": True, "sort": 1})
    assert (answer.status, answer.json) == (200, {"id": two, "primary": True, "sort": 1})
    assert await bindings(connected, path) == [(two, 1, True), (one, 10, False)]
    answer = await send(connected, "POST", path, {"id": one, "sort": 30})
    assert await bindings(connected, path) == [(two, 1, True), (one, 30, False)]


@pytest.mark.parametrize(
    ("owner", "shown", "column"),
    [
        ("deals", "deals", "CONTACT_ID"),
        ("leads", "leads", "CONTACT_ID"),
        ("quotes", "quotes", "CONTACT_ID"),
        ("contacts", "contacts", "COMPANY_ID"),
        ("companies", "contacts", "COMPANY_ID"),
    ],
)
async def test_the_mirror_shows_a_change_at_once(
    connected: Gateway, sandbox: Sandbox, owner: str, shown: str, column: str
) -> None:
    await enable(connected, "companies", "contacts", *({owner} - {"companies", "contacts"}))
    row_id, other = await new(connected, owner, bound_to(owner))
    path = f"{owner}/{row_id}/{bound_to(owner)}"
    watched, value = (row_id, other) if shown == owner else (other, row_id)

    async def mirrored() -> Any:
        requests = sandbox.portal.http_requests
        row = (await connected.get(f"/bitrix/{shown}/{watched}?source=mirror")).json
        assert sandbox.portal.http_requests == requests
        return row[column]

    assert await mirrored() in (None, "", "0")
    assert (await send(connected, "POST", path, {"id": other})).status == 201
    assert await mirrored() == str(value)
    assert (await send(connected, "DELETE", f"{path}/{other}")).status == 204
    assert await mirrored() in (None, "", "0")


async def test_lists_that_are_not_mirrored_are_not_read_back(connected: Gateway, sandbox: Sandbox) -> None:
    row_id, other = await new(connected, "contacts", "companies")
    sandbox.portal.seen.clear()
    assert (await send(connected, "POST", f"contacts/{row_id}/companies", {"id": other})).status == 201
    assert not {call.method for call in sandbox.portal.seen} & {"crm.contact.list", "crm.company.list"}


@pytest.mark.parametrize("owner", OWNERS)
async def test_what_does_not_exist_is_404_and_named_besides_the_words_of_the_portal(
    connected: Gateway, owner: str
) -> None:
    bound = bound_to(owner)
    row_id, other, another = await new(connected, owner, bound, bound)
    path, missing = f"{owner}/{row_id}/{bound}", f"{owner}/999999/{bound}"
    await send(connected, "POST", path, {"id": other})
    for answer, named in (
        (await send(connected, "GET", missing), owner),
        (await send(connected, "POST", missing, {"id": other}), owner),
        (await send(connected, "DELETE", f"{missing}/{other}"), owner),
        (await send(connected, "POST", path, {"id": 999999}), bound),
        (await send(connected, "DELETE", f"{path}/999999"), bound),
    ):
        assert (answer.status, answer.json["code"]) == (404, "portal_not_found")
        assert answer.json["detail"] == f"the portal has no record 999999 of {named}"
        assert "not found" in answer.json["portalError"]["description"].lower()
    assert [each[0] for each in await bindings(connected, path)] == [other]
    assert (await send(connected, "DELETE", f"{path}/{another}")).status == 204


async def test_other_records_have_no_such_addresses(connected: Gateway) -> None:
    for path in ("deals/1/companies", "invoices/1/contacts", "contacts/1/contacts", "items/128/1/contacts"):
        for answer in (await send(connected, "GET", path), await send(connected, "DELETE", f"{path}/2")):
            assert (answer.status, answer.json["detail"]) == (404, "no such endpoint")


@pytest.mark.parametrize(
    ("body", "pointers"),
    [
        ([], [""]),
        ("7", [""]),
        (7, [""]),
        (True, [""]),
        (None, [""]),
        ({}, ["/id"]),
        ({"id": 0}, ["/id"]),
        ({"id": "7"}, ["/id"]),
        ({"id": 7.5}, ["/id"]),
        ({"id": True}, ["/id"]),
        ({"id": 10**18}, ["/id"]),
        ({"id": 5, "sort": -1}, ["/sort"]),
        ({"id": None, "sort": "1", "primary": "Y", "role": 1}, ["/id", "/primary", "/role", "/sort"]),
    ],
)
async def test_a_body_that_is_not_valid_names_every_mistake(
    connected: Gateway, sandbox: Sandbox, body: Any, pointers: list[str]
) -> None:
    requests = sandbox.portal.http_requests
    data = {"data": b"null", "headers": {"Content-Type": "application/json"}} if body is None else {"json": body}
    answer = await connected.request("POST", "/bitrix/deals/1/contacts", **data)
    assert (answer.status, answer.json["code"]) == (400, "invalid_input")
    assert sorted(error["pointer"] for error in answer.json["errors"]) == pointers
    assert sandbox.portal.http_requests == requests


@pytest.mark.parametrize("bound_id", ["0", "x", "7,8", "-1", "7.5", "1" * 19])
async def test_a_bound_id_that_is_not_valid_is_refused(connected: Gateway, sandbox: Sandbox, bound_id: str) -> None:
    requests = sandbox.portal.http_requests
    answer = await send(connected, "DELETE", f"deals/1/contacts/{bound_id}")
    assert (answer.status, answer.json["errors"][0]["parameter"]) == (400, "otherId")
    assert sandbox.portal.http_requests == requests


async def test_bindings_are_removed_one_by_one(connected: Gateway) -> None:
    for path, allowed in (("deals/1/contacts", "GET, POST"), ("contacts/1/companies", "GET, POST")):
        answer = await send(connected, "DELETE", path)
        assert (answer.status, answer.headers["Allow"]) == (405, allowed)
        answer = await send(connected, "GET", f"{path}/7")
        assert (answer.status, answer.headers["Allow"]) == (405, "DELETE")


@pytest.mark.parametrize("fault", ["cut", "drop"])
@pytest.mark.parametrize("owner", OWNERS)
async def test_a_lost_answer_changes_nothing_twice(
    connected: Gateway, sandbox: Sandbox, owner: str, fault: str
) -> None:
    bound = bound_to(owner)
    row_id, other = await new(connected, owner, bound)
    path = f"{owner}/{row_id}/{bound}"
    sandbox.portal.fault(f"{METHODS[owner]}.add:{fault}")
    answer = await send(connected, "POST", path, {"id": other})
    assert (answer.status, answer.json["id"]) == (201, other)
    assert sandbox.portal.calls[f"{METHODS[owner]}.add"] == (1 if fault == "cut" else 2)
    sandbox.portal.fault(f"{METHODS[owner]}.delete:{fault}")
    assert (await send(connected, "DELETE", f"{path}/{other}")).status == 204
    assert sandbox.portal.calls[f"{METHODS[owner]}.delete"] == (1 if fault == "cut" else 2)
    assert await bindings(connected, path) == []


@pytest.mark.parametrize("fault", ["cut", "drop"])
async def test_a_changed_binding_survives_a_lost_answer(connected: Gateway, sandbox: Sandbox, fault: str) -> None:
    row_id, one, two = await new(connected, "deals", "contacts", "contacts")
    path = f"deals/{row_id}/contacts"
    for contact in (one, two):
        await send(connected, "POST", path, {"id": contact})
    sandbox.portal.fault(f"crm.deal.contact.items.set:{fault}")
    answer = await send(connected, "POST", path, {"id": two, "primary": True})
    assert (answer.status, answer.json) == (200, {"id": two, "primary": True, "sort": 20})
    assert await bindings(connected, path) == [(one, 10, False), (two, 20, True)]


async def test_a_key_gets_the_same_answer(connected: Gateway) -> None:
    row_id, other = await new(connected, "deals", "contacts")
    path, key = f"deals/{row_id}/contacts", {"Idempotency-Key": "1"}
    first = await send(connected, "POST", path, {"id": other}, **key)
    await send(connected, "DELETE", f"{path}/{other}")
    again = await send(connected, "POST", path, {"id": other}, **key)
    assert (again.status, again.body, again.headers["Idempotent-Replayed"]) == (201, first.body, "true")
    assert await bindings(connected, path) == []
    for method, target, body in (
        ("POST", path, {"id": other, "sort": 5}),
        ("POST", "deals/1/contacts", {"id": other}),
        ("DELETE", f"{path}/{other}", None),
    ):
        answer = await send(connected, method, target, body, **key)
        assert (answer.status, answer.json["code"]) == (422, "idempotency_key_reused")


async def test_a_refusal_of_the_portal_arrives_with_its_code_and_words(connected: Gateway, sandbox: Sandbox) -> None:
    row_id = portal_ids(sandbox, "deals")[0]
    sandbox.portal.fault("crm.deal.contact.items.get:error=insufficient_scope")
    answer = await send(connected, "GET", f"deals/{row_id}/contacts")
    assert (answer.status, answer.json["code"]) == (403, "insufficient_scope")
    sandbox.portal.deny("deals")
    for method, bound, body in (("GET", "", None), ("POST", "", {"id": 1}), ("DELETE", "/1", None)):
        answer = await send(connected, method, f"deals/{row_id}/contacts{bound}", body)
        assert (answer.status, answer.json["portalError"]["description"]) == (403, "Access denied!")


async def test_a_binding_that_cannot_be_read_back_is_shown_by_its_id(connected: Gateway, sandbox: Sandbox) -> None:
    row_id, other = await new(connected, "deals", "contacts")
    sandbox.portal.fault("crm.deal.contact.items.get:error=ACCESS_DENIED@1")
    answer = await send(connected, "POST", f"deals/{row_id}/contacts", {"id": other})
    assert (answer.status, answer.json) == (201, {"id": other})
