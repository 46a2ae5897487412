"""Webhooks that a portal no longer accepts: their reasons, temporary failures, and recovery."""

import asyncio
from collections.abc import Iterable
from typing import Any

import pytest

from tests.clock import ManualClock
from tests.gateway import RESOURCES, Answer, Gateway, Sandbox, authorize, serve_sandbox
from tests.support.recording_proxy import RecordingProxy, respond_json
from tests.support.stored import every_byte, select

ACCOUNT = "/bitrix/account"
REVOKED = "*:error=INVALID_CREDENTIALS*"
REVOKED_REASON = "the portal no longer accepts this authorization (INVALID_CREDENTIALS)"
NEW_HOST = "https://new.example"
PROBLEM = {"Accept": "application/problem+json"}


async def shown(gateway: Gateway) -> dict[str, Any]:
    account: dict[str, Any] = (await gateway.get(ACCOUNT)).json
    return account


async def call(gateway: Gateway, method: str = "profile", **params: object) -> Answer:
    return await gateway.clock.until(gateway.post(f"/bitrix/call/{method}", json=params))


async def call_the_portal(gateway: Gateway) -> list[Answer]:
    """Send each kind of request that needs the portal and return the responses."""
    return [
        await gateway.patch("/bitrix/users", headers=PROBLEM),
        await gateway.get("/bitrix/stream/deals"),
        await gateway.post("/bitrix/call/profile", json={}),
        await gateway.post("/bitrix/batch", json={"commands": [{"method": "profile"}]}),
        await gateway.post("/bitrix/v3/tasks.task.list", json={}),
    ]


def profiles(sandbox: Sandbox) -> int:
    return sandbox.portal.calls["profile"]


async def retried_at(sandbox: Sandbox, clock: ManualClock, times: int) -> float:
    """Advance the clock until the webhook has been retried *times* times, and return the time of the last retry."""
    while profiles(sandbox) < times:
        await clock.advance(5)
    assert profiles(sandbox) == times
    return clock.now()


async def test_every_request_to_a_moved_portal_names_its_new_host(connected: Gateway, sandbox: Sandbox) -> None:
    await connected.clock.advance(60)
    sandbox.portal.fault(f"*:redirect={NEW_HOST}*")
    await connected.sync("users")
    account = await shown(connected)
    assert (account["state"], account["stale"]) == ("stale", True)
    assert (account["reason"], account["reasonCode"]) == ("the portal has moved to new.example", "portal_moved")
    assert account["since"] > account["createdAt"]
    for refused in await call_the_portal(connected):
        assert (refused.status, refused.json["code"]) == (409, "webhook_required")
        assert refused.json["detail"] == "connect the webhook again at new.example: the portal has moved to new.example"
        assert "authorizeURL" not in refused.json
    assert len(await connected.rows("users")) == len(sandbox.portal.data.users)


async def test_the_reason_and_the_new_host_survive_a_restart(connected: Gateway, sandbox: Sandbox) -> None:
    sandbox.portal.fault(f"*:redirect={NEW_HOST}*")
    await connected.sync("users")
    before = await shown(connected)
    await connected.restart()
    assert await shown(connected) == before
    assert (await connected.patch("/bitrix/users")).json.startswith("connect the webhook again at new.example: ")


async def test_only_the_host_of_a_redirect_is_shown_or_stored(connected: Gateway, sandbox: Sandbox) -> None:
    sandbox.portal.fault("*:redirect=https://NEW.example:8443/rest/1/hidden-code/?auth=hidden-token#*")
    await connected.sync("users")
    account = await connected.get(ACCOUNT)
    assert account.json["reason"] == "the portal has moved to new.example:8443"
    answers = [account, *await call_the_portal(connected), await connected.get("/bitrix/sync")]
    assert all(b"hidden" not in answer.body for answer in answers)
    assert b"hidden" not in every_byte(connected)


async def test_a_webhook_at_the_new_host_restores_the_account(connected: Gateway, sandbox: Sandbox) -> None:
    async with serve_sandbox(sandbox.portal) as renamed:
        sandbox.portal.fault(f"batch:redirect={renamed.origin}*2")
        await connected.sync("users")
        refused = await connected.patch("/bitrix/users")
        assert refused.json.startswith(f"connect the webhook again at {renamed.host}: ")
        sandbox.portal.clear_faults()
        assert (await connected.connect(renamed.webhook)).json["state"] == "ok"
        assert [run["error"] for run in await connected.sync("users")] == [None]


