"""Slow callers: slow heads, slow bodies, slow reading of the response."""

import asyncio
from asyncio import StreamReader, StreamWriter

import orjson
import pytest

from handlers.http.body_reader import LATE_BODY, RATE_WINDOW_S, SLOW_BODY
from handlers.http.connection import WRITE_TIMEOUT_S
from handlers.http.refusals import LATE_HEAD
from tests.gateway import CONTRACT, Gateway
from tests.support.raw import Dial, read_answer

HEAD = b"GET /healthz HTTP/1.1\r\nHost: gateway\r\n\r\n"
ACCOUNT = "/bitrix/account"
BODY = orjson.dumps({"client_bitrix_url": "https://example.bitrix24.ru"})


async def trickle(gateway: Gateway, writer: StreamWriter, data: bytes, *, bytes_per_s: int = 1) -> None:
    """Send *data* at a number of bytes per second of the test clock, until all is sent or the connection is lost."""
    for at in range(0, len(data), bytes_per_s):
        if writer.is_closing():
            return
        writer.write(data[at : at + bytes_per_s])
        await gateway.clock.advance(1)


async def start_post(dial: Dial, path: str, length: int, *lines: str) -> tuple[StreamReader, StreamWriter]:
    """Open a connection and send the head of a POST."""
    reader, writer = await dial()
    head = [f"POST {path} HTTP/1.1", "Host: gateway", f"Authorization: Bearer {dial.gateway.token()}"]
    head += ["Content-Type: application/json", f"Content-Length: {length}", *lines]
    writer.write("\r\n".join([*head, "", ""]).encode())
    await dial.gateway.clock.settle()
    return reader, writer


async def test_a_slow_head_is_408(gateway: Gateway, dial: Dial) -> None:
    reader, writer = await dial()
    await trickle(gateway, writer, HEAD[:9])
    assert not writer.is_closing()
    await trickle(gateway, writer, HEAD[9:11])
    answer = read_answer(await reader.read())
    assert (answer.status, answer.json, answer.headers["Connection"]) == (408, LATE_HEAD.detail, "close")


async def test_a_silent_connection_is_closed_without_a_response(gateway: Gateway, dial: Dial) -> None:
    reader, _ = await dial()
    await gateway.clock.advance(9)
    assert not reader.at_eof()
    await gateway.clock.advance(1)
    assert await reader.read() == b""


async def test_a_connection_may_be_idle_and_each_head_has_its_own_timeout(gateway: Gateway, dial: Dial) -> None:
    reader, writer = await dial()
    for _ in range(3):
        await trickle(gateway, writer, HEAD, bytes_per_s=8)
        assert (await reader.readuntil(b"}")).startswith(b"HTTP/1.1 200 OK")
        await gateway.clock.advance(60)
    await trickle(gateway, writer, HEAD[:11])
    assert read_answer(await reader.read()).status == 408


async def test_the_timeout_of_a_head_is_a_setting(gateway: Gateway, dial: Dial) -> None:
    await gateway.restart(GATEWAY_HEAD_TIMEOUT_S="3")
    reader, writer = await dial()
    await trickle(gateway, writer, HEAD[:4])
    assert read_answer(await reader.read()).status == 408


@pytest.mark.parametrize(
    "path", [ACCOUNT, "/bitrix/rules/5", "/bitrix/call/user.get", "/bitrix/batch", "/bitrix/v3/x.y", "/bitrix/v3/batch"]
)
async def test_a_body_below_the_minimum_rate_is_408(gateway: Gateway, dial: Dial, path: str) -> None:
    reader, writer = await start_post(dial, path, len(BODY))
    await trickle(gateway, writer, BODY[: round(RATE_WINDOW_S) - 1])
    assert not reader.at_eof()
    await trickle(gateway, writer, BODY[:2])
    answer = read_answer(await reader.read(), "POST")
    CONTRACT.check("POST", path, 408, answer.headers, answer.body)
    detail = answer.json if isinstance(answer.json, str) else answer.json["detail"]
    assert (answer.status, detail, answer.headers["Connection"]) == (408, SLOW_BODY, "close")


async def test_a_body_that_exceeds_its_timeout_is_408(gateway: Gateway, dial: Dial) -> None:
    reader, writer = await start_post(dial, ACCOUNT, 30_000)
    await trickle(gateway, writer, b" " * 59 * 300, bytes_per_s=300)
    assert not reader.at_eof()
    await trickle(gateway, writer, b" " * 300, bytes_per_s=300)
    answer = read_answer(await reader.read(), "POST")
    assert (answer.status, answer.json) == (408, LATE_BODY)


async def test_a_body_above_the_minimum_rate_is_read(gateway: Gateway, dial: Dial) -> None:
    body = BODY + b" " * 10_000
    reader, writer = await start_post(dial, ACCOUNT, len(body), "Connection: close")
    await trickle(gateway, writer, body, bytes_per_s=300)
    assert read_answer(await reader.read(), "POST").status == 200


async def test_the_timeout_and_the_minimum_rate_of_a_body_are_settings(gateway: Gateway, dial: Dial) -> None:
    await gateway.restart(GATEWAY_MIN_BODY_BYTES_PER_S="0", GATEWAY_BODY_TIMEOUT_S="30")
    reader, writer = await start_post(dial, ACCOUNT, len(BODY))
    await trickle(gateway, writer, BODY[:29])
    assert not reader.at_eof()
    await trickle(gateway, writer, BODY[29:31])
    assert read_answer(await reader.read(), "POST").json == LATE_BODY


async def test_a_slow_body_without_a_token_is_refused_at_once(dial: Dial) -> None:
    reader, writer = await dial()
    writer.write(b"POST /bitrix/account HTTP/1.1\r\nHost: gateway\r\nContent-Length: 100000\r\n\r\n")
    answer = read_answer(await reader.read(), "POST")
    assert (answer.status, answer.headers["Connection"]) == (401, "close")


async def test_a_client_that_never_reads_is_not_read_from_and_is_disconnected(gateway: Gateway, dial: Dial) -> None:
    _, writer = await dial(buffer_bytes=4096)
    requesting = asyncio.ensure_future(request_endlessly(writer))
    unsent = [-1]
    while len(unsent) < 50 or len(set(unsent[-50:])) > 1:
        await gateway.clock.settle()
        unsent.append(writer.transport.get_write_buffer_size())
    assert not requesting.done(), "the gateway must stop reading"
    await gateway.clock.advance(WRITE_TIMEOUT_S)
    with pytest.raises(ConnectionError):
        await requesting


async def request_endlessly(writer: StreamWriter) -> None:
    """Send 100,000 requests without reading a response, or as many as the gateway reads. Some fill any buffer."""
    for _ in range(100):
        writer.write(b"GET /openapi.json HTTP/1.1\r\nHost: gateway\r\n\r\n" * 1000)
        await writer.drain()
        await asyncio.sleep(0)
