"""Sample rows, and how to parse them from a page."""

import re
from collections.abc import Iterable
from sqlite3 import Connection

from storage.records import MirrorPage, MirrorRow

NOW = 1_800_000_000
ITEM = re.compile(rb'(\{"id":\d+,"createdAt":\d+)("[^"]*")(,"at":\d+,"text":"[^"]*"\})')


def row(portal_row_id: int, text: str = "as it was") -> MirrorRow:
    return portal_row_id, b',"at":%d,"text":"%b"}' % (portal_row_id, text.encode())


def rows(portal_row_ids: Iterable[int], text: str = "as it was") -> list[MirrorRow]:
    return [row(portal_row_id, text) for portal_row_id in portal_row_ids]


def prefix(created_at: int) -> bytes:
    return b'{"id":%%d,"createdAt":%d' % created_at


def listed(page: MirrorPage) -> list[tuple[bytes, bytes]]:
    """Return the rows of *page* as (prefix, suffix), without the accountID between them."""
    items = ITEM.findall(page.items)
    assert b",".join(b"".join(item) for item in items) == page.items
    return [(prefix, suffix) for prefix, _, suffix in items]


def execute(connection: Connection, statement: str) -> None:
    """Run one statement as a transaction."""
    connection.execute(statement)
