"""Each request to a portal is one line of the log, without parameters."""

from collections.abc import Awaitable, Callable
from typing import Any

import orjson
import pytest
from aiohttp import web

from gateway.bitrix.monitoring.call_log import (
    MAX_NAMES_CHARACTERS,
    CallLogEntry,
    parameter_names,
    render_console,
    render_json,
)
from tests.canaries import WATCH
from tests.gateway import Gateway, Sandbox, authorize
from tests.support.calling import batch, call, call3
from tests.support.flood import head_of
from tests.support.raw import Dial
from tests.support.recording_proxy import RecordingProxy
from tests.support.records import enable, sync_again

Lines = Callable[[], Awaitable[list[dict[str, Any]]]]
OWN = {"X-Request-ID": "the-callers-own"}
ENTRY = CallLogEntry(1.8e9, "crm.deal.get", "a.example.com", "acme", 0.0421, "ok", 1, "abc-1", None, None)


async def connect(gateway: Gateway, sandbox: Sandbox, **environ: str) -> None:
    """Connect "acme" to the portal; log JSON."""
    await gateway.restart(GATEWAY_LOG_FORMAT="json", **environ)
    await gateway.connect(sandbox.webhook)


@pytest.fixture
def lines(gateway: Gateway, capsys: pytest.CaptureFixture[str]) -> Lines:
    """Returns the lines of calls since it was called last."""

    async def read() -> list[dict[str, Any]]:
        await gateway.clock.advance(1)
        written = [line for line in capsys.readouterr().err.splitlines() if '"portal call"' in line]
        return [orjson.loads(line) for line in written]

    return read


async def test_a_call_is_one_line_with_the_request_id_of_its_caller(
    gateway: Gateway, sandbox: Sandbox, lines: Lines
) -> None:
    await connect(gateway, sandbox)
    await lines()
    assert (await call(gateway, "crm.deal.get", {"id": 1}, headers=OWN)).status == 200
    (line,) = await lines()
    assert line.pop("timestamp").startswith("2027-01-15T08:00:0")
    assert line.pop("ms") >= 0
    assert line == {
        "event": "portal call",
        "level": "info",
        "logger": "gateway.bitrix.calls",
        "method": "crm.deal.get",
        "portal": sandbox.host,
        "account": "acme",
        "outcome": "ok",
        "attempt": 1,
        "request_id": OWN["X-Request-ID"],
    }


@pytest.mark.parametrize(
    ("method", "fault", "outcome"),
    [
        ("crm.deal.get", "error=INSUFFICIENT_SCOPE", "INSUFFICIENT_SCOPE"),
        ("crm.deal.get", None, "RecordNotFound"),
        ("no.such.method", None, "ERROR_METHOD_NOT_FOUND"),
        ("crm.deal.get", "html200", "PortalBroken"),
        ("crm.deal.update", "drop", "PortalUnreachable"),
    ],
)
async def test_the_outcome_is_the_code_of_the_portal_or_the_name_of_the_error(
    gateway: Gateway, sandbox: Sandbox, lines: Lines, method: str, fault: str | None, outcome: str
) -> None:
    await connect(gateway, sandbox)
    await lines()
    if fault is not None:
        sandbox.portal.fault(f"{method}:{fault}*")
    await call(gateway, method, {"id": 987654321, "fields": {}})
    assert {line["outcome"] for line in await lines()} == {outcome}


async def test_each_attempt_is_a_line(gateway: Gateway, sandbox: Sandbox, lines: Lines) -> None:
    await connect(gateway, sandbox)
    await lines()
    sandbox.portal.fault("user.get:502*2")
    assert (await call(gateway, "user.get", headers=OWN)).status == 200
    shown = [(line["attempt"], line["outcome"] == "ok", line["request_id"]) for line in await lines()]
    assert shown == [(number, number == 3, OWN["X-Request-ID"]) for number in (1, 2, 3)]


async def test_a_line_tells_how_long_the_portal_took(gateway: Gateway, sandbox: Sandbox, lines: Lines) -> None:
    await connect(gateway, sandbox)
    await lines()
    sandbox.portal.fault("user.get:delay=3")
    await call(gateway, "user.get")
    (line,) = await lines()
    assert line["ms"] >= 3000


async def test_a_batch_is_one_line_with_the_number_of_its_commands(
    gateway: Gateway, sandbox: Sandbox, lines: Lines
) -> None:
    await connect(gateway, sandbox)
    await lines()
    commands = [{"method": "crm.deal.get", "params": {"id": 1}}, {"method": "no.such.method"}, {"method": "user.get"}]
    await batch(gateway, commands)
    await call3(gateway, "batch", [{"method": "tasks.task.list", "query": {"select": ["id"]}}] * 4)
    shown = [(line["method"], line["commands"], line["outcome"], "methods" in line) for line in await lines()]
    assert shown == [("batch", 3, "ok", False), ("batch", 4, "ok", False)]


