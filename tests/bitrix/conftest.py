"""A sandbox portal on a real socket, and clients for it."""

from collections.abc import AsyncIterator

import pytest

from gateway.bitrix.auth.credentials import OAuthCredential, WebhookCredential
from gateway.bitrix.auth.oauth import AuthorizationServers, Tokens
from gateway.bitrix.auth.token_refresher import TokenRefresher
from gateway.bitrix.client import PortalClient
from gateway.bitrix.errors import PortalError
from gateway.bitrix.limits.limiter import PortalLimiter
from gateway.bitrix.transport.egress import EgressPolicy
from gateway.bitrix.transport.session import PortalSession, open_session
from gateway.sandbox.portal import SandboxPortal
from gateway.sandbox.settings import SandboxSettings
from gateway.sandbox.web.server import SandboxServer
from tests.clock import ManualClock


class Row:
    """The stored tokens of one account, with every earlier version."""

    def __init__(self, tokens: Tokens) -> None:
        self.saved = [tokens]
        self.stale = False

    async def load(self) -> Tokens:
        return self.saved[-1]

    async def save(self, tokens: Tokens) -> None:
        self.saved.append(tokens)

    async def mark_stale(self, _error: PortalError) -> None:
        self.stale = True


@pytest.fixture
def settings() -> SandboxSettings:
    return SandboxSettings(users=700, tariff="off")


@pytest.fixture
def host(server: SandboxServer) -> str:
    return server.origin.removeprefix("http://")


@pytest.fixture
async def session(clock: ManualClock) -> AsyncIterator[PortalSession]:
    async with open_session(EgressPolicy(insecure=True), clock) as session:
        yield session


@pytest.fixture
def limiter(clock: ManualClock) -> PortalLimiter:
    return PortalLimiter(clock, capacity=50, leak_per_s=2, concurrency=32)


@pytest.fixture
def client(
    session: PortalSession, limiter: PortalLimiter, server: SandboxServer, portal: SandboxPortal, clock: ManualClock
) -> PortalClient:
    """A client with an inbound webhook."""
    return PortalClient(session, limiter, WebhookCredential(server.origin + portal.webhook_path), clock)


@pytest.fixture
def servers(session: PortalSession, portal: SandboxPortal, host: str, clock: ManualClock) -> AuthorizationServers:
    application = portal.application
    return AuthorizationServers(
        session, clock, application.client_id, application.client_secret, frozenset({host}), insecure=True
    )


@pytest.fixture
async def row(servers: AuthorizationServers, portal: SandboxPortal, host: str) -> Row:
    return Row(await servers.exchange(host, portal.oauth.issue_code()))


@pytest.fixture
def refresher(row: Row, servers: AuthorizationServers, clock: ManualClock) -> TokenRefresher:
    return TokenRefresher(row.load, row.save, row.mark_stale, servers, clock)


@pytest.fixture
def oauth_client(
    session: PortalSession, limiter: PortalLimiter, row: Row, refresher: TokenRefresher, clock: ManualClock
) -> PortalClient:
    """A client with an application's tokens."""
    return PortalClient(session, limiter, OAuthCredential(row.saved[0], refresher), clock)


def client_of(session: PortalSession, clock: ManualClock, endpoint: str) -> PortalClient:
    """Return a client for *endpoint* with a new limiter."""
    return PortalClient(session, PortalLimiter(clock, 50, 2, 32), WebhookCredential(endpoint), clock)
