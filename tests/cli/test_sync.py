"""`sync`: a client of the running gateway."""

from collections.abc import Callable

import aiohttp

from tests.cli.conftest import Invoke, Running, Spawn

Ports = Callable[[], int]


async def start_demo(spawn: Spawn, portal_port: int, port: int) -> Running:
    """A gateway with a connected account, on a database of its own here."""
    demo = await spawn(
        "demo", "--port", str(port), "--portal-port", str(portal_port), "--users", "60", "--database", "gateway.db"
    )
    await demo.until("Serving until Ctrl-C")
    return demo


async def test_it_shows_each_sync_to_its_end(spawn: Spawn, ports: Ports) -> None:
    port = ports()
    await start_demo(spawn, ports(), port)
    sync = await spawn("sync", "users", "steps", "users", "--account", "demo", "--port", str(port))
    status, output = await sync.end()
    assert status == 0, output
    assert sorted(line.split(",")[0] for line in output.splitlines()) == ["steps: done", "users: done"]


async def test_a_sync_that_fails_ends_with_its_error_and_status_1(spawn: Spawn, ports: Ports) -> None:
    port, portal_port = ports(), ports()
    await start_demo(spawn, portal_port, port)
    async with aiohttp.ClientSession() as session:
        await session.post(
            f"http://127.0.0.1:{portal_port}/_sandbox/faults", json={"fault": "user.get:error=ACCESS_DENIED*"}
        )
    status, output = await (await spawn("sync", "users", "--account", "demo", "--port", str(port))).end()
    assert status == 1
    assert "users: failed" in output
    assert "Traceback" not in output


async def test_an_account_that_is_not_connected_is_refused(spawn: Spawn, ports: Ports) -> None:
    port = ports()
    await start_demo(spawn, ports(), port)
    status, output = await (await spawn("sync", "users", "--account", "nobody", "--port", str(port))).end()
    assert (status, output.startswith("Error: PATCH /bitrix/users was answered 404")) == (1, True)


def test_where_no_gateway_runs_it_says_so(invoke: Invoke, ports: Ports) -> None:
    result = invoke("sync", "users", "--account", "1", "--port", str(ports()), "--jwt-secret", "12345678")
    assert result.exit_code == 1
    assert "no gateway answers at http://127.0.0.1:" in result.stderr
