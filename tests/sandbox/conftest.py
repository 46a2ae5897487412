"""A sandbox portal on a real socket, with a manual clock."""

from collections.abc import AsyncIterator, Callable

import pytest
from aiohttp import ClientSession

from gateway.sandbox.portal import SandboxPortal
from gateway.sandbox.settings import SandboxSettings
from gateway.sandbox.web.server import SandboxServer
from tests.sandbox.client import RestClient


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
