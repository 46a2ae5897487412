"""Callers that leave before the response, and callers that wait."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import aiohttp
import pytest
from aiohttp import web
from aiohttp.typedefs import Handler

from gateway.settings.config import Config
from handlers.http.connection import Connection
from handlers.http.keys import CLOCK, CONFIG
from handlers.http.server import Runner
from tests.clock import ManualClock
from tests.gateway import NO_TOKEN, Gateway, Sandbox, callback_path


async def loop_cycles(turns: int) -> None:
    for _ in range(turns):
        await asyncio.sleep(0)


async def until(condition: Callable[[], object]) -> None:
    while not condition():
        await loop_cycles(1)


async def leave(gateway: Gateway, method: str, path: str, *, after: Awaitable[None]) -> None:
    """Send a request and abort the connection after *after*; the gateway runs in the same event loop."""
    _, writer = await asyncio.open_connection("127.0.0.1", urlsplit(gateway.origin).port)
    head = (
        f"{method} {path} HTTP/1.1\r\nHost: gateway\r\nAuthorization: Bearer {gateway.token()}\r\n"
        "Content-Type: application/json\r\nContent-Length: 0\r\n\r\n"
    )
    writer.write(head.encode())
    await writer.drain()
    await after
    writer.transport.abort()


@pytest.mark.parametrize("turns", [0, 1, 2, 3, 5, 8, 13, 21, 34])
async def test_a_delete_reaches_memory_and_database_when_its_caller_leaves(connected: Gateway, turns: int) -> None:
    async def started() -> None:
        before = connected.requests
        await until(lambda: connected.requests > before)
        await loop_cycles(turns)

    await leave(connected, "DELETE", "/bitrix/account", after=started())
    while (await connected.get("/bitrix/account")).status == 200:
        await connected.clock.settle()
    await connected.restart()
    assert (await connected.get("/bitrix/account")).status == 404


async def test_a_delete_waits_for_the_exchange_of_a_code(gateway: Gateway, sandbox: Sandbox) -> None:
    answer = await gateway.post("/bitrix/account", json={"client_bitrix_url": sandbox.origin})
    callback = await callback_path(gateway, answer.json["authorizeURL"])
    sandbox.portal.hold("oauth.token")
    await leave(gateway, "GET", callback, after=until(lambda: sandbox.portal.token_requests))
    deleting = asyncio.create_task(gateway.delete("/bitrix/account"))
    await gateway.clock.settle()
    assert not deleting.done()
    sandbox.portal.release("oauth.token")
    assert (await deleting).status == 200
    await gateway.restart()
    assert (await gateway.get("/bitrix/account")).status == 404
    assert (await gateway.patch("/bitrix/users")).status == 404


async def test_connecting_a_webhook_of_a_silent_portal_times_out(gateway: Gateway, sandbox: Sandbox) -> None:
    sandbox.portal.hold("scope")
    started_at = gateway.clock.now()
    connecting = asyncio.create_task(gateway.post("/bitrix/account", json={"client_bitrix_url": sandbox.webhook}))
    await gateway.clock.settle()
    assert (await gateway.delete("/bitrix/account")).status == 200
    answer = await gateway.clock.until(connecting)
    assert (answer.status, answer.json) == (502, "the portal does not answer: no response within 30 s")
    assert gateway.clock.now() - started_at <= 31


async def test_the_exchange_of_a_code_with_a_silent_server_times_out(gateway: Gateway, sandbox: Sandbox) -> None:
    answer = await gateway.post("/bitrix/account", json={"client_bitrix_url": sandbox.origin})
    callback = await callback_path(gateway, answer.json["authorizeURL"])
    sandbox.portal.hold("oauth.token")
    started_at = gateway.clock.now()
    answer = await gateway.clock.until(gateway.get(callback, token=NO_TOKEN))
    assert answer.status == 500
    assert gateway.clock.now() - started_at <= 31


async def test_many_accounts_that_connect_to_one_portal_share_its_limit(gateway: Gateway, sandbox: Sandbox) -> None:
    answers = await gateway.clock.until(
        asyncio.gather(
            *(
                gateway.post("/bitrix/account", account=f"a{number}", json={"client_bitrix_url": sandbox.webhook})
                for number in range(60)
            )
        )
    )
    assert {answer.status for answer in answers} <= {200, 502}, "a caller who would wait too long gets 502"
    assert sandbox.portal.http_requests > 50
    assert sandbox.portal.refusals["QUERY_LIMIT_EXCEEDED"] == 0


@pytest.mark.parametrize(
    "host", ["a.b|c", "a.b,c.d", "a.*", "%zz.b", "a.b'", "-a.b", "a..b", ".a.b", "[fe80::1%25eth0]", "a_.b-"]
)
async def test_an_invalid_host_is_refused_and_changes_nothing(connected: Gateway, host: str) -> None:
    before = (await connected.get("/bitrix/account")).json
    answer = await connected.post("/bitrix/account", json={"client_bitrix_url": f"https://{host}/"})
    assert answer.status == 400
    assert answer.json.startswith("client_bitrix_url: must ")
    assert (await connected.get("/bitrix/account")).json == before


@asynccontextmanager
async def served(handler: Handler, listener: socket.socket) -> AsyncIterator[str]:
    """Serve *handler* on the connections of the gateway, and yield its address."""
    app = web.Application()
    app[CONFIG], app[CLOCK] = Config(), ManualClock()
    app.router.add_get("/", handler)
    runner = Runner(app, shutdown_timeout=1)
    await runner.setup()
    await web.SockSite(runner, listener.dup()).start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}/"
    await runner.cleanup()


def connection_of(request: web.Request) -> Connection:
    assert isinstance(request.protocol, Connection)
    return request.protocol


async def test_on_disconnect_calls_back_at_once_if_the_caller_has_left(listener: socket.socket) -> None:
    started, disconnected, called = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def answer(request: web.Request) -> web.Response:
        connection_of(request).on_disconnect(disconnected.set)
        started.set()
        await disconnected.wait()
        connection_of(request).on_disconnect(called.set)
        return web.Response()

    async with served(answer, listener) as address, aiohttp.ClientSession() as session:
        asking = asyncio.ensure_future(session.get(address))
        await started.wait()
        asking.cancel()
        async with asyncio.timeout(5):
            await called.wait()


async def test_on_disconnect_does_not_call_back_after_the_response(listener: socket.socket) -> None:
    called: list[str] = []
    connections: list[Connection] = []

    async def answer(request: web.Request) -> web.Response:
        connections.append(connection_of(request))
        connections[-1].on_disconnect(lambda: called.append("disconnected"))
        return web.Response()

    async with served(answer, listener) as address, aiohttp.ClientSession() as session:
        for _ in range(2):
            async with session.get(address) as response:
                assert response.status == 200
        assert connections[0] is connections[1], "the connection is kept alive"
    assert connections[0].transport is None
    assert not called
