"""What nearly every test stands on: our clock, a sandbox portal, and a gateway between them and the test."""

import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from gateway.sandbox.portal import SandboxPortal, SandboxSettings
from tests import canaries
from tests.clock import ManualClock
from tests.gateway import JWT_SECRET, Gateway, Sandbox, serve_sandbox


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(canaries, "canaries")


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """The address of the gateway, known before it starts: the application on the portal has it as redirect address."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening


@pytest.fixture
def sandbox_settings(listener: socket.socket) -> SandboxSettings:
    return SandboxSettings(
        users=60,
        auto_allow=True,
        redirect_uri=f"http://127.0.0.1:{listener.getsockname()[1]}/webhook/create",
        webhook_code="canaryw3bh00kc0de",
    )


@pytest.fixture
async def sandbox(sandbox_settings: SandboxSettings, clock: ManualClock) -> AsyncIterator[Sandbox]:
    async with serve_sandbox(SandboxPortal(sandbox_settings, clock)) as running:
        yield running


@pytest.fixture
def environ(tmp_path: Path, sandbox: Sandbox, listener: socket.socket) -> dict[str, str]:
    """The settings of the gateway under test."""
    return {
        "GATEWAY_PORT": str(listener.getsockname()[1]),
        "GATEWAY_DATABASE": str(tmp_path / "gateway.db"),
        "GATEWAY_JWT_SECRET": JWT_SECRET,
        "GATEWAY_BITRIX_CLIENT_ID": sandbox.portal.application.client_id,
        "GATEWAY_BITRIX_CLIENT_SECRET": sandbox.portal.application.client_secret,
        "GATEWAY_OAUTH_SERVERS": sandbox.host,
        "GATEWAY_INSECURE_PORTALS": "1",
        "GATEWAY_RETURN_ORIGINS": "https://app.example.com",
        "GATEWAY_SYNC_INTERVAL_S": "0",
    }


@pytest.fixture
async def gateway(environ: dict[str, str], listener: socket.socket, clock: ManualClock) -> AsyncIterator[Gateway]:
    running = Gateway(environ, listener, clock)
    await running.start()
    yield running
    await running.stop()


@pytest.fixture
async def connected(gateway: Gateway, sandbox: Sandbox) -> Gateway:
    """The gateway with account "acme" connected by webhook and synced."""
    await gateway.connect(sandbox.webhook)
    return gateway
