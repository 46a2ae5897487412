"""The Idempotency-Key of a request: repeated with the same key, it gets the same answer."""

import re

from aiohttp import web

from gateway.errors import InvalidInput
from handlers.http.query import one_value

KEY_HEADER = "Idempotency-Key"
KEY = re.compile(r"[\x21-\x7e]{1,255}")  # Source: protocol.md 9.10
REPLAYED = {"Idempotent-Replayed": "true"}


def idempotency_key(request: web.Request) -> str | None:
    """Return the key of *request*, or None if it has none.

    Raises:
        InvalidInput: It is not valid, or there are several.
    """
    key = one_value(request.headers, KEY_HEADER)
    if key is not None and not KEY.fullmatch(key):
        raise InvalidInput.of_parameter(
            KEY_HEADER, "invalid_value", "must be 1 to 255 printable ASCII characters without spaces"
        )
    return key
