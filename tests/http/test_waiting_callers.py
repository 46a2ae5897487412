"""Callers that leave before their answer, and callers that wait."""

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
from handlers.app_keys import CLOCK, CONFIG
from handlers.http.connection import Connection
from handlers.http.server import Runner
from tests.clock import ManualClock
from tests.gateway import NO_TOKEN, Gateway, Sandbox, callback_path


async def turns_of_the_loop(turns: int) -> None:
    for _ in range(turns):
        await asyncio.sleep(0)


async def until(happened: Callable[[], object]) -> None:
    while not happened():
        await turns_of_the_loop(1)


async def leave(gateway: Gateway, method: str, path: str, *, after: Awaitable[None]) -> None:
    """Send a request and close the connection as soon as *after* has happened; the gateway runs in this event loop."""
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
async def test_a_delete_is_carried_out_in_memory_and_file_though_its_caller_leaves(
    connected: Gateway, turns: int
) -> None:
    async def begun() -> None:
        before = connected.requests
        await until(lambda: connected.requests > before)
        await turns_of_the_loop(turns)

    await leave(connected, "DELETE", "/bitrix/account", after=begun())
    while (await connected.get("/bitrix/account")).status == 200:
        await connected.clock.settle()
    await connected.restart()
    assert (await connected.get("/bitrix/account")).status == 404


async def test_an_account_cannot_change_while_its_code_is_exchanged(gateway: Gateway, sandbox: Sandbox) -> None:
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


async def test_a_webhooks_portal_that_is_silent_holds_nobody_up_for_long(gateway: Gateway, sandbox: Sandbox) -> None:
    sandbox.portal.hold("scope")
    began = gateway.clock.now()
    connecting = asyncio.create_task(gateway.post("/bitrix/account", json={"client_bitrix_url": sandbox.webhook}))
    await gateway.clock.settle()
    assert (await gateway.delete("/bitrix/account")).status == 200
    answer = await gateway.clock.until(connecting)
    assert (answer.status, answer.json) == (502, "the portal does not answer: no response within 30 s")
    assert gateway.clock.now() - began <= 31


async def test_a_code_that_nobody_answers_for_is_an_error_in_time(gateway: Gateway, sandbox: Sandbox) -> None:
    answer = await gateway.post("/bitrix/account", json={"client_bitrix_url": sandbox.origin})
    callback = await callback_path(gateway, answer.json["authorizeURL"])
    sandbox.portal.hold("oauth.token")
    began = gateway.clock.now()
    answer = await gateway.clock.until(gateway.get(callback, token=NO_TOKEN))
    assert answer.status == 500
    assert gateway.clock.now() - began <= 31


async def test_many_accounts_that_meet_a_new_portal_at_once_share_its_limit(gateway: Gateway, sandbox: Sandbox) -> None:
    answers = await gateway.clock.until(
        asyncio.gather(
            *(
                gateway.post("/bitrix/account", account=f"a{one}", json={"client_bitrix_url": sandbox.webhook})
                for one in range(60)
            )
        )
    )
    assert {answer.status for answer in answers} <= {200, 502}, "those who would have to wait too long are told so"
    assert sandbox.portal.http_requests > 50
    assert sandbox.portal.refusals["QUERY_LIMIT_EXCEEDED"] == 0


@pytest.mark.parametrize(
    "host", ["a.b|c", "a.b,c.d", "a.*", "%zz.b", "a.b'", "-a.b", "a..b", ".a.b", "[fe80::1%25eth0]", "a_.b-"]
)
async def test_what_can_be_no_host_is_refused_and_changes_nothing(connected: Gateway, host: str) -> None:
    before = (await connected.get("/bitrix/account")).json
    answer = await connected.post("/bitrix/account", json={"client_bitrix_url": f"https://{host}/"})
    assert answer.status == 400
    assert answer.json.startswith("client_bitrix_url: must ")
    assert (await connected.get("/bitrix/account")).json == before


@asynccontextmanager
async def served(handler: Handler, listener: socket.socket) -> AsyncIterator[str]:
    """An address where *handler* alone answers, on connections of ours."""
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


async def test_who_asks_to_be_told_after_the_caller_has_left_is_told_at_once(listener: socket.socket) -> None:
    begun, left, told = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def answer(request: web.Request) -> web.Response:
        connection_of(request).on_disconnect(left.set)
        begun.set()
        await left.wait()
        connection_of(request).on_disconnect(told.set)
        return web.Response()

    async with served(answer, listener) as address, aiohttp.ClientSession() as session:
        asking = asyncio.ensure_future(session.get(address))
        await begun.wait()
        asking.cancel()
        async with asyncio.timeout(5):
            await told.wait()


async def test_who_asked_to_be_told_is_not_told_once_the_request_is_answered(listener: socket.socket) -> None:
    told: list[str] = []
    connections: list[Connection] = []

    async def answer(request: web.Request) -> web.Response:
        connections.append(connection_of(request))
        connections[-1].on_disconnect(lambda: told.append("the caller of an earlier request has left"))
        return web.Response()

    async with served(answer, listener) as address, aiohttp.ClientSession() as session:
        for _ in range(2):
            async with session.get(address) as response:
                assert response.status == 200
        assert connections[0] is connections[1], "it is kept alive"
    assert connections[0].transport is None
    assert not told
