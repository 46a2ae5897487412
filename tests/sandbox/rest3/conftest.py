"""Clients of REST 3.0."""

import pytest
from aiohttp import ClientSession

from gateway.sandbox.portal import SandboxPortal
from gateway.sandbox.web.server import SandboxServer
from tests.sandbox.client import RestClient


@pytest.fixture
def rest3(server: SandboxServer, portal: SandboxPortal, session: ClientSession) -> RestClient:
    """A client with the inbound webhook."""
    return RestClient(session, server.origin + portal.webhook_path.replace("/rest/", "/rest/api/"))


@pytest.fixture
def token(server: SandboxServer, portal: SandboxPortal) -> str:
    """An access token of the application."""
    grant = {
        "client_id": "app.sandbox",
        "client_secret": "sandbox-secret",
        "grant_type": "authorization_code",
        "code": portal.oauth.issue_code(),
    }
    access_token: str = portal.oauth.token(grant, server.origin)["access_token"]
    return access_token
