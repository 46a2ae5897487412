"""Streams a file from a portal to a caller.

Source: RFC 9110, sections 13 and 14; RFC 6266
"""

import logging
import re
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from hashlib import blake2b
from http import HTTPStatus
from urllib.parse import quote

import orjson
from aiohttp import content_disposition_filename, parse_content_disposition, web
from aiohttp.hdrs import CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, RANGE

from gateway.bitrix.errors import PortalBroken, PortalError
from gateway.bitrix.transport.download import Download
from gateway.disk.form import is_file_name, last_part
from handlers.http.etags import etag_matches
from handlers.http.keys import REQUEST_ID
from handlers.http.middleware import add_common_headers
from handlers.http.ranges import NOTHING, parse_content_range, parse_range, parse_size, positions_of, single_range
from storage.records import Account

logger = logging.getLogger(__name__)

CONTENT_HEADERS = {"Accept-Ranges": "bytes", "Cache-Control": "private, no-cache", "Vary": "Authorization"}
ETAG_BYTES = 12
FALLBACK_NAME = "file"
OCTETS = "application/octet-stream"
ENCODED = re.compile(r"[^A-Za-z0-9!#$&+.^_`|~ ()-]", re.ASCII)  # characters of a file name that need an encoding


@dataclass(frozen=True)
class StoredContent:
    """A content at a portal, which *open* opens with headers such as Range.

    What has the same *version* at the same portal is the same. *name* and *size* are those of the file, where they are
    known before it is opened.
    """

    open: Callable[[Mapping[str, str]], AbstractAsyncContextManager[Download]]
    version: str
    name: str | None = None
    size: int | None = None


async def send_content(request: web.Request, account: Account, content: StoredContent) -> web.StreamResponse:
    """Send *content* of the portal of *account*, or the part that the request asks for, unless the caller has it.

    Raises:
        HttpError: 416: The content has no such part.
        PortalError: The portal fails before the first byte, or its response is not the content that was asked for.
        TooBusy: The portal's limits leave no room in time.
        TooManyDownloads: As many files as possible are open.
    """
    headers = {**CONTENT_HEADERS, "ETag": etag_of(account, content.version)}
    if content.name is not None:
        headers[CONTENT_DISPOSITION] = disposition(content.name)
    if etag_matches(request, headers["ETag"]):
        return web.Response(status=HTTPStatus.NOT_MODIFIED, headers=headers)
    wants_part = request.headers.get("If-Range", headers["ETag"]) == headers["ETag"]
    header = request.headers.get(RANGE) if wants_part else None
    if content.size is None:
        wanted = single_range(header)
    else:
        asked = parse_range(header, content.size)
        wanted = None if asked is None else f"bytes={asked.start}-{asked.stop - 1}"
    async with content.open({} if wanted in (None, NOTHING) else {RANGE: wanted}) as download:
        asked, size = received_part(download.status, download.headers, wanted, content.size)
        headers.setdefault(CONTENT_DISPOSITION, disposition(name_of(download)))
        return await send_download(request, download, headers, asked, size)


def received_part(
    status: int, headers: Mapping[str, str], wanted: str | None, size: int | None
) -> tuple[range | None, int | None]:
    """Return the positions to send of a content, None for all, and its size, None if the portal's response has none.

    *wanted* is the range that was asked for, and *size* what Disk says. A file of another size is another version than
    its ETag names, or none at all.

    Raises:
        HttpError: 416: The content has no such part.
        PortalBroken: The portal gives another part, or a content of another size.
    """
    length = int(headers[CONTENT_LENGTH]) if CONTENT_LENGTH in headers else None
    if status == HTTPStatus.OK:
        if size is None:
            size = length
        if length not in (None, size):
            raise PortalBroken("a file of another size than the portal says", status)
        return (None if size is None else parse_range(wanted, size)), size
    told = headers.get(CONTENT_RANGE, "")
    if status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
        total = parse_size(told)
        if total is not None and size in (None, total):
            parse_range(wanted, total)
        raise PortalBroken("no part of a file, although it has the part", status)
    part = parse_content_range(told)
    if wanted is None or part is None:
        raise PortalBroken("a part of a file without its positions, or that was not asked for", status)
    positions, total = part
    if positions != positions_of(wanted, total) or size not in (None, total) or length not in (None, len(positions)):
        raise PortalBroken("another part of a file than was asked for", status)
    return part


def name_of(download: Download) -> str:
    """Return the name that the portal gives a file, without any path; FALLBACK_NAME if it gives none."""
    _, parameters = parse_content_disposition(download.headers.get(CONTENT_DISPOSITION))
    name = last_part(content_disposition_filename(parameters) or "")
    return name if is_file_name(name) else FALLBACK_NAME


def etag_of(account: Account, version: str) -> str:
    """Return the entity tag of a content of the account's portal.

    It differs by account and by portal. The portal's own id keeps it apart from tags of a restored database, which may
    repeat ours.
    """
    portal = account.portal
    named = orjson.dumps((account.account_key, portal.portal_id, portal.bitrix_id, version))
    return f'"{blake2b(named, digest_size=ETAG_BYTES).hexdigest()}"'


async def send_download(
    request: web.Request, download: Download, headers: dict[str, str], asked: range | None, size: int | None
) -> web.StreamResponse:
    """Send the content that *download* has opened, with *headers*; of *size* bytes only those that are *asked* for.

    The size may be unknown if all are asked for.

    If the portal fails in the middle, or sends more or fewer bytes than it has told, the connection to the caller is
    closed, so that it sees it.

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
    length = size if asked is None else len(asked)
    if length is not None:
        response.headers[CONTENT_LENGTH] = str(length)
        chunks = exactly(chunks, length)
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


async def exactly(chunks: AsyncIterator[bytes], length: int) -> AsyncIterator[bytes]:
    """Yield *chunks*, which must have *length* bytes together.

    Raises:
        PortalBroken: They have more or fewer. What is too much is not yielded.
    """
    left = length
    async for chunk in chunks:
        left -= len(chunk)
        if left < 0:
            raise PortalBroken("a file that is longer than it should be")
        yield chunk
    if left:
        raise PortalBroken("a file that is shorter than it should be")


def disposition(name: str) -> str:
    """Return the Content-Disposition of an attachment. Source: RFC 6266, section 4.3 and appendix D"""
    fallback = ENCODED.sub("_", name)
    if fallback == name:
        return f'attachment; filename="{name}"'
    return f"attachment; filename=\"{fallback}\"; filename*=UTF-8''{quote(name, safe='')}"