async def test_the_line_of_a_batch_without_results_is_no_success(
    proxied: Gateway, proxy: RecordingProxy, capsys: pytest.CaptureFixture[str]
) -> None:
    async def broken(_sent: object) -> web.StreamResponse:
        return web.json_response({"result": []})

    proxy.answer("batch", *[broken] * 5)
    await batch(proxied, [{"method": "user.get"}])
    await proxied.clock.advance(1)
    written = [line for line in capsys.readouterr().err.splitlines() if "method=batch" in line]
    assert " outcome=PortalBroken " in written[-1]


async def test_calls_of_a_stream_have_its_request_id_and_those_of_a_sync_have_none(
    gateway: Gateway, sandbox: Sandbox, lines: Lines
) -> None:
    await connect(gateway, sandbox)
    assert {line.get("request_id") for line in await lines() if line["method"] != "scope"} == {None}
    await enable(gateway, "deals")
    await lines()
    await sync_again(gateway, "deals", "full")
    of_sync = await lines()
    assert {(line["account"], line.get("request_id")) for line in of_sync} == {("acme", None)}
    await gateway.stream("users")
    of_stream = await lines()
    assert len(of_stream) > 0
    assert None not in {line.get("request_id") for line in of_stream}


async def test_the_check_of_a_new_webhook_has_no_account(gateway: Gateway, sandbox: Sandbox, lines: Lines) -> None:
    await connect(gateway, sandbox)
    (line,) = [line for line in await lines() if line["method"] == "scope"]
    assert "account" not in line
    assert (line["portal"], line["outcome"]) == (sandbox.host, "ok")


async def test_a_call_whose_caller_leaves_is_a_line(
    gateway: Gateway, sandbox: Sandbox, lines: Lines, dial: Dial
) -> None:
    await connect(gateway, sandbox)
    await lines()
    sandbox.portal.hold("user.get")
    _, writer = await dial()
    writer.write(head_of(gateway, "POST", "/bitrix/call/user.get"))
    await gateway.clock.settle()
    writer.close()
    assert [(line["method"], line["outcome"]) for line in await lines()] == [("user.get", "CancelledError")]
    sandbox.portal.release("user.get")


async def test_a_call_that_is_not_sent_is_no_line(gateway: Gateway, sandbox: Sandbox, lines: Lines) -> None:
    await connect(gateway, sandbox, GATEWAY_MAX_WAIT_S="1")
    sandbox.portal.fault("user.get:otl*1")
    await call(gateway, "user.get")
    await lines()
    assert (await call(gateway, "user.get")).status == 429
    assert await lines() == []


async def test_above_level_info_there_are_no_lines_and_calls_are_counted(
    gateway: Gateway, sandbox: Sandbox, lines: Lines
) -> None:
    await connect(gateway, sandbox, GATEWAY_LOG_LEVEL="warning")
    await call(gateway, "crm.deal.get", {"id": 1})
    assert await lines() == []
    items = (await gateway.get("/bitrix/methods")).json["items"]
    assert [item["calls"] for item in items if item["method"] == "crm.deal.get"] == [1]


@pytest.mark.parametrize("level", ["info", "debug"])
async def test_parameters_are_logged_at_debug_level_by_name_only(
    gateway: Gateway, sandbox: Sandbox, lines: Lines, level: str
) -> None:
    WATCH.secret("a value", secret := "canary-value-5d1f")
    await gateway.restart(GATEWAY_LOG_FORMAT="json", GATEWAY_LOG_LEVEL=level)
    assert (await authorize(gateway, sandbox)).status == 302  # the calls carry a token in their parameters
    await gateway.synced()
    await lines()
    fields = {"TITLE": secret, "COMMENTS": [secret], "UF_CRM_1": {secret: secret}}
    await call(gateway, "crm.lead.add", {"fields": fields, "params": {"REGISTER_SONET_EVENT": "N"}})
    await call(gateway, "crm.deal.list", {"filter": {">=OPPORTUNITY": 5, "%TITLE": secret}, "select": ["ID", "UF_*"]})
    conditions = [["id", "in", [1, 2]], ["title", secret]]
    await call3(gateway, "tasks.task.list", {"filter": conditions, "select": ["id"], "pagination": {"limit": 2}})
    await call(gateway, "task.commentitem.add", [13, {"POST_MESSAGE": secret}])
    await batch(gateway, [{"method": "crm.lead.add", "params": {"fields": fields}}] * 2 + [{"method": "user.get"}])
    shown = [line.get("parameters", line.get("methods")) for line in await lines()]
    assert shown == (
        [None] * 5
        if level == "info"
        else [
            "fields,fields.TITLE,fields.COMMENTS,fields.UF_CRM_1,params",
            "filter,filter.>=OPPORTUNITY,filter.%TITLE,select,select.ID,select.UF_*",
            "filter,filter.id,filter.title,select,select.id,pagination",
            "",
            "crm.lead.add,user.get",
        ]
    )


