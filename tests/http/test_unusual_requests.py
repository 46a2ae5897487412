"""Unusual but valid requests get responses of the gateway, never pages of aiohttp."""

import asyncio
import gzip
import zlib
from email.utils import parsedate_to_datetime

import orjson
import pytest
from yarl import URL

from tests.gateway import Gateway
from tests.support.raw import send_raw

ACCOUNT = "/bitrix/account"
BODY = orjson.dumps({"client_bitrix_url": "https://example.bitrix24.ru"})
EMPTY = b'{"count":0,"items":[]}'
JSON = "Content-Type: application/json"


def bearer(gateway: Gateway) -> str:
    return f"Authorization: Bearer {gateway.token()}"


@pytest.mark.parametrize("expectation", ["cookies", "100-continue, cookies", ""])
@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/bitrix/users", 200), ("GET", "/nowhere", 404), ("PUT", "/bitrix/users", 405), ("GET", "/healthz", 200)],
)
async def test_an_unknown_expectation_is_ignored(
    gateway: Gateway, expectation: str, method: str, path: str, status: int
) -> None:
    answer = await send_raw(gateway, method, path, bearer(gateway), f"Expect: {expectation}")
    assert answer.status == status


async def test_a_client_that_waits_for_100_continue_is_told_to_send(gateway: Gateway) -> None:
    answer = await gateway.post(ACCOUNT, json={"client_bitrix_url": "https://example.bitrix24.ru"}, expect100=True)
    assert answer.status == 200


@pytest.mark.parametrize(
    ("version", "requested", "expected"),
    [("1.1", None, None), ("1.1", "close", "close"), ("1.0", None, None), ("1.0", "keep-alive", "keep-alive")],
)
@pytest.mark.parametrize("cached", [False, True])
async def test_a_page_obeys_the_connection_header(
    gateway: Gateway, version: str, requested: str | None, expected: str | None, cached: bool
) -> None:
    etag = (await gateway.get("/bitrix/users")).headers["ETag"]
    lines = [f"GET /bitrix/users HTTP/{version}", "Host: gateway", bearer(gateway)]
    lines += [f"Connection: {requested}"] if requested else []
    lines += [f"If-None-Match: {etag}"] if cached else []
    request = "\r\n".join([*lines, "", ""]).encode()
    address = URL(gateway.origin)
    reader, writer = await asyncio.open_connection(address.host, address.port)
    keeps_alive = (version, requested) in {("1.1", None), ("1.0", "keep-alive")}
    for _ in range(2 if keeps_alive else 1):
        writer.write(request)
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        assert head.startswith("HTTP/1.1 304 Not Modified\r\n" if cached else "HTTP/1.1 200 OK\r\n")
        headers = dict(line.split(": ", 1) for line in head.splitlines()[1:-1])
        assert headers.get("Connection") == expected
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert parsedate_to_datetime(headers["Date"])
        assert await reader.readexactly(0 if cached else int(headers["Content-Length"])) == (b"" if cached else EMPTY)
    if not keeps_alive:
        assert await reader.read() == b""
    writer.close()
    await writer.wait_closed()


@pytest.mark.parametrize(("encoding", "pack"), [("gzip", gzip.compress), ("deflate", zlib.compress)])
async def test_a_compressed_body_is_read(gateway: Gateway, encoding: str, pack: object) -> None:
    assert callable(pack)
    headers = (bearer(gateway), JSON, f"Content-Encoding: {encoding}")
    assert (await send_raw(gateway, "POST", ACCOUNT, *headers, body=pack(BODY))).status == 200
    bomb = pack(BODY[:-1] + b" " * 2**21 + b"}")
    assert (await send_raw(gateway, "POST", ACCOUNT, *headers, body=bomb)).status == 413


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
@pytest.mark.parametrize(
    ("method", "path"), [("POST", ACCOUNT), ("POST", "/bitrix/rules/5"), ("PATCH", "/bitrix/rules/5")]
)
async def test_a_body_with_a_wrong_content_encoding_is_refused(
    gateway: Gateway, method: str, path: str, encoding: str
) -> None:
    headers = (bearer(gateway), JSON, f"Content-Encoding: {encoding}")
    answer = await send_raw(gateway, method, path, *headers, body=b"not compressed at all")
    assert (answer.status, answer.json) == (400, "body: cannot be read in its Content-Encoding")


@pytest.mark.parametrize(
    ("head", "body"),
    [
        ("Content-Encoding: gzip\r\nContent-Length: 3", b"abc"),
        ("Content-Encoding: deflate\r\nContent-Length: 3", b"abc"),
        ("Transfer-Encoding: chunked", b"no size\r\n"),
        ("Content-Length: 100", b"the beginning"),
    ],
    ids=["gzip", "deflate", "chunks", "less than announced"],
)
@pytest.mark.parametrize("late", [False, True], ids=["at once", "late"])
async def test_a_malformed_body_that_is_not_read_closes_the_connection_and_is_not_logged(
    gateway: Gateway, caplog: pytest.LogCaptureFixture, head: str, body: bytes, late: bool
) -> None:
    address = URL(gateway.origin)
    reader, writer = await asyncio.open_connection(address.host, address.port)
    request = f"POST /bitrix/call/user.get HTTP/1.1\r\nHost: gateway\r\n{JSON}\r\n{head}\r\n\r\n".encode()
    writer.write(request if late else request + body)
    answer = await reader.readuntil(b"\r\n\r\n")
    if late:
        writer.write(body)
    writer.write_eof()
    answer += await reader.read()
    writer.close()
    await writer.wait_closed()
    assert answer.split()[1] in (b"400", b"401")
    assert answer.count(b"HTTP/1.") == 1
    assert [record for record in caplog.records if record.levelname != "INFO"] == []
