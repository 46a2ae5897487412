"""A write whose answer is lost is looked up, and repeated only if it certainly was not carried out."""

import asyncio
from typing import Any

import pytest

from tests.gateway import Answer, Gateway, Sandbox
from tests.support.records import enable, held, portal_ids
from tests.support.stored import without_table

RECORDS = ("leads", "deals", "contacts", "companies", "invoices", "items/128")
METHODS = {
    "leads": "crm.lead",
    "deals": "crm.deal",
    "contacts": "crm.contact",
    "companies": "crm.company",
    "quotes": "crm.quote",
}


def method_of(resource: str, action: str) -> str:
    return f"{METHODS.get(resource, 'crm.item')}.{action}"


def named(resource: str, text: str) -> dict[str, str]:
    return {{"contacts": "NAME", "invoices": "title", "items/128": "title"}.get(resource, "TITLE"): text}


async def write(gateway: Gateway, method: str, path: str, body: Any = None, **headers: str) -> Answer:
    """Send a write, and let the time pass that it waits."""
    return await gateway.clock.until(gateway.request(method, f"/bitrix/{path}", json=body, headers=headers))


@pytest.mark.parametrize("resource", RECORDS)
@pytest.mark.parametrize("fault", ["cut", "truncated", "drop", "502"])
async def test_a_record_is_created_once(connected: Gateway, sandbox: Sandbox, resource: str, fault: str) -> None:
    before, started = portal_ids(sandbox, resource), connected.clock.now()
    sandbox.portal.fault(f"{method_of(resource, 'add')}:{fault}")
    answer = await write(connected, "POST", resource, named(resource, "once"))
    assert answer.status == 201, answer.body
    assert portal_ids(sandbox, resource) == [*before, answer.json["id"]]
    was_repeated = sandbox.portal.calls[method_of(resource, "add")] == 2
    assert was_repeated is (fault in ("drop", "502"))
    assert (connected.clock.now() - started >= 60) is was_repeated


@pytest.mark.parametrize("resource", RECORDS)
@pytest.mark.parametrize("fault", ["cut", "drop"])
async def test_a_record_is_changed_and_deleted_once(
    connected: Gateway, sandbox: Sandbox, resource: str, fault: str
) -> None:
    row_id = portal_ids(sandbox, resource)[0]
    sandbox.portal.fault(f"{method_of(resource, 'update')}:{fault}")
    changed = await write(connected, "PATCH", f"{resource}/{row_id}", named(resource, "changed"))
    assert changed.status == 200, changed.body
    assert changed.json | named(resource, "changed") == changed.json
    sandbox.portal.fault(f"{method_of(resource, 'delete')}:{fault}")
    deleted = await write(connected, "DELETE", f"{resource}/{row_id}")
    assert deleted.status == 204, deleted.body
    assert row_id not in portal_ids(sandbox, resource)
    assert sandbox.portal.calls[method_of(resource, "delete")] == (1 if fault == "cut" else 2)


async def test_phones_are_added_once(connected: Gateway, sandbox: Sandbox) -> None:
    row_id = portal_ids(sandbox, "contacts")[0]
    sandbox.portal.fault("crm.contact.update:cut")
    answer = await write(connected, "PATCH", f"contacts/{row_id}", {"PHONE": ["1", "2"]})
    assert [entry["VALUE"] for entry in answer.json["PHONE"]] == ["1", "2"]
    assert sandbox.portal.calls["crm.contact.update"] == 1


async def test_what_cannot_be_looked_up_is_told(connected: Gateway, sandbox: Sandbox) -> None:
    before = len(portal_ids(sandbox, "quotes"))
    sandbox.portal.fault("crm.quote.add:cut")
    answer = await write(connected, "POST", "quotes", {"TITLE": "x"}, **{"Idempotency-Key": "q"})
    assert (answer.status, answer.json["code"]) == (502, "outcome_unknown")
    answer = await write(connected, "POST", "quotes", {"TITLE": "x"}, **{"Idempotency-Key": "q"})
    assert (answer.status, answer.json["code"]) == (502, "outcome_unknown")
    assert len(portal_ids(sandbox, "quotes")) == before + 1


