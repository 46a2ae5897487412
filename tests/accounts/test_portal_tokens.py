"""The tokens of an account: refreshed once, stored before use, replaced by a new authorization, never shown."""

import asyncio
import logging
from urllib.parse import parse_qsl, urlsplit

import pytest

from tests.clock import ManualClock
from tests.gateway import NO_TOKEN, RESOURCES, Gateway, Sandbox, authorize, callback_path, serve_sandbox
from tests.support.stored import credentials, every_byte, locked, select

ACCOUNT = "/bitrix/account"


async def start_all(gateway: Gateway) -> None:
    """Start every sync and wait until each has stopped or waits."""
    for name in RESOURCES:
        assert (await gateway.patch(f"/bitrix/{name}")).status == 200
    await gateway.clock.settle()


def issued(sandbox: Sandbox) -> set[str]:
    """Return every access token that the portal has been called with."""
    return {call.credential for call in sandbox.portal.seen if call.credential is not None}


@pytest.mark.parametrize("signal", ["clock", "portal"])
async def test_an_expired_token_is_refreshed_once_for_concurrent_calls(
    authorized: Gateway, sandbox: Sandbox, clock: ManualClock, signal: str
) -> None:
    if signal == "clock":
        await clock.advance(3600)
    else:
        sandbox.portal.oauth.expire_access_tokens()
    sandbox.portal.hold("oauth.token")
    await start_all(authorized)
    await clock.advance(1)
    assert {run["state"] for run in (await authorized.get("/bitrix/sync")).json["items"]} == {"running"}
    sandbox.portal.release("oauth.token")
    assert [run["error"] for run in await authorized.synced()] == [None] * 4
    assert [request["grant_type"] for request in sandbox.portal.token_requests] == ["refresh_token"]


async def test_a_valid_token_is_not_refreshed(authorized: Gateway, sandbox: Sandbox, clock: ManualClock) -> None:
    await clock.advance(3500)
    await authorized.sync(*RESOURCES)
    await authorized.restart()
    await authorized.sync(*RESOURCES)
    assert not sandbox.portal.token_requests


@pytest.mark.usefixtures("authorized")
async def test_no_token_is_refreshed_on_a_timer(sandbox: Sandbox, clock: ManualClock) -> None:
    await clock.advance(3 * 86400)
    assert not sandbox.portal.token_requests


async def test_accounts_of_one_portal_are_refreshed_separately(authorized: Gateway, sandbox: Sandbox) -> None:
    await authorize(authorized, sandbox, account="beta")
    await authorized.synced(account="beta")
    sandbox.portal.token_requests.clear()
    sandbox.portal.oauth.expire_access_tokens()
    await authorized.sync("users")
    await authorized.sync("users", account="beta")
    assert len({request["refresh_token"] for request in sandbox.portal.token_requests}) == 2


async def test_a_new_pair_is_stored_before_it_is_used(authorized: Gateway, sandbox: Sandbox) -> None:
    sandbox.portal.oauth.expire_access_tokens()
    sandbox.portal.hold("oauth.token")
    await authorized.patch("/bitrix/users")
    while not sandbox.portal.token_requests:
        await authorized.clock.settle()
    old = issued(sandbox)
    with locked(authorized):
        sandbox.portal.release("oauth.token")
        for _ in range(5):
            await authorized.clock.settle()
        assert issued(sandbox) == old
    assert [run["error"] for run in await authorized.synced("users")] == [None]
    assert len(issued(sandbox) - old) == 1


async def test_a_refreshed_pair_survives_a_restart(authorized: Gateway, sandbox: Sandbox) -> None:
    for _ in range(3):
        sandbox.portal.oauth.expire_access_tokens()
        assert [run["error"] for run in await authorized.sync("users")] == [None]
        await authorized.restart()
    assert len({request["refresh_token"] for request in sandbox.portal.token_requests}) == 3


async def test_shutdown_waits_for_a_refresh_in_progress(
    authorized: Gateway, sandbox: Sandbox, clock: ManualClock
) -> None:
    sandbox.portal.oauth.expire_access_tokens()
    sandbox.portal.hold("oauth.token")
    await start_all(authorized)
    while not sandbox.portal.token_requests:
        await clock.settle()
    stopping = asyncio.create_task(authorized.stop())
    await clock.settle()
    assert not stopping.done()
    sandbox.portal.release("oauth.token")
    await clock.until(stopping)
    await authorized.start()
    assert [run["error"] for run in await authorized.synced()] == [None] * 4
    assert len(sandbox.portal.token_requests) == 1
    assert (await authorized.get(ACCOUNT)).json["stale"] is False


