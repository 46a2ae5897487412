"""The JSON of a mirrored row: made in parts when the row is stored, joined when a page is read.

    {"id":84,"createdAt":"2026-11-21T11:31:00Z","accountID":"ae38a75d",
    "bitrixUserID":"1","name":"Анна","lastName":"Иванова",…,"deleted":false}

is stored as

    prefix   {"id":84,"createdAt":"2026-11-21T11:31:00Z","accountID":   written once, when the row is first stored
    suffix   ,"bitrixUserID":"1","name":"Анна",…,"deleted":false}       replaced whenever the portal's row changes

`accountID`, the portal's id for callers, is inserted between them when a page is read: it changes once the portal's
member_id is known. The table's columns for prefix and suffix are `head` and `tail`.
"""

from collections.abc import Callable, Iterable

import orjson

from gateway.bitrix.lists.list_specs import Row
from gateway.clock import format_time
from storage.records import MirrorRow

Decode = Callable[[Row, int], dict[str, object] | None]
"""Turns a portal's row, with its id there, into the properties after accountID; None if the contract cannot show it."""


def user_prefix(created_at: int) -> bytes:
    """The prefix of users created at a Unix second, with ``%d`` for our id."""
    return b'{"id":%%d,"createdAt":"%b","accountID":' % format_time(created_at).encode()


def dictionary_prefix(created_at: int) -> bytes:
    """The prefix of rows of all other dictionaries created at a Unix second, with ``%d`` for our id."""
    return b'{"ID":%%d,"createdAt":%d,"accountID":' % created_at


def render_rows(ids: Iterable[int], rows: Iterable[Row], decode: Decode) -> list[MirrorRow]:
    """The portal's *rows*, with their *ids* there, as id and suffix. Rows that *decode* drops are left out.

    Raises:
        ValueError: *ids* and *rows* differ in length.
    """
    return [
        (portal_row_id, b"," + orjson.dumps(properties)[1:])
        for portal_row_id, row in zip(ids, rows, strict=True)
        if (properties := decode(row, portal_row_id)) is not None
    ]
