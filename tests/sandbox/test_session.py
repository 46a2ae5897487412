"""A session of a client library: authorize, read everything in batches, refresh an expired token."""

import ssl
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession, TCPConnector
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from yarl import URL

from gateway.sandbox.portal import SandboxPortal
from gateway.sandbox.settings import SandboxSettings
from gateway.sandbox.web.server import SandboxServer
from tests.clock import ManualClock
from tests.sandbox.client import Answer, RestClient


class Library:
    """An SDK: calls client_endpoint, refreshes on expired_token, waits on QUERY_LIMIT_EXCEEDED, pages by id."""

    def __init__(self, session: ClientSession, origin: str, clock: ManualClock) -> None:
        self._http = RestClient(session, origin)
        self._clock = clock
        self._pair: dict[str, Any] = {}
        self.refreshes = 0

    async def connect(self) -> None:
        async with self._http.session.post(
            self._http.base + "/oauth/authorize/",
            data={"client_id": "app.sandbox", "state": "s"},
            allow_redirects=False,
        ) as response:
            code = URL(response.headers["Location"]).query["code"]
        await self._token(grant_type="authorization_code", code=code)

    async def _token(self, **grant: str) -> None:
        query = {"client_id": "app.sandbox", "client_secret": "sandbox-secret", **grant}
        answer = await self._http.send("GET", str(URL(self._http.base + "/oauth/token/").with_query(query)))
        assert answer.status == 200
        self._pair = answer.body

    async def call(self, method: str, **params: Any) -> Answer:
        address = self._pair["client_endpoint"] + method
        answer = await self._http.send("POST", address, json={**params, "auth": self._pair["access_token"]})
        match answer.body.get("error"):
            case "expired_token":
                self.refreshes += 1
                await self._token(grant_type="refresh_token", refresh_token=self._pair["refresh_token"])
            case "QUERY_LIMIT_EXCEEDED":
                await self._clock.advance(1)
            case _:
                return answer
        return await self.call(method, **params)

    async def all_users(self) -> list[dict[str, Any]]:
        users: list[dict[str, Any]] = []
        while True:
            after = users[-1]["ID"] if users else "0"
            read = "user.get?sort=ID&order=ASC&start=-1&FILTER%5B%3EID%5D="
            commands = {"p0": read + after} | {f"p{n}": f"{read}$result[p{n - 1}][49][ID]" for n in range(1, 4)}
            result = (await self.call("batch", cmd=commands, halt=1)).result["result"]
            for label in commands:
                page = result[label]
                if page and int(page[0]["ID"]) <= int(users[-1]["ID"] if users else 0):
                    return users
                users += page
                if len(page) < 50:
                    return users


@pytest.fixture
def settings() -> SandboxSettings:
    return SandboxSettings(users=720, holes=0.6)


async def test_a_client_library_reads_the_whole_portal(
    server: SandboxServer, portal: SandboxPortal, session: ClientSession, clock: ManualClock
) -> None:
    library = Library(session, server.origin, clock)
    await library.connect()
    assert (await library.call("app.info")).result["INSTALLED"] is True
    portal.fault("batch:qle@1")
    portal.fault("batch:expired_token@2")
    users = await library.all_users()
    assert [int(user["ID"]) for user in users] == sorted(portal.data.users)
    await clock.advance(3600)
    assert (await library.call("profile")).result["ADMIN"] is True
    assert library.refreshes == 2
    types = (await library.call("crm.type.list")).result["types"]
    pipelines = [(await library.call("crm.category.list", entityTypeId=row["entityTypeId"])).result for row in types]
    stages = {row["ENTITY_ID"] for row in (await library.call("crm.status.list")).result}
    for row, found in zip(types, pipelines, strict=True):
        for category in found["categories"]:
            assert f"DYNAMIC_{row['entityTypeId']}_STAGE_{category['id']}" in stages


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A file with a key and a self-signed certificate for 127.0.0.1."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sandbox")])
    now = datetime.now(UTC)
    signed = (
        x509.CertificateBuilder(name, name, key.public_key(), 1, now - timedelta(days=1), now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path / "sandbox.pem"
    path.write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()) + signed.public_bytes(Encoding.PEM)
    )
    return path


async def test_the_portal_supports_tls(certificate: Path, portal: SandboxPortal) -> None:
    ours = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    ours.load_cert_chain(certificate)
    connector = TCPConnector(ssl=ssl.create_default_context(cafile=certificate))
    async with SandboxServer(portal, ssl_context=ours) as server, ClientSession(connector=connector) as session:
        assert server.origin.startswith("https://127.0.0.1:")
        client = RestClient(session, server.origin)
        code = f"grant_type=authorization_code&code={portal.oauth.issue_code()}"
        pair = (await client.get(f"/oauth/token/?client_id=app.sandbox&client_secret=sandbox-secret&{code}")).body
        assert pair["client_endpoint"] == f"{server.origin}/rest/"
        assert (await client.call("/rest/profile", auth=pair["access_token"])).status == 200
