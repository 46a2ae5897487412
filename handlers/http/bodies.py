"""JSON bodies of requests."""

from typing import Any

import orjson
from aiohttp import web
from aiohttp.typedefs import Handler
from marshmallow import Schema

from gateway.errors import InvalidInput
from gateway.schemas import load_document
from handlers.http.body_reader import read_body

ORJSON_TOO_DEEP, ORJSON_MAX_DEPTH = "depth limit exceeded", 1024


async def load_json(request: web.Request) -> Any:
    """Return the decoded JSON body.

    Raises:
        InvalidInput: The body is not JSON, or not sent as `application/json`.
        HttpError: As in `read_body`.
        CallerLeft: As in `read_body`.
    """
    try:
        body = await read_body(request)
    except web.RequestPayloadError as error:
        raise InvalidInput.of_field("", "unreadable", "cannot be read in its Content-Encoding") from error
    if request.content_type != "application/json":
        raise InvalidInput.of_field("", "content_type", "must be sent as application/json")
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise InvalidInput.of_field("", *broken_json(error)) from error


def broken_json(error: orjson.JSONDecodeError) -> tuple[str, str]:
    """Return the code of *error*, and the rule that a text breaks because of it, and where."""
    if error.msg == ORJSON_TOO_DEEP:
        return "too_deep", f"must be nested at most {ORJSON_MAX_DEPTH} levels deep"
    return "not_json", f"must be JSON: {error.msg} (line {error.lineno}, column {error.colno})"


def without_body(handler: Handler) -> Handler:
    """Wrap *handler* of an address that has no body: refuse one that is not empty.

    What a caller has put there would be ignored.
    """

    async def handle(request: web.Request) -> web.StreamResponse:
        if request.can_read_body:
            raise InvalidInput.of_field("", "unexpected_body", "must be empty: this address has no body")
        return await handler(request)

    return handle


async def load_body(request: web.Request, schema: Schema) -> dict[str, Any]:
    """Return the JSON body, validated by *schema*.

    Raises:
        InvalidInput: Names every broken rule.
        HttpError: As in `read_body`.
        CallerLeft: As in `read_body`.
    """
    return load_document(await load_json(request), schema)