@pytest.mark.parametrize("level", ["info", "debug"])
async def test_requests_for_tokens_are_lines_of_their_authorization_server(
    gateway: Gateway, sandbox: Sandbox, lines: Lines, level: str
) -> None:
    await gateway.restart(GATEWAY_LOG_FORMAT="json", GATEWAY_LOG_LEVEL=level)
    assert (await authorize(gateway, sandbox)).status == 302
    await gateway.synced()
    (exchanged,) = [line for line in await lines() if line["method"] == "oauth/token"]
    assert exchanged.pop("timestamp").startswith("2027-01-15T08:00:0")
    assert exchanged.pop("ms") >= 0
    assert exchanged.pop("request_id")
    assert exchanged.pop("parameters", None) == (None if level == "info" else "client_id,client_secret,grant_type,code")
    assert exchanged == {
        "event": "portal call",
        "level": "info",
        "logger": "gateway.bitrix.calls",
        "method": "oauth/token",
        "portal": sandbox.host,
        "account": "acme",
        "outcome": "ok",
        "attempt": 1,
    }
    await gateway.clock.advance(3600)
    await gateway.synced()
    await lines()
    await gateway.clock.advance(3600)
    sandbox.portal.fault("oauth.token:502*1")
    await call(gateway, "user.get", headers=OWN)
    refreshed = [line for line in await lines() if line["method"] == "oauth/token"]
    assert [(line["account"], line["outcome"], line["attempt"]) for line in refreshed] == [
        ("acme", "PortalBroken", 1),
        ("acme", "ok", 2),
    ]
    names = "client_id,client_secret,grant_type,refresh_token"
    assert {line.get("parameters") for line in refreshed} == {None if level == "info" else names}


async def test_a_refused_request_for_tokens_has_the_code_of_its_server(
    gateway: Gateway, sandbox: Sandbox, lines: Lines
) -> None:
    await gateway.restart(GATEWAY_LOG_FORMAT="json")
    sandbox.portal.fault("oauth.token:error=invalid_client")
    await authorize(gateway, sandbox)
    (line,) = [line for line in await lines() if line["method"] == "oauth/token"]
    assert (line["outcome"], line["attempt"]) == ("invalid_client", 1)


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        ({"ID": 1, "FIELDS": {"TITLE": 1}}, "ID,FIELDS,FIELDS.TITLE"),
        ({"a b": 1, "x\n2026-01-01": 2, "?auth=abc": 3, "": 4, "n" * 65: 5, "имя": 6}, "?,?,?,?,?,?"),
        ({"filter": {"LOGIC": "OR", "0": {"=NAME": "x"}}}, "filter,filter.LOGIC,filter.?"),
        ({"filter": [["a secret text", 1], [], 7, {"logic": "or"}]}, "filter,filter.?"),
        ({"select": "ID", "filter": None, "fields": 5}, "select,filter,fields"),
        ([{"POST_MESSAGE": "x"}], ""),
        (None, ""),
    ],
)
def test_only_what_looks_like_a_name_is_shown(arguments: object, shown: str) -> None:
    assert parameter_names(arguments) == shown


def test_the_names_in_a_line_have_a_maximum() -> None:
    text = parameter_names({f"UF_CRM_{number}": 1 for number in range(10_000)})
    assert len(text) == MAX_NAMES_CHARACTERS + 1
    assert text.endswith("…")


def test_a_line_of_the_console_has_the_same_fields() -> None:
    entry = ENTRY._replace(commands=3, names="crm.deal.get,user.get")
    assert render_console(entry) == (
        "2027-01-15T08:00:00.000000Z [info     ] portal call                    [gateway.bitrix.calls] "
        "method=crm.deal.get commands=3 portal=a.example.com account=acme ms=42.1 outcome=ok attempt=1 "
        "request_id=abc-1 methods=crm.deal.get,user.get\n"
    )


@pytest.mark.parametrize("render", [render_console, render_json])
def test_the_name_of_an_account_cannot_forge_a_field_or_a_line(render: Callable[[CallLogEntry], str]) -> None:
    forged = 'x outcome=ok"\n2027-01-01 \x1b[31m auth=c4nary-secret \ud800'
    line = render(ENTRY._replace(account=forged, outcome="ACCESS_DENIED", attempt=2))
    assert line.count("\n") == 1
    assert "\x1b" not in line
    assert "c4nary" not in line
    if render is render_console:
        assert 'account="x outcome=ok\\"\\\\n2027' in line
    else:
        assert orjson.loads(line)["outcome"] == "ACCESS_DENIED"
