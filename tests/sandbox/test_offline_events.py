"""event.offline.*: the event queue of an application."""

from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from gateway.sandbox.portal import SandboxPortal
from tests.sandbox.client import Answer, RestClient

Calling = Callable[..., Coroutine[Any, Any, Answer]]


@pytest.fixture
def call(anonymous: RestClient, portal: SandboxPortal, access_token: str) -> Calling:
    """Calls of event.offline.* by an application, with five events in the queue."""
    for row_id in range(1, 6):
        portal.data.offline_events[row_id] = portal.data.offline_events.blank(row_id)

    async def call(method: str, **params: Any) -> Answer:
        return await anonymous.call(f"/rest/event.offline.{method}", auth=access_token, **params)

    return call


def ids(answer: Answer) -> list[int]:
    return [int(event["ID"]) for event in answer.result["events"]]


def left(portal: SandboxPortal) -> list[int]:
    return list(portal.data.offline_events)


async def test_returned_events_are_deleted(call: Calling, portal: SandboxPortal) -> None:
    first = await call("get", limit=2)
    assert (ids(first), first.result["process_id"]) == ([1, 2], None)
    assert left(portal) == [3, 4, 5]
    assert ids(await call("get")) == [3, 4, 5]
    assert ids(await call("get")) == []


async def test_reserved_events_stay_for_their_process_until_cleared(call: Calling, portal: SandboxPortal) -> None:
    first = await call("get", limit=2, CLEAR="0")
    process_id = first.result["process_id"]
    assert len(process_id) == 32
    other = await call("get", clear=0)
    assert (ids(first), ids(other)) == ([1, 2], [3, 4, 5])
    assert other.result["process_id"] != process_id
    for _ in range(2):
        again = await call("get", Process_Id=process_id)
        assert (ids(again), again.result["process_id"]) == ([1, 2], process_id)
    message_id = portal.data.offline_events[1]["MESSAGE_ID"]
    assert (await call("clear", process_id=process_id, message_id=[message_id])).result is True
    assert left(portal) == [2, 3, 4, 5]
    assert (await call("clear", process_id=process_id, id=[1, 3])).result is True
    assert left(portal) == [2, 3, 4, 5]
    assert ids(await call("get", process_id=process_id, clear=1)) == [2]
    assert left(portal) == [3, 4, 5]


async def test_events_marked_as_errors_are_returned_only_on_request(call: Calling, portal: SandboxPortal) -> None:
    process_id = (await call("get", clear=0, limit=2)).result["process_id"]
    message_id = portal.data.offline_events[2]["MESSAGE_ID"]
    assert (await call("error", process_id=process_id, message_id=[message_id])).result is True
    assert ids(await call("get", process_id=process_id)) == [1]
    assert ids(await call("get", clear=0)) == [3, 4, 5]
    assert ids(await call("get", error=1)) == [2]
    assert left(portal) == [1, 3, 4, 5]


async def test_a_list_does_not_change_the_queue(call: Calling, portal: SandboxPortal) -> None:
    process_id = (await call("get", clear=0, limit=2)).result["process_id"]
    answer = await call("list", order={"ID": "DESC"}, filter={"PROCESS_ID": process_id})
    assert ([row["ID"] for row in answer.result], answer.body["total"]) == (["2", "1"], 2)
    assert left(portal) == [1, 2, 3, 4, 5]


async def test_filters_accept_the_operators_of_the_queue(call: Calling, portal: SandboxPortal) -> None:
    portal.data.offline_events[4]["EVENT_NAME"] = "ONCRMLEADADD"
    assert ids(await call("get", clear=0, filter={"=EVENT_NAME": "ONCRMLEADADD"})) == [4]
    assert ids(await call("get", filter={">=ID": 2, "<ID": 5})) == [2, 3]
    for method, wrong, text in (
        ("get", {"PROCESS_ID": ""}, "Filter field not allowed: PROCESS_ID"),
        ("list", {"!ID": 1}, "Filter operation not allowed: !"),
    ):
        answer = await call(method, filter=wrong)
        assert (answer.status, answer.error, answer.body["error_description"]) == (400, "ERROR_ARGUMENT", text)


