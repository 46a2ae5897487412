"""The JSON in the body of an answer, decoded only where what it decodes to is bounded."""

from contextlib import suppress

import orjson

from gateway.bitrix.errors import AnswerTooLarge, PortalBroken

UNCOUNTED_BYTES = 4 * 1024 * 1024  # a body this short needs no count: its values fit into 200 MB whatever they are
TOO_DEEP = "nested too deeply"  # to be written again: 254 levels can be
MOST_VALUES = 2_000_000  # in one answer: 50 pages of 50 rows with 800 fields each


def decode_json(body: bytes, status: int | None = None) -> object:
    """The value that *body* holds.

    A value takes up to about 150 bytes of memory and as few as two of the body, so that their number is bounded too.

    Raises:
        PortalBroken: it is not JSON: empty, cut off, not in UTF-8, nested more than 1024 levels deep.
        AnswerTooLarge: it holds more than MOST_VALUES values.
    """
    if len(body) > UNCOUNTED_BYTES and body.count(b",") + body.count(b"[") + body.count(b"{") > MOST_VALUES:
        raise AnswerTooLarge(f"{MOST_VALUES} values", status)
    # The decoder's own error holds the whole text, so none is raised while it is handled: it would hold that error.
    with suppress(orjson.JSONDecodeError):
        value: object = orjson.loads(body)
        return value
    raise PortalBroken("not JSON" if body.strip() else "empty", status)
