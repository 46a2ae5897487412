"""Malformed requests are refused, and neither echoed nor logged."""

import asyncio
import logging
from http.client import HTTPResponse
from urllib.parse import urlsplit

import aiohttp
import orjson
import pytest
from aiohttp import web

from gateway.settings.config import Config
from handlers.http.keys import CLOCK, CONFIG
from handlers.http.server import Runner
from tests.clock import ManualClock
from tests.gateway import Gateway
from tests.support.raw import Received

MALFORMED = "this is not a valid HTTP request"
TOO_LONG = "the address or a header is longer than this gateway reads"
NOWHERE = "no such endpoint"
HOST = b"Host: gateway\r\n"
GET = b"GET /bitrix/users?canary HTTP/1.1\r\n" + HOST
POST = b"POST /bitrix/rules/5?canary HTTP/1.1\r\n" + HOST

REFUSED: dict[str, tuple[bytes, int, str]] = {
    "an illegal byte in a header": (GET + b"X-Canary: a\x00canary\r\n\r\n", 400, MALFORMED),
    "a header without a colon": (GET + b"canary\r\n\r\n", 400, MALFORMED),
    "two lengths": (POST + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\ncanary", 400, MALFORMED),
    "a length that is not a number": (POST + b"Content-Length: canary\r\n\r\n", 400, MALFORMED),
    "an unknown version": (b"GET /canary HTTP/7.canary\r\n" + HOST + b"\r\n", 400, MALFORMED),
    "an illegal method": (b"CAN{RY /canary HTTP/1.1\r\n" + HOST + b"\r\n", 400, MALFORMED),
    "another protocol": (b"\x16\x03\x01\x02canary\x00\x01\r\n\r\n", 400, MALFORMED),
    "a header over the limit": (GET + b"X-Canary: " + b"canary" * 12_000 + b"\r\n\r\n", 400, TOO_LONG),
    "an address over the limit": (b"GET /" + b"canary" * 800_000 + b" HTTP/1.1\r\n" + HOST + b"\r\n", 400, TOO_LONG),
    "an asterisk": (b"OPTIONS * HTTP/1.1\r\n" + HOST + b"X-Canary: canary\r\n\r\n", 404, NOWHERE),
    "an asterisk with GET": (b"GET * HTTP/1.1\r\n" + HOST + b"\r\n", 400, MALFORMED),
    "a CONNECT request": (b"CONNECT canary.example:443 HTTP/1.1\r\nHost: canary.example:443\r\n\r\n", 404, NOWHERE),
}


async def send(gateway: Gateway, data: bytes) -> tuple[HTTPResponse, bytes]:
    """Send bytes and return the response; the gateway must close the connection."""
    address = urlsplit(gateway.origin)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    writer.write(data)
    received = await asyncio.wait_for(reader.read(), 20)
    writer.close()
    response = HTTPResponse(Received(received))  # type: ignore[arg-type]  # only makefile is used
    response.begin()
    return response, response.read()


@pytest.mark.parametrize(("data", "status", "sentence"), REFUSED.values(), ids=REFUSED.keys())
async def test_a_malformed_request_is_refused_and_closes_the_connection(
    gateway: Gateway, caplog: pytest.LogCaptureFixture, data: bytes, status: int, sentence: str
) -> None:
    caplog.set_level(logging.INFO)
    response, body = await send(gateway, data)
    error = orjson.loads(body)
    if status == 404:  # the address is known, and it is not one of the contract
        assert (response.status, error["detail"]) == (status, sentence)
        assert response.headers["Content-Type"] == "application/problem+json"
    else:
        assert (response.status, error) == (status, sentence)
        assert response.headers["Content-Type"] == "application/json"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    (record,) = [record for record in caplog.records if record.name in ("handlers.http.refusals", "aiohttp.server")]
    assert getattr(record, "request_id", None) == response.headers["X-Request-ID"]
    assert record.exc_info is None
    assert "canary" not in caplog.text.lower()


async def test_a_refusal_of_an_unroutable_address_has_the_request_id_of_the_caller(gateway: Gateway) -> None:
    _, body = await send(gateway, b"OPTIONS * HTTP/1.1\r\n" + HOST + b"X-Request-ID: mine\r\n\r\n")
    assert (orjson.loads(body)["code"], orjson.loads(body)["requestId"]) == ("not_found", "mine")


async def test_a_request_with_a_malformed_chunk_is_refused(gateway: Gateway, caplog: pytest.LogCaptureFixture) -> None:
    token = f"Authorization: Bearer {gateway.token()}\r\n".encode()
    response, body = await send(gateway, POST + token + b"Transfer-Encoding: chunked\r\n\r\nzz\r\ncanary\r\n")
    assert response.status == 400
    assert b"canary" not in body
    assert isinstance(orjson.loads(body), str)
    assert all(record.exc_info is None for record in caplog.records)


@pytest.mark.parametrize("started", [False, True])
async def test_an_error_outside_the_middleware_is_500_or_a_truncated_response(
    caplog: pytest.LogCaptureFixture, started: bool
) -> None:
    async def fail(request: web.Request) -> web.StreamResponse:
        if started:
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
            if started:
                with pytest.raises(aiohttp.ClientPayloadError):
                    await response.read()
            else:
                assert (response.status, await response.json()) == (500, "Internal Server Error")
                assert "X-Request-ID" in response.headers
    finally:
        await runner.cleanup()
    assert "RuntimeError: canary" in caplog.text


async def test_the_gateway_keeps_serving_after_malformed_requests(gateway: Gateway) -> None:
    for data, _, _ in REFUSED.values():
        await send(gateway, data)
    assert (await gateway.get("/bitrix/users")).status == 200
