"""The command `sync`."""

import asyncio
from collections.abc import Callable

import aiohttp

from tests.cli.conftest import Invoke, Running, Spawn

Ports = Callable[[], int]


async def start_demo(spawn: Spawn, portal_port: int, port: int) -> Running:
    """A running gateway with a connected account, and its database in the working directory."""
    demo = await spawn(
        "demo", "--port", str(port), "--portal-port", str(portal_port), "--users", "60", "--database", "gateway.db"
    )
    await demo.until("Serving until Ctrl-C")
    return demo


async def test_it_shows_each_sync_until_it_ends(spawn: Spawn, invoke: Invoke, ports: Ports) -> None:
    port = ports()
    await start_demo(spawn, ports(), port)
    sync = await asyncio.to_thread(invoke, "sync", "users", "steps", "users", "--account=demo", f"--port={port}")
    assert sync.exit_code == 0, sync.output
    assert sorted(line.split(",")[0] for line in sync.stdout.splitlines()) == ["steps: done", "users: done"]


async def test_a_failed_sync_shows_its_error_and_exits_with_1(spawn: Spawn, invoke: Invoke, ports: Ports) -> None:
    port, portal_port = ports(), ports()
    await start_demo(spawn, portal_port, port)
    async with aiohttp.ClientSession() as session:
        await session.post(
            f"http://127.0.0.1:{portal_port}/_sandbox/faults", json={"fault": "user.get:error=ACCESS_DENIED*"}
        )
    sync = await asyncio.to_thread(invoke, "sync", "users", "--account=demo", f"--port={port}")
    assert sync.exit_code == 1
    assert "users: failed" in sync.stdout
    assert "ACCESS_DENIED" in sync.stdout


async def test_an_account_that_is_not_connected_is_refused(spawn: Spawn, invoke: Invoke, ports: Ports) -> None:
    port = ports()
    await start_demo(spawn, ports(), port)
    sync = await asyncio.to_thread(invoke, "sync", "users", "--account=nobody", f"--port={port}")
    assert sync.exit_code == 1
    assert sync.stderr.startswith("Error: PATCH /bitrix/users failed with status 404")


def test_an_unreachable_gateway_is_reported(invoke: Invoke, ports: Ports) -> None:
    result = invoke("sync", "users", "--account", "1", "--port", str(ports()), "--jwt-secret", "12345678")
    assert result.exit_code == 1
    assert "cannot reach a gateway at http://127.0.0.1:" in result.stderr