@pytest.mark.parametrize("fault", ["drop", "502", "html500", "json500", "truncated"])
async def test_a_temporary_failure_of_the_authorization_server_is_retried(
    authorized: Gateway, sandbox: Sandbox, fault: str
) -> None:
    sandbox.portal.oauth.expire_access_tokens()
    sandbox.portal.fault(f"oauth.token:{fault}" + ("*2" if fault != "truncated" else ""))
    await authorized.sync("users")
    account = (await authorized.get(ACCOUNT)).json
    if fault == "truncated":  # the new pair was lost with the truncated response
        assert account["stale"] is True
    else:
        assert account["stale"] is False
        assert [run["error"] for run in await authorized.synced("users")] == [None]


@pytest.mark.parametrize("fault", ["502*", "json500*", "error=invalid_client*", f"member_id={'0' * 32}*", "drop*"])
async def test_a_failing_authorization_server_does_not_make_the_account_stale(
    authorized: Gateway, sandbox: Sandbox, fault: str
) -> None:
    before = select(authorized, "SELECT sealed FROM accounts")
    sandbox.portal.oauth.expire_access_tokens()
    sandbox.portal.fault(f"oauth.token:{fault}")
    runs = await authorized.sync("users")
    assert [run["state"] for run in runs] == ["failed"]
    assert runs[0]["error"]
    assert (await authorized.get(ACCOUNT)).json["stale"] is False
    assert select(authorized, "SELECT sealed FROM accounts") == before
    assert len(await authorized.rows("users")) == len(sandbox.portal.data.users)


async def test_refreshes_stop_if_the_portal_considers_every_token_expired(
    authorized: Gateway, sandbox: Sandbox
) -> None:
    for method in ("batch", "user.get"):
        sandbox.portal.fault(f"{method}:expired_token*")
    assert [run["state"] for run in await authorized.sync("users")] == ["failed"]
    assert 1 <= len(sandbox.portal.token_requests) <= 2


DEATHS = ["oauth.token:invalid_grant*", "oauth.token:error=NOT_INSTALLED*", "oauth.token:error=PAYMENT_REQUIRED*"]


@pytest.mark.parametrize("fault", DEATHS)
async def test_an_invalid_refresh_token_makes_the_account_stale_with_an_authorize_address(
    authorized: Gateway, sandbox: Sandbox, fault: str
) -> None:
    sandbox.portal.oauth.expire_access_tokens()
    sandbox.portal.fault(fault)
    assert [run["state"] for run in await authorized.sync("users")] == ["failed"]
    assert (await authorized.get(ACCOUNT)).json["stale"] is True
    requests = sandbox.portal.http_requests, len(sandbox.portal.token_requests)
    for name in RESOURCES:
        refused = await authorized.patch(f"/bitrix/{name}")
        assert refused.status == 409
        assert refused.json.startswith(f"authorize again: {sandbox.origin}/oauth/authorize/?client_id=app.sandbox&")
        assert await authorized.rows(name)
    assert (sandbox.portal.http_requests, len(sandbox.portal.token_requests)) == requests


@pytest.mark.parametrize("fault", ["invalid_token*", "error=NO_AUTH_FOUND*", "error=APPLICATION_NOT_FOUND*"])
async def test_a_portal_without_the_application_makes_the_account_stale(
    authorized: Gateway, sandbox: Sandbox, fault: str
) -> None:
    for method in ("batch", "user.get"):
        sandbox.portal.fault(f"{method}:{fault}")
    assert [run["state"] for run in await authorized.sync("users")] == ["failed"]
    assert (await authorized.get(ACCOUNT)).json["stale"] is True


async def test_the_problem_has_the_authorize_address_in_a_separate_field(gateway: Gateway, sandbox: Sandbox) -> None:
    await gateway.post(ACCOUNT, json={"client_bitrix_url": sandbox.origin})
    problem = await gateway.patch("/bitrix/users", headers={"Accept": "application/problem+json"})
    assert (problem.status, problem.json["code"]) == (409, "authorization_required")
    assert problem.json["detail"] == f"authorize again: {problem.json['authorizeURL']}"


