"""Scripted faults: their syntax and their effects on a client."""

import asyncio
import re

import pytest
from aiohttp import ClientError, ClientPayloadError, ClientSession, ServerDisconnectedError

from gateway.sandbox.behaviour.fault_queue import Faults
from gateway.sandbox.behaviour.faults import (
    AFTER_CALL,
    BEFORE_CALL,
    BODY_FAULTS,
    ERROR_FAULTS,
    KINDS,
    LIST_FAULTS,
    ROW_FAULTS,
    TIME_FAULTS,
    TOKEN_FAULTS,
    Fault,
)
from gateway.sandbox.portal import SandboxPortal
from gateway.sandbox.web.server import SandboxServer
from tests.clock import ManualClock
from tests.sandbox.client import RestClient


@pytest.mark.parametrize(
    "spec",
    [
        "user.get:drop",
        "crm.status.list:qle*2",
        "batch:truncated*",
        "user.get:delay=1.5@3",
        "*:error=ACCESS_DENIED*4@1",
        "oauth.token:client_endpoint=http://127.0.0.2/rest/",
        "batch:redirect=https://new.example*",
        "crm.address.list:total=-50*",
        "batch:bomb=300*",
        "user.get:ids=negative@1",
        "scope:loop=307*",
        "request:cut*10%@2",
        "upload:body_cut=1000*@1",
        "download:slow=5",
    ],
)
def test_a_fault_formats_to_the_parsed_text(spec: str) -> None:
    assert str(Fault.parse(spec)) == spec


@pytest.mark.parametrize(
    "spec",
    [
        "",
        "drop",
        "user.get",
        "user.get:boom",
        "user.get:drop=1",
        "user.get:delay",
        "user.get:delay=soon",
        "user.get:qle@x",
        "user.get:member_id=1",
        "user.get:huge",
        "user.get:huge=1.5",
        "user.get:deep=1000000",
        "user.get:loop=200",
        "user.get:ids=odd",
        "user.get:endless=1",
        "a b:drop",
        "user.get:total",
        "user.get:total=5.5",
        "user.get:cut*0%",
        "user.get:cut*101%",
        "user.get:cut*%",
        "user.get:body_cut=5",
        "upload:body_cut",
        "upload:body_slow=0",
        "download:slow=fast",
    ],
)
def test_an_invalid_fault_is_refused_with_the_reason(spec: str) -> None:
    with pytest.raises(ValueError, match="fault"):
        Fault.parse(spec)


@pytest.mark.parametrize(
    ("spec", "rule"),
    [
        ("user.get:qle*0", "'user.get:qle*0': *N must be an integer between 1 and 999999999"),
        ("user.get:qle*000", "'user.get:qle*000': *N must be an integer between 1 and 999999999"),
        ("user.get:qle*" + "9" * 5000, "…': *N must be an integer between 1 and 999999999"),
        ("user.get:qle@" + "9" * 5000, "…': @M must be an integer up to 999999999"),
        ("a:total=1" + "0" * 15, "'a:total=1000000000000000': total takes an integer of at most 15 digits"),
        ("user.get:delay=" + "9" * 5000, "…': delay takes seconds, below 1000000000"),
    ],
)
def test_a_number_out_of_bounds_is_refused_with_the_bounds(spec: str, rule: str) -> None:
    with pytest.raises(ValueError, match=f"{re.escape(rule)}$") as error:
        Fault.parse(spec)
    assert len(str(error.value)) < 200


def test_faults_apply_in_order_with_their_repeats_and_skips() -> None:
    faults = Faults(ManualClock())
    for spec in ("a:qle*2@1", "a:otl", "b:drop*"):
        faults.add(Fault.parse(spec))
    assert [fault and fault.kind for fault in (faults.take("a") for _ in range(5))] == ["otl", "qle", "qle", None, None]
    assert all(faults.take("b") for _ in range(9))
    assert [str(fault) for fault in faults] == ["b:drop*"]


def test_a_percentage_of_the_calls_is_chosen_by_the_seed() -> None:
    def hits(seed: int) -> list[bool]:
        faults = Faults(ManualClock(), seed)
        faults.add(Fault.parse("a:cut*10%"))
        return [faults.take("a") is not None for _ in range(1000)]

    assert 70 <= sum(hits(1)) <= 130
    assert hits(1) == hits(1) != hits(2)


async def test_a_fault_of_the_request_applies_to_calls_and_whole_batches(
    webhook: RestClient, portal: SandboxPortal
) -> None:
    portal.fault("request:cut*2@1")
    assert (await webhook.batch(a="scope", b="scope"))["result_error"] == []
    for called in ("scope", "batch"):
        with pytest.raises(ClientPayloadError):
            await webhook.call(called, cmd={"a": "scope"})
    assert (await webhook.call("scope")).status == 200
    assert portal.calls["scope"] == 5


@pytest.mark.parametrize(
    ("kind", "status", "code"),
    [
        ("qle", 503, "QUERY_LIMIT_EXCEEDED"),
        ("qle200", 200, "QUERY_LIMIT_EXCEEDED"),
        ("otl", 429, "OPERATION_TIME_LIMIT"),
        ("expired_token", 401, "expired_token"),
        ("invalid_token", 401, "invalid_token"),
        ("error=ERROR_CORE", 400, "ERROR_CORE"),
    ],
)
async def test_an_error_fault_applies_to_calls_and_commands_alike(
    webhook: RestClient, portal: SandboxPortal, kind: str, status: int, code: str
) -> None:
    portal.fault(f"scope:{kind}*2")
    answer = await webhook.call("scope")
    assert (answer.status, answer.error, "time" in answer.body) == (status, code, False)
    result = await webhook.batch(a="scope", b="profile")
    assert result["result_error"]["a"]["error"] == code
    assert list(result["result"]) == ["b"]
    assert (await webhook.call("scope")).status == 200
    assert portal.refusals == {code: 2}
    assert portal.calls["scope"] == 3