async def test_a_portal_that_stays_away_leaves_the_outcome_unknown(connected: Gateway, sandbox: Sandbox) -> None:
    before = len(portal_ids(sandbox, "deals"))
    key = {"Idempotency-Key": "d"}
    sandbox.portal.fault("crm.deal.add:cut")
    sandbox.portal.fault("crm.deal.list:drop*")
    answer = await write(connected, "POST", "deals", {"TITLE": "x"}, **key)
    assert (answer.status, answer.json["code"]) == (502, "outcome_unknown")
    sandbox.portal.clear_faults()
    answer = await write(connected, "POST", "deals", {"TITLE": "x"}, **key)
    assert (answer.status, len(portal_ids(sandbox, "deals"))) == (201, before + 1)


@pytest.mark.parametrize("title", ["ours", "theirs"])
async def test_an_origin_of_the_caller_is_only_trusted_if_the_record_is_the_same(
    connected: Gateway, sandbox: Sandbox, title: str
) -> None:
    origin = {"ORIGINATOR_ID": "shop", "ORIGIN_ID": "7"}
    first = await write(connected, "POST", "deals", {"TITLE": title, **origin})
    assert (first.status, first.json["ORIGIN_ID"]) == (201, "7")
    sandbox.portal.fault("crm.deal.add:drop")
    answer = await write(connected, "POST", "deals", {"TITLE": "ours", "OPPORTUNITY": 0, **origin})
    if title == "ours":
        assert (answer.status, answer.json["id"]) == (201, first.json["id"])
    else:
        assert (answer.status, answer.json["code"]) == (502, "outcome_unknown")


async def test_of_several_records_with_the_origin_the_one_that_was_written_is_found(
    connected: Gateway, sandbox: Sandbox
) -> None:
    origin = {"ORIGINATOR_ID": "shop", "ORIGIN_ID": "7"}
    await write(connected, "POST", "deals", {"TITLE": "theirs", **origin})
    sandbox.portal.fault("crm.deal.add:cut")
    answer = await write(connected, "POST", "deals", {"TITLE": "ours", **origin})
    assert (answer.status, answer.json["id"]) == (201, max(portal_ids(sandbox, "deals")))


async def test_an_originator_alone_is_no_key(connected: Gateway, sandbox: Sandbox) -> None:
    await write(connected, "POST", "deals", {"TITLE": "same", "ORIGINATOR_ID": "shop", "ORIGIN_ID": "1"})
    sandbox.portal.fault("crm.deal.add:drop")
    answer = await write(connected, "POST", "deals", {"TITLE": "same", "ORIGINATOR_ID": "shop"})
    assert (answer.status, answer.json["id"]) == (201, max(portal_ids(sandbox, "deals")))
    assert (answer.json["ORIGINATOR_ID"], len(answer.json["ORIGIN_ID"])) == ("shop", 36)


async def test_a_key_gets_the_same_answer_for_a_day(connected: Gateway, sandbox: Sandbox) -> None:
    await enable(connected, "deals")
    before, key = len(portal_ids(sandbox, "deals")), {"Idempotency-Key": "order-7"}
    first = await write(connected, "POST", "deals", {"TITLE": "x"}, **key)
    assert "Idempotent-Replayed" not in first.headers
    await write(connected, "PATCH", f"deals/{first.json['id']}", {"TITLE": "later"})
    for _ in range(2):
        again = await write(connected, "POST", "deals", {"TITLE": "x"}, **key)
        assert (again.status, again.body) == (201, first.body)
        assert (again.headers["Idempotent-Replayed"], again.headers["Location"]) == ("true", first.headers["Location"])
        await connected.restart()
    for method, path, body in (
        ("POST", "deals", {"TITLE": "y"}),
        ("POST", "leads", {"TITLE": "x"}),
        ("PATCH", "deals/1", {"TITLE": "x"}),
        ("DELETE", "deals/1", None),
    ):
        answer = await write(connected, method, path, body, **key)
        assert (answer.status, answer.json["code"]) == (422, "idempotency_key_reused")
    assert len(portal_ids(sandbox, "deals")) == before + 1
    await connected.clock.advance(24 * 3600 + 1)
    assert (await write(connected, "POST", "deals", {"TITLE": "y"}, **key)).json["TITLE"] == "y"