async def test_a_revoked_webhook_must_be_connected_again_at_its_host(connected: Gateway, sandbox: Sandbox) -> None:
    sandbox.portal.fault(REVOKED)
    refused = await call(connected)
    assert refused.status == 409
    account = await shown(connected)
    assert (account["reason"], account["reasonCode"]) == (REVOKED_REASON, "credential_refused")
    for refused in await call_the_portal(connected):
        assert refused.json["detail"] == f"connect the webhook again at {sandbox.host}: {REVOKED_REASON}"


REDIRECTS, TOKENS = ("redirect={origin}", "redirect=http://["), ("expired_token", "invalid_token")
# REST 3.0 has one code for an expired token and wrong credentials, which the gateway treats as the latter.
PASSING = [(fault, method) for method in ("profile", "batch") for fault in (*REDIRECTS, *TOKENS)]
PASSING += [(fault, "tasks.task.add") for fault in REDIRECTS]


@pytest.mark.parametrize(("fault", "method"), PASSING)
async def test_a_temporary_failure_does_not_make_a_webhook_stale(
    connected: Gateway, sandbox: Sandbox, fault: str, method: str
) -> None:
    """This includes a write: the portal answered instead of running it."""
    tasks = len(sandbox.portal.data.tables["tasks"])
    sandbox.portal.fault(f"{method}:{fault.format(origin=sandbox.origin)}*2")
    if method == "batch":
        assert [run["error"] for run in await connected.sync("users")] == [None]
    elif method == "tasks.task.add":
        fields = {"title": "x", "creatorId": 1, "responsibleId": 1}
        added = connected.post("/bitrix/v3/tasks.task.add", json={"fields": fields})
        assert (await connected.clock.until(added)).status == 200
    else:
        assert (await call(connected)).status == 200
    assert len(sandbox.portal.data.tables["tasks"]) == tasks + (method == "tasks.task.add")
    account = await shown(connected)
    assert (account["state"], account["reason"], account["reasonCode"]) == ("ok", None, None)


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("redirect={origin}", "the portal redirects the call to its own address (HTTP 302)"),
        ("expired_token", "the portal temporarily does not accept the webhook (expired_token)"),
        ("invalid_token", "the portal temporarily does not accept the webhook (invalid_token)"),
    ],
)
async def test_a_temporary_failure_that_repeats_after_a_minute_makes_a_webhook_stale(
    connected: Gateway, sandbox: Sandbox, clock: ManualClock, fault: str, reason: str
) -> None:
    sandbox.portal.fault(f"*:{fault.format(origin=sandbox.origin)}*")
    first = await call(connected)
    assert (first.status, first.json["code"]) == (502, "webhook_doubted")
    failed_at = clock.now()
    while clock.now() - failed_at < 30:
        await call(connected)
    assert (await shown(connected))["state"] == "ok"
    await clock.advance(60)
    await call(connected)
    account = await shown(connected)
    assert (account["state"], account["reason"], account["reasonCode"]) == ("stale", reason, "webhook_doubted")
    refused = await connected.patch("/bitrix/users")
    assert refused.json == f"connect the webhook again at {sandbox.host}: {reason}"


async def test_a_success_resets_the_temporary_failures(
    connected: Gateway, sandbox: Sandbox, clock: ManualClock
) -> None:
    for _ in range(3):
        sandbox.portal.fault("*:expired_token*")
        assert (await call(connected)).status == 502
        sandbox.portal.clear_faults()
        assert (await call(connected)).status == 200
        await clock.advance(100)
    assert (await shown(connected))["state"] == "ok"