@pytest.mark.parametrize("called", ["scope", "batch"])
@pytest.mark.parametrize(("kind", "status"), [("html200", 200), ("html500", 500), ("502", 502)])
async def test_an_html_page_replaces_json(
    webhook: RestClient, portal: SandboxPortal, kind: str, status: int, called: str
) -> None:
    portal.fault(f"scope:{kind}")
    answer = await webhook.call(called, cmd={"a": "scope"})
    assert (answer.status, answer.content_type) == (status, "text/html; charset=utf-8")


async def test_a_redirect_leads_to_the_same_address_at_another_origin(
    session: ClientSession, server: SandboxServer, portal: SandboxPortal
) -> None:
    portal.fault("scope:redirect=https://new.example")
    url = f"{server.origin}{portal.webhook_path}scope?a=1"
    async with session.get(url, allow_redirects=False) as answer:
        assert (answer.status, answer.headers["Location"]) == (
            302,
            f"https://new.example{portal.webhook_path}scope?a=1",
        )


@pytest.mark.parametrize("called", ["scope", "batch"])
async def test_a_dropped_connection_gives_no_answer(webhook: RestClient, portal: SandboxPortal, called: str) -> None:
    portal.fault("scope:drop")
    with pytest.raises((ServerDisconnectedError, ConnectionResetError)):
        await webhook.call(called, cmd={"a": "scope"})
    assert (await webhook.call("scope")).status == 200


@pytest.mark.parametrize("called", ["scope", "batch"])
async def test_a_cut_answer_ends_in_the_middle(webhook: RestClient, portal: SandboxPortal, called: str) -> None:
    portal.fault("scope:cut")
    with pytest.raises(ClientPayloadError):
        await webhook.call(called, cmd={"a": "scope"})
    assert (await webhook.call("scope")).status == 200


@pytest.mark.parametrize("called", ["scope", "batch"])
async def test_truncated_json_is_invalid(webhook: RestClient, portal: SandboxPortal, called: str) -> None:
    portal.fault("scope:truncated")
    with pytest.raises(ValueError, match=r"delimiter|char"):
        await webhook.call(called, cmd={"a": "scope"})


async def test_a_fault_of_the_batch_does_not_apply_to_its_commands(webhook: RestClient, portal: SandboxPortal) -> None:
    portal.fault("batch:qle")
    assert (await webhook.call("batch", cmd={"a": "scope"})).status == 503
    assert "scope" not in portal.calls


async def test_a_delay_uses_the_clock_and_counts_as_operating_time(
    webhook: RestClient, portal: SandboxPortal, clock: ManualClock
) -> None:
    portal.fault("scope:delay=12")
    call = asyncio.create_task(webhook.call("scope"))
    await clock.settle()
    assert not call.done()
    await clock.advance(12)
    time = (await call).body["time"]
    assert (time["duration"], time["operating"]) == (12, 12)


async def test_a_scripted_total_replaces_only_the_total(webhook: RestClient, portal: SandboxPortal) -> None:
    honest = (await webhook.call("user.get")).body
    portal.fault("user.get:total=50*")
    lie = (await webhook.call("user.get")).body
    assert (honest["total"], lie["total"]) == (130, 50)
    assert {**lie, "total": 130, "time": None} == {**honest, "time": None}
    assert (await webhook.batch(a="user.get", b="user.get?FILTER[ID]=0"))["result_total"] == {"a": 50}


async def test_a_method_on_hold_waits_until_its_release(
    webhook: RestClient, portal: SandboxPortal, clock: ManualClock
) -> None:
    portal.hold("user.get")
    calls = [asyncio.create_task(webhook.call("user.get")), asyncio.create_task(webhook.batch(a="user.get"))]
    await clock.settle()
    assert (await webhook.call("scope")).status == 200
    while portal.calls["user.get"] < 2:
        await clock.settle()
    assert not any(call.done() for call in calls)
    portal.release("user.get")
    await asyncio.gather(*calls)
    assert (await webhook.call("user.get")).status == 200


async def test_a_closing_server_answers_calls_on_hold(
    portal: SandboxPortal, session: ClientSession, clock: ManualClock
) -> None:
    portal.hold("scope")
    portal.release("profile")
    async with SandboxServer(portal) as server:
        call = asyncio.create_task(RestClient(session, server.origin + portal.webhook_path).call("scope"))
        while portal.calls["scope"] < 1:
            await clock.settle()
    assert (await call).status == 200


async def test_faults_can_be_cleared(webhook: RestClient, portal: SandboxPortal) -> None:
    portal.fault("*:drop*")
    with pytest.raises(ClientError):
        await webhook.call("scope")
    portal.clear_faults()
    assert (await webhook.call("scope")).status == 200


def test_every_kind_of_fault_is_documented_and_has_an_effect() -> None:
    assert sorted(KINDS) == sorted(
        (
            *BEFORE_CALL,
            *AFTER_CALL,
            *BODY_FAULTS,
            *ERROR_FAULTS,
            *TIME_FAULTS,
            *ROW_FAULTS,
            *TOKEN_FAULTS,
            *LIST_FAULTS,
        )
    )