async def test_keys_of_two_accounts_are_not_the_same(connected: Gateway, sandbox: Sandbox) -> None:
    await connected.connect(f"{sandbox.origin}{sandbox.portal.webhook_path}", account="beta")
    ids = set()
    for account in ("acme", "beta"):
        headers = {"Idempotency-Key": "1"}
        answer = await connected.request("POST", "/bitrix/deals", account=account, json={}, headers=headers)
        ids.add(answer.json["id"])
    assert len(ids) == 2


async def test_a_refused_request_does_not_use_up_its_key(connected: Gateway, sandbox: Sandbox) -> None:
    key = {"Idempotency-Key": "1"}
    sandbox.portal.fault("crm.deal.add:error=ACCESS_DENIED")
    assert (await write(connected, "POST", "deals", {"TITLE": "x"}, **key)).status == 403
    answer = await write(connected, "POST", "deals", {"TITLE": "y"}, **key)
    assert (answer.status, answer.json["TITLE"]) == (201, "y")


@pytest.mark.parametrize("key", ["", "a b", "é", "x" * 256])
async def test_a_key_that_is_not_valid_is_refused(connected: Gateway, key: str) -> None:
    answer = await write(connected, "DELETE", "deals/1", **{"Idempotency-Key": key})
    assert (answer.status, answer.json["errors"][0]["parameter"]) == (400, "Idempotency-Key")


async def test_callers_with_the_same_key_wait_for_the_first(connected: Gateway, sandbox: Sandbox) -> None:
    before, key = len(portal_ids(sandbox, "deals")), {"Idempotency-Key": "1"}
    sandbox.portal.hold("crm.deal.add")
    bodies = ({"TITLE": "x"}, {"TITLE": "x"}, {"TITLE": "y"})
    first, second, other = (
        asyncio.ensure_future(connected.request("POST", "/bitrix/deals", json=body, headers=key)) for body in bodies
    )
    await connected.clock.until(held(connected, sandbox, "crm.deal.add"))
    assert (await connected.clock.until(other)).json["code"] == "idempotency_key_reused"
    sandbox.portal.release("crm.deal.add")
    answers = await connected.clock.until(asyncio.gather(first, second))
    assert {answer.body for answer in answers} == {answers[0].body}
    assert sorted("Idempotent-Replayed" in answer.headers for answer in answers) == [False, True]
    assert len(portal_ids(sandbox, "deals")) == before + 1


@pytest.mark.parametrize("fault", ["cut", "drop"])
async def test_a_gateway_that_stops_in_the_middle_creates_nothing_twice(
    connected: Gateway, sandbox: Sandbox, fault: str
) -> None:
    before, key = len(portal_ids(sandbox, "deals")), {"Idempotency-Key": "1"}
    sandbox.portal.fault(f"crm.deal.add:{fault}")
    sandbox.portal.hold("crm.deal.list")
    caller = asyncio.ensure_future(connected.request("POST", "/bitrix/deals", json={"TITLE": "x"}, headers=key))
    await connected.clock.until(held(connected, sandbox, "crm.deal.list"))
    await connected.clock.until(connected.stop())
    await asyncio.gather(caller, return_exceptions=True)
    sandbox.portal.release("crm.deal.list")
    await connected.start()
    answer = await write(connected, "POST", "deals", {"TITLE": "x"}, **key)
    assert (answer.status, answer.json["TITLE"]) == (201, "x")
    assert len(portal_ids(sandbox, "deals")) == before + 1


