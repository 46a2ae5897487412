"""Callers that leave early and malformed bodies are not errors of the gateway."""

import asyncio
import socket
import struct
import zlib
from asyncio import StreamWriter

import pytest

from tests.gateway import CONTRACT, Gateway, Sandbox
from tests.support.raw import Dial, read_answer

BODY = b'{"client_bitrix_url": "https://example.bitrix24.ru"}'
READING = [
    ("POST", "/bitrix/account"),
    ("POST", "/bitrix/rules/5"),
    ("PATCH", "/bitrix/rules/5"),
    ("POST", "/bitrix/call/user.get"),
    ("POST", "/bitrix/batch"),
    ("POST", "/bitrix/v3/tasks.task.list"),
    ("POST", "/bitrix/v3/batch"),
]
PARTIAL_BODIES = {
    "a part of the body": ("Content-Length: 1000", b"{"),
    "no part of the body": ("Content-Length: 1000", b""),
    "a chunk": ("Transfer-Encoding: chunked", b"1\r\n{\r\n"),
    "a part of a chunk": ("Transfer-Encoding: chunked", b"100\r\n{"),
    "a part of a gzip stream": ("Content-Encoding: gzip\r\nContent-Length: 1000", zlib.compress(BODY, wbits=31)[:20]),
    "a body after 100 Continue": ("Expect: 100-continue\r\nContent-Length: 1000", b""),
}


def head_of(gateway: Gateway, method: str, path: str, *lines: str) -> bytes:
    head = [f"{method} {path} HTTP/1.1", "Host: gateway", f"Authorization: Bearer {gateway.token()}"]
    return "\r\n".join([*head, "Content-Type: application/json", *lines, "", ""]).encode()


def close(writer: StreamWriter) -> None:
    writer.close()


def reset(writer: StreamWriter) -> None:
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


def close_one_side(writer: StreamWriter) -> None:
    writer.write_eof()


WAYS_TO_LEAVE = [close, reset, close_one_side]


def request_lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """Return the lines of the access log: method, route and status."""
    return [
        line.partition("] ")[2].partition("[handlers.requests]")[0].strip()
        for line in capsys.readouterr().err.splitlines()
        if "[handlers.requests]" in line
    ]


async def lines_written(gateway: Gateway, capsys: pytest.CaptureFixture[str]) -> list[str]:
    await gateway.clock.advance(1)
    return request_lines(capsys)


@pytest.mark.parametrize("leave", WAYS_TO_LEAVE)
@pytest.mark.parametrize(("line", "part"), PARTIAL_BODIES.values(), ids=PARTIAL_BODIES)
async def test_a_caller_who_leaves_during_the_body_is_one_line_of_the_access_log(
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    gateway: Gateway,
    dial: Dial,
    line: str,
    part: bytes,
    leave: object,
) -> None:
    assert callable(leave)
    for method, path in READING:
        _, writer = await dial()
        writer.write(head_of(gateway, method, path, line) + part)
        await gateway.clock.settle()
        leave(writer)
        await gateway.clock.settle()
    lines = await lines_written(gateway, capsys)
    assert [line.split()[0::2] for line in lines] == [[method, "499"] for method, _ in READING]
    assert [record for record in caplog.records if record.levelname != "INFO"] == []


async def test_a_caller_who_leaves_during_the_head_is_not_logged(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture, gateway: Gateway, dial: Dial
) -> None:
    for leave in WAYS_TO_LEAVE:
        for part in (b"", b"GET", b"GET /bitrix HTTP/1.1\r\nHost: ga"):
            _, writer = await dial()
            writer.write(part)
            await gateway.clock.settle()
            leave(writer)
    assert await lines_written(gateway, capsys) == []
    assert [record for record in caplog.records if record.levelname != "INFO"] == []


async def test_a_caller_who_leaves_before_the_portal_responds_is_one_line_of_the_access_log(
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    connected: Gateway,
    sandbox: Sandbox,
    dial: Dial,
) -> None:
    await lines_written(connected, capsys)
    sandbox.portal.hold("user.get")
    _, writer = await dial()
    writer.write(head_of(connected, "POST", "/bitrix/call/user.get"))
    await connected.clock.settle()
    close(writer)
    assert await lines_written(connected, capsys) == ["POST /bitrix/call/{method} 499"]
    sandbox.portal.release("user.get")
    assert [record for record in caplog.records if record.levelname != "INFO"] == []


