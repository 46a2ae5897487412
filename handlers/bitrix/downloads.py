"""Streams a file from a portal to a caller.

Source: RFC 9110, sections 13 and 14; RFC 6266
"""

import logging
import re
from collections.abc import AsyncIterator
from http import HTTPStatus
from urllib.parse import quote

from aiohttp import web
from aiohttp.hdrs import CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE

from gateway.bitrix.errors import PortalError
from gateway.bitrix.transport.download import Download
from handlers.http.keys import REQUEST_ID
from handlers.http.middleware import add_common_headers

logger = logging.getLogger(__name__)

OCTETS = "application/octet-stream"
ENCODED = re.compile(r"[^A-Za-z0-9!#$&+.^_`|~ ()-]", re.ASCII)  # characters of a file name that need an encoding


async def send_download(
    request: web.Request, download: Download, headers: dict[str, str], asked: range | None, size: int
) -> web.StreamResponse:
    """Send the content that *download* has opened, with *headers*; of *size* bytes only those that are *asked* for.

    If the portal fails in the middle, the connection to the caller is closed, so that it sees it.

    Raises:
        PortalError: the portal fails before the first byte.
    """
    chunks = download.chunks()
    if asked is not None and download.status == HTTPStatus.OK:  # the portal has ignored the range
        chunks = part_of(chunks, asked)
    status = HTTPStatus.OK if asked is None else HTTPStatus.PARTIAL_CONTENT
    response = web.StreamResponse(status=status, headers=headers)
    response.headers[CONTENT_TYPE] = download.headers.get(CONTENT_TYPE, OCTETS)
    if asked is not None:
        response.headers[CONTENT_RANGE] = f"bytes {asked.start}-{asked.stop - 1}/{size}"
    response.headers[CONTENT_LENGTH] = str(size if asked is None else len(asked))
    first = await anext(chunks, b"")
    add_common_headers(response, request[REQUEST_ID])
    try:
        await response.prepare(request)
        await response.write(first)
        async for chunk in chunks:
            await response.write(chunk)
        await response.write_eof()
    except PortalError as error:
        logger.warning("a download was cut", extra={"reason": error.detail, "request_id": request[REQUEST_ID]})
        if request.transport is not None:
            request.transport.abort()
    except ConnectionError:
        pass  # the caller has left
    return response


async def part_of(chunks: AsyncIterator[bytes], asked: range) -> AsyncIterator[bytes]:
    """Yield the bytes at the positions *asked* for."""
    at = 0
    async for chunk in chunks:
        part = chunk[max(asked.start - at, 0) : max(asked.stop - at, 0)]
        at += len(chunk)
        if part:
            yield part
        if at >= asked.stop:
            return


def disposition(name: str) -> str:
    """Return the Content-Disposition of an attachment. Source: RFC 6266, section 4.3 and appendix D"""
    fallback = ENCODED.sub("_", name)
    if fallback == name:
        return f'attachment; filename="{name}"'
    return f"attachment; filename=\"{fallback}\"; filename*=UTF-8''{quote(name, safe='')}"
