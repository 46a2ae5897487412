"""Reads that consume what they return, such as events of a queue, are not retried if their response is lost."""

from typing import Any

import pytest

from tests.gateway import Gateway, Sandbox, authorize
from tests.support.calling import post
from tests.support.recording_proxy import RecordingProxy, drop_connection, respond

TAKE = "event.offline.get"
LOST = ["cut", "truncated"]  # the portal has carried out the call


@pytest.fixture
async def with_events(gateway: Gateway, sandbox: Sandbox) -> Gateway:
    """The gateway with its account connected by OAuth, idle, and five events in the portal's queue."""
    assert (await authorize(gateway, sandbox)).status == 302
    await gateway.synced()
    await gateway.clock.advance(60)
    events = sandbox.portal.data.offline_events
    for row_id in range(1, 6):
        events[row_id] = events.blank(row_id)
    return gateway


def taken(result: Any) -> list[int]:
    return [int(event["ID"]) for event in result["events"]]


@pytest.mark.parametrize("fault", LOST)
@pytest.mark.parametrize("method", [TAKE, "Event.Offline.Get", "EVENT.OFFLINE.GET"])
async def test_events_whose_response_was_lost_are_not_taken_again(
    with_events: Gateway, sandbox: Sandbox, fault: str, method: str
) -> None:
    sandbox.portal.fault(f"{TAKE}:{fault}")
    answer = await post(with_events, f"call/{method}", {"limit": 2})
    assert (answer.status, answer.json["code"]) == (502, "outcome_unknown")
    assert answer.json["detail"].startswith("it is not known whether the call was carried out")
    assert sandbox.portal.calls[TAKE] == 1
    assert taken((await post(with_events, f"call/{method}", {})).json["result"]) == [3, 4, 5]


@pytest.mark.parametrize("fault", LOST)
@pytest.mark.parametrize(
    "command", [{"method": TAKE, "params": {"limit": 2}}, {"method": TAKE.title(), "params": {"clear": 0}}]
)
async def test_a_batch_that_takes_events_is_not_retried(
    with_events: Gateway, sandbox: Sandbox, fault: str, command: dict[str, Any]
) -> None:
    sandbox.portal.fault(f"{TAKE}:{fault}")
    answer = await post(with_events, "batch", {"commands": [{"method": "profile"}, command]})
    assert (answer.status, answer.json["code"]) == (502, "outcome_unknown")
    assert sandbox.portal.calls[TAKE] == 1


async def test_the_request_of_a_long_batch_that_takes_events_is_not_retried(
    with_events: Gateway, sandbox: Sandbox
) -> None:
    sandbox.portal.fault(f"{TAKE}:cut")
    commands = [{"method": "profile"}] * 50 + [{"method": TAKE, "params": {"limit": 2}}]
    results = (await post(with_events, "batch", {"commands": commands})).json["results"]
    assert all(outcome["result"]["ID"] == "1" for outcome in results[:50])
    assert results[50]["error"]["code"] == "outcome_unknown"
    assert sandbox.portal.calls[TAKE] == 1
    assert sorted(sandbox.portal.data.offline_events) == [3, 4, 5]


@pytest.mark.parametrize("fault", [*LOST, "drop", "502"])
@pytest.mark.parametrize("in_batch", [False, True])
async def test_reading_the_events_of_a_process_is_retried(
    with_events: Gateway, sandbox: Sandbox, fault: str, in_batch: bool
) -> None:
    reserved = (await post(with_events, f"call/{TAKE}", {"clear": 0, "limit": 2})).json["result"]
    params = {"PROCESS_ID": reserved["process_id"], "Clear": "0"}
    sandbox.portal.fault(f"{TAKE}:{fault}*2")
    if in_batch:
        answer = await post(with_events, "batch", {"commands": [{"method": TAKE, "params": params}]})
        result = answer.json["results"][0]["result"]
    else:
        result = (await post(with_events, f"call/{TAKE}", params)).json["result"]
    assert taken(result) == taken(reserved) == [1, 2]
    assert sandbox.portal.calls[TAKE] == 1 + 3


async def test_taking_events_is_retried_if_the_portal_did_not_carry_it_out(
    with_events: Gateway, sandbox: Sandbox
) -> None:
    sandbox.portal.fault(f"{TAKE}:qle*2")
    assert taken((await post(with_events, f"call/{TAKE}", {})).json["result"]) == [1, 2, 3, 4, 5]
    assert sandbox.portal.calls[TAKE] == 3


@pytest.mark.parametrize("broken", [drop_connection, respond(200, b'{"result"'), respond(502, b"<html>", "text/html")])
@pytest.mark.parametrize("method", [TAKE, "im.notify.read.list", "Im.Notify.Read.List"])
async def test_no_endpoint_retries_a_method_that_is_not_safe_to_repeat(
    proxied: Gateway, proxy: RecordingProxy, broken: Any, method: str
) -> None:
    command = {"method": method, "params": {"IDS": [1, 2]}}
    call3 = {"method": method, "query": {"IDS": [1, 2]}}
    for path, body in (
        (f"call/{method}", command["params"]),
        ("batch", {"commands": {"a": command, "b": {"method": "profile"}}}),
        ("batch", {"commands": [command], "halt": True}),
        (f"v3/{method}", call3["query"]),
        ("v3/batch", [{"method": "tasks.task.list"}, call3]),
    ):
        proxy.sent.clear()
        proxy.answer("batch" if "batch" in path else method, broken)
        answer = await post(proxied, path, body)
        assert (answer.status, answer.json["code"]) == (502, "outcome_unknown"), path
        assert len(proxy.sent) == 1, path
