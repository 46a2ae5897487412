"""The command `serve`: start, refusals to start, and shutdown."""

import asyncio
import json
import os
import re
import signal
import socket
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path

import aiohttp
import pytest

from gateway.cli.process import until_signal
from gateway.cli.serve import serving
from gateway.clock import SystemClock
from gateway.settings.config import load_config
from gateway.settings.secret_file import resolve_secrets
from tests.cli.conftest import Invoke, Spawn, stop_once_listening

Ports = Callable[[], int]


async def test_without_settings_it_generates_secrets_logs_that_and_serves(spawn: Spawn, tmp_path: Path) -> None:
    gateway = await spawn("serve", "--port", "0")
    assert "GATEWAY_ENCRYPTION_KEY" in await gateway.until("generated secrets")
    line = await gateway.until("listening")
    assert "sqlite=3." in line
    origin = re.search(r"http://127\.0\.0\.1:\d+", line)
    assert origin
    async with aiohttp.ClientSession() as session, session.get(f"{origin[0]}/healthz") as response:
        assert response.status == 200
    status, output = await gateway.end(signal.SIGTERM)
    assert status == 0
    assert "Traceback" not in output
    stored = (tmp_path / "gateway.db.secrets").read_text()
    for value in re.findall(r"=(\S+)", stored):
        assert value not in output
    again = await spawn("serve", "--port", "0")
    await again.until("listening")
    assert "generated secrets" not in (await again.end(signal.SIGINT))[1]


def test_a_signal_stops_it_gracefully(invoke: Invoke, ports: Ports) -> None:
    port = ports()
    stopper = threading.Thread(target=stop_once_listening, args=(port,))
    stopper.start()
    result = invoke("serve", "--port", str(port))
    stopper.join()
    assert result.exit_code == 0
    with socket.socket() as client:
        assert client.connect_ex(("127.0.0.1", port)) != 0


async def test_it_listens_until_the_block_ends(tmp_path: Path, ports: Ports) -> None:
    config = load_config({}, {"database": tmp_path / "g.db", "port": ports()})
    async with aiohttp.ClientSession() as session:
        async with (
            serving(config, resolve_secrets(config), SystemClock()),
            session.get(f"{config.own_origin}/readyz") as response,
        ):
            assert response.status == 200
        with pytest.raises(aiohttp.ClientConnectorError):
            await session.get(f"{config.own_origin}/readyz")


async def test_a_second_gateway_on_the_same_database_is_refused(spawn: Spawn) -> None:
    first = await spawn("serve", "--port", "0")
    await first.until("listening")
    status, output = await (await spawn("serve", "--port", "0")).end()
    assert (status, output) == (
        1,
        "Error: gateway.db is in use by another running gateway: stop that one first, or use another database\n",
    )


async def test_a_port_in_use_is_refused(spawn: Spawn) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        status, output = await (await spawn("serve", "--port", str(port))).end()
    assert status == 1
    assert output.startswith(f"Error: cannot listen on 127.0.0.1:{port}, choose another port: ")
    assert os.listdir() == []  # a gateway that cannot start creates no files


@pytest.mark.parametrize("host", ["nosuch.invalid", "192.0.2.1"])
@pytest.mark.parametrize("port", ["0", "8080"])
def test_a_host_of_another_machine_is_refused(invoke: Invoke, host: str, port: str) -> None:
    result = invoke("serve", "--host", host, "--port", port)
    assert result.exit_code == 1
    assert result.stderr.startswith(f"Error: cannot listen on {host}:{port}, choose another host: ")
    assert os.listdir() == []


async def start_once(spawn: Spawn) -> None:
    gateway = await spawn("serve", "--port", "0")
    await gateway.until("listening")
    await gateway.end(signal.SIGTERM)


async def test_a_different_encryption_key_is_refused_with_the_consequences(spawn: Spawn) -> None:
    await start_once(spawn)
    status, output = await (await spawn("serve", "--port", "0", "--encryption-key", "A" * 43)).end()
    assert status == 1
    assert "gateway.db needs the key that encrypted its tokens" in output
    assert "gateway.db.secrets" in output
    assert "authorized again" in output
    assert "Traceback" not in output


async def test_a_missing_encryption_key_is_refused_and_not_regenerated(spawn: Spawn, tmp_path: Path) -> None:
    await start_once(spawn)
    (tmp_path / "gateway.db.secrets").unlink()
    status, output = await (await spawn("serve", "--port", "0")).end()
    assert (status, "the encryption key is missing" in output) == (1, True)
    assert not (tmp_path / "gateway.db.secrets").exists()


async def test_a_database_from_a_newer_version_is_refused(spawn: Spawn) -> None:
    await start_once(spawn)
    with sqlite3.connect("gateway.db") as connection:
        connection.execute("PRAGMA user_version = 999")
    connection.close()
    status, output = await (await spawn("serve", "--port", "0")).end()
    assert status == 1
    assert output.splitlines()[-1].startswith("Error: the database has version 999")


def test_a_database_in_a_missing_directory_is_refused_with_setting_and_directory(
    invoke: Invoke, tmp_path: Path
) -> None:
    key = ("--encryption-key", "A" * 43, "--jwt-secret", "12345678")
    result = invoke("serve", "--port", "0", "--database", "missing/g.db", *key)
    assert result.exit_code == 1
    assert result.stderr == (
        f"Error: GATEWAY_DATABASE (--database) is missing/g.db, but there is no directory {tmp_path}/missing: "
        "create it, or choose another file\n"
    )


async def test_it_raises_the_limit_of_open_files_for_its_connections(spawn: Spawn) -> None:
    gateway = await spawn("serve", "--port", "0", "--max-connections", "600", files="ulimit -S -n 256")
    await gateway.until("listening")
    assert "reduced max_connections" not in (await gateway.end(signal.SIGTERM))[1]


async def test_a_low_limit_of_open_files_reduces_connections_and_is_logged(spawn: Spawn) -> None:
    gateway = await spawn("serve", "--port", "0", files="ulimit -n 900")
    assert "connections=132" in await gateway.until("reduced max_connections")
    await gateway.until("listening")
    status, output = await (await spawn("serve", "--port", "0", files="ulimit -n 768")).end()
    assert (status, output) == (
        1,
        "Error: the limit of open files is too low: raise it to at least 769 (ulimit -n)\n",
    )


async def test_log_lines_can_be_json(spawn: Spawn) -> None:
    gateway = await spawn("serve", "--port", "0", "--log-format", "json")
    await gateway.until("listening")
    _, output = await gateway.end(signal.SIGTERM)
    events = [json.loads(line)["event"] for line in output.splitlines()]
    assert events[-2:] == ["listening", "stopping"]


async def test_until_signal_returns_the_result() -> None:
    async def work() -> int:
        return 7

    assert await until_signal(work()) == 7


async def test_until_signal_propagates_a_cancellation() -> None:
    waiting = asyncio.create_task(until_signal(asyncio.Event().wait()))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
