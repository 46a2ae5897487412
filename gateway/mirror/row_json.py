"""The JSON of a mirrored row: made in parts when the row is stored, joined when a page is read.

    {"id":84,"createdAt":"2026-11-21T11:31:00Z","accountID":"ae38a75d",
    "bitrixUserID":"1","name":"Анна","lastName":"Иванова",…,"deleted":false}

is stored as

    prefix   {"id":84,"createdAt":"2026-11-21T11:31:00Z","accountID":   written once, when the row is first stored
    suffix   ,"bitrixUserID":"1","name":"Анна",…,"deleted":false}       replaced whenever the portal's row changes

`accountID`, the portal's id for callers, is inserted between them when a page is read: it changes once the portal's
member_id is known. The table's columns for prefix and suffix are `head` and `tail`.

A record of the CRM is the portal's whole row, but for secret addresses of files, so that SQLite's JSON functions can
read it:

    tail     {"id":37,"ID":"37","TITLE":"A/B 37",…,"DATE_MODIFY":"2026-11-21T14:31:00+03:00"}
    head     ,"syncedAt":"2026-11-21T11:31:02Z","deleted":false}         when this version was stored

When it is read, the head replaces the closing brace.
"""

from collections.abc import Callable, Iterable, Mapping

from gateway.bitrix.lists.list_specs import Row
from gateway.bitrix.protocol.json_body import encode_json
from gateway.bitrix.rows.dictionaries import is_active
from gateway.bitrix.rows.files import has_secret_addresses, without_secret_addresses
from gateway.bitrix.rows.records import RecordNames
from gateway.clock import format_time
from storage.records import MirrorRow, RecordColumns, UserRow

Decode = Callable[[Row, int], dict[str, object] | None]
"""Turns a portal's row, with its id there, into the properties after accountID; None if the contract cannot show it."""


def user_prefix(created_at: int) -> bytes:
    """The prefix of users created at a Unix second, with ``%d`` for our id."""
    return b'{"id":%%d,"createdAt":"%b","accountID":' % format_time(created_at).encode()


def dictionary_prefix(created_at: int) -> bytes:
    """The prefix of rows of all other dictionaries created at a Unix second, with ``%d`` for our id."""
    return b'{"ID":%%d,"createdAt":%d,"accountID":' % created_at


def record_head(stored_at: int, *, deleted: bool = False) -> bytes:
    """What we add at the end of a record that is stored, or found deleted, at a Unix second."""
    return b',"syncedAt":"%b","deleted":%b}' % (format_time(stored_at).encode(), b"true" if deleted else b"false")


# What we add to a record. A portal's field of the same name would be there twice.
OWN_NAMES = ("id", "syncedAt", "deleted")


def render_records(
    ids: Iterable[int], rows: Iterable[Row], names: RecordNames
) -> tuple[list[MirrorRow], dict[int, RecordColumns]]:
    """The portal's *rows*, with their *ids* there, as id and JSON; and the columns of each by id.

    Files have no addresses that hold a credential, see `gateway.bitrix.rows.files`.

    Raises:
        ValueError: *ids* and *rows* differ in length.
        PortalBroken: a row is nested too deeply to be encoded.
    """
    rendered, columns = [], {}
    for portal_row_id, row in zip(ids, rows, strict=True):
        columns[portal_row_id] = RecordColumns(*names.decode(row))
        for name in OWN_NAMES:
            row.pop(name, None)
        start = b'{"id":%d,' if row else b'{"id":%d'
        body = _encode(row)
        if has_secret_addresses(body):
            body = _encode(without_secret_addresses(row))
        rendered.append((portal_row_id, start % portal_row_id + body[1:]))
    return rendered, columns


def render_rows(ids: Iterable[int], rows: Iterable[Row], decode: Decode) -> list[MirrorRow]:
    """The portal's *rows*, with their *ids* there, as id and suffix. Rows that *decode* drops are left out.

    Raises:
        ValueError: *ids* and *rows* differ in length.
        PortalBroken: a row is nested too deeply to be encoded.
    """
    return [
        (portal_row_id, b"," + _encode(properties)[1:])
        for portal_row_id, row in zip(ids, rows, strict=True)
        if (properties := decode(row, portal_row_id)) is not None
    ]


def render_users(ids: Iterable[int], rows: Iterable[Row]) -> dict[int, UserRow]:
    """The portal's whole *rows* of users by id, ``{"id":7,"ID":"7","ACTIVE":true,…}``.

    Raises:
        ValueError: *ids* and *rows* differ in length.
        PortalBroken: a row is nested too deeply to be encoded.
    """
    users = {}
    for user_id, row in zip(ids, rows, strict=True):
        body = _encode({"id": user_id, **{name: value for name, value in row.items() if name != "id"}})
        users[user_id] = UserRow(is_active(row), body)
    return users


def _encode(row: Mapping[str, object]) -> bytes:
    """The JSON of *row*, which answers can show within 4 further levels, as those of related records.

    Raises:
        PortalBroken: it is nested too deeply for that.
    """
    return encode_json([[[[row]]]], "a row is")[4:-4]