async def test_a_write_that_is_repeated_a_minute_after_the_stop_does_not_wait(
    connected: Gateway, sandbox: Sandbox
) -> None:
    key = {"Idempotency-Key": "1"}
    sandbox.portal.hold("crm.deal.add")
    sandbox.portal.fault("crm.deal.add:drop")
    caller = asyncio.ensure_future(connected.request("POST", "/bitrix/deals", json={"TITLE": "x"}, headers=key))
    await connected.clock.until(held(connected, sandbox, "crm.deal.add"))
    await connected.clock.until(connected.stop())
    await asyncio.gather(caller, return_exceptions=True)
    sandbox.portal.release("crm.deal.add")
    await connected.start()
    await connected.clock.advance(60)
    started = connected.clock.now()
    answer = await write(connected, "POST", "deals", {"TITLE": "x"}, **key)
    assert (answer.status, connected.clock.now() - started < 60) == (201, True)


async def test_a_write_goes_on_when_its_caller_leaves(connected: Gateway, sandbox: Sandbox) -> None:
    await enable(connected, "deals")
    before = len(portal_ids(sandbox, "deals"))
    sandbox.portal.hold("crm.deal.add")
    caller = asyncio.ensure_future(connected.request("POST", "/bitrix/deals", json={"TITLE": "x"}))
    await connected.clock.until(held(connected, sandbox, "crm.deal.add"))
    caller.cancel()
    await asyncio.gather(caller, return_exceptions=True)
    sandbox.portal.release("crm.deal.add")

    async def mirrored() -> None:
        while (await connected.get("/bitrix/deals")).json["count"] == before:
            await connected.clock.sleep(0.1)

    await connected.clock.until(mirrored())
    assert len(portal_ids(sandbox, "deals")) == before + 1


@pytest.mark.parametrize("table", ["writes", "mirror_rows"])
async def test_a_write_that_was_carried_out_is_no_failure_if_the_database_fails_then(
    connected: Gateway, sandbox: Sandbox, table: str
) -> None:
    await enable(connected, "deals")
    before, key = len(portal_ids(sandbox, "deals")), {"Idempotency-Key": "1"}
    sandbox.portal.hold("crm.deal.add")
    caller = asyncio.ensure_future(connected.request("POST", "/bitrix/deals", json={"TITLE": "x"}, headers=key))
    await connected.clock.until(held(connected, sandbox, "crm.deal.add"))
    with without_table(connected, table):
        sandbox.portal.release("crm.deal.add")
        answer = await connected.clock.until(caller)
    assert (answer.status, answer.json["TITLE"]) == (201, "x")
    again = await write(connected, "POST", "deals", {"TITLE": "x"}, **key)
    assert (again.status, again.json["id"]) == (201, answer.json["id"])
    assert len(portal_ids(sandbox, "deals")) == before + 1


async def test_nothing_is_sent_if_the_journal_cannot_be_written(connected: Gateway, sandbox: Sandbox) -> None:
    await connected.get("/bitrix/deals/fields")
    requests = sandbox.portal.http_requests
    with without_table(connected, "writes"):
        answer = await write(connected, "POST", "deals", {"TITLE": "x"})
    assert (answer.status, sandbox.portal.http_requests) == (500, requests)


async def test_a_portal_without_room_for_the_read_back_does_not_hide_the_write(
    connected: Gateway, sandbox: Sandbox
) -> None:
    before, key = len(portal_ids(sandbox, "deals")), {"Idempotency-Key": "1"}
    sandbox.portal.fault("crm.deal.list:qle*")
    answer = await write(connected, "POST", "deals", {"TITLE": "x"}, **key)
    assert answer.status == 201
    sandbox.portal.clear_faults()
    again = await write(connected, "POST", "deals", {"TITLE": "x"}, **key)
    assert (again.json["id"], len(portal_ids(sandbox, "deals"))) == (answer.json["id"], before + 1)