async def test_a_stale_webhook_is_retried_by_one_call_every_fifteen_minutes(
    connected: Gateway, sandbox: Sandbox, clock: ManualClock
) -> None:
    sandbox.portal.fault(REVOKED)
    await connected.sync("users")
    requests = sandbox.portal.http_requests
    await clock.advance(890)
    assert (await connected.patch("/bitrix/users")).status == 409
    assert (sandbox.portal.http_requests, profiles(sandbox)) == (requests, 0)
    await clock.advance(20)
    for _ in range(3):
        assert (await connected.patch("/bitrix/users")).status == 409
    assert (sandbox.portal.http_requests, profiles(sandbox)) == (requests + 1, 1)
    await connected.restart()
    await clock.advance(880)
    assert (await connected.patch("/bitrix/users")).status == 409
    assert profiles(sandbox) == 1
    await clock.advance(30)
    assert (await connected.patch("/bitrix/users")).status == 409
    assert profiles(sandbox) == 2


async def test_a_stale_webhook_recovers_by_itself(connected: Gateway, sandbox: Sandbox, clock: ManualClock) -> None:
    since = (await shown(connected))["since"]
    sandbox.portal.fault(REVOKED)
    await connected.sync("users")
    sandbox.portal.clear_faults()
    await clock.advance(901)
    assert (await call(connected, "user.current")).status == 200
    account = await shown(connected)
    assert (account["state"], account["stale"], account["reason"]) == ("ok", False, None)
    assert account["since"] > since
    assert [run["error"] for run in await connected.sync(*RESOURCES)] == [None] * 4
    assert profiles(sandbox) == 1


async def test_setting_the_clock_back_does_not_delay_the_next_retry(
    connected: Gateway, sandbox: Sandbox, clock: ManualClock
) -> None:
    sandbox.portal.fault(REVOKED)
    await connected.sync("users")
    sandbox.portal.clear_faults()
    clock.wall_shift_s = -86_400
    assert (await call(connected, "user.current")).status == 200
    assert (profiles(sandbox), (await shown(connected))["state"]) == (1, "ok")


async def test_concurrent_requests_share_one_retry(connected: Gateway, sandbox: Sandbox, clock: ManualClock) -> None:
    sandbox.portal.fault(REVOKED)
    await connected.sync("users")
    sandbox.portal.clear_faults()
    sandbox.portal.hold("profile")
    await clock.advance(901)
    requests: Iterable[asyncio.Task[Answer]] = [
        asyncio.create_task(connected.post("/bitrix/call/user.current", json={})) for _ in range(20)
    ]
    await clock.settle()
    await clock.settle()
    sandbox.portal.release("profile")
    answers = await clock.until(asyncio.gather(*requests))
    assert {answer.status for answer in answers} == {200}
    assert profiles(sandbox) == 1


async def test_a_retry_without_a_response_times_out_and_keeps_the_reason(
    connected: Gateway, sandbox: Sandbox, clock: ManualClock
) -> None:
    sandbox.portal.fault(REVOKED)
    await connected.sync("users")
    before = await shown(connected)
    sandbox.portal.clear_faults()
    sandbox.portal.hold("profile")
    await clock.advance(901)
    started = clock.now()
    assert (await call(connected, "user.current")).json["code"] == "webhook_required"
    assert clock.now() - started <= 31
    assert await shown(connected) == before


async def test_a_retry_finds_that_the_portal_has_moved(
    connected: Gateway, sandbox: Sandbox, clock: ManualClock
) -> None:
    sandbox.portal.fault(REVOKED)
    await connected.sync("users")
    since = (await shown(connected))["since"]
    sandbox.portal.clear_faults()
    sandbox.portal.fault(f"*:redirect={NEW_HOST}*")
    await clock.advance(901)
    assert (await connected.patch("/bitrix/users")).json.startswith("connect the webhook again at new.example: ")
    account = await shown(connected)
    assert (account["reasonCode"], account["since"]) == ("portal_moved", since)


