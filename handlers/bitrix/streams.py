"""Streams of the portal's lists as NDJSON."""

import re
import zlib
from contextlib import AbstractAsyncContextManager, aclosing, suppress
from functools import partial

import orjson
from aiohttp import web
from multidict import MultiMapping

from gateway.bitrix.lists.list_specs import MAX_ID
from gateway.bitrix.lists.page_reader import Pace
from gateway.errors import InvalidInput, NotFound
from gateway.mirror.queries import RecordQuery
from gateway.mirror.resources import RECORDS, Resource, find_resource
from gateway.passthrough.streamed_lists import STREAMED_LISTS, TASKS3, StreamedList, items_of
from gateway.passthrough.streams import Stream, StreamRequest
from gateway.schemas import INT32, MAX_DEPTH, TOO_DEEP, exceeds_depth
from handlers import app_keys
from handlers.bitrix.account_loading import load_account, load_authorized_account
from handlers.bitrix.fields import access_fields
from handlers.http.bodies import broken_json
from handlers.http.connection import Connection
from handlers.http.keys import REQUEST_ID
from handlers.http.middleware import add_common_headers
from handlers.http.query import is_digits, one_value, positive

HEADERS = {
    "Content-Type": "application/x-ndjson",
    "Cache-Control": "no-store",
    "Vary": "Authorization, Accept-Encoding",
    "X-Accel-Buffering": "no",  # for nginx. Source: nginx.org ngx_http_proxy_module.html
}
GZIP = re.compile(r"(?:^|[\s,])gzip(?!\s*;\s*q=0(?:\.0*)?\s*(?:,|$))", re.IGNORECASE)
GZIP_LEVEL = 1  # the fastest
GZIP_WBITS = 31  # the largest window, with a gzip header
FIELD_NAME = re.compile(r"\*|[A-Za-z][A-Za-z0-9_.]*\*?")
PACES = {pace.value: pace for pace in Pace}
PARAMETERS = ("source", "filter", "select", "cursor", "limit", "pace")


async def stream_list(request: web.Request) -> web.StreamResponse:
    """GET /bitrix/stream/{resource}"""
    name = request.match_info["resource"]
    listed = STREAMED_LISTS.get(name)
    if listed is None:
        expected = ", ".join((*STREAMED_LISTS, "items/{entityTypeId}"))
        raise NotFound(f"resource: unknown list {name[:64]!r}, expected one of {expected}", code="stream_not_found")
    version = one_value(request.query, "version")
    if version not in (None, "2", "3") or (version is not None and name != "tasks"):
        raise InvalidInput.of_parameter("version", "invalid_value", "must be 2 or 3, and is only valid for tasks")
    if reads_mirror(request):
        if name not in RECORDS:
            rule = f"must be portal: only {', '.join(RECORDS)} and items are streamed from the mirror"
            raise InvalidInput.of_parameter("source", "invalid_value", rule)
        return await stream_mirror(request, RECORDS[name])
    return await stream_portal(request, TASKS3 if version == "3" else listed)


async def stream_items(request: web.Request) -> web.StreamResponse:
    """GET /bitrix/stream/items/{entityTypeId}"""
    entity_type = entity_type_id(request)
    if reads_mirror(request):
        return await stream_mirror(request, find_resource(f"items/{entity_type}"))
    return await stream_portal(request, items_of(entity_type))


def reads_mirror(request: web.Request) -> bool:
    """Return whether the rows are to be read from the mirror.

    Raises:
        InvalidInput: `source` is something else.
    """
    source = one_value(request.query, "source")
    if source not in (None, "portal", "mirror"):
        raise InvalidInput.of_parameter("source", "invalid_value", "must be portal or mirror")
    return source == "mirror"


def entity_type_id(request: web.Request) -> int:
    """Return the entity type that the path names.

    Raises:
        InvalidInput: It is not a positive 32-bit integer.
    """
    value = request.match_info["entityTypeId"]
    if not (is_digits(value) and 0 < int(value) <= INT32[-1]):
        raise InvalidInput.of_parameter("entityTypeId", "invalid_value", "must be a positive integer")
    return int(value)


async def stream_portal(request: web.Request, listed: StreamedList) -> web.StreamResponse:
    """Send the rows of a portal's list while they are read."""
    stream_request = parse_request(request, listed)
    account = await load_authorized_account(request)
    return await send(request, request.app[app_keys.STREAMS].open(account, stream_request))


