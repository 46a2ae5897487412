"""The bodies of answers: whole, cut off or slow, from memory or from a file."""

import mimetypes
from collections.abc import Iterator
from urllib.parse import quote

from aiohttp import web

from gateway.clock import Clock
from gateway.sandbox.blobs import StoredFile

CHUNK_BYTES = 2**16


async def send_download(
    request: web.Request, download: StoredFile, clock: Clock, fault: str | None = None, value: str = ""
) -> web.StreamResponse:
    """Send a content, whole or the requested range of it, or changed by the *fault* of the connection."""
    headers = {"Content-Type": _content_type(download.name), "Content-Disposition": _disposition(download.name)}
    size = download.blob.size
    match fault:
        case "cut":
            return await _send(request, 200, headers, size, _read(download, size // 2, CHUNK_BYTES), clock)
        case "truncated":
            return await _send(request, 200, headers, size // 2, _read(download, size // 2, CHUNK_BYTES), clock)
        case "slow":
            return await _send(request, 200, headers, size, _read(download, size, int(value)), clock, pause_s=1)
    return web.FileResponse(download.blob.path, headers=headers)


async def send_cut(request: web.Request, body: bytes, headers: dict[str, str], clock: Clock) -> web.StreamResponse:
    """Announce the full length of *body*, send half of it and close the connection."""
    return await _send(request, 200, headers, len(body), iter((body[: len(body) // 2],)), clock)


async def send_slowly(
    request: web.Request, status: int, body: bytes, headers: dict[str, str], rate: int, clock: Clock
) -> web.StreamResponse:
    """Send *rate* bytes of *body* per second."""
    pieces = (body[start : start + rate] for start in range(0, len(body), rate))
    return await _send(request, status, headers, len(body), pieces, clock, pause_s=1)


async def _send(
    request: web.Request,
    status: int,
    headers: dict[str, str],
    length: int,
    pieces: Iterator[bytes],
    clock: Clock,
    pause_s: float = 0,
) -> web.StreamResponse:
    """Announce *length* bytes and send *pieces* with pauses between them. If they are shorter, close the connection."""
    response = web.StreamResponse(status=status, headers=headers)
    response.content_length = length
    sent = 0
    try:
        await response.prepare(request)
        for piece in pieces:
            if sent:
                await clock.sleep(pause_s)
            await response.write(piece)
            sent += len(piece)
    except ConnectionError:
        return response  # the client has disconnected
    if sent < length and request.transport is not None:
        request.transport.close()
    return response


def _read(download: StoredFile, end: int, step: int) -> Iterator[bytes]:
    """The first *end* bytes in pieces of *step* bytes."""
    with download.blob.path.open("rb") as file:
        for start in range(0, end, step):
            yield file.read(min(step, end - start))


def _content_type(name: str) -> str:
    return mimetypes.guess_type(name)[0] or "application/octet-stream"


def _disposition(name: str) -> str:
    """The name in both forms of RFC 6266: for old clients in ASCII, and as it is."""
    plain = "".join(char if char.isascii() and char.isprintable() and char not in '"\\%' else "_" for char in name)
    return f"attachment; filename=\"{plain}\"; filename*=utf-8''{quote(name, safe='')}"
