"""Answers of one kind, made in one place."""

import orjson
from aiohttp import web


def json_response(value: object) -> web.Response:
    """*value* as JSON."""
    return web.Response(body=orjson.dumps(value), content_type="application/json")
