"""Answers of a hostile portal: too large, too slow, or leading nowhere; what they do to the bytes on the wire."""

import zlib
from collections.abc import AsyncIterator, Iterator

from aiohttp import web

from gateway.clock import Clock

PIECE_BYTES = 65_536
MEGABYTE = 2**20
JSON = {"Content-Type": "application/json; charset=utf-8"}
GZIP_FORMAT = 31  # of zlib's wbits: the widest window, behind a gzip header


async def send_hostile(request: web.Request, kind: str, value: str, clock: Clock) -> web.StreamResponse:
    """The answer that *kind*, one of the faults of this module with its *value*, makes of any."""
    match kind:
        case "loop":
            return web.Response(status=int(value), headers={"Location": str(request.url)})
        case "nowhere":
            return web.Response(status=int(value))
        case "headers":
            return web.Response(text='{"result": []}', headers={**JSON, "X-Filler": "x" * (int(value) * 1024)})
        case "deep":
            return web.Response(text='{"result": ' + "[" * int(value) + "]" * int(value) + "}", headers=JSON)
        case "interim":
            return await _hint_for_ever(request, clock)
        case "trickle":
            return await _send(request, JSON, _slowly(clock))
        case "bomb":
            return await _send(
                request, {**JSON, "Content-Encoding": "gzip"}, _at_once(_zipped(_text(int(value))), clock)
            )
        case "huge":
            return await _send(request, JSON, _at_once(_text(int(value)), clock))
        case "dense":
            return await _send(request, JSON, _at_once(_lists(int(value)), clock))
    return await _send(request, JSON, _at_once(_endless(), clock))


async def _send(request: web.Request, headers: dict[str, str], pieces: AsyncIterator[bytes]) -> web.StreamResponse:
    """Send *pieces* until they end, or the client leaves."""
    response = web.StreamResponse(headers=headers)
    try:
        await response.prepare(request)
        async for piece in pieces:
            await response.write(piece)
        await response.write_eof()
    except ConnectionError:
        pass  # the client has seen enough
    return response


async def _hint_for_ever(request: web.Request, clock: Clock) -> web.StreamResponse:
    """A 103 every second, and no answer."""
    while request.transport is not None and not request.transport.is_closing():
        request.transport.write(b"HTTP/1.1 103 Early Hints\r\n\r\n")
        await clock.sleep(1)
    return web.Response()


async def _at_once(pieces: Iterator[bytes], clock: Clock) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece
        await clock.sleep(0)  # so that a client that leaves is noticed, also by what writes little


async def _slowly(clock: Clock) -> AsyncIterator[bytes]:
    yield b'{"result": ['
    while True:
        yield b" "
        await clock.sleep(1)


def _endless() -> Iterator[bytes]:
    yield b'{"result": ["'
    while True:
        yield b"x" * PIECE_BYTES


def _text(megabytes: int) -> Iterator[bytes]:
    """One text of so many *megabytes*."""
    yield b'{"result": "'
    for _ in range(megabytes * MEGABYTE // PIECE_BYTES):
        yield b"x" * PIECE_BYTES
    yield b'"}'


def _lists(megabytes: int) -> Iterator[bytes]:
    """A list of empty lists: of all JSON what takes the most memory for its length."""
    yield b'{"result": [[]'
    for _ in range(megabytes * MEGABYTE // PIECE_BYTES):
        yield b",[]" * (PIECE_BYTES // 3)
    yield b"]}"


def _zipped(pieces: Iterator[bytes]) -> Iterator[bytes]:
    packing = zlib.compressobj(9, wbits=GZIP_FORMAT)
    for piece in pieces:
        yield packing.compress(piece)
    yield packing.flush()