async def stream_mirror(request: web.Request, resource: Resource) -> web.StreamResponse:
    """Send mirrored records while they are read."""
    query = request.query
    if "pace" in query:
        raise InvalidInput.of_parameter("pace", "invalid_value", "is only valid for rows from the portal")
    question = RecordQuery(filter=parse_filter(one_value(query, "filter")), select=one_value(query, "select"))
    cursor = parse_cursor(one_value(query, "cursor"))
    limit = parse_limit(query)
    account = await load_account(request)
    access = partial(access_fields, request, account, resource)
    pages = request.app[app_keys.QUERIES].stream(account, resource, question, cursor, access)
    return await send(request, request.app[app_keys.STREAMS].open_pages(account, pages, cursor=cursor, limit=limit))


async def send(request: web.Request, opened: AbstractAsyncContextManager[Stream]) -> web.StreamResponse:
    """Send a stream. A failure before the first row is an ordinary error response."""
    async with opened as rows:
        if isinstance(request.protocol, Connection):
            request.protocol.on_disconnect(partial(rows.end, None))
        async with aclosing(rows.chunks()) as chunks:
            first = await anext(chunks, b"")
            encoder = GzipEncoder(GZIP.search(request.headers.get("Accept-Encoding", "")) is not None)
            response = web.StreamResponse(headers=HEADERS | encoder.headers)
            add_common_headers(response, request[REQUEST_ID])
            with suppress(ConnectionError):  # the caller has left
                await response.prepare(request)
                await response.write(encoder.encode(first))
                async for chunk in chunks:
                    await response.write(encoder.encode(chunk))
                await response.write_eof(encoder.finish())
    return response


class GzipEncoder:
    """Compresses a body if *enabled*; the client can decode each chunk as soon as it arrives."""

    def __init__(self, enabled: bool) -> None:
        self._compressor = zlib.compressobj(GZIP_LEVEL, wbits=GZIP_WBITS) if enabled else None
        self.headers = {"Content-Encoding": "gzip"} if enabled else {}

    def encode(self, chunk: bytes) -> bytes:
        """Return the bytes to send for *chunk*."""
        if self._compressor is None:
            return chunk
        return self._compressor.compress(chunk) + self._compressor.flush(zlib.Z_SYNC_FLUSH)

    def finish(self) -> bytes:
        """Return the last bytes to send."""
        return b"" if self._compressor is None else self._compressor.flush()


def parse_request(request: web.Request, listed: StreamedList) -> StreamRequest:
    """Return what the query requests of a list.

    Raises:
        InvalidInput: Names the invalid parameter.
    """
    query = request.query
    pace = one_value(query, "pace")
    if pace not in (None, *PACES):
        raise InvalidInput.of_parameter("pace", "invalid_value", "must be thrifty or eager")
    return StreamRequest(
        listed,
        cursor=parse_cursor(one_value(query, "cursor")),
        limit=parse_limit(query),
        filter=parse_portal_filter(one_value(query, "filter")),
        select=parse_select(one_value(query, "select")),
        pace=Pace.EAGER if pace is None else PACES[pace],
    )


def parse_limit(query: MultiMapping[str]) -> int | None:
    return positive(query, "limit", 1) if "limit" in query else None


def parse_cursor(value: str | None) -> int:
    if value is None:
        return 0
    if not (value.isascii() and value.isdigit() and len(value) <= len(str(MAX_ID)) and int(value) < MAX_ID):
        raise InvalidInput.of_parameter("cursor", "invalid_value", "must be the id of a row, or 0")
    return int(value)


def parse_filter(value: str | None) -> object:
    if value is None:
        return None
    try:
        parsed: object = orjson.loads(value)
    except orjson.JSONDecodeError as error:
        raise InvalidInput.of_parameter("filter", *broken_json(error)) from error
    if parsed is None:  # would return all rows
        raise InvalidInput.of_parameter("filter", "invalid_value", "must be a JSON object or list, and not null")
    return parsed


def parse_portal_filter(value: str | None) -> object:
    parsed = parse_filter(value)
    if exceeds_depth(parsed, MAX_DEPTH):
        raise InvalidInput.of_parameter("filter", "too_deep", TOO_DEEP)
    return parsed


def parse_select(value: str | None) -> tuple[str, ...]:
    if value is None:
        return ()
    names = tuple(value.split(","))
    if not all(FIELD_NAME.fullmatch(name) for name in names):
        raise InvalidInput.of_parameter("select", "invalid_value", "must be field names, separated by commas")
    return names
