"""A portal inside a company's network, over TLS with a private certificate authority."""

import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.bitrix.errors import PortalUnreachable
from gateway.bitrix.transport.egress import EgressPolicy
from gateway.bitrix.transport.session import open_session
from gateway.sandbox.web.server import SandboxServer
from tests.clock import ManualClock
from tests.gateway import Gateway, Sandbox
from tests.load.certificate import make_certificate

ACCOUNT = "/bitrix/account"
STRICT = {"GATEWAY_INSECURE_PORTALS": "0", "GATEWAY_OAUTH_SERVERS": "oauth.example"}
LOOPBACK = "127.0.0.0/8"


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    return make_certificate(tmp_path)


@pytest.fixture
async def box(sandbox: Sandbox, certificate: tuple[Path, Path]) -> AsyncIterator[Sandbox]:
    """The sandbox portal over TLS, at a private address."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    async with SandboxServer(sandbox.portal, ssl_context=context) as server:
        yield Sandbox(sandbox.portal, server)


async def test_a_listed_portal_is_mirrored_over_verified_tls(
    gateway: Gateway, box: Sandbox, certificate: tuple[Path, Path]
) -> None:
    await gateway.restart(
        **STRICT, GATEWAY_PRIVATE_PORTALS=f"crm.corp.example, {LOOPBACK}", GATEWAY_PORTAL_CA_FILE=str(certificate[0])
    )
    answer = await gateway.connect(box.webhook)
    assert (answer.json["state"], answer.json["bitrixID"]) == ("ok", box.origin.removeprefix("https://"))
    assert [run["error"] for run in await gateway.synced()] == [None] * 4
    assert len(await gateway.rows("users")) == len(box.portal.data.users)


async def test_the_authorize_page_is_checked_over_the_same_tls(
    gateway: Gateway, sandbox: Sandbox, box: Sandbox, certificate: tuple[Path, Path]
) -> None:
    await gateway.connect(sandbox.webhook)
    settings = {**STRICT, "GATEWAY_PRIVATE_PORTALS": LOOPBACK}
    await gateway.restart(**settings)
    refused = await gateway.post(ACCOUNT, json={"client_bitrix_url": box.origin})
    assert (refused.status, refused.json) == (
        502,
        "the portal does not answer: no connection: invalid certificate",
    )
    await gateway.restart(**settings, GATEWAY_PORTAL_CA_FILE=str(certificate[0]))
    assert (await gateway.post(ACCOUNT, json={"client_bitrix_url": box.origin})).json["state"] == "pending"


async def test_the_certificate_is_not_trusted_without_the_ca_file(gateway: Gateway, box: Sandbox) -> None:
    await gateway.restart(**STRICT, GATEWAY_PRIVATE_PORTALS=LOOPBACK)
    answer = await gateway.clock.until(gateway.post(ACCOUNT, json={"client_bitrix_url": box.webhook}))
    assert (answer.status, answer.json) == (
        502,
        "the portal does not answer: no connection: invalid certificate",
    )
    assert box.portal.http_requests == 0


@pytest.mark.parametrize("listed", ["", "10.0.0.0/8,fd00::/8", "*.corp.example", "127.0.0.2/32", "127.0.0.1.example"])
async def test_a_portal_that_is_not_listed_is_not_called(
    gateway: Gateway, box: Sandbox, certificate: tuple[Path, Path], listed: str
) -> None:
    await gateway.restart(**STRICT, GATEWAY_PRIVATE_PORTALS=listed, GATEWAY_PORTAL_CA_FILE=str(certificate[0]))
    answer = await gateway.post(ACCOUNT, json={"client_bitrix_url": box.webhook})
    assert (answer.status, answer.json) == (400, "client_bitrix_url: must be an address on the public internet")
    assert box.portal.http_requests == 0


async def test_a_listed_name_cannot_resolve_to_the_gateways_own_machine(
    gateway: Gateway, box: Sandbox, certificate: tuple[Path, Path]
) -> None:
    await gateway.restart(**STRICT, GATEWAY_PRIVATE_PORTALS="localhost", GATEWAY_PORTAL_CA_FILE=str(certificate[0]))
    url = box.webhook.replace("127.0.0.1", "localhost")
    answer = await gateway.post(ACCOUNT, json={"client_bitrix_url": url})
    assert (answer.status, answer.json) == (
        400,
        "client_bitrix_url: the portal refused the webhook: "
        "the address may not be called: it leads into a private network",
    )
    assert box.portal.http_requests == 0


async def test_a_listed_portal_is_not_called_over_http(gateway: Gateway, sandbox: Sandbox) -> None:
    await gateway.restart(**STRICT, GATEWAY_PRIVATE_PORTALS=LOOPBACK)
    answer = await gateway.post(ACCOUNT, json={"client_bitrix_url": sandbox.webhook})
    assert (answer.status, "not https" in answer.json) == (400, True)
    assert sandbox.portal.http_requests == 0


async def test_the_ca_file_is_not_trusted_for_authorization_servers(
    box: Sandbox, certificate: tuple[Path, Path], clock: ManualClock
) -> None:
    async with open_session(EgressPolicy(insecure=True), clock, portal_ca_file=certificate[0]) as session:
        assert (await session.post(f"{box.webhook}profile", {}, ())).status == 200
        with pytest.raises(PortalUnreachable, match=r"invalid certificate$"):
            await session.get(f"{box.origin}/oauth/token/", {}, ())
