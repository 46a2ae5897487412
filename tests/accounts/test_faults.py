"""Portals and authorization servers that fail, move, do not answer or cannot prove their identity."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from gateway.bitrix.protocol.v2 import Command
from gateway.sandbox.portal import SandboxPortal
from gateway.sandbox.web.server import SandboxServer
from handlers.app_keys import CLIENTS, DIRECTORY
from tests.clock import ManualClock
from tests.gateway import RESOURCES, Gateway, Sandbox, authorize, serve_sandbox
from tests.support.stored import credentials

ACCOUNT = "/bitrix/account"
UNREAD = "the portal's answer cannot be read: not JSON"

UNREADABLE = "user.get could not be read beyond id 0: "
AGAIN = "Authorize the portal again."
ANEW = "Connect the account again with the portal's new address."


async def test_fifty_concurrent_calls_use_one_refresh_token(authorized: Gateway, sandbox: Sandbox) -> None:
    account = await authorized.app[DIRECTORY].require("acme")
    sandbox.portal.oauth.expire_access_tokens()
    calls = [authorized.app[CLIENTS].client(account).call(Command("profile")) for _ in range(50)]
    answers = await authorized.clock.until(asyncio.gather(*calls))
    assert len(answers) == 50
    assert [request["grant_type"] for request in sandbox.portal.token_requests] == ["refresh_token"]
    assert sandbox.portal.refusals["QUERY_LIMIT_EXCEEDED"] == 0
    assert len({call.credential for call in sandbox.portal.seen}) == 2


@pytest.mark.parametrize("fault", ["cut", "truncated"])
async def test_a_lost_token_response_requires_a_new_authorization(
    authorized: Gateway, sandbox: Sandbox, fault: str
) -> None:
    rows = await authorized.rows("users")
    sandbox.portal.oauth.expire_access_tokens()
    sandbox.portal.fault(f"oauth.token:{fault}")
    (run,) = await authorized.sync("users")
    assert run["error"] == f"{UNREADABLE}invalid_grant: Invalid grant. {AGAIN}"
    assert len({request["refresh_token"] for request in sandbox.portal.token_requests}) == 1
    assert (await authorized.get(ACCOUNT)).json["stale"] is True
    refused = await authorized.patch("/bitrix/users")
    assert refused.json.startswith(f"authorize again: {sandbox.origin}/oauth/authorize/?")
    assert await authorized.rows("users") == rows
    assert (await authorize(authorized, sandbox)).status == 302
    assert [run["error"] for run in await authorized.synced()] == [None] * 4


async def test_a_webhook_whose_portal_has_moved_is_stale_and_names_the_new_host(
    connected: Gateway, sandbox: Sandbox
) -> None:
    rows = await connected.rows("users")
    new = SandboxPortal(sandbox.portal.settings, connected.clock)
    async with serve_sandbox(new) as elsewhere:
        sandbox.portal.fault(f"batch:redirect={elsewhere.origin}*")
        (run,) = await connected.sync("users")
        assert run["error"] == f"{UNREADABLE}the portal has moved to {elsewhere.host}. {ANEW}"
        assert (await connected.get(ACCOUNT)).json["stale"] is True
        requests = sandbox.portal.http_requests
        assert (await connected.patch("/bitrix/users")).status == 409
        assert (sandbox.portal.http_requests, new.http_requests) == (requests, 0)
        assert await connected.rows("users") == rows
        assert (await connected.connect(elsewhere.webhook)).json["stale"] is False


async def test_one_refresh_finds_the_new_host_of_a_moved_portal(authorized: Gateway, sandbox: Sandbox) -> None:
    async with serve_sandbox(sandbox.portal) as elsewhere:
        sandbox.portal.fault(f"batch:redirect={elsewhere.origin}")
        sandbox.portal.fault(f"oauth.token:client_endpoint={elsewhere.origin}/rest/*")
        (run,) = await authorized.sync("users")
        assert run["error"] is None
        assert len(sandbox.portal.token_requests) == 1
        assert (await authorized.get(ACCOUNT)).json["subdomain"] == elsewhere.host
        assert [run["error"] for run in await authorized.sync(*RESOURCES)] == [None] * 4
        assert len(sandbox.portal.token_requests) == 1


async def test_an_endless_redirect_is_reported_and_not_followed(authorized: Gateway, sandbox: Sandbox) -> None:
    sandbox.portal.fault("batch:redirect=https://phishing.example*")
    (run,) = await authorized.sync("users")
    assert run["error"] == f"{UNREADABLE}the portal has moved to phishing.example. {ANEW}"
    assert len(sandbox.portal.token_requests) == 1
    assert (await authorized.get(ACCOUNT)).json["stale"] is False


async def test_a_redirect_of_an_authorization_server_is_not_followed(authorized: Gateway, sandbox: Sandbox) -> None:
    new = SandboxPortal(sandbox.portal.settings, authorized.clock)
    async with serve_sandbox(new) as elsewhere:
        sandbox.portal.oauth.expire_access_tokens()
        sandbox.portal.fault(f"oauth.token:redirect={elsewhere.origin}*")
        (run,) = await authorized.sync("users")
        assert run["error"] == f"{UNREADABLE}the portal has moved to {elsewhere.host}. {ANEW}"
        assert not new.token_requests
        assert (await authorized.get(ACCOUNT)).json["stale"] is False


@pytest.mark.parametrize(
    ("fault", "batches"),
    [("user.get:delay=59", 1), ("batch:delay=61", 1), ("batch:delay=90*2", 3), ("batch:html200*2", 3)],
)
async def test_a_sync_waits_for_a_portal_that_is_slow_or_down_for_a_minute(
    connected: Gateway, sandbox: Sandbox, fault: str, batches: int
) -> None:
    del sandbox.portal.data.users[max(sandbox.portal.data.users)]
    await connected.sync("users")
    plain = sandbox.portal.calls["batch"]
    sandbox.portal.data.users[10**6] = {**sandbox.portal.data.users[1], "ID": "1000000", "NAME": "new"}
    await connected.sync("users")
    once = sandbox.portal.calls["batch"] - plain
    sandbox.portal.fault(fault)
    await connected.patch("/bitrix/users")
    await connected.clock.advance(250)
    (run,) = await connected.synced("users")
    assert run["error"] is None
    assert len(await connected.rows("users")) == len(sandbox.portal.data.users)
    assert sandbox.portal.calls["batch"] - plain == 2 * once + batches - 1


@pytest.mark.parametrize(
    ("fault", "reason"),
    [("batch:delay=1000*", "the portal does not answer: no response within 70 s"), ("batch:html200*", UNREAD)],
)
async def test_a_sync_fails_with_a_reason_if_the_portal_stays_down(
    connected: Gateway, sandbox: Sandbox, fault: str, reason: str
) -> None:
    rows = await connected.rows("users")
    calls = sandbox.portal.calls["batch"]
    sandbox.portal.fault(fault)
    await connected.patch("/bitrix/users")
    await connected.clock.advance(400)
    (run,) = await connected.synced("users")
    assert run["error"] == f"user.get could not be read beyond id 0: {reason}"
    assert sandbox.portal.calls["batch"] - calls <= 5
    assert await connected.rows("users") == rows
    assert (await connected.get(ACCOUNT)).json["stale"] is False
    await connected.clock.advance(5000)


def make_certificate(directory: Path, host: str, *, days: int) -> ssl.SSLContext:
    """Return a server's TLS context with a self-signed certificate for *host* that is valid for *days*."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
    now = datetime.now(UTC)
    alternative: x509.GeneralName = x509.DNSName(host) if host[0].isalpha() else x509.IPAddress(ip_address(host))
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=30))
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName([alternative]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = directory / "portal.pem"
    pem.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    return context


@asynccontextmanager
async def over_tls(sandbox: Sandbox, context: ssl.SSLContext) -> AsyncIterator[Sandbox]:
    """Serve the portal of *sandbox* at an https address too."""
    async with SandboxServer(sandbox.portal, ssl_context=context) as server:
        yield Sandbox(sandbox.portal, server)


@pytest.mark.parametrize(
    ("host", "days"), [("127.0.0.1", 30), ("portal.example", 30), ("127.0.0.1", -1)], ids=["own", "other", "expired"]
)
async def test_an_invalid_certificate_ends_the_connection(
    gateway: Gateway, sandbox: Sandbox, tmp_path: Path, host: str, days: int
) -> None:
    async with over_tls(sandbox, make_certificate(tmp_path, host, days=days)) as secured:
        body = {"client_bitrix_url": secured.webhook}
        refused = await gateway.clock.until(gateway.post(ACCOUNT, json=body))
        assert refused.status == 502
        assert refused.json == "the portal does not answer: no connection: invalid certificate"
        assert sandbox.portal.http_requests == 0
        await gateway.restart(GATEWAY_INSECURE_PORTALS="0", GATEWAY_OAUTH_SERVERS="oauth.example")
        refused = await gateway.post(ACCOUNT, json=body)
        assert (refused.status, refused.json) == (
            400,
            "client_bitrix_url: must be an address on the public internet",
        )
    assert credentials(gateway) == 0


async def test_an_insecure_portal_is_not_called_without_the_setting(connected: Gateway, sandbox: Sandbox) -> None:
    rows, requests = await connected.rows("users"), sandbox.portal.http_requests
    await connected.restart(GATEWAY_INSECURE_PORTALS="0", GATEWAY_OAUTH_SERVERS="oauth.example")
    (run,) = await connected.sync("users")
    assert run["error"] == "user.get could not be read beyond id 0: the address may not be called: it is not https"
    assert sandbox.portal.http_requests == requests
    assert await connected.rows("users") == rows


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]", "[::ffff:127.0.0.1]"])
async def test_a_private_endpoint_is_not_called(
    gateway: Gateway, sandbox: Sandbox, tmp_path: Path, clock: ManualClock, host: str
) -> None:
    async with over_tls(sandbox, make_certificate(tmp_path, "localhost", days=30)) as secured:
        port = secured.origin.rpartition(":")[2]
        sandbox.portal.fault(f"oauth.token:client_endpoint=https://{host}:{port}/rest/")
        assert (await authorize(gateway, sandbox)).status == 302
        await gateway.restart(GATEWAY_INSECURE_PORTALS="0", GATEWAY_OAUTH_SERVERS="oauth.example")
        await gateway.synced()
        requests = sandbox.portal.http_requests
        (run,) = await gateway.sync("users")
        assert run["error"] == (
            "user.get could not be read beyond id 0: the address may not be called: it leads into a private network"
        )
        assert sandbox.portal.http_requests == requests == 0
    await clock.settle()
