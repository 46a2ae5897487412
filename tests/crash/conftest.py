"""A house of gateways and the portal that they are connected to, both in real time."""

import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.clock import SystemClock
from gateway.sandbox.portal import SandboxPortal, SandboxSettings
from tests.crash.house import ENCRYPTION_KEY, House, house_at
from tests.gateway import JWT_SECRET, Sandbox, serve_sandbox


@pytest.fixture
def port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        free: int = listening.getsockname()[1]
        return free


@pytest.fixture
def users() -> int:
    """How many the portal has."""
    return 300  # several transactions a sync


@pytest.fixture
async def sandbox(port: int, users: int) -> AsyncIterator[Sandbox]:
    settings = SandboxSettings(
        users=users, holes=0, tariff="off", auto_allow=True, redirect_uri=f"http://127.0.0.1:{port}/webhook/create"
    )
    async with serve_sandbox(SandboxPortal(settings, SystemClock())) as running:
        yield running


@pytest.fixture
def environ(tmp_path: Path, sandbox: Sandbox, port: int) -> dict[str, str]:
    return {
        "GATEWAY_PORT": str(port),
        "GATEWAY_DATABASE": str(tmp_path / "gateway.db"),
        "GATEWAY_JWT_SECRET": JWT_SECRET,
        "GATEWAY_ENCRYPTION_KEY": ENCRYPTION_KEY,
        "GATEWAY_BITRIX_CLIENT_ID": sandbox.portal.application.client_id,
        "GATEWAY_BITRIX_CLIENT_SECRET": sandbox.portal.application.client_secret,
        "GATEWAY_OAUTH_SERVERS": sandbox.host,
        "GATEWAY_INSECURE_PORTALS": "1",
        "GATEWAY_BUCKET_CAPACITY": "100000",
        "GATEWAY_DRAIN_S": "0",
    }


@pytest.fixture
async def house(environ: dict[str, str], tmp_path: Path) -> AsyncIterator[House]:
    async with house_at(environ, tmp_path) as one:
        yield one
