"""Moving an account to another portal: it stays on its portal until a person has authorized the other one."""

import asyncio
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest

from tests.clock import ManualClock
from tests.gateway import NO_TOKEN, RESOURCES, Answer, Gateway, Sandbox, authorize, callback_path
from tests.support.records import held
from tests.support.rogue import listening, page
from tests.support.stored import select

ACCOUNT = "/bitrix/account"


async def post(gateway: Gateway, url: str) -> Answer:
    return await gateway.clock.until(gateway.post(ACCOUNT, json={"client_bitrix_url": url}))


async def begin(gateway: Gateway, to: Sandbox) -> str:
    """Start a move, allow the access, and return the path that the person is redirected to."""
    answer = await post(gateway, to.origin)
    assert answer.status == 200, answer.body
    return await callback_path(gateway, answer.json["authorizeURL"])


async def finish(gateway: Gateway, path: str) -> Answer:
    return await gateway.clock.until(gateway.get(path, token=NO_TOKEN))


async def shown(gateway: Gateway) -> dict[str, Any]:
    account: dict[str, Any] = (await gateway.get(ACCOUNT)).json
    return account


@pytest.fixture(params=["webhook", "oauth"])
async def settled(request: pytest.FixtureRequest, gateway: Gateway, sandbox: Sandbox, other: Sandbox) -> Gateway:
    """A gateway with account "acme" connected to the first of two portals, and synced."""
    assert other.host != sandbox.host
    if request.param == "webhook":
        await gateway.connect(sandbox.webhook)
    else:
        assert (await authorize(gateway, sandbox)).status == 302
    await gateway.synced()
    return gateway


async def test_the_account_stays_on_its_portal_until_the_other_one_is_authorized(
    settled: Gateway, sandbox: Sandbox, other: Sandbox
) -> None:
    before, rows = await shown(settled), {name: await settled.rows(name) for name in RESOURCES}
    await settled.clock.advance(60)
    answer = await post(settled, other.origin)
    assert answer.json["authorizeURL"].startswith(f"{other.origin}/oauth/authorize/?")
    pending = await shown(settled)
    assert pending == {name: answer.json[name] for name in pending}
    assert (pending["state"], pending["reasonCode"]) == ("pending", "authorization_pending")
    assert pending["reason"] == (
        f"a person must authorize {other.host}; until then the account stays on {sandbox.host}"
    )
    assert pending["since"] > before["since"]
    unchanged = ("id", "bitrixID", "subdomain", "stale", "createdAt")
    assert {name: pending[name] for name in unchanged} == {name: before[name] for name in unchanged}
    assert {name: await settled.rows(name) for name in RESOURCES} == rows
    assert [run["state"] for run in await settled.sync(*RESOURCES)] == ["done"] * 4
    assert other.portal.http_requests == 0


async def test_finishing_the_authorization_moves_the_account(
    settled: Gateway, sandbox: Sandbox, other: Sandbox
) -> None:
    path = await begin(settled, other)
    sandbox.portal.hold("user.get")
    await settled.patch("/bitrix/users")
    await settled.clock.advance(1)
    (sealed,) = select(settled, "SELECT sealed FROM accounts")
    assert (await finish(settled, path)).status == 302
    sandbox.portal.release("user.get")
    requests = sandbox.portal.http_requests
    await settled.synced()
    account = await shown(settled)
    assert (account["bitrixID"], account["subdomain"]) == (other.portal.member_id, other.host)
    assert (account["state"], account["reason"], account["reasonCode"]) == ("ok", None, None)
    assert len(await settled.rows("users")) == len(other.portal.data.users)
    assert sandbox.portal.http_requests == requests
    assert sealed not in select(settled, "SELECT sealed FROM accounts")
    assert select(settled, "SELECT * FROM account_moves") == []


async def test_an_unfinished_move_expires_with_its_state(
    settled: Gateway, sandbox: Sandbox, other: Sandbox, clock: ManualClock
) -> None:
    before, path = await shown(settled), await begin(settled, other)
    await clock.advance(590)
    assert (await shown(settled))["state"] == "pending"
    await clock.advance(10)
    assert await shown(settled) == before
    assert (await finish(settled, path)).status == 400
    assert [run["state"] for run in await settled.sync("users")] == ["done"]
    assert (await shown(settled))["bitrixID"] == before["bitrixID"]
    assert sandbox.host in str(select(settled, "SELECT origin FROM accounts"))


async def test_a_move_survives_a_restart(settled: Gateway, other: Sandbox) -> None:
    path = await begin(settled, other)
    pending = await shown(settled)
    await settled.restart(GATEWAY_OAUTH_SERVERS=other.host)
    assert await shown(settled) == pending
    assert (await finish(settled, path)).status == 302
    await settled.synced()
    assert (await shown(settled))["bitrixID"] == other.portal.member_id


async def test_both_authorize_addresses_work_after_connecting_twice(settled: Gateway, other: Sandbox) -> None:
    first, since = await begin(settled, other), (await shown(settled))["since"]
    await settled.clock.advance(20)
    await begin(settled, other)
    assert (await shown(settled))["since"] == since
    await settled.clock.advance(5)
    assert (await finish(settled, first)).status == 302
    await settled.synced()
    assert (await shown(settled))["bitrixID"] == other.portal.member_id