async def test_authorizing_again_restores_the_account(authorized: Gateway, sandbox: Sandbox) -> None:
    ids = [row["id"] for row in await authorized.rows("users")]
    sandbox.portal.oauth.expire_access_tokens()
    sandbox.portal.oauth.revoke_refresh_tokens()
    await authorized.sync("users")
    refused = await authorized.patch("/bitrix/users")
    url = refused.json.removeprefix("authorize again: ")
    assert (await authorized.get(await callback_path(authorized, url), token=NO_TOKEN)).status == 302
    await authorized.synced()
    assert (await authorized.get(ACCOUNT)).json["stale"] is False
    assert [run["error"] for run in await authorized.sync("users")] == [None]
    assert [row["id"] for row in await authorized.rows("users")] == ids


async def test_connecting_a_stale_account_returns_an_authorize_address(authorized: Gateway, sandbox: Sandbox) -> None:
    sandbox.portal.oauth.expire_access_tokens()
    sandbox.portal.oauth.revoke_refresh_tokens()
    await authorized.sync("users")
    assert (await authorize(authorized, sandbox)).status == 302
    await authorized.synced()
    assert (await authorized.get(ACCOUNT)).json["stale"] is False


async def test_a_stale_account_stays_stale_after_a_restart_and_makes_no_calls(
    authorized: Gateway, sandbox: Sandbox, clock: ManualClock
) -> None:
    sandbox.portal.oauth.expire_access_tokens()
    sandbox.portal.oauth.revoke_refresh_tokens()
    await authorized.sync("users")
    requests = sandbox.portal.http_requests, len(sandbox.portal.token_requests)
    await authorized.restart(GATEWAY_SYNC_INTERVAL_S="60")
    await clock.advance(3600)
    assert (await authorized.get(ACCOUNT)).json["stale"] is True
    assert (sandbox.portal.http_requests, len(sandbox.portal.token_requests)) == requests


async def test_a_revoked_webhook_makes_its_account_stale(connected: Gateway, sandbox: Sandbox) -> None:
    sandbox.portal.fault("batch:error=INVALID_CREDENTIALS*")
    sandbox.portal.fault("user.get:error=INVALID_CREDENTIALS*")
    assert [run["state"] for run in await connected.sync("users")] == ["failed"]
    assert (await connected.get(ACCOUNT)).json["stale"] is True
    assert (await connected.patch("/bitrix/users")).status == 409
    sandbox.portal.clear_faults()
    assert (await connected.connect(sandbox.webhook)).json["stale"] is False


async def test_another_webhook_restores_the_account_without_an_application(gateway: Gateway, sandbox: Sandbox) -> None:
    del gateway.environ["GATEWAY_BITRIX_CLIENT_ID"], gateway.environ["GATEWAY_BITRIX_CLIENT_SECRET"]
    await gateway.restart()
    await gateway.connect(sandbox.webhook)
    sandbox.portal.fault("*:error=INVALID_CREDENTIALS*")
    await gateway.sync("users")
    refused = await gateway.patch("/bitrix/users")
    assert refused.status == 409
    assert refused.json.startswith(f"connect the webhook again at {sandbox.host}: ")


async def test_calls_use_the_endpoint_of_the_token_response(gateway: Gateway, sandbox: Sandbox) -> None:
    async with serve_sandbox(sandbox.portal) as elsewhere:
        sandbox.portal.fault(f"oauth.token:client_endpoint={elsewhere.origin}/rest/*")
        assert (await authorize(gateway, sandbox)).status == 302
        await gateway.synced()
        assert (await gateway.get(ACCOUNT)).json["subdomain"] == elsewhere.host
    assert [run["state"] for run in await gateway.sync("users")] == ["failed"]


async def test_a_forbidden_endpoint_in_a_refresh_response_is_refused(authorized: Gateway, sandbox: Sandbox) -> None:
    sandbox.portal.oauth.expire_access_tokens()
    sandbox.portal.fault("oauth.token:client_endpoint=ftp://127.0.0.1/rest/*")
    requests = sandbox.portal.http_requests
    assert [run["state"] for run in await authorized.sync("users")] == ["failed"]
    assert sandbox.portal.http_requests <= requests + 1


