"""Portals that cannot be reached, must not be called, or do not speak HTTP."""

import asyncio

import pytest
from aiohttp import web

from gateway.bitrix.client import PortalClient
from gateway.bitrix.errors import (
    AddressRefused,
    OutcomeUnknown,
    PortalError,
    PortalMoved,
    PortalUnreachable,
)
from gateway.bitrix.protocol.v2 import Command
from gateway.bitrix.transport.egress import EgressPolicy
from gateway.bitrix.transport.session import REQUEST_DEADLINE_S, PortalSession, open_session
from gateway.sandbox.portal import SandboxPortal
from gateway.sandbox.web.server import SandboxServer
from tests.bitrix.conftest import client_of
from tests.clock import ManualClock
from tests.support.rogue import listening

PROFILE = Command("profile")
WRITE = Command("profile", write=True)  # the client relies on the flag, not on the name of the method


@pytest.mark.parametrize(
    ("endpoint", "error", "message"),
    [
        ("http://127.0.0.1:1/", PortalUnreachable, "does not answer: no connection: refused"),
        ("http://nobody.invalid/", PortalUnreachable, "does not answer: no connection: unknown host"),
        ("http://1.2.3/", AddressRefused, "may not be called: its host is not valid"),
        (f"http://{'a' * 64}.example/", AddressRefused, "may not be called: its host is not valid"),
    ],
)
async def test_the_error_says_why_a_portal_cannot_be_reached(
    session: PortalSession, clock: ManualClock, endpoint: str, error: type[PortalError], message: str
) -> None:
    with pytest.raises(error, match=f"{message}$"):
        await clock.until(client_of(session, clock, endpoint).call(PROFILE))


async def test_the_error_says_that_a_server_has_no_tls(
    session: PortalSession, server: SandboxServer, clock: ManualClock
) -> None:
    with pytest.raises(PortalUnreachable, match=r"TLS handshake failed$"):
        await clock.until(
            client_of(session, clock, server.origin.replace("http", "https") + "/rest/1/x/").call(PROFILE)
        )


async def test_a_request_to_a_silent_portal_ends_at_the_deadline(
    client: PortalClient, portal: SandboxPortal, clock: ManualClock
) -> None:
    portal.hold("profile")
    started = clock.now()
    with pytest.raises(OutcomeUnknown):
        await clock.until(client.call(WRITE))
    assert clock.now() - started == pytest.approx(REQUEST_DEADLINE_S, abs=1)


async def test_a_refused_connection_means_not_sent_even_for_a_write(session: PortalSession, clock: ManualClock) -> None:
    client = client_of(session, clock, "http://127.0.0.1:1/rest/1/canary/")
    with pytest.raises(PortalUnreachable) as caught:
        await clock.until(client.call(WRITE))
    assert not caught.value.sent
    assert "canary" not in str(caught.value) + repr(caught.value) + repr(caught.value.__cause__)


async def test_a_redirect_is_reported_and_not_followed(session: PortalSession, clock: ManualClock) -> None:
    async def moved(_request: web.Request) -> web.Response:
        return web.Response(status=302, headers={"Location": "https://new.example/rest/1/canary/profile"})

    async with listening(moved) as origin:
        with pytest.raises(PortalMoved, match=r"new\.example") as caught:
            await client_of(session, clock, f"{origin}/rest/1/canary/").call(WRITE)
    assert caught.value.host == "new.example"
    assert "canary" not in str(caught.value)


async def test_a_private_address_is_not_called_by_any_name(clock: ManualClock, server: SandboxServer) -> None:
    port = server.origin.rpartition(":")[2]
    async with open_session(EgressPolicy(insecure=False), clock) as session:
        for host in ("127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]"):
            with pytest.raises((AddressRefused, PortalUnreachable)) as caught:
                await client_of(session, clock, f"https://{host}:{port}/rest/1/sandbox/").call(WRITE)
            assert isinstance(caught.value, AddressRefused), host
    assert server.portal.http_requests == 0


async def test_an_answer_that_is_not_http_is_a_broken_answer(session: PortalSession, clock: ManualClock) -> None:
    async def greet(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 smtp.example ready\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(greet, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(OutcomeUnknown, match="not HTTP"):
            await client_of(session, clock, f"http://127.0.0.1:{port}/rest/1/canary/").call(WRITE)