@pytest.mark.parametrize("interval_s", ["60", "86400"])
async def test_the_schedule_retries_a_stale_webhook_and_resumes_its_syncs(
    connected: Gateway, sandbox: Sandbox, clock: ManualClock, interval_s: str
) -> None:
    await connected.restart(GATEWAY_SYNC_INTERVAL_S=interval_s)
    sandbox.portal.fault(REVOKED)
    await connected.sync("users")
    stale_at, requests = clock.now(), sandbox.portal.http_requests
    await clock.advance(890)
    assert (sandbox.portal.http_requests, (await shown(connected))["state"]) == (requests, "stale")
    first = await retried_at(sandbox, clock, 1)
    assert 890 < first - stale_at < 1815  # the schedule checks at least every 15 minutes
    sandbox.portal.clear_faults()
    ended = (await connected.get("/bitrix/sync/steps")).json["finishedAt"]
    assert 890 < await retried_at(sandbox, clock, 2) - first < 915
    while (await shown(connected))["state"] != "ok":
        await clock.settle()
    while (await connected.get("/bitrix/sync/steps")).json["finishedAt"] == ended:
        await clock.advance(float(interval_s) / 60)


async def test_a_late_refusal_of_the_previous_webhook_does_not_affect_the_new_one(
    connected: Gateway, sandbox: Sandbox, other: Sandbox
) -> None:
    sandbox.portal.hold("profile")
    sandbox.portal.fault("profile:error=INVALID_CREDENTIALS*")
    late = asyncio.create_task(connected.post("/bitrix/call/profile", json={}))
    while not profiles(sandbox):
        await connected.clock.settle()
    await connected.connect(other.webhook)
    sandbox.portal.release("profile")
    assert (await connected.clock.until(late)).status == 409
    assert (await shown(connected))["state"] == "ok"


async def test_an_invalid_authorization_of_an_application_has_a_reason_and_is_not_retried(
    gateway: Gateway, sandbox: Sandbox, clock: ManualClock
) -> None:
    await authorize(gateway, sandbox)
    await gateway.synced()
    sandbox.portal.oauth.expire_access_tokens()
    sandbox.portal.oauth.revoke_refresh_tokens()
    await gateway.sync("users")
    account = await shown(gateway)
    assert (account["state"], account["reasonCode"]) == ("stale", "grant_refused")
    assert account["reason"] == "the authorization code or refresh token is invalid, used or expired (invalid_grant)"
    requests = sandbox.portal.http_requests, len(sandbox.portal.token_requests)
    await gateway.restart(GATEWAY_SYNC_INTERVAL_S="60")
    await clock.advance(3600)
    problem = await gateway.patch("/bitrix/users", headers=PROBLEM)
    assert (problem.json["code"], problem.json["detail"]) == (
        "authorization_required",
        f"authorize again: {problem.json['authorizeURL']}",
    )
    assert (sandbox.portal.http_requests, len(sandbox.portal.token_requests)) == requests


async def test_a_redirect_to_the_same_host_does_not_use_a_refresh_token(gateway: Gateway, sandbox: Sandbox) -> None:
    await authorize(gateway, sandbox)
    await gateway.synced()
    sandbox.portal.token_requests.clear()
    sandbox.portal.fault(f"profile:redirect={sandbox.origin}*2")
    assert (await call(gateway)).status == 200
    sandbox.portal.fault(f"profile:redirect={sandbox.origin}*")
    for _ in range(3):
        refused = await call(gateway)
        assert (refused.status, refused.json["code"]) == (502, "portal_redirects")
        await gateway.clock.advance(60)
    assert (await shown(gateway))["state"] == "ok"
    assert not sandbox.portal.token_requests


async def test_deleting_an_account_erases_its_stale_reason(connected: Gateway, sandbox: Sandbox) -> None:
    sandbox.portal.fault(REVOKED)
    await connected.sync("users")
    await connected.delete(ACCOUNT)
    assert select(connected, "SELECT stale_code, stale_words, stale_host, tried_at FROM accounts") == [(None,) * 4]
    await connected.post(ACCOUNT, json={"client_bitrix_url": sandbox.origin})
    assert (await shown(connected))["state"] == "pending"


async def test_an_unusual_error_code_is_left_out_of_the_reason(connected: Gateway, proxy: RecordingProxy) -> None:
    await connected.connect(proxy.webhook)
    odd = {"error": {"code": "\x1b[31mODD\r\n" + "x" * 500, "message": "\x1b[31mred"}}
    proxy.answer("tasks.task.list", respond_json(odd, 401))
    answer = await connected.post("/bitrix/v3/tasks.task.list", json={})
    assert answer.status == 409
    account = await shown(connected)
    assert (account["state"], account["reason"]) == ("stale", "the portal no longer accepts this authorization")
