"""Endless, growing or malformed answers: each ends in its error, with little data in memory."""

import asyncio
import gzip
import zlib
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from itertools import chain, repeat

import pytest

from gateway.bitrix.errors import AnswerTooLarge, PortalBroken, PortalMoved, PortalUnreachable
from gateway.bitrix.transport.egress import EgressPolicy
from gateway.bitrix.transport.session import REQUEST_DEADLINE_S, HttpAnswer, PortalSession, open_session
from tests.clock import ManualClock

LIMIT = 2**20
CHUNK = 256 * 1024  # read from a socket at once
OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
SMALL = b"Content-Length: 2\r\n\r\n{}"
PIECE = b"a" * 65_536


class Wire:
    """A server that answers every request with the same bytes, until the client stops reading."""

    def __init__(self) -> None:
        self.url = ""
        self.pieces: Iterator[bytes] = iter(())
        self.sent = 0
        self.requests: list[bytes] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                self.requests.append(await reader.readuntil(b"\r\n\r\n"))
                for piece in self.pieces:
                    writer.write(piece)
                    self.sent += len(piece)
                    await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the client stopped reading
        finally:
            writer.transport.abort()  # close() would wait for the client


@asynccontextmanager
async def open_wire() -> AsyncIterator[Wire]:
    wire = Wire()
    async with await asyncio.start_server(wire.serve, "127.0.0.1", 0, limit=2**20) as server:
        wire.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/rest/1/canary/profile"
        yield wire


@pytest.fixture
async def wire() -> AsyncIterator[Wire]:
    async with open_wire() as wire:
        yield wire


@pytest.fixture
async def session(clock: ManualClock) -> AsyncIterator[PortalSession]:
    async with open_session(EgressPolicy(insecure=True), clock, max_answer_bytes=LIMIT) as session:
        yield session


async def answer_to(session: PortalSession, wire: Wire, *pieces: bytes, then: bytes | None = None) -> HttpAnswer:
    """Return the answer to a request if the server sends *pieces*, and *then* the same bytes without end."""
    wire.pieces = chain(pieces, repeat(then)) if then is not None else iter(pieces)
    return await session.post(wire.url, {}, ("canary",))


def chunk(body: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(body), body)


def compressed(megabytes: int, wbits: int) -> bytes:
    compressor = zlib.compressobj(9, wbits=wbits)
    return b"".join(compressor.compress(b" " * 2**20) for _ in range(megabytes)) + compressor.flush()


TOO_LARGE = {
    "without a length": ([OK, b"\r\n"], PIECE),
    "in chunks": ([CHUNKED], chunk(PIECE)),
    "in one chunk that never ends": ([CHUNKED, b"ffffffffff\r\n"], PIECE),
    "announced, and never sent": ([OK, b"Content-Length: 99999999999\r\n\r\n"], None),
    "gzip": ([OK, b"Content-Encoding: gzip\r\n\r\n", compressed(300, 31)], None),
    "gzip in one chunk": (
        [CHUNKED.replace(b"OK\r\n", b"OK\r\nContent-Encoding: gzip\r\n"), chunk(compressed(300, 31))],
        None,
    ),
    "deflate": ([OK, b"Content-Encoding: deflate\r\n\r\n", compressed(300, 15)], None),
    "raw deflate": ([OK, b"Content-Encoding: deflate\r\n\r\n", compressed(300, -15)], None),
    "gzip that never ends": ([OK, b"Content-Encoding: gzip\r\n\r\n"], compressed(2, 31)),
}


@pytest.mark.parametrize(("pieces", "then"), TOO_LARGE.values(), ids=TOO_LARGE)
async def test_an_answer_is_read_up_to_the_limit_and_the_connection_closed(
    session: PortalSession, wire: Wire, pieces: list[bytes], then: bytes | None
) -> None:
    with pytest.raises(AnswerTooLarge, match=f"too large: more than {LIMIT} bytes$") as caught:
        await answer_to(session, wire, *pieces, then=then)
    assert not caught.value.retryable
    assert wire.sent < LIMIT + 32 * CHUNK  # the buffers of two sockets
    await answer_to(session, wire, OK, SMALL)
    assert len(wire.requests) == 2
    assert b"Accept-Encoding: gzip, deflate\r\n" in wire.requests[0]


async def test_an_answer_of_exactly_the_limit_is_read(session: PortalSession, wire: Wire) -> None:
    body = b" " * LIMIT
    assert (await answer_to(session, wire, CHUNKED, chunk(body), b"0\r\n\r\n")).body == body
    with pytest.raises(AnswerTooLarge):
        await answer_to(session, wire, CHUNKED, chunk(body + b" "), b"0\r\n\r\n")


async def test_a_request_may_lower_the_limit(session: PortalSession, wire: Wire) -> None:
    wire.pieces = iter([OK, SMALL])
    assert (await session.get(wire.url, {}, (), max_bytes=2)).body == b"{}"
    wire.pieces = iter([OK, SMALL])
    with pytest.raises(AnswerTooLarge, match=r"more than 1 bytes$"):
        await session.get(wire.url, {}, (), max_bytes=1)


