"""JSON bodies of requests."""

from typing import Any

import orjson
from aiohttp import web
from marshmallow import Schema

from gateway.errors import InvalidInput
from gateway.schemas import load_document
from handlers.http.body_reader import read_body


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
        raise InvalidInput.of_field("", "not_json", not_json(error)) from error


def not_json(error: orjson.JSONDecodeError) -> str:
    """Return the rule that a text breaks because of *error*, and where."""
    return f"must be JSON: {error.msg} (line {error.lineno}, column {error.colno})"


async def load_body(request: web.Request, schema: Schema) -> dict[str, Any]:
    """Return the JSON body, validated by *schema*.

    Raises:
        InvalidInput: Names every broken rule.
        HttpError: As in `read_body`.
        CallerLeft: As in `read_body`.
    """
    return load_document(await load_json(request), schema)
