"""GET /bitrix/stream/...: errors before the first row."""

import asyncio
from dataclasses import replace

import pytest

from gateway.sandbox.settings import SandboxSettings
from tests.gateway import Gateway, Sandbox, authorize
from tests.support.streaming import refused_stream

UNKNOWN_PARAMETER = "unknown parameter, expected one of source, filter, select, cursor, limit, pace, version"
POSITIVE = "must be a positive integer"
STREAM = "/bitrix/stream"


@pytest.fixture
def sandbox_settings(sandbox_settings: SandboxSettings) -> SandboxSettings:
    return replace(sandbox_settings, deals=1300, eventlog=2500, tasks=60, items=80)


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ("deals?cursor=x", "cursor: must be the id of a row, or 0"),
        ("deals?cursor=-1", "cursor: must be the id of a row, or 0"),
        ("deals?cursor=9999999999999999999", "cursor: must be the id of a row, or 0"),
        ("deals?cursor=1&cursor=2", "cursor: is given more than once"),
        ("deals?limit=0", f"limit: {POSITIVE} of at most 18 digits"),
        ("deals?limit=1e3", f"limit: {POSITIVE} of at most 18 digits"),
        ("deals?filter={", "filter: must be JSON: unexpected end of data (line 1, column 2)"),
        (
            "deals?filter=[1e400]",
            "filter: must be JSON: number is infinity when parsed as double (line 1, column 2)",
        ),
        ("deals?filter=null", "filter: must be a JSON object or list, and not null"),
        ("deals?select=", "select: must be field names, separated by commas"),
        ("deals?select=A,,B", "select: must be field names, separated by commas"),
        ("deals?pace=fast", "pace: must be thrifty or eager"),
        ("deals?pace=", "pace: must be thrifty or eager"),
        ("deals?=1", f"a parameter without a name: {UNKNOWN_PARAMETER}"),
        ("deals?fitler={}", f"fitler: {UNKNOWN_PARAMETER}"),
        (f"deals?filter={'[' * 70}{']' * 70}", "filter: must not be nested more than 64 levels deep"),
        ("deals?source=disk", "source: must be portal or mirror"),
        ("deals?version=2", "version: must be 2 or 3, and is only valid for tasks"),
        ("tasks?version=4", "version: must be 2 or 3, and is only valid for tasks"),
        ("items/0", f"entityTypeId: {POSITIVE}"),
        ("items/x", f"entityTypeId: {POSITIVE}"),
        ("items/99999999999", f"entityTypeId: {POSITIVE}"),
        ("items/00000000012345678901", f"entityTypeId: {POSITIVE}"),
        (f"items/0000000001{'1' * 5000}", f"entityTypeId: {POSITIVE}"),
    ],
)
async def test_an_invalid_parameter_is_refused_by_name(
    connected: Gateway, sandbox: Sandbox, query: str, sentence: str
) -> None:
    requests = sandbox.portal.http_requests
    problem = await refused_stream(connected, query, 400)
    assert problem["detail"] == sentence
    assert sandbox.portal.http_requests == requests


async def test_an_unknown_field_in_a_select_is_refused(connected: Gateway) -> None:
    problem = await refused_stream(connected, "deals?select=TITLE,NOPE", 400)
    assert problem["detail"] == "select: unknown field 'NOPE', which the list would ignore"
    assert (await connected.stream("deals", select="*,UF_*", limit=1)).rows


async def test_a_list_whose_method_is_denied_cannot_be_streamed(connected: Gateway, sandbox: Sandbox) -> None:
    await connected.restart(GATEWAY_METHODS_DENY="crm.deal.*")
    requests = sandbox.portal.http_requests
    assert (await refused_stream(connected, "deals", 403))["code"] == "method_denied"
    assert sandbox.portal.http_requests == requests
    assert (await connected.stream("leads")).end["complete"] is True


async def test_an_unknown_list_is_not_found(connected: Gateway) -> None:
    problem = await refused_stream(connected, "steps", 404)
    lists = "users, leads, deals, contacts, companies, quotes, invoices, tasks, eventlog, items/{entityTypeId}"
    expected = f"resource: unknown list 'steps', expected one of {lists}"
    assert (problem["code"], problem["detail"]) == ("stream_not_found", expected)


async def test_an_account_that_is_not_connected_cannot_stream(gateway: Gateway, sandbox: Sandbox) -> None:
    assert (await refused_stream(gateway, "deals", 404))["code"] == "account_not_found"
    await gateway.post("/bitrix/account", json={"client_bitrix_url": sandbox.origin})
    problem = await refused_stream(gateway, "deals", 409)
    assert problem["authorizeURL"].startswith(f"{sandbox.origin}/oauth/authorize/?")


async def test_a_revoked_credential_makes_the_account_stale(gateway: Gateway, sandbox: Sandbox) -> None:
    await authorize(gateway, sandbox)
    await gateway.synced()
    sandbox.portal.oauth.expire_access_tokens()
    sandbox.portal.fault("oauth.token:invalid_grant*")
    first = await refused_stream(gateway, 'deals?filter={"TITLE":"x"}', 409)
    assert "authorizeURL" not in first
    assert (await gateway.get("/bitrix/account")).json["stale"] is True
    requests = sandbox.portal.http_requests
    assert "authorizeURL" in await refused_stream(gateway, "deals", 409)
    assert sandbox.portal.http_requests == requests


@pytest.mark.parametrize(
    ("fault", "status", "code"),
    [
        ("crm.deal.list:error=ACCESS_DENIED*", 403, "access_denied"),
        ("crm.deal.list:error=insufficient_scope*", 403, "insufficient_scope"),
        ("crm.deal.list:error=NOT_KNOWN_TO_US*", 400, "portal_refused"),
        ("batch:html500*", 502, "portal_broken"),
        ("batch:drop*", 504, "portal_unreachable"),
        ("batch:qle*", 429, "too_busy"),
    ],
)
async def test_an_error_before_the_first_row_is_a_problem_with_its_status(
    connected: Gateway, sandbox: Sandbox, fault: str, status: int, code: str
) -> None:
    sandbox.portal.fault(fault)
    problem = await refused_stream(connected, "deals", status)
    assert problem["code"] == code


async def test_a_stream_that_would_wait_too_long_is_refused_with_retry_after(
    connected: Gateway, sandbox: Sandbox
) -> None:
    waiting = [asyncio.create_task(connected.post("/bitrix/call/profile", json={})) for _ in range(115)]
    while sum(task.done() for task in waiting) < 48 + 2:  # the bucket's capacity, and some refusals
        await connected.clock.settle()
    sandbox.portal.fault("crm.deal.list:otl")
    answer = await connected.get(f"{STREAM}/deals")
    assert answer.status == 429
    assert int(answer.headers["Retry-After"]) > 0
    assert answer.json["code"] == "too_busy"
    assert sandbox.portal.calls["crm.deal.list"] == 0
    await connected.clock.until(asyncio.gather(*waiting))
