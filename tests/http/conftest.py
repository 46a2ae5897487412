"""A second portal, for those who move, and for what must not reach it."""

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from gateway.sandbox.portal import SandboxPortal, SandboxSettings
from tests.clock import ManualClock
from tests.gateway import Gateway, Sandbox, serve_sandbox


@pytest.fixture
async def other(
    gateway: Gateway, sandbox: Sandbox, sandbox_settings: SandboxSettings, clock: ManualClock
) -> AsyncIterator[Sandbox]:
    """Another portal with other people, whose authorization server the gateway knows too."""
    portal = SandboxPortal(replace(sandbox_settings, seed=2, users=30), clock)
    async with serve_sandbox(portal) as running:
        await gateway.restart(GATEWAY_OAUTH_SERVERS=f"{sandbox.host},{running.host}")
        yield running
