"""The parameters of a request, as PHP reads them from its query and its body."""

import orjson
from aiohttp import web

from gateway.sandbox.php import Value, entries_of, is_array, parse_pairs, parse_query

MAX_BODY_BYTES = 2**28


def read_query(request: web.Request) -> dict[str, Value]:
    """Return the parameters of the query. It reads the raw target: parsing re-encodes brackets and operators."""
    return parse_query(request.raw_path.partition("#")[0].partition("?")[2])


async def read_params(request: web.Request) -> dict[str, Value]:
    """Return the parameters of the query, overridden by those of a POST body.

    Invalid JSON means no parameters. A body of any other type is read as a query string.
    Source: [srv] rest/install/components/bitrix/rest.server
    """
    query = read_query(request)
    return {**query, **await _read_body(request)} if request.method == "POST" else query


async def _read_body(request: web.Request) -> dict[str, Value]:
    if request.content_type == "multipart/form-data":
        fields = await request.post()
        return parse_pairs([(name, value) for name, value in fields.items() if isinstance(value, str)])
    body = await _read_all(request)
    if request.content_type != "application/json":
        return parse_query(body.decode("utf-8", "replace"))
    try:
        decoded = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    return entries_of(decoded) if is_array(decoded) else {}


async def _read_all(request: web.Request) -> bytearray:
    """The body. aiohttp's own way would copy it and keep it until the end of the request."""
    body = bytearray()
    while piece := await request.content.readany():
        body += piece
        if len(body) > MAX_BODY_BYTES:
            raise web.HTTPRequestEntityTooLarge(max_size=MAX_BODY_BYTES, actual_size=len(body))
    return body
