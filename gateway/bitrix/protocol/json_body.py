"""Decode the JSON body of an answer, with a bounded number of values, and encode what it holds again."""

from contextlib import suppress

import orjson

from gateway.bitrix.errors import AnswerTooLarge, PortalBroken

MAX_UNCOUNTED_BYTES = 4 * 1024 * 1024  # the values of a shorter body take at most 200 MB, so they are not counted
TOO_DEEP = "nested too deeply"  # to be encoded again: orjson encodes 254 levels
MAX_VALUES = 2_000_000  # per answer: 50 pages of 50 rows with 800 fields each


def decode_json(body: bytes, status: int | None = None) -> object:
    """Return the value of *body*.

    A value takes at least two bytes of the body and up to about 150 bytes of memory. So the number of values is limited
    as well as the size of the body.

    Raises:
        PortalBroken: not JSON: empty, truncated, not UTF-8, or nested more than 1024 levels deep.
        AnswerTooLarge: more than MAX_VALUES values.
    """
    if len(body) > MAX_UNCOUNTED_BYTES and body.count(b",") + body.count(b"[") + body.count(b"{") > MAX_VALUES:
        raise AnswerTooLarge(f"{MAX_VALUES} values", status)
    # The decoder's error holds the whole text. Raising ours outside of its handler keeps it out of __context__.
    with suppress(orjson.JSONDecodeError):
        value: object = orjson.loads(body)
        return value
    raise PortalBroken("not JSON" if body.strip() else "empty", status)


def encode_json(value: object, subject: str) -> bytes:
    """Return the JSON of *value*, which holds what a portal has answered: *subject*, such as "a row is", in errors.

    Raises:
        PortalBroken: it is nested too deeply.
    """
    try:
        return orjson.dumps(value)
    except orjson.JSONEncodeError:
        raise PortalBroken(f"{subject} {TOO_DEEP}") from None
