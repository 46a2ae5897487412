"""One limiter per portal: excess calls are refused with Retry-After, and a restart keeps the request counter."""

import asyncio
import shutil
from pathlib import Path

import pytest

from gateway.bitrix.client import PortalClient
from gateway.bitrix.limits.request_queue import Priority
from gateway.bitrix.protocol.v2 import Answer, Command
from gateway.errors import TooBusy
from handlers.app_keys import CLIENTS, DIRECTORY
from tests.clock import ManualClock
from tests.gateway import Gateway, Sandbox, authorize, serve_sandbox
from tests.support.problems import PROBLEM

ACCOUNT = "/bitrix/account"
PROFILE = Command("profile")


async def client_of(gateway: Gateway, account: str = "acme") -> PortalClient:
    return gateway.app[CLIENTS].client(await gateway.app[DIRECTORY].require(account))


async def call_concurrently(gateway: Gateway, count: int, account: str = "acme") -> list[Answer | BaseException]:
    """Return the outcomes of *count* concurrent calls."""
    client = await client_of(gateway, account)
    calls = [client.call(PROFILE) for _ in range(count)]
    return await gateway.clock.until(asyncio.gather(*calls, return_exceptions=True))


async def drain(gateway: Gateway) -> None:
    """Wait until the portal's request counter has drained."""
    await gateway.clock.advance(60)


def rate_limited(sandbox: Sandbox) -> int:
    return sandbox.portal.refusals["QUERY_LIMIT_EXCEEDED"]


def copy_as_after_a_crash(directory: Path) -> Path:
    """Copy the database in *directory* as it is on disk, with its write-ahead log, and return the path of the copy."""
    copies = directory / "left"
    copies.mkdir()
    for path in directory.glob("gateway.db*"):
        shutil.copy(path, copies / path.name)
    return copies / "gateway.db"


async def test_a_caller_that_would_wait_too_long_gets_a_429_and_nothing_is_sent(
    connected: Gateway, sandbox: Sandbox
) -> None:
    await connected.restart(GATEWAY_MAX_WAIT_S="2")
    await drain(connected)
    client = await client_of(connected)
    waiting = [asyncio.create_task(client.call(PROFILE)) for _ in range(48 + 4)]
    while client.limiter.level < 48:
        await connected.clock.settle()
    checks = sandbox.portal.calls["scope"]
    body = {"client_bitrix_url": sandbox.webhook}
    plain = await connected.post(ACCOUNT, account="beta", json=body)
    assert (plain.status, plain.headers["Retry-After"]) == (429, "3")
    assert plain.json == "the rate limit of the portal is exhausted: try again in 3 s"
    problem = await connected.post(ACCOUNT, account="beta", json=body, headers=PROBLEM)
    assert (problem.status, problem.headers["Retry-After"], problem.json["code"]) == (429, "3", "too_busy")
    assert sandbox.portal.calls["scope"] == checks
    await connected.clock.until(asyncio.gather(*waiting))
    assert (await connected.get(ACCOUNT, account="beta")).status == 404
    assert not rate_limited(sandbox)
    assert (await connected.clock.until(connected.post(ACCOUNT, account="beta", json=body))).status == 200
    await connected.synced(account="beta")


async def test_concurrent_calls_are_served_if_their_turn_comes_in_time(connected: Gateway, sandbox: Sandbox) -> None:
    await drain(connected)
    outcomes = await call_concurrently(connected, 130)
    refused = [outcome for outcome in outcomes if isinstance(outcome, TooBusy)]
    assert len(refused) == 130 - (48 + 30 * 2)
    assert {error.retry_after_s for error in refused} == {31}
    assert all(isinstance(outcome, Answer | TooBusy) for outcome in outcomes)
    assert not rate_limited(sandbox)


