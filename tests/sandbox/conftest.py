"""A sandbox portal on a real socket, with a manual clock."""

from collections.abc import AsyncIterator, Callable

import pytest
from aiohttp import ClientSession

from gateway.sandbox.portal import SandboxPortal
from gateway.sandbox.settings import SandboxSettings
from gateway.sandbox.web.server import SandboxServer
from tests.sandbox.client import RestClient
from tests.sandbox.disk import DiskClient


@pytest.fixture
def settings() -> SandboxSettings:
    return SandboxSettings(users=130)


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
    """A client without credentials. Its addresses start at the root."""
    return RestClient(session, server.origin)


@pytest.fixture
def tokens_of(server: SandboxServer, portal: SandboxPortal) -> Callable[[int], str]:
    """Return a function that issues an access token of the application for a user."""

    def token(user_id: int) -> str:
        application = portal.application
        query = {
            "client_id": application.client_id,
            "client_secret": application.client_secret,
            "grant_type": "authorization_code",
            "code": portal.oauth.issue_code(user_id),
        }
        return str(portal.oauth.token(query, server.origin)["access_token"])

    return token


@pytest.fixture
def access_token(tokens_of: Callable[[int], str]) -> str:
    """An access token of the application for the administrator."""
    return tokens_of(1)


@pytest.fixture
def disk(webhook: RestClient) -> DiskClient:
    """A client of Disk with the inbound webhook."""
    return DiskClient(webhook)


@pytest.fixture
def disk_of(
    server: SandboxServer, session: ClientSession, tokens_of: Callable[[int], str]
) -> Callable[[int], DiskClient]:
    """Return a function that makes a client of Disk with a new access token of a user."""
    return lambda user_id: DiskClient(RestClient(session, f"{server.origin}/rest/"), tokens_of(user_id))
