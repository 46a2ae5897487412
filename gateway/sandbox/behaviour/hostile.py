"""HTTP answers of a hostile portal: too large, too slow, or redirects without an end."""

import zlib
from collections.abc import AsyncIterator, Iterator

from aiohttp import web

from gateway.clock import Clock

CHUNK_BYTES = 65_536
MEGABYTE = 2**20
JSON = {"Content-Type": "application/json; charset=utf-8"}
GZIP_FORMAT = 31  # wbits of zlib: the largest window, with a gzip header


async def send_hostile(request: web.Request, kind: str, value: str, clock: Clock) -> web.StreamResponse:
    """Send the answer of a fault whose *kind* is in HOSTILE_FAULTS, with its *value*."""
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
            return await _send_interim(request, clock)
        case "trickle":
            return await _send(request, JSON, _trickle(clock))
        case "bomb":
            return await _send(request, {**JSON, "Content-Encoding": "gzip"}, _stream(_gzip(_text(int(value))), clock))
        case "huge":
            return await _send(request, JSON, _stream(_text(int(value)), clock))
        case "dense":
            return await _send(request, JSON, _stream(_lists(int(value)), clock))
    return await _send(request, JSON, _stream(_endless(), clock))


async def _send(request: web.Request, headers: dict[str, str], chunks: AsyncIterator[bytes]) -> web.StreamResponse:
    """Send *chunks* until they end or the client disconnects."""
    response = web.StreamResponse(headers=headers)
    try:
        await response.prepare(request)
        async for chunk in chunks:
            await response.write(chunk)
        await response.write_eof()
    except ConnectionError:
        pass  # the client has disconnected
    return response


async def _send_interim(request: web.Request, clock: Clock) -> web.StreamResponse:
    """Send a 103 every second and no answer."""
    while request.transport is not None and not request.transport.is_closing():
        request.transport.write(b"HTTP/1.1 103 Early Hints\r\n\r\n")
        await clock.sleep(1)
    return web.Response()


async def _stream(chunks: Iterator[bytes], clock: Clock) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk
        await clock.sleep(0)  # lets the server notice a disconnect, even if few bytes were written


async def _trickle(clock: Clock) -> AsyncIterator[bytes]:
    yield b'{"result": ['
    while True:
        yield b" "
        await clock.sleep(1)


def _endless() -> Iterator[bytes]:
    yield b'{"result": ["'
    while True:
        yield b"x" * CHUNK_BYTES


def _text(megabytes: int) -> Iterator[bytes]:
    """One string of this size."""
    yield b'{"result": "'
    for _ in range(megabytes * MEGABYTE // CHUNK_BYTES):
        yield b"x" * CHUNK_BYTES
    yield b'"}'


def _lists(megabytes: int) -> Iterator[bytes]:
    """A list of empty lists: the JSON that takes the most memory for its length."""
    yield b'{"result": [[]'
    for _ in range(megabytes * MEGABYTE // CHUNK_BYTES):
        yield b",[]" * (CHUNK_BYTES // 3)
    yield b"]}"


def _gzip(chunks: Iterator[bytes]) -> Iterator[bytes]:
    compressor = zlib.compressobj(9, wbits=GZIP_FORMAT)
    for chunk in chunks:
        yield compressor.compress(chunk)
    yield compressor.flush()
