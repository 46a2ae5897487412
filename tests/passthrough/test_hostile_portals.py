"""Hostile portals: every request ends, memory stays bounded, and no raw response is returned or logged."""

import asyncio
import tracemalloc
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

import pytest

from tests.conftest import LIMIT
from tests.gateway import RESOURCES, Answer, Gateway, Sandbox, authorize
from tests.support.recording_proxy import RecordingProxy, respond

TOO_LARGE = f"the portal's answer is too large: more than {LIMIT} bytes"
OVERFLOWING = ("endless", "huge=300", "bomb=300", "dense=2")
BROKEN = {
    "headers=64": "the portal's answer cannot be read: not HTTP",
    "headers=2000": "the portal's answer cannot be read: not HTTP",
    "deep=100000": "the portal's answer cannot be read: not JSON",
}
SLOW = ("trickle", "interim")
PROFILE = {"method": "profile"}

Ask = Callable[[Gateway], Awaitable[Answer]]
WAYS: dict[str, tuple[str, Ask]] = {
    "call": ("user.get", lambda gateway: gateway.post("/bitrix/call/user.get", json={})),
    "batch": ("batch", lambda gateway: gateway.post("/bitrix/batch", json={"commands": [{"method": "user.get"}]})),
    "call of REST 3.0": ("tasks.task.list", lambda gateway: gateway.post("/bitrix/v3/tasks.task.list", json={})),
    "OpenAPI document": ("rest.documentation.openapi", lambda gateway: gateway.get("/bitrix/v3/openapi")),
    "stream": ("crm.deal.list", lambda gateway: gateway.get("/bitrix/stream/deals")),
    "stream of REST 3.0": ("main.eventlog.tail", lambda gateway: gateway.get("/bitrix/stream/eventlog")),
}
way = pytest.mark.parametrize(("method", "ask"), WAYS.values(), ids=WAYS)


@contextmanager
def bounded_memory(max_bytes: int) -> Iterator[None]:
    """Assert that at most *max_bytes* are allocated at once within the block."""
    tracemalloc.start()
    try:
        yield
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < max_bytes


@way
@pytest.mark.parametrize("fault", OVERFLOWING)
async def test_a_response_without_end_is_cut_off_and_not_requested_again(
    limited: Gateway, sandbox: Sandbox, method: str, ask: Ask, fault: str
) -> None:
    sandbox.portal.fault(f"{method}:{fault}*")
    with bounded_memory(8 * LIMIT):  # the sandbox is in this process too
        answer = await limited.clock.until(ask(limited))
    if answer.status == 200:  # the request succeeded, its only command failed
        (command,) = answer.json["results"]
        assert command["error"] == {"code": "answer_too_large", "description": TOO_LARGE, "status": 200}
    else:
        assert (answer.status, answer.json["code"], answer.json["detail"]) == (502, "answer_too_large", TOO_LARGE)
    assert sandbox.portal.calls[method] <= 3  # two first pages, too large together, are requested again one by one


@pytest.mark.parametrize("fault", OVERFLOWING)
async def test_a_sync_of_responses_without_end_fails_and_keeps_the_mirror(
    limited: Gateway, sandbox: Sandbox, fault: str
) -> None:
    before = {name: await limited.rows(name) for name in RESOURCES}
    sandbox.portal.fault(f"batch:{fault}*")
    with bounded_memory(16 * LIMIT):
        runs = await limited.sync(*RESOURCES)
    assert [run["state"] for run in runs] == ["failed"] * len(RESOURCES)
    assert all(run["error"].endswith(f"could not be read beyond id 0: {TOO_LARGE}") for run in runs)
    assert {name: await limited.rows(name) for name in RESOURCES} == before
    sandbox.portal.clear_faults()
    assert [run["error"] for run in await limited.sync(*RESOURCES)] == [None] * len(RESOURCES)


async def test_a_write_whose_response_is_too_large_is_not_retried_and_reported_as_unknown(
    limited: Gateway, sandbox: Sandbox
) -> None:
    sandbox.portal.fault("tasks.task.add:huge=2*")
    task = {"fields": {"title": "x", "creatorId": 1, "responsibleId": 1}}
    answer = await limited.post("/bitrix/v3/tasks.task.add", json=task)
    assert (answer.status, answer.json["code"]) == (502, "outcome_unknown")
    assert answer.json["detail"] == f"it is not known whether the call was carried out: {TOO_LARGE}"
    assert sandbox.portal.calls["tasks.task.add"] == 1


async def test_only_the_command_whose_response_is_too_large_fails(limited: Gateway, sandbox: Sandbox) -> None:
    sandbox.portal.fault("scope:huge=2*")
    commands = {name: {"method": name} for name in ("user.current", "scope", "profile", "user.fields")}
    results = (await limited.clock.until(limited.post("/bitrix/batch", json={"commands": commands}))).json["results"]
    assert [name for name, outcome in results.items() if "result" in outcome] == [
        "user.current",
        "profile",
        "user.fields",
    ]
    assert results["scope"]["error"]["code"] == "answer_too_large"


@pytest.mark.parametrize("pace", ["eager", "thrifty"])
async def test_a_list_whose_batches_are_too_large_is_read_in_smaller_ones(
    limited: Gateway, sandbox: Sandbox, pace: str
) -> None:
    users = sandbox.portal.data.users
    template = users[1]
    for user_id in range(1, 1501):
        users[user_id] = {**template, "ID": str(user_id), "WORK_NOTES": "x" * 4000}
    stream = await limited.stream("users", pace=pace)
    assert (stream.ids, stream.end["complete"]) == (list(range(1, 1501)), True)
    assert 1500 * 4000 / LIMIT < sandbox.portal.calls["batch"] < 40


