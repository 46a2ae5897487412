"""Bytes that are no request of HTTP: refused like everything else, and never repeated."""

import asyncio
import logging
from http.client import HTTPResponse
from urllib.parse import urlsplit

import aiohttp
import orjson
import pytest
from aiohttp import web

from gateway.settings.config import Config
from handlers.app_keys import CLOCK, CONFIG
from handlers.http.server import Runner
from tests.clock import ManualClock
from tests.gateway import Gateway
from tests.support.raw import Received

UNREADABLE = "this is not a valid HTTP request"
TOO_LONG = "the address or a header is longer than this gateway reads"
NOWHERE = "no such endpoint"
HOST = b"Host: gateway\r\n"
GET = b"GET /bitrix/users?canary HTTP/1.1\r\n" + HOST
POST = b"POST /bitrix/rules/5?canary HTTP/1.1\r\n" + HOST

REFUSED: dict[str, tuple[bytes, int, str]] = {
    "an illegal byte in a header": (GET + b"X-Canary: a\x00canary\r\n\r\n", 400, UNREADABLE),
    "a header without a colon": (GET + b"canary\r\n\r\n", 400, UNREADABLE),
    "two lengths": (POST + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\ncanary", 400, UNREADABLE),
    "a length that is none": (POST + b"Content-Length: canary\r\n\r\n", 400, UNREADABLE),
    "an unknown version": (b"GET /canary HTTP/7.canary\r\n" + HOST + b"\r\n", 400, UNREADABLE),
    "an illegal method": (b"CAN{RY /canary HTTP/1.1\r\n" + HOST + b"\r\n", 400, UNREADABLE),
    "another protocol": (b"\x16\x03\x01\x02canary\x00\x01\r\n\r\n", 400, UNREADABLE),
    "a header over the limit": (GET + b"X-Canary: " + b"canary" * 12_000 + b"\r\n\r\n", 400, TOO_LONG),
    "an address over the limit": (b"GET /" + b"canary" * 800_000 + b" HTTP/1.1\r\n" + HOST + b"\r\n", 400, TOO_LONG),
    "an asterisk": (b"OPTIONS * HTTP/1.1\r\n" + HOST + b"X-Canary: canary\r\n\r\n", 404, NOWHERE),
    "an asterisk to be read": (b"GET * HTTP/1.1\r\n" + HOST + b"\r\n", 400, UNREADABLE),
    "a tunnel": (b"CONNECT canary.example:443 HTTP/1.1\r\nHost: canary.example:443\r\n\r\n", 404, NOWHERE),
}


async def send(gateway: Gateway, sent: bytes) -> tuple[HTTPResponse, bytes]:
    """What comes back until the connection is closed, which is not asked for."""
    address = urlsplit(gateway.origin)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    writer.write(sent)
    received = await asyncio.wait_for(reader.read(), 20)
    writer.close()
    response = HTTPResponse(Received(received))  # type: ignore[arg-type]  # all it wants is makefile
    response.begin()
    return response, response.read()


@pytest.mark.parametrize(("sent", "status", "sentence"), REFUSED.values(), ids=REFUSED.keys())
async def test_what_is_no_request_is_refused_in_our_words_and_ends_the_connection(
    gateway: Gateway, caplog: pytest.LogCaptureFixture, sent: bytes, status: int, sentence: str
) -> None:
    caplog.set_level(logging.INFO)
    response, body = await send(gateway, sent)
    error = orjson.loads(body)
    if status == 404:  # the address could be read, and it is not one of the contract
        assert (response.status, error["detail"]) == (status, sentence)
        assert response.headers["Content-Type"] == "application/problem+json"
    else:
        assert (response.status, error) == (status, sentence)
        assert response.headers["Content-Type"] == "application/json"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    (logged,) = [one for one in caplog.records if one.name in ("handlers.http.connection", "aiohttp.server")]
    assert getattr(logged, "request_id", None) == response.headers["X-Request-ID"]
    assert logged.exc_info is None
    assert "canary" not in caplog.text.lower()


async def test_an_address_that_no_route_can_have_is_refused_with_the_request_id_that_came(gateway: Gateway) -> None:
    _, body = await send(gateway, b"OPTIONS * HTTP/1.1\r\n" + HOST + b"X-Request-ID: mine\r\n\r\n")
    assert (orjson.loads(body)["code"], orjson.loads(body)["requestId"]) == ("not_found", "mine")


async def test_a_request_that_breaks_off_in_a_chunk_that_is_none_is_refused(
    gateway: Gateway, caplog: pytest.LogCaptureFixture
) -> None:
    token = f"Authorization: Bearer {gateway.token()}\r\n".encode()
    response, body = await send(gateway, POST + token + b"Transfer-Encoding: chunked\r\n\r\nzz\r\ncanary\r\n")
    assert response.status == 400
    assert b"canary" not in body
    assert isinstance(orjson.loads(body), str)
    assert all(one.exc_info is None for one in caplog.records)


@pytest.mark.parametrize("begun", [False, True])
async def test_a_failure_outside_the_border_is_an_internal_server_error_or_an_answer_that_breaks_off(
    caplog: pytest.LogCaptureFixture, begun: bool
) -> None:
    async def fail(request: web.Request) -> web.StreamResponse:
        if begun:
            await web.StreamResponse().prepare(request)
        raise RuntimeError("canary")

    app = web.Application()
    app[CONFIG], app[CLOCK] = Config(), ManualClock()
    app.router.add_get("/", fail)
    runner = Runner(app, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        async with aiohttp.ClientSession() as session:
            response = await session.get(f"http://127.0.0.1:{runner.addresses[0][1]}/")
            if begun:
                with pytest.raises(aiohttp.ClientPayloadError):
                    await response.read()
            else:
                assert (response.status, await response.json()) == (500, "Internal Server Error")
                assert "X-Request-ID" in response.headers
    finally:
        await runner.cleanup()
    assert "RuntimeError: canary" in caplog.text


async def test_the_gateway_serves_on_after_refusals(gateway: Gateway) -> None:
    for sent, _, _ in REFUSED.values():
        await send(gateway, sent)
    assert (await gateway.get("/bitrix/users")).status == 200