@pytest.mark.parametrize(
    ("method", "params", "argument"),
    [
        ("get", {"limit": 0}, "LIMIT"),
        ("clear", {}, "PROCESS_ID"),
        ("error", {"message_id": []}, "PROCESS_ID"),
        ("error", {"process_id": "x"}, "message_id"),
        ("clear", {"process_id": "x", "message_id": ["short"]}, "message_id"),
    ],
)
async def test_an_invalid_argument_is_named(call: Calling, method: str, params: dict[str, Any], argument: str) -> None:
    answer = await call(method, **params)
    assert (answer.status, answer.error, answer.body["argument"]) == (400, "ERROR_ARGUMENT", argument)


async def test_only_an_administrators_application_has_access(
    webhook: RestClient, anonymous: RestClient, portal: SandboxPortal, tokens_of: Callable[[int], str]
) -> None:
    answer = await webhook.call("event.offline.get")
    assert (answer.status, answer.error) == (403, "WRONG_AUTH_TYPE")
    other = list(portal.data.users)[1]
    answer = await anonymous.call("/rest/event.offline.get", auth=tokens_of(other))
    assert (answer.status, answer.body) == (403, {"error": "ACCESS_DENIED", "error_description": "Access denied!"})


async def test_the_control_address_adds_events_to_the_queue(call: Calling, anonymous: RestClient) -> None:
    event = {"EVENT_NAME": "ONCRMLEADADD", "EVENT_DATA": {"FIELDS": {"ID": "9"}}}
    body = {"table": "offline_events", "set": {"6": event}}
    assert (await anonymous.call("/_sandbox/rows", **body)).body == {"rows": 6}
    (found,) = (await call("get", filter={"ID": 6})).result["events"]
    assert (found["EVENT_NAME"], found["EVENT_DATA"]) == ("ONCRMLEADADD", {"FIELDS": {"ID": "9"}})


async def test_each_source_key_has_a_queue_without_its_own_changes(
    anonymous: RestClient, portal: SandboxPortal, access_token: str
) -> None:
    async def call(method: str, key: str = "", **params: Any) -> Answer:
        if key:
            params["auth_connector"] = key
        return await anonymous.call(f"/rest/{method}", auth=access_token, **params)

    for key in ("", "shop", "stock"):
        bound = await call("event.bind", key, event="onCrmDealUpdate", event_type="offline")
        assert bound.result is True
    shown = (await call("event.get")).result
    assert [row["connector_id"] for row in shown] == ["", "shop", "stock"]
    await call("crm.deal.update", "shop", id=1, fields={"TITLE": "a"})
    command = "crm.deal.update?id=2&fields[TITLE]=b"
    await call("batch", "stock", cmd={"change": command})
    await call("crm.deal.update", id=3, fields={"TITLE": "c"})
    listed = (await call("event.offline.list", "shop")).result
    assert [row["EVENT_DATA"]["FIELDS"]["ID"] for row in listed] == ["2", "3"]
    assert "CONNECTOR_ID" not in listed[0]
    queues = {}
    for key in ("", "shop", "stock"):
        events = (await call("event.offline.get", key)).result["events"]
        queues[key] = [event["EVENT_DATA"]["FIELDS"]["ID"] for event in events]
    assert queues == {"": ["1", "2", "3"], "shop": ["2", "3"], "stock": ["1", "3"]}
    unbound = await call("event.unbind", "shop", event="onCrmDealUpdate", event_type="offline")
    assert unbound.result == {"count": 1}
    assert [row["connector_id"] for row in (await call("event.get")).result] == ["", "stock"]
    assert left(portal) == []
