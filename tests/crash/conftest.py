"""Fixtures: a house of gateways and their portal, both in real time."""

import random
import socket
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest

from gateway.clock import SystemClock
from gateway.sandbox.portal import SandboxPortal
from gateway.sandbox.settings import SandboxSettings
from tests.crash.house import ENCRYPTION_KEY, House, house_at
from tests.gateway import JWT_SECRET, Sandbox, serve_sandbox


@pytest.fixture
def port() -> int:
    """A port that stays free between two gateways: below 32768, where the system assigns no ephemeral ports."""
    while True:
        chosen = random.randrange(20_000, 32_000)
        with socket.socket() as free, suppress(OSError):
            free.bind(("127.0.0.1", chosen))
            return chosen


@pytest.fixture
def users() -> int:
    """Number of users of the portal."""
    return 300  # several transactions per sync


@pytest.fixture
def deals() -> int:
    """Number of deals of the portal."""
    return 0


@pytest.fixture
async def sandbox(port: int, users: int, deals: int) -> AsyncIterator[Sandbox]:
    settings = SandboxSettings(
        users=users,
        deals=deals,
        holes=0,
        tariff="off",
        auto_allow=True,
        redirect_uri=f"http://127.0.0.1:{port}/webhook/create",
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
    async with house_at(environ, tmp_path) as house:
        yield house
