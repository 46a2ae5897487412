"""Calls within the portal's limits: which wait and which are refused."""

import asyncio
from typing import Any

import pytest

from tests.gateway import Gateway, Sandbox
from tests.support.calling import WRITE, call, refusal
from tests.support.recording_proxy import RecordingProxy, respond_json

MOMENTS = 500  # to wait for events that do not depend on the manual clock


async def test_two_hundred_callers_exceed_neither_the_rate_nor_the_concurrency_limit(
    proxied: Gateway, proxy: RecordingProxy, sandbox: Sandbox
) -> None:
    await proxied.restart(GATEWAY_PORTAL_CONCURRENCY="8", GATEWAY_MAX_WAIT_S="200")
    paths = ["/bitrix/call/profile", "/bitrix/v3/main.eventlog.list"]
    calls = [proxied.post(paths[number % 2], json={}) for number in range(180)]
    calls += [proxied.post("/bitrix/batch", json={"commands": [{"method": "scope"}] * 60}) for _ in range(10)]
    answers = await proxied.clock.until(asyncio.gather(*calls))
    assert {answer.status for answer in answers} == {200}
    assert proxy.max_in_flight <= 8
    assert len(proxy.sent) == 180 + 20
    assert sandbox.portal.refusals["QUERY_LIMIT_EXCEEDED"] == 0


async def test_calls_that_would_wait_too_long_are_refused_with_retry_after(
    proxied: Gateway, proxy: RecordingProxy
) -> None:
    await proxied.restart(GATEWAY_MAX_WAIT_S="3")
    proxy.answer(WRITE, *[respond_json({"result": True})] * 30)
    calls = [proxied.post(f"/bitrix/call/{WRITE}", json={}) for _ in range(30)]
    calls += [proxied.post("/bitrix/v3/main.eventlog.list", json={}) for _ in range(40)]
    at_once, max_refused = 48, 70 - (48 + 3 * 2)
    tasks = [asyncio.ensure_future(call) for call in calls]
    for _ in range(MOMENTS):
        if sum(task.done() for task in tasks) >= at_once + max_refused - 2:  # all but at most two have arrived
            break
        await proxied.clock.settle()
    answers = await proxied.clock.until(asyncio.gather(*tasks))
    refused = [answer for answer in answers if answer.status == 429]
    assert max_refused - 2 <= len(refused) <= max_refused
    assert len(proxy.sent) == 70 - len(refused)
    assert {refusal(answer) for answer in refused} == {(429, "too_busy")}
    assert {answer.headers["Retry-After"] for answer in refused} == {"4"}


async def test_a_method_without_operating_time_is_refused_while_others_work(
    connected: Gateway, sandbox: Sandbox
) -> None:
    assert (await call(connected, "user.get")).status == 200
    sandbox.portal.fault("user.get:otl")
    requests = sandbox.portal.http_requests
    for _ in range(2):
        answer = await call(connected, "user.get")
        # The clock has stood still since the last response. What is booked since then expires ten minutes after it.
        assert (refusal(answer), answer.headers["Retry-After"]) == ((429, "too_busy"), "600")
    assert sandbox.portal.http_requests == requests + 1
    assert (await call(connected, "profile")).status == 200


@pytest.mark.parametrize(
    ("verb", "path", "held"),
    [
        ("POST", "/bitrix/call/profile", "profile"),
        ("GET", "/bitrix/v3/openapi", "rest.documentation.openapi"),
    ],
)
async def test_a_hundred_disconnected_callers_release_their_slots(
    connected: Gateway, sandbox: Sandbox, verb: str, path: str, held: str
) -> None:
    await connected.restart(GATEWAY_PORTAL_CONCURRENCY="4", GATEWAY_BUCKET_CAPACITY="1000")
    sandbox.portal.hold(held)
    calls = [asyncio.create_task(connected.request(verb, path)) for _ in range(100)]
    await connected.clock.settle()
    for task in calls:
        task.cancel()
    await asyncio.gather(*calls, return_exceptions=True)
    await connected.clock.settle()
    answer = await asyncio.wait_for(connected.post("/bitrix/call/scope", json={}), 5)
    assert answer.status == 200


async def test_two_portals_do_not_wait_for_each_other(
    connected: Gateway, sandbox: Sandbox, other: Sandbox, clock: Any
) -> None:
    await connected.connect(other.webhook, account="beta")
    await connected.restart(GATEWAY_PORTAL_CONCURRENCY="2")
    sandbox.portal.hold("profile")
    held = [asyncio.create_task(connected.post("/bitrix/call/profile", json={})) for _ in range(5)]
    await clock.settle()
    answer = await asyncio.wait_for(connected.post("/bitrix/call/profile", json={}, account="beta"), 5)
    assert answer.status == 200
    assert not any(task.done() for task in held)
    sandbox.portal.release("profile")
    assert {answer.status for answer in await clock.until(asyncio.gather(*held))} == {200}
