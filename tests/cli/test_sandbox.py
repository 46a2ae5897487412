"""The command `sandbox`."""

import signal
import socket
import ssl
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import aiohttp
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from tests.cli.conftest import Invoke, Spawn, stop_once_listening


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_it_serves_the_portal_with_the_given_faults_until_it_is_stopped(
    spawn: Spawn, ports: Callable[[], int], number: int
) -> None:
    port = ports()
    portal = await spawn("sandbox", "--port", str(port), "--users", "7", "--holes", "0", "--fault", "user.get:otl")
    await portal.until("Redirects to:    http://127.0.0.1:8080/webhook/create")
    async with aiohttp.ClientSession() as session:
        for status in (429, 200):
            async with session.get(f"http://127.0.0.1:{port}/rest/1/sandbox/user.get") as response:
                assert response.status == status
                answer = await response.json()
    assert answer["total"] == 7
    assert (await portal.end(number))[0] == 0


async def test_options_set_the_number_of_rows(spawn: Spawn, ports: Callable[[], int]) -> None:
    port = ports()
    sizes = {"leads": 11, "deals": 1_000_000, "contacts": 13, "companies": 14, "quotes": 15, "invoices": 16, "items": 0}
    options = [word for name, count in sizes.items() for word in (f"--{name}", str(count))]
    portal = await spawn("sandbox", "--port", str(port), "--holes", "0.7", "--seed", "5", "--cost", *options)
    await portal.until("Redirects to")
    async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session:
        async with session.get("/rest/1/sandbox/crm.deal.list?start=-1") as response:
            answer = await response.json()
        async with session.get("/_sandbox/") as response:
            seen = await response.json()
    assert answer["time"]["duration"] >= 0.039  # a part of the 0.04 s may have passed before the call is processed
    assert seen["busy_s"] == 0.04
    assert {name: seen["rows"][name] for name in sizes if name != "items"} | {"items": 0} == sizes
    assert [seen["rows"][f"items/{entity_type_id}"] for entity_type_id in (128, 156, 1036)] == [0, 0, 0]
    assert (await portal.end(signal.SIGTERM))[0] == 0


async def test_options_set_the_page_sizes(spawn: Spawn, ports: Callable[[], int]) -> None:
    port = ports()
    options = ("--page", "7", "--rest3-page", "9", "--fault", "user.get:total=50*", "--holes", "0")
    portal = await spawn("sandbox", "--port", str(port), *options)
    await portal.until("Redirects to")
    async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session:
        async with session.get("/rest/1/sandbox/user.get?start=14") as response:
            users = await response.json()
        limited = {"pagination": {"limit": 1000}}
        async with session.post("/rest/api/1/sandbox/tasks.task.list", json=limited) as response:
            tasks = await response.json()
    assert [user["ID"] for user in users["result"]] == [str(number) for number in range(15, 22)]
    assert (users["total"], users["next"]) == (50, 21)
    assert len(tasks["result"]["items"]) == 9
    assert (await portal.end(signal.SIGTERM))[0] == 0


def test_it_prints_its_addresses_and_stops_on_a_signal(invoke: Invoke, ports: Callable[[], int]) -> None:
    port = ports()
    stopper = threading.Thread(target=stop_once_listening, args=(port,))
    stopper.start()
    result = invoke("sandbox", "--port", str(port))
    stopper.join()
    assert result.exit_code == 0
    assert f"http://127.0.0.1:{port}/rest/1/sandbox/" in result.stdout
    assert "app.sandbox, secret sandbox-secret" in result.stdout


def test_a_port_in_use_is_reported(invoke: Invoke) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = invoke("sandbox", "--port", str(port))
    assert result.exit_code == 1
    assert f"cannot listen on 127.0.0.1:{port}, choose another port" in result.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("--fault", "nonsense"),
        ("--users", "0"),
        ("--deals", "-1"),
        ("--items", "x"),
        ("--holes", "1"),
        ("--page", "0"),
        ("--rest3-page", "0"),
        ("--fault", "user.get:total=many"),
        ("--tariff", "x"),
        ("--tls-cert", ".env"),
    ],
)
def test_an_invalid_option_is_incorrect_usage(invoke: Invoke, arguments: tuple[str, ...]) -> None:
    assert invoke("sandbox", *arguments).exit_code == 2


def test_a_certificate_needs_its_key(invoke: Invoke, tmp_path: Path) -> None:
    (tmp_path / "cert.pem").write_text("not a certificate")
    alone = invoke("sandbox", "--tls-cert", "cert.pem")
    assert (alone.exit_code, "must be given together" in alone.stderr) == (2, True)
    wrong = invoke("sandbox", "--tls-cert", "cert.pem", "--tls-key", "cert.pem")
    assert (wrong.exit_code, "not a certificate with its key" in wrong.stderr) == (2, True)
    missing = invoke("sandbox", "--tls-cert", "cert.pem", "--tls-key", "nowhere.pem")
    assert (missing.exit_code, "'nowhere.pem' does not exist" in missing.stderr) == (2, True)


async def test_it_serves_https_with_a_certificate(spawn: Spawn, ports: Callable[[], int], tmp_path: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sandbox")])
    now = datetime.now(UTC)
    signed = (
        x509.CertificateBuilder(name, name, key.public_key(), 1, now - timedelta(days=1), now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    (tmp_path / "cert.pem").write_bytes(signed.public_bytes(Encoding.PEM))
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (tmp_path / "key.pem").write_bytes(private)
    port = ports()
    portal = await spawn("sandbox", "--port", str(port), "--tls-cert", "cert.pem", "--tls-key", "key.pem")
    await portal.until(f"Inbound webhook: https://127.0.0.1:{port}/rest/1/sandbox/")
    trusted = ssl.create_default_context(cafile=tmp_path / "cert.pem")
    address = f"https://127.0.0.1:{port}/rest/1/sandbox/scope.json"
    async with aiohttp.ClientSession() as session, session.get(address, ssl=trusted) as response:
        assert response.status == 200
    assert (await portal.end(signal.SIGTERM))[0] == 0
