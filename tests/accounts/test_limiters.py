"""One budget per portal: callers who come too many are told when to come again, and a restart forgets nothing."""

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


async def crowd(gateway: Gateway, count: int, account: str = "acme") -> list[Answer | BaseException]:
    """What comes of *count* calls made at once."""
    client = await client_of(gateway, account)
    calls = [client.call(PROFILE) for _ in range(count)]
    return await gateway.clock.until(asyncio.gather(*calls, return_exceptions=True))


async def rested(gateway: Gateway) -> None:
    """Let the portal forget what it has counted."""
    await gateway.clock.advance(60)


def refused_for_pace(sandbox: Sandbox) -> int:
    return sandbox.portal.refusals["QUERY_LIMIT_EXCEEDED"]


def as_left_by_a_crash(directory: Path) -> Path:
    """A copy of the database in *directory* as it is on disk, with what only its log holds yet."""
    copies = directory / "left"
    copies.mkdir()
    for path in directory.glob("gateway.db*"):
        shutil.copy(path, copies / path.name)
    return copies / "gateway.db"


async def test_a_caller_who_would_wait_too_long_is_told_when_to_come_again_and_nothing_is_sent(
    connected: Gateway, sandbox: Sandbox
) -> None:
    await connected.restart(GATEWAY_MAX_WAIT_S="2")
    await rested(connected)
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
    assert not refused_for_pace(sandbox)
    assert (await connected.clock.until(connected.post(ACCOUNT, account="beta", json=body))).status == 200
    await connected.synced(account="beta")


async def test_of_a_crowd_those_are_served_whose_turn_comes_in_time(connected: Gateway, sandbox: Sandbox) -> None:
    await rested(connected)
    outcomes = await crowd(connected, 130)
    refused = [outcome for outcome in outcomes if isinstance(outcome, TooBusy)]
    assert len(refused) == 130 - (48 + 30 * 2)
    assert {error.retry_after_s for error in refused} == {31}
    assert all(isinstance(outcome, Answer | TooBusy) for outcome in outcomes)
    assert not refused_for_pace(sandbox)


async def test_syncs_wait_for_as_long_as_it_takes(connected: Gateway, sandbox: Sandbox) -> None:
    await connected.restart(GATEWAY_MAX_WAIT_S="1")
    await rested(connected)
    client = (await client_of(connected)).background()
    waiting = [asyncio.create_task(client.call(PROFILE)) for _ in range(80)]
    assert [run["error"] for run in await connected.sync("users")] == [None]
    await connected.clock.until(asyncio.gather(*waiting))
    assert not refused_for_pace(sandbox)


async def test_a_caller_whose_method_is_out_of_operating_time_is_told_and_others_go_on(
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


async def test_a_clean_stop_in_the_middle_of_a_burst_forgets_nothing(connected: Gateway, sandbox: Sandbox) -> None:
    await rested(connected)
    await crowd(connected, 60)
    level = (await client_of(connected)).limiter.level
    assert level > 40
    await connected.restart()
    assert (await client_of(connected)).limiter.level == level
    outcomes = await crowd(connected, 60)
    assert all(isinstance(outcome, Answer) for outcome in outcomes)
    assert not refused_for_pace(sandbox)


@pytest.mark.parametrize("shift_s", [0, -3600])
async def test_a_crash_in_the_middle_of_a_burst_forgets_nothing(
    connected: Gateway, sandbox: Sandbox, clock: ManualClock, tmp_path: Path, shift_s: int
) -> None:
    await rested(connected)
    await crowd(connected, 60)
    left = as_left_by_a_crash(tmp_path)
    await connected.stop()
    clock.wall_shift_s = shift_s
    await connected.start(GATEWAY_DATABASE=str(left))
    assert (await client_of(connected)).limiter.level == 51
    outcomes = await crowd(connected, 56)
    assert all(isinstance(outcome, Answer) for outcome in outcomes)
    assert not refused_for_pace(sandbox)


async def test_a_level_drains_while_the_gateway_is_down(connected: Gateway, clock: ManualClock) -> None:
    await rested(connected)
    await crowd(connected, 40)
    level = (await client_of(connected)).limiter.level
    await connected.stop()
    await clock.advance(10)
    await connected.start()
    assert (await client_of(connected)).limiter.level == level - 20


async def test_portals_that_turn_out_to_be_one_have_one_gate_from_then_on(gateway: Gateway, sandbox: Sandbox) -> None:
    await authorize(gateway, sandbox, account="first")
    await gateway.synced(account="first")
    async with serve_sandbox(sandbox.portal) as renamed:
        await gateway.restart(GATEWAY_OAUTH_SERVERS=f"{sandbox.host},{renamed.host}")
        await gateway.connect(renamed.webhook)
        await rested(gateway)
        before = await client_of(gateway), await client_of(gateway, "first")
        await crowd(gateway, 10)
        await crowd(gateway, 15, account="first")
        levels = [client.limiter.level for client in before]
        assert min(levels) > 5
        await authorize(gateway, renamed, account="beta")
        clients = [*before, await client_of(gateway), await client_of(gateway, "beta")]
        assert len({client.limiter.room(Priority.BACKGROUND) for client in clients}) == 1
        assert {client.limiter.level for client in clients} == {clients[0].limiter.level}
        assert clients[0].limiter.level >= sum(levels) - 4  # what has drained meanwhile
        await gateway.synced(account="beta")


async def test_what_was_called_before_there_was_a_row_counts_for_it(gateway: Gateway, sandbox: Sandbox) -> None:
    client = await gateway.app[CLIENTS].webhook_client(sandbox.host, sandbox.webhook)
    await gateway.clock.until(asyncio.gather(*(client.call(PROFILE) for _ in range(20))))
    await gateway.connect(sandbox.webhook)
    assert (await client_of(gateway)).limiter.level == client.limiter.level >= 20
