"""A sandbox portal on a real socket, with a clock that stands still."""

from collections.abc import AsyncIterator

import pytest
from aiohttp import ClientSession

from gateway.sandbox.portal import SandboxPortal, SandboxSettings
from gateway.sandbox.server import SandboxServer
from tests.clock import ManualClock
from tests.sandbox.client import RestClient


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def settings() -> SandboxSettings:
    return SandboxSettings(users=130)


@pytest.fixture
def portal(settings: SandboxSettings, clock: ManualClock) -> SandboxPortal:
    return SandboxPortal(settings, clock)


@pytest.fixture
async def server(portal: SandboxPortal) -> AsyncIterator[SandboxServer]:
    async with SandboxServer(portal) as server:
        yield server


@pytest.fixture
async def session() -> AsyncIterator[ClientSession]:
    async with ClientSession() as session:
        yield session


@pytest.fixture
def webhook(server: SandboxServer, portal: SandboxPortal, session: ClientSession) -> RestClient:
    """A client with the inbound webhook."""
    return RestClient(session, server.origin + portal.webhook_path)


@pytest.fixture
def anonymous(server: SandboxServer, session: ClientSession) -> RestClient:
    """A client with no credentials of its own; its addresses begin at the root."""
    return RestClient(session, server.origin)
