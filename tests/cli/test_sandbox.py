"""`sandbox`: a portal for whoever wants to try a client."""

import signal
import socket
import threading
from collections.abc import Callable
from pathlib import Path

import aiohttp
import pytest

from tests.cli.conftest import Invoke, Spawn, stop_once_listening


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_it_serves_the_portal_with_the_faults_asked_for_until_it_is_stopped(
    spawn: Spawn, ports: Callable[[], int], number: int
) -> None:
    port = ports()
    portal = await spawn("sandbox", "--port", str(port), "--users", "7", "--holes", "0", "--fault", "user.get:otl")
    await portal.until("Sends people to: http://127.0.0.1:8080/webhook/create")
    async with aiohttp.ClientSession() as session:
        for status in (429, 200):
            async with session.get(f"http://127.0.0.1:{port}/rest/1/sandbox/user.get") as response:
                assert response.status == status
                answer = await response.json()
    assert answer["total"] == 7
    assert (await portal.end(number))[0] == 0


def test_it_says_how_it_is_reached_and_stops_at_a_signal(invoke: Invoke, ports: Callable[[], int]) -> None:
    port = ports()
    stopper = threading.Thread(target=stop_once_listening, args=(port,))
    stopper.start()
    result = invoke("sandbox", "--port", str(port))
    stopper.join()
    assert result.exit_code == 0
    assert f"http://127.0.0.1:{port}/rest/1/sandbox/" in result.stdout
    assert "app.sandbox, secret sandbox-secret" in result.stdout


def test_a_taken_port_is_said(invoke: Invoke) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = invoke("sandbox", "--port", str(port))
    assert result.exit_code == 1
    assert f"cannot listen on 127.0.0.1:{port}, choose another port" in result.stderr


@pytest.mark.parametrize(
    "arguments",
    [("--fault", "nonsense"), ("--users", "0"), ("--holes", "1"), ("--tariff", "x"), ("--tls-cert", ".env")],
)
def test_a_wrong_option_is_a_wrong_call(invoke: Invoke, arguments: tuple[str, ...]) -> None:
    assert invoke("sandbox", *arguments).exit_code == 2


def test_a_certificate_needs_its_key(invoke: Invoke, tmp_path: Path) -> None:
    (tmp_path / "cert.pem").write_text("not a certificate")
    alone = invoke("sandbox", "--tls-cert", "cert.pem")
    assert (alone.exit_code, "go together" in alone.stderr) == (2, True)
    wrong = invoke("sandbox", "--tls-cert", "cert.pem", "--tls-key", "cert.pem")
    assert (wrong.exit_code, "not a certificate with its key" in wrong.stderr) == (2, True)
