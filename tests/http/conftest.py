"""A second portal, for those who move, and for what must not reach it; a sync that was cut short."""

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from gateway.sandbox.portal import SandboxPortal, SandboxSettings
from tests.clock import ManualClock
from tests.gateway import Gateway, Sandbox, authorize, serve_sandbox
from tests.http.onlooker import Onlooker, looking_on
from tests.http.portal_rows import USERS
from tests.http.raw import Dial

LIMIT = 2**20


@pytest.fixture
async def other(
    gateway: Gateway, sandbox: Sandbox, sandbox_settings: SandboxSettings, clock: ManualClock
) -> AsyncIterator[Sandbox]:
    """Another portal with other people, whose authorization server the gateway knows too."""
    portal = SandboxPortal(replace(sandbox_settings, seed=2, users=30), clock)
    async with serve_sandbox(portal) as running:
        await gateway.restart(GATEWAY_OAUTH_SERVERS=f"{sandbox.host},{running.host}")
        yield running


@pytest.fixture
async def limited(gateway: Gateway, sandbox: Sandbox) -> AsyncIterator[Gateway]:
    """The gateway with account "acme" connected by webhook and synced, which reads answers of up to LIMIT bytes."""
    await gateway.restart(GATEWAY_MAX_ANSWER_BYTES=str(LIMIT))
    await gateway.connect(sandbox.webhook)
    sandbox.portal.calls.clear()
    yield gateway
    sandbox.portal.clear_faults()


@pytest.fixture
async def dial(gateway: Gateway) -> AsyncIterator[Dial]:
    """Opens raw connections to the gateway."""
    dialling = Dial(gateway)
    yield dialling
    await dialling.close()


@pytest.fixture
async def onlooker(sandbox: Sandbox) -> AsyncIterator[Onlooker]:
    """A way to the portal on which the gateway's requests are seen."""
    async with looking_on(sandbox) as looking:
        yield looking


@pytest.fixture
async def watched(gateway: Gateway, onlooker: Onlooker) -> Gateway:
    """The gateway with account "acme" connected by webhook through the onlooker, synced and at rest."""
    await gateway.connect(onlooker.webhook)
    await gateway.clock.advance(60)
    onlooker.sent.clear()
    onlooker.most_under_way = 0
    return gateway


@pytest.fixture
async def halfway(gateway: Gateway, sandbox: Sandbox) -> Gateway:
    """600 users are mirrored; since then number 10 has gone, and the next sync failed beyond its first stored page."""
    USERS.fill(sandbox.portal.data, 600)
    await gateway.connect(sandbox.webhook)
    del sandbox.portal.data.users[10]
    sandbox.portal.fault("user.get:json500*@8")
    (run,) = await gateway.sync("users")
    assert (run["state"], run["cursor"] > 100) == ("failed", True)
    sandbox.portal.clear_faults()
    sandbox.portal.seen.clear()
    return gateway


@pytest.fixture
async def authorized(gateway: Gateway, sandbox: Sandbox) -> Gateway:
    """The gateway with account "acme" connected by OAuth and synced; the portal's counters start anew."""
    assert (await authorize(gateway, sandbox)).status == 302
    await gateway.synced()
    sandbox.portal.token_requests.clear()
    sandbox.portal.seen.clear()
    return gateway