async def test_callers_who_leave_before_or_during_the_response_are_not_errors(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture, connected: Gateway, dial: Dial
) -> None:
    await lines_written(connected, capsys)
    for path in ("/bitrix/users?size=50", "/bitrix/account", "/bitrix/stream/users"):
        for leave in WAYS_TO_LEAVE:
            _, writer = await dial()
            writer.write(head_of(connected, "GET", path))
            await writer.drain()
            leave(writer)
            await connected.clock.advance(1)
    assert {line.split()[2] for line in await lines_written(connected, capsys)} <= {"200", "499"}
    assert [record for record in caplog.records if record.levelname != "INFO"] == []


BROKEN = {
    "a chunk without a size": (("Transfer-Encoding: chunked",), b"1\r\n{\r\n", b"none\r\n"),
    "a chunk longer than its size": (("Transfer-Encoding: chunked",), b"1\r\n{", b"xxx\r\n"),
    "a chunk with a negative size": (("Transfer-Encoding: chunked",), b"1\r\n{\r\n", b"-1\r\n"),
    "truncated deflate": (
        ("Content-Encoding: deflate", "Transfer-Encoding: chunked"),
        b"8\r\n" + zlib.compress(BODY)[:8] + b"\r\n",
        b"0\r\n\r\n",
    ),
    "not gzip": (("Content-Encoding: gzip", "Content-Length: 6"), b"abc", b"def"),
    "gzip with invalid data": (
        ("Content-Encoding: gzip", "Content-Length: 1044"),
        zlib.compress(BODY, wbits=31)[:20],
        bytes(range(256)) * 4,
    ),
}


@pytest.mark.parametrize(("lines", "first", "then"), BROKEN.values(), ids=BROKEN)
async def test_a_malformed_body_is_refused_and_closes_the_connection(
    gateway: Gateway,
    dial: Dial,
    caplog: pytest.LogCaptureFixture,
    lines: tuple[str, ...],
    first: bytes,
    then: bytes,
) -> None:
    reader, writer = await dial()
    writer.write(head_of(gateway, "POST", "/bitrix/account", *lines) + first)
    await gateway.clock.settle()
    writer.write(then)
    answer = read_answer(await reader.read(), "POST")
    CONTRACT.check("POST", "/bitrix/account", 400, answer.headers, answer.body)
    assert answer.json == "body: cannot be read in its Content-Encoding"
    assert [record for record in caplog.records if record.levelname != "INFO"] == []


@pytest.mark.parametrize(
    "lines",
    [
        ("Content-Encoding: br", "Content-Length: 3"),
        ("Content-Encoding: zstd", "Content-Length: 3"),
        ("Content-Encoding: unheard-of", "Content-Length: 3"),
        ("Content-Type: application/json; charset=unheard-of", "Content-Length: 3"),
        ("Content-Type: application/json; charset=utf-16", "Content-Length: 3"),
        ("Content-Length: -1",),
        ("Content-Length: 3, 3",),
        ("Content-Length: 3", "Content-Length: 4"),
        ("Content-Length: 99999999999999999999999999",),
        ("Content-Length: 3", "Transfer-Encoding: chunked"),
        ("Transfer-Encoding: gzip",),
        ("Transfer-Encoding: gzip, chunked",),
        ("Upgrade: websocket", "Connection: Upgrade", "Content-Length: 3"),
        ("Expect: something", "Content-Length: 3"),
    ],
    ids=" ".join,
)
async def test_an_unsupported_body_is_refused_and_not_logged_as_an_error(
    gateway: Gateway, dial: Dial, caplog: pytest.LogCaptureFixture, lines: tuple[str, ...]
) -> None:
    reader, writer = await dial()
    writer.write(head_of(gateway, "POST", "/bitrix/account", *lines) + b"\xff\xfe\xfd")
    await gateway.clock.settle()
    writer.write_eof()
    received = await reader.read()
    assert received.split()[1] in (b"400", b"413")
    assert [record for record in caplog.records if record.levelname != "INFO"] == []


async def test_a_malformed_request_closes_the_connection_after_the_response_to_the_request_before(
    connected: Gateway, sandbox: Sandbox, dial: Dial
) -> None:
    sandbox.portal.hold("user.get")
    reader, writer = await dial()
    writer.write(head_of(connected, "POST", "/bitrix/call/user.get", "Content-Length: 2") + b"{}")
    await connected.clock.settle()
    writer.write(b"no request\r\n\r\n")
    await connected.clock.settle()
    sandbox.portal.release("user.get")
    answer = read_answer(await asyncio.wait_for(connected.clock.until(reader.read()), 20), "POST")
    assert (answer.status, answer.headers["Connection"]) == (200, "close")
