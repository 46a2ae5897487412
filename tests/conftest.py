"""Common fixtures: a manual clock, a sandbox portal and a gateway."""

import gc
import os
import socket
from collections.abc import AsyncIterator, Generator, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from coverage import Coverage
from hypothesis import HealthCheck, settings

from gateway.sandbox.portal import SandboxPortal
from gateway.sandbox.settings import SandboxSettings
from gateway.sandbox.web.server import SandboxServer
from tests import canaries
from tests.clock import ManualClock
from tests.gateway import JWT_SECRET, Gateway, Sandbox, authorize, serve_sandbox
from tests.support.methods import ADVICE, LISTED
from tests.support.portal_rows import USERS
from tests.support.raw import Dial
from tests.support.recording_proxy import RecordingProxy, recording_proxy

LIMIT = 2**20

# No test depends on the speed of the machine.
settings.register_profile("untimed", settings(), deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")


def pytest_xdist_auto_num_workers() -> int:
    """Two workers per core: tests wait for sockets and files for almost half of their time."""
    return 2 * (os.cpu_count() or 1)


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(canaries, "canaries")


def pytest_collection_finish() -> None:
    """Spare the garbage collector the half million objects of modules and documents that live until the end."""
    gc.collect()
    gc.freeze()


_traced: set[str] = set()  # the test functions whose lines were counted


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Count the lines that tests reach: of a test function that starts a gateway, those of its first case.

    Its other cases run at full speed, and so do property tests: what their many examples reach, others reach too.
    """
    coverage = Coverage.current()
    function = item.nodeid.partition("[")[0]
    is_property_test = hasattr(getattr(item, "function", None), "hypothesis")
    is_repeated = function in _traced and "gateway" in getattr(item, "fixturenames", ())
    if coverage is None or not (is_repeated or is_property_test):
        _traced.add(function)
        return (yield)
    coverage.stop()
    try:
        return (yield)
    finally:
        coverage.start()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def portal(settings: SandboxSettings, clock: ManualClock) -> SandboxPortal:
    """A sandbox portal with the *settings* of the test's package."""
    return SandboxPortal(settings, clock)


@pytest.fixture
async def server(portal: SandboxPortal) -> AsyncIterator[SandboxServer]:
    """The same portal on a real socket."""
    async with SandboxServer(portal) as server:
        yield server


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """The listening socket of the gateway. Its address is known before the start: it is the portal's redirect URI."""
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
async def gateway(
    environ: dict[str, str], listener: socket.socket, sandbox: Sandbox, clock: ManualClock
) -> AsyncIterator[Gateway]:
    """A running gateway. It may call no methods but those in its table, and those that the test names itself."""
    running = Gateway(environ, listener, clock)
    await running.start()
    yield running
    await running.stop()
    if running.unlisted_calls and not running.passes_through:
        called = sorted(name for name in sandbox.portal.calls if name.lower() not in LISTED)
        pytest.fail(f"the gateway has called {called or 'a method'}: {ADVICE}")


@pytest.fixture
async def connected(gateway: Gateway, sandbox: Sandbox) -> Gateway:
    """The gateway with account "acme" connected by webhook and synced."""
    await gateway.connect(sandbox.webhook)
    return gateway


@pytest.fixture
async def other(
    gateway: Gateway, sandbox: Sandbox, sandbox_settings: SandboxSettings, clock: ManualClock
) -> AsyncIterator[Sandbox]:
    """Another portal with other users, whose authorization server the gateway knows too."""
    portal = SandboxPortal(replace(sandbox_settings, seed=2, users=30), clock)
    async with serve_sandbox(portal) as running:
        await gateway.restart(GATEWAY_OAUTH_SERVERS=f"{sandbox.host},{running.host}")
        yield running


@pytest.fixture
async def limited(gateway: Gateway, sandbox: Sandbox) -> AsyncIterator[Gateway]:
    """The gateway with account "acme" connected by webhook and synced; it reads responses of up to LIMIT bytes."""
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
async def proxy(sandbox: Sandbox) -> AsyncIterator[RecordingProxy]:
    """A proxy to the portal that records the gateway's requests."""
    async with recording_proxy(sandbox) as running:
        yield running


@pytest.fixture
async def proxied(gateway: Gateway, proxy: RecordingProxy) -> Gateway:
    """The gateway with account "acme" connected by webhook through the proxy, synced and idle."""
    await gateway.connect(proxy.webhook)
    await gateway.clock.advance(60)
    proxy.sent.clear()
    proxy.max_in_flight = 0
    return gateway


@pytest.fixture
async def halfway(gateway: Gateway, sandbox: Sandbox) -> Gateway:
    """600 users are mirrored; then user 10 was deleted, and the next sync failed after its first stored page."""
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
    """The gateway with account "acme" connected by OAuth and synced; the portal's counters are reset."""
    assert (await authorize(gateway, sandbox)).status == 302
    await gateway.synced()
    sandbox.portal.token_requests.clear()
    sandbox.portal.seen.clear()
    return gateway