async def test_syncs_wait_without_a_time_limit(connected: Gateway, sandbox: Sandbox) -> None:
    await connected.restart(GATEWAY_MAX_WAIT_S="1")
    await drain(connected)
    client = (await client_of(connected)).background()
    waiting = [asyncio.create_task(client.call(PROFILE)) for _ in range(80)]
    assert [run["error"] for run in await connected.sync("users")] == [None]
    await connected.clock.until(asyncio.gather(*waiting))
    assert not rate_limited(sandbox)


async def test_a_method_without_operating_time_is_refused_and_others_continue(
    connected: Gateway, sandbox: Sandbox
) -> None:
    await connected.restart()
    sandbox.portal.fault("user.get:otl")
    client = await client_of(connected)
    requests = sandbox.portal.http_requests
    with pytest.raises(TooBusy) as caught:
        await connected.clock.until(client.call(Command("user.get")))
    assert caught.value.retry_after_s == 60
    assert sandbox.portal.http_requests == requests + 1
    assert isinstance(await connected.clock.until(client.call(PROFILE)), Answer)


async def test_a_clean_stop_during_a_burst_keeps_the_level(connected: Gateway, sandbox: Sandbox) -> None:
    await drain(connected)
    await call_concurrently(connected, 60)
    level = (await client_of(connected)).limiter.level
    assert level > 40
    await connected.restart()
    assert (await client_of(connected)).limiter.level == level
    outcomes = await call_concurrently(connected, 60)
    assert all(isinstance(outcome, Answer) for outcome in outcomes)
    assert not rate_limited(sandbox)


@pytest.mark.parametrize("shift_s", [0, -3600])
async def test_a_crash_during_a_burst_assumes_a_full_bucket(
    connected: Gateway, sandbox: Sandbox, clock: ManualClock, tmp_path: Path, shift_s: int
) -> None:
    await drain(connected)
    await call_concurrently(connected, 60)
    left = copy_as_after_a_crash(tmp_path)
    await connected.stop()
    clock.wall_shift_s = shift_s
    await connected.start(GATEWAY_DATABASE=str(left))
    assert (await client_of(connected)).limiter.level == 51
    outcomes = await call_concurrently(connected, 56)
    assert all(isinstance(outcome, Answer) for outcome in outcomes)
    assert not rate_limited(sandbox)


async def test_a_level_drains_while_the_gateway_is_down(connected: Gateway, clock: ManualClock) -> None:
    await drain(connected)
    await call_concurrently(connected, 40)
    level = (await client_of(connected)).limiter.level
    await connected.stop()
    await clock.advance(10)
    await connected.start()
    assert (await client_of(connected)).limiter.level == level - 20


async def test_merged_portals_share_one_limiter(gateway: Gateway, sandbox: Sandbox) -> None:
    await authorize(gateway, sandbox, account="first")
    await gateway.synced(account="first")
    async with serve_sandbox(sandbox.portal) as renamed:
        await gateway.restart(GATEWAY_OAUTH_SERVERS=f"{sandbox.host},{renamed.host}")
        await gateway.connect(renamed.webhook)
        await drain(gateway)
        before = await client_of(gateway), await client_of(gateway, "first")
        await call_concurrently(gateway, 10)
        await call_concurrently(gateway, 15, account="first")
        levels = [client.limiter.level for client in before]
        assert min(levels) > 5
        await authorize(gateway, renamed, account="beta")
        clients = [*before, await client_of(gateway), await client_of(gateway, "beta")]
        assert len({client.limiter.room(Priority.BACKGROUND) for client in clients}) == 1
        assert {client.limiter.level for client in clients} == {clients[0].limiter.level}
        assert clients[0].limiter.level >= sum(levels) - 4  # some requests have drained
        await gateway.synced(account="beta")


async def test_calls_before_the_portal_has_a_row_count_for_its_limiter(gateway: Gateway, sandbox: Sandbox) -> None:
    client = await gateway.app[CLIENTS].webhook_client(sandbox.host, sandbox.webhook)
    await gateway.clock.until(asyncio.gather(*(client.call(PROFILE) for _ in range(20))))
    await gateway.connect(sandbox.webhook)
    assert (await client_of(gateway)).limiter.level == client.limiter.level >= 20