@way
@pytest.mark.parametrize("fault", BROKEN)
async def test_an_unreadable_response_is_reported_in_a_sentence(
    limited: Gateway, sandbox: Sandbox, method: str, ask: Ask, fault: str
) -> None:
    sandbox.portal.fault(f"{method}:{fault}*")
    answer = await limited.clock.until(ask(limited))
    assert (answer.status, answer.json["code"], answer.json["detail"]) == (502, "portal_broken", BROKEN[fault])


async def test_a_result_that_cannot_be_encoded_fails_alone(
    proxied: Gateway, sandbox: Sandbox, proxy: RecordingProxy
) -> None:
    message = "the portal's answer cannot be read: nested too deeply"
    sandbox.portal.fault("scope:deep=300")
    answer = await proxied.post("/bitrix/call/scope", json={})
    assert (answer.status, answer.json["code"], answer.json["detail"]) == (502, "portal_broken", message)
    proxy.answer("batch", respond(200, b'{"result": {"result": {"c0": 1, "c1": %b}}}' % (b"[" * 300 + b"]" * 300)))
    results = (await proxied.post("/bitrix/batch", json={"commands": [PROFILE, PROFILE]})).json["results"]
    assert results == [{"result": 1}, {"error": {"code": "portal_broken", "description": message, "status": None}}]


async def test_a_row_that_cannot_be_encoded_ends_its_stream(proxied: Gateway, proxy: RecordingProxy) -> None:
    rows = b'[{"ID": "1", "X": %b}]' % (b"[" * 300 + b"]" * 300)
    proxy.answer("batch", *[respond(200, b'{"result": {"result": {"c0": %b, "c1": %b}}}' % (rows, rows))] * 9)
    answer = await proxied.clock.until(proxied.get("/bitrix/stream/deals"))
    assert (answer.status, answer.json["code"]) == (502, "portal_broken")
    assert answer.json["detail"] == "the portal's answer cannot be read: nested too deeply"


@way
@pytest.mark.parametrize("fault", SLOW)
async def test_a_trickling_response_ends_at_the_deadline(
    limited: Gateway, sandbox: Sandbox, method: str, ask: Ask, fault: str
) -> None:
    sandbox.portal.fault(f"{method}:{fault}*")
    began = limited.clock.now()
    answer = await limited.clock.until(ask(limited), step_s=5)
    assert (answer.status, answer.json["code"]) == (504, "portal_unreachable")
    assert answer.json["detail"] == "the portal does not answer: no response within 70 s"
    assert limited.clock.now() - began < 5 * 80 + 60


MOVED = {
    "loop": "the portal redirects the call to its own address",
    "nowhere": "the portal has moved to an unknown address",
}


@pytest.mark.parametrize("status", [300, 301, 302, 303, 304, 305, 307, 308])
@pytest.mark.parametrize("kind", MOVED)
async def test_a_redirect_to_itself_or_nowhere_is_not_followed(
    gateway: Gateway, sandbox: Sandbox, kind: str, status: int
) -> None:
    await authorize(gateway, sandbox)
    await gateway.synced()
    sandbox.portal.calls.clear()
    sandbox.portal.fault(f"*:{kind}={status}*")
    (run,) = await gateway.sync("users")
    assert run["error"].startswith(f"user.get could not be read beyond id 0: {MOVED[kind]}")
    assert sandbox.portal.calls["batch"] <= 10
    assert len(sandbox.portal.token_requests) <= 12


@pytest.mark.parametrize("endpoint", ["{origin}/rest/", "{origin}/other/rest/", "http://127.0.0.1:1/rest/"])
async def test_a_redirect_loop_is_abandoned(gateway: Gateway, sandbox: Sandbox, endpoint: str) -> None:
    await authorize(gateway, sandbox)
    await gateway.synced()
    sandbox.portal.calls.clear()
    sandbox.portal.fault("batch:loop=302*")
    sandbox.portal.fault(f"oauth.token:client_endpoint={endpoint.format(origin=sandbox.origin)}*")
    (run,) = await gateway.sync("users")
    assert run["state"] == "failed"
    assert sandbox.portal.calls["batch"] <= 10
    assert len(sandbox.portal.token_requests) <= 12


@pytest.mark.parametrize("fault", [*OVERFLOWING, *BROKEN, *SLOW, "loop=302", "nowhere=307", "escapes400"])
async def test_a_hostile_authorization_server_is_reported_in_a_sentence(
    gateway: Gateway, sandbox: Sandbox, fault: str
) -> None:
    sandbox.portal.fault(f"oauth.token:{fault}*")
    with bounded_memory(8 * LIMIT):
        answer = await gateway.clock.until(authorize(gateway, sandbox), step_s=5)
    assert (answer.status, answer.json) == (500, "Internal Server Error")  # as the contract has it
    assert (await gateway.get("/bitrix/account")).json["stale"] is True
    assert len(sandbox.portal.token_requests) <= 2


async def test_other_callers_are_served_while_a_portal_is_hostile(limited: Gateway, sandbox: Sandbox) -> None:
    sandbox.portal.fault("user.get:endless*")
    calls = [asyncio.ensure_future(limited.post("/bitrix/call/user.get", json={})) for _ in range(20)]
    rows = await limited.rows("steps")
    assert rows
    answers = await limited.clock.until(asyncio.gather(*calls))
    assert {answer.json["code"] for answer in answers} == {"answer_too_large"}
