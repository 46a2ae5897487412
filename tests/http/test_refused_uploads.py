"""A client that is still sending gets the error response, and the bytes it keeps sending are discarded."""

import asyncio

import pytest

from handlers.http.connection import DISCARD_TIMEOUT_S, MAX_DISCARDED_BYTES
from tests.gateway import CONTRACT, Gateway
from tests.support.raw import Dial, read_answer, send_before_reading

LARGE = 8 * 1024 * 1024
JSON = "Content-Type: application/json"
CHUNK = 65_536
CHUNKED = b"%x\r\n%b\r\n" % (CHUNK, b" " * CHUNK) * (LARGE // CHUNK) + b"0\r\n\r\n"
PLAIN = b" " * LARGE
LENGTH = f"Content-Length: {LARGE}"
IN_CHUNKS = "Transfer-Encoding: chunked"
GOOD = "Authorization: Bearer {token}"
BAD = "Authorization: Bearer a.b.c"
FIELDS = tuple(f"X-{number}: {'x' * 60_000}" for number in range(3))

REFUSALS: dict[str, tuple[str, str, tuple[str, ...], bytes, int]] = {
    "a long address": ("GET", "/bitrix/users?x=" + "x" * LARGE, (GOOD,), b"", 400),
    "an address within a head": ("GET", "/bitrix/users?x=" + "x" * 40_000, (GOOD, LENGTH), PLAIN, 400),
    "a long header": ("GET", "/bitrix/users", (GOOD, f"X-Long: {'x' * LARGE}"), b"", 400),
    "a header just too long": ("GET", "/bitrix/users", (GOOD, f"X-Long: {'x' * 70_000}"), b"", 400),
    "a long head": ("GET", "/bitrix/users", (GOOD, *FIELDS), b"", 400),
    "a long head and a body": ("GET", "/bitrix/users", (GOOD, *FIELDS, LENGTH), PLAIN, 400),
    "many headers": ("GET", "/bitrix/users", (GOOD, *(f"X-{number}: x" for number in range(200)), LENGTH), PLAIN, 400),
    "a large body": ("POST", "/bitrix/account", (GOOD, JSON, LENGTH), PLAIN, 413),
    "a large body in chunks": ("POST", "/bitrix/account", (GOOD, JSON, IN_CHUNKS), CHUNKED, 413),
    "a large body of a call": ("POST", "/bitrix/call/user.get", (GOOD, JSON, IN_CHUNKS), CHUNKED, 413),
    "a bad token": ("POST", "/bitrix/account", (BAD, JSON, LENGTH), PLAIN, 401),
    "a bad token and chunks": ("POST", "/bitrix/batch", (BAD, JSON, IN_CHUNKS), CHUNKED, 401),
    "a bad token, body sent at once": ("POST", "/bitrix/batch", (BAD, LENGTH, "Expect: 100-continue"), PLAIN, 401),
    "an unknown address": ("POST", "/nowhere", (GOOD, LENGTH), PLAIN, 404),
    "an unknown method": ("PUT", "/bitrix/users", (GOOD, IN_CHUNKS), CHUNKED, 405),
    "no account": ("PATCH", "/bitrix/users", (GOOD, LENGTH), PLAIN, 404),
    "a body of a GET": ("GET", "/bitrix", (GOOD, LENGTH), PLAIN, 200),
    "a length that is not a number": ("POST", "/bitrix/account", (GOOD, "Content-Length: x"), PLAIN, 400),
    "two hosts": ("GET", "/bitrix/users", ("Host: again", LENGTH), PLAIN, 400),
    "a malformed chunk": ("POST", "/bitrix/account", (GOOD, JSON, IN_CHUNKS), b"no size\r\n" + PLAIN, 400),
}


def request_of(gateway: Gateway, method: str, target: str, lines: tuple[str, ...], body: bytes = b"") -> bytes:
    head = "\r\n".join([f"{method} {target} HTTP/1.1", "Host: gateway", *lines, "", ""])
    return head.format(token=gateway.token()).encode() + body


@pytest.mark.parametrize(("method", "target", "lines", "body", "status"), REFUSALS.values(), ids=REFUSALS)
async def test_a_client_that_sends_before_it_reads_gets_the_whole_error(
    gateway: Gateway,
    caplog: pytest.LogCaptureFixture,
    method: str,
    target: str,
    lines: tuple[str, ...],
    body: bytes,
    status: int,
) -> None:
    received = await send_before_reading(gateway, request_of(gateway, method, target, lines, body))
    answer = read_answer(received)
    assert (answer.status, answer.headers["Connection"]) == (status, "close")
    assert received.count(b"HTTP/1.") == 1
    CONTRACT.check(method, target, status, answer.headers, answer.body)
    assert [record for record in caplog.records if record.levelname != "INFO"] == []


@pytest.mark.parametrize("data", [b"\x16\x03\x01" * 1000, b"no request\r\n" + PLAIN, b"GET / HTTP/9.9\r\n\r\n" + PLAIN])
async def test_a_malformed_request_gets_the_whole_error(gateway: Gateway, data: bytes) -> None:
    answer = read_answer(await send_before_reading(gateway, data))
    assert (answer.status, answer.json) == (400, "this is not a valid HTTP request")


async def send_until_error(gateway: Gateway, writer: asyncio.StreamWriter) -> None:
    for _ in range(100):
        writer.write(b"x")
        await writer.drain()
        await gateway.clock.settle()


async def test_a_client_that_neither_reads_nor_leaves_is_disconnected_after_a_timeout(
    gateway: Gateway, dial: Dial
) -> None:
    reader, writer = await dial()
    writer.write(request_of(gateway, "POST", "/bitrix/account", (BAD, LENGTH)))
    assert b" 401 " in await reader.read()
    await gateway.clock.advance(DISCARD_TIMEOUT_S - 1)
    writer.write(b"x")
    await writer.drain()
    await gateway.clock.advance(1)
    with pytest.raises(ConnectionError):
        await send_until_error(gateway, writer)


async def test_a_client_that_keeps_sending_is_disconnected(gateway: Gateway) -> None:
    endless = request_of(gateway, "POST", "/bitrix/account", (BAD, f"Content-Length: {4 * MAX_DISCARDED_BYTES}"))
    with pytest.raises(ConnectionError):
        await send_before_reading(gateway, endless + b" " * (3 * MAX_DISCARDED_BYTES))


@pytest.mark.parametrize(("method", "path", "line"), [("POST", "/bitrix/batch", BAD), ("PUT", "/bitrix/users", GOOD)])
async def test_a_refused_short_body_keeps_the_connection_alive(
    gateway: Gateway, dial: Dial, method: str, path: str, line: str
) -> None:
    reader, writer = await dial()
    for _ in range(2):
        writer.write(request_of(gateway, method, path, (line, "Content-Length: 10")))
        head = await reader.readuntil(b"\r\n\r\n")
        assert b"Connection: close" not in head
        writer.write(b" " * 10)
        await reader.readexactly(int(head.partition(b"Content-Length: ")[2].split()[0]))


async def test_a_refused_short_body_that_is_not_sent_closes_the_connection(gateway: Gateway, dial: Dial) -> None:
    reader, writer = await dial()
    writer.write(request_of(gateway, "POST", "/bitrix/batch", (BAD, "Content-Length: 10")))
    reading = asyncio.ensure_future(reader.read())
    await gateway.clock.advance(DISCARD_TIMEOUT_S - 1)
    assert not reading.done()
    await gateway.clock.advance(1)
    assert b" 401 " in await reading


@pytest.mark.parametrize(
    ("line", "target", "status"),
    [(BAD, "/bitrix/account", 401), (GOOD, "/nowhere", 404), (GOOD, "/bitrix/account", 413)],
)
async def test_no_100_continue_is_sent_for_a_body_that_is_refused(
    gateway: Gateway, dial: Dial, line: str, target: str, status: int
) -> None:
    reader, writer = await dial()
    writer.write(request_of(gateway, "POST", target, (line, "Expect: 100-continue", JSON, LENGTH)))
    assert read_answer(await reader.read()).status == status


async def test_pipelined_requests_are_answered_in_order(gateway: Gateway, dial: Dial) -> None:
    reader, writer = await dial()
    requests = [
        request_of(gateway, "GET", f"/nowhere/{number}", (f"X-Request-ID: id-{number}",)) for number in range(100)
    ]
    last = request_of(gateway, "GET", "/healthz", ("Connection: close",))
    writer.write(b"".join([*requests, last]))
    received = await reader.read()
    ids = [part.split(b"\r\n", 1)[0] for part in received.split(b"X-Request-ID: ")[1:]]
    assert ids[:100] == [b"id-%d" % number for number in range(100)]
    assert received.count(b"HTTP/1.1 ") == 101