@pytest.mark.parametrize("back", ["address", "webhook"])
async def test_connecting_to_the_current_portal_cancels_the_move(
    settled: Gateway, sandbox: Sandbox, other: Sandbox, back: str
) -> None:
    before, path = await shown(settled), await begin(settled, other)
    await post(settled, sandbox.origin if back == "address" else sandbox.webhook)
    await settled.synced()
    assert await shown(settled) == before
    refused = await finish(settled, path)
    assert (refused.status, refused.json) == (
        400,
        "state: belongs to an account that is no longer connected to this portal",
    )
    assert not other.portal.token_requests
    assert await shown(settled) == before


async def test_a_webhook_of_another_portal_is_connected_at_once_and_cancels_the_move(
    settled: Gateway, other: Sandbox
) -> None:
    path = await begin(settled, other)
    await settled.connect(other.webhook)
    assert ((await shown(settled))["state"], (await shown(settled))["bitrixID"]) == ("ok", other.host)
    assert select(settled, "SELECT * FROM account_moves") == []
    assert (await finish(settled, path)).status == 302  # the account is on this portal now
    await settled.synced()
    assert (await shown(settled))["bitrixID"] == other.portal.member_id


async def test_a_second_move_replaces_the_first(settled: Gateway, sandbox: Sandbox, other: Sandbox) -> None:
    path = await begin(settled, other)
    async with listening(page(200, "<p>log in</p>")) as third:
        assert (await post(settled, third)).status == 200
    refused = await finish(settled, path)
    assert (refused.status, refused.json[:6]) == (400, "state:")
    assert (await shown(settled))["reason"] == (
        f"a person must authorize {third.removeprefix('http://')}; until then the account stays on {sandbox.host}"
    )


async def test_deleting_the_account_ends_the_move(settled: Gateway, sandbox: Sandbox, other: Sandbox) -> None:
    path = await begin(settled, other)
    await settled.delete(ACCOUNT)
    assert (await finish(settled, path)).status == 400
    assert (await settled.get(ACCOUNT)).status == 404
    await post(settled, sandbox.origin)
    assert (await finish(settled, path)).status == 400
    assert (await shown(settled))["subdomain"] == sandbox.host
    assert select(settled, "SELECT * FROM account_moves") == []


@pytest.mark.parametrize("failure", ["invalid_grant", f"member_id={'0' * 32}"])
async def test_a_failed_authorization_changes_nothing(settled: Gateway, other: Sandbox, failure: str) -> None:
    before, path = await shown(settled), await begin(settled, other)
    other.portal.fault(f"oauth.token:{failure}")
    assert (await finish(settled, path)).status in (400, 500)
    assert (await shown(settled))["bitrixID"] == before["bitrixID"]
    assert [run["state"] for run in await settled.sync("users")] == ["done"]
    assert (await finish(settled, await begin(settled, other))).status == 302
    await settled.synced()
    assert (await shown(settled))["bitrixID"] == other.portal.member_id


async def test_a_refresh_of_the_current_tokens_keeps_the_move(
    gateway: Gateway, sandbox: Sandbox, other: Sandbox, clock: ManualClock
) -> None:
    await authorize(gateway, sandbox)
    await gateway.synced()
    await clock.advance(3500)
    path = await begin(gateway, other)
    sandbox.portal.oauth.expire_access_tokens()
    assert [run["error"] for run in await gateway.sync("users")] == [None]
    assert (await shown(gateway))["state"] == "pending"
    await clock.advance(1)
    query = dict(parse_qsl(urlsplit(path).query)) | {"code": other.portal.oauth.issue_code()}
    assert (await finish(gateway, f"/webhook/create?{urlencode(query)}")).status == 302
    await gateway.synced()
    assert (await shown(gateway))["bitrixID"] == other.portal.member_id


async def test_a_stale_account_with_a_move_shows_both_reasons(
    settled: Gateway, sandbox: Sandbox, other: Sandbox
) -> None:
    sandbox.portal.fault("*:error=INVALID_CREDENTIALS*")
    await settled.sync("users")
    assert (await shown(settled))["state"] == "stale"
    await begin(settled, other)
    account = await shown(settled)
    assert (account["state"], account["stale"]) == ("pending", True)
    assert account["reason"].endswith(
        f"until then the account stays on {sandbox.host}: "
        "the portal no longer accepts this authorization (INVALID_CREDENTIALS)"
    )


@pytest.mark.parametrize("refusal", ["invalid_token", "expired_token"])
async def test_a_write_that_waits_does_not_follow_the_account_to_another_portal(
    gateway: Gateway, sandbox: Sandbox, other: Sandbox, refusal: str
) -> None:
    """Its first answer was lost. Before it is looked up for the last time, the account has moved."""
    assert (await authorize(gateway, sandbox)).status == 302
    await gateway.synced()
    sandbox.portal.fault("crm.deal.add:drop")
    caller = asyncio.ensure_future(gateway.request("POST", "/bitrix/deals", json={"TITLE": "x"}))
    await gateway.clock.until(held(gateway, sandbox, "crm.deal.add"))
    assert (await finish(gateway, await begin(gateway, other))).status == 302
    sandbox.portal.fault(f"crm.deal.list:{refusal}*")
    moved_at = len(sandbox.portal.seen)
    answer = await gateway.clock.until(caller)
    assert (answer.status, answer.json["code"]) == (502, "outcome_unknown")
    assert "crm.deal.add" not in other.portal.calls
    assert len(sandbox.portal.seen) == moved_at
    assert (await shown(gateway))["state"] == "ok"