@pytest.mark.parametrize("change", ["deleted", "moved", "webhook"])
@pytest.mark.parametrize("outcome", ["refreshed", "invalid_grant"])
async def test_a_late_refresh_does_not_change_an_account_that_has_changed(
    authorized: Gateway, sandbox: Sandbox, other: Sandbox, change: str, outcome: str
) -> None:
    sandbox.portal.oauth.expire_access_tokens()
    sandbox.portal.hold("oauth.token")
    await start_all(authorized)
    while not sandbox.portal.token_requests:
        await authorized.clock.settle()
    if change == "deleted":
        await authorized.delete(ACCOUNT)
    elif change == "moved":
        assert (await authorize(authorized, other)).status == 302
    else:
        assert (await authorized.post(ACCOUNT, json={"client_bitrix_url": other.webhook})).status == 200
    if outcome == "invalid_grant":
        sandbox.portal.fault("oauth.token:invalid_grant")
    sandbox.portal.release("oauth.token")
    await authorized.clock.advance(5)
    names = dict(select(authorized, "SELECT host, member_id FROM portals"))
    assert names.get(other.host) == (other.portal.member_id if change == "moved" else None)
    if change == "deleted":
        assert credentials(authorized) == 0
        return
    await authorized.synced()
    account = (await authorized.get(ACCOUNT)).json
    assert (account["bitrixID"], account["stale"]) == (names[other.host] or other.host, False)
    assert len(await authorized.rows("users")) == len(other.portal.data.users)


async def test_no_secret_is_returned_logged_or_stored_in_plain_text(
    gateway: Gateway, sandbox: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    """Covers the life of an account at level DEBUG: connected, refreshed, failing, stale, authorized again, deleted."""
    caplog.set_level(logging.DEBUG)
    answers = [await gateway.post(ACCOUNT, json={"client_bitrix_url": sandbox.origin})]
    path = await callback_path(gateway, answers[0].json["authorizeURL"])
    answers.append(await gateway.get(path, token=NO_TOKEN))
    await gateway.synced()
    sandbox.portal.oauth.expire_access_tokens()
    await gateway.sync(*RESOURCES)
    stored = every_byte(gateway)
    sandbox.portal.fault("oauth.token:html500*5")
    sandbox.portal.oauth.expire_access_tokens()
    await gateway.sync("users")
    sandbox.portal.oauth.revoke_refresh_tokens()
    await gateway.sync("users")
    answers += [await gateway.get(f"/bitrix/{name}") for name in ("account", "sync", *RESOURCES)]
    answers += [await gateway.patch(f"/bitrix/{name}") for name in RESOURCES]
    answers.append(await gateway.get(path, token=NO_TOKEN))
    await authorize(gateway, sandbox)
    await gateway.synced()
    stored += every_byte(gateway)
    answers.append(await gateway.delete(ACCOUNT))
    await gateway.restart()
    stored += every_byte(gateway)

    requests = list(sandbox.portal.token_requests)
    secrets = {str(request[name]) for request in requests for name in ("code", "refresh_token") if name in request}
    secrets |= issued(sandbox) | {sandbox.portal.application.client_secret, gateway.environ["GATEWAY_JWT_SECRET"]}
    assert len(secrets) >= 2 + 2 + 3 + 2
    ours = [record for record in caplog.records if not record.name.startswith("gateway.sandbox")]
    logged = "\n".join([*(record.getMessage() + repr(record.__dict__) for record in ours), caplog.text])
    content = b"".join(answer.body + repr(answer.headers).encode() for answer in answers)
    for secret in secrets:
        assert secret not in logged
        assert secret.encode() not in content
        assert secret.encode() not in stored


async def test_a_state_is_not_logged(gateway: Gateway, sandbox: Sandbox, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    answer = await gateway.post(ACCOUNT, json={"client_bitrix_url": sandbox.origin})
    state = dict(parse_qsl(urlsplit(answer.json["authorizeURL"]).query))["state"]
    await gateway.get(await callback_path(gateway, answer.json["authorizeURL"]), token=NO_TOKEN)
    await gateway.synced()
    assert state not in caplog.text


async def test_the_tokens_of_a_deleted_account_are_erased(authorized: Gateway) -> None:
    [(sealed,)] = select(authorized, "SELECT sealed FROM accounts")
    await authorized.delete(ACCOUNT)
    assert credentials(authorized) == 0
    assert sealed is not None