BROKEN = {
    "a header without end": ([OK, b"X-A: "], PIECE),
    "headers without end": ([OK], b"X-A: b\r\n" * 5000),
    "a status line without end": ([b"HTTP/1.1 200 "], PIECE),
    "a long status line": ([b"HTTP/1.1 200 " + PIECE + b"\r\n" + SMALL], None),
    "a line that is no status": ([b""], PIECE),
    "a zero in the name of a header": ([OK, b"X\x00A: b\r\n", SMALL], None),
    "a control character in a header": ([OK, b"X-A: \x1b[31m\x00\r\n", SMALL], None),
    "a negative length": ([OK, b"Content-Length: -5\r\n\r\n{}"], None),
    "two lengths": ([OK, b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}"], None),
    "the size of a chunk without end": ([CHUNKED], b"f" * 65_536),
    "trailers without end": ([CHUNKED, chunk(b"{}"), b"0\r\n"], b"X-A: b\r\n" * 5000),
    "a trailer without end": ([CHUNKED, chunk(b"{}"), b"0\r\nX-A: "], PIECE),
    "gzip that is none": ([OK, b"Content-Encoding: gzip\r\n", SMALL], None),
    "thousands of members of gzip": ([OK, b"Content-Encoding: gzip\r\n\r\n", gzip.compress(b"") * 100_000], None),
    "an encoding that was not accepted": ([OK, b"Content-Encoding: br\r\n", SMALL], None),
    "bare JSON": ([b'{"result": []}\r\n\r\n'], None),
}


@pytest.mark.parametrize(("pieces", "then"), BROKEN.values(), ids=BROKEN)
async def test_a_malformed_answer_is_broken(
    session: PortalSession, wire: Wire, pieces: list[bytes], then: bytes | None
) -> None:
    with pytest.raises(PortalBroken, match=r"cannot be read: (not HTTP|incomplete body)$"):
        await answer_to(session, wire, *pieces, then=then)
    assert wire.sent < 32 * CHUNK


ENDLESS = {
    "a body of nothing": [OK, b"Content-Length: 10\r\n\r\n"],
    "interim answers": [b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"] * 1000,
    "gzip of nothing": [
        OK,
        b"Content-Encoding: gzip\r\n\r\n",
        compressed(0, 31)[:10],
        b"\x00\x00\x00\xff\xff" * 100_000,
    ],
    "the extension of a chunk": [CHUNKED, b"5;", *[PIECE] * 100],
}


@pytest.mark.parametrize("pieces", ENDLESS.values(), ids=ENDLESS)
async def test_a_request_without_a_complete_answer_ends_at_the_deadline(
    session: PortalSession, wire: Wire, clock: ManualClock, pieces: list[bytes]
) -> None:
    began = clock.now()
    with pytest.raises(PortalUnreachable, match=r"no response within 70 s$"):
        await clock.until(answer_to(session, wire, *pieces), step_s=10)
    assert clock.now() - began <= REQUEST_DEADLINE_S + 20


async def test_cookies_are_not_stored(session: PortalSession, wire: Wire) -> None:
    for _ in range(2):
        await answer_to(session, wire, OK, b"Set-Cookie: a=b; Domain=127.0.0.1\r\n", SMALL)
    assert len(wire.requests) == 2
    assert b"cookie" not in b"".join(wire.requests).lower()


LOCATIONS = {
    b"https://new.example/rest/": "new.example",
    b"https://new.example:8443/": "new.example:8443",
    b"http://new.example/": "new.example",
    b"//new.example/": "new.example",
    "https://новый.example/".encode(): "xn--b1aoke0e.example",
    b"https://a\x1b[31m.example/": None,
    "https://a\u202eb.example/".encode(): None,
    b"https://" + b"a." * 200 + b"example/": None,
    b"https://[::": None,
    b"javascript:alert(1)": None,
    b"": None,
}


@pytest.mark.parametrize(("location", "host"), LOCATIONS.items())
@pytest.mark.parametrize("status", [300, 301, 302, 303, 304, 305, 306, 307, 308])
async def test_a_redirect_has_a_printable_host_or_none(
    session: PortalSession, wire: Wire, location: bytes, host: str | None, status: int
) -> None:
    head = b"HTTP/1.1 %d Moved\r\nLocation: %b\r\nContent-Length: 0\r\n\r\n" % (status, location)
    try:
        await answer_to(session, wire, head)
    except PortalMoved as moved:
        error = moved
    except PortalBroken:  # the whole head is refused
        assert host is None
        return
    assert error.host == host
    assert error.detail.isprintable()
    assert len(wire.requests) == 1


async def test_the_endless_body_of_a_redirect_is_not_read(session: PortalSession, wire: Wire) -> None:
    head = b"HTTP/1.1 302 Found\r\nLocation: https://new.example/\r\n\r\n"
    with pytest.raises(PortalMoved):
        await answer_to(session, wire, head, then=PIECE)
    assert wire.sent < 32 * CHUNK
