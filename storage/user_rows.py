"""Stores the whole rows of users, of which the mirrored list has only a part.

They are in a table of their own, so that pages of the list neither read them nor change with them. The functions that
write run inside the transactions of `storage.syncs`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from sqlite3 import Connection

import orjson

from storage.database import Database
from storage.mirror import find_list
from storage.records import ListFacts, Portal, UserRow

STORED = """
SELECT mirror_rows.portal_row_id, mirror_rows.row_id, active, body
FROM mirror_rows LEFT JOIN user_rows USING (row_id)
WHERE mirror_rows.list_id = :list_id AND part = 0 AND deleted = 0
AND portal_row_id IN (SELECT value FROM json_each(:ids))
"""
SAVE = "INSERT OR REPLACE INTO user_rows (row_id, list_id, active, body) VALUES (?, ?, ?, ?)"
DELETE = "DELETE FROM user_rows WHERE row_id = ?"
CHANGED = """
INSERT INTO user_lists (list_id, generation) VALUES (:list_id, 1)
ON CONFLICT (list_id) DO UPDATE SET generation = generation + 1
"""


def save_user_rows(connection: Connection, list_id: int, users: Mapping[int, UserRow]) -> None:
    """Store the whole rows of *users*, by their ids on the portal, that have changed. The list has a row of each."""
    if not users:
        return
    ids = orjson.dumps(list(users)).decode()
    changed = [
        (row_id, list_id, *users[portal_row_id])
        for portal_row_id, row_id, active, body in connection.execute(STORED, {"list_id": list_id, "ids": ids})
        if (active, body) != users[portal_row_id]
    ]
    if changed:
        connection.executemany(SAVE, changed)
        connection.execute(CHANGED, {"list_id": list_id})


def delete_user_rows(connection: Connection, list_id: int, row_ids: Sequence[int]) -> None:
    """Delete the whole rows of those users, where there are any."""
    deleted = sum(connection.execute(DELETE, (row_id,)).rowcount for row_id in row_ids)
    if deleted:
        connection.execute(CHANGED, {"list_id": list_id})


GENERATION = "SELECT generation FROM user_lists WHERE list_id = ?"
SYNCED = """
INSERT INTO user_lists (list_id, synced_at) VALUES (:list_id, :synced_at)
ON CONFLICT (list_id) DO UPDATE SET synced_at = :synced_at
"""


def user_generation(connection: Connection, list_id: int) -> int:
    """Return the generation of the whole rows of a list; 0 if there never were any."""
    row: tuple[int] | None = connection.execute(GENERATION, (list_id,)).fetchone()
    return 0 if row is None else row[0]


def save_user_sync(connection: Connection, list_id: int, synced_at: int) -> None:
    """Store when the last finished read of all users of a list began."""
    connection.execute(SYNCED, {"list_id": list_id, "synced_at": synced_at})


@dataclass(frozen=True)
class UserPage:
    """A page of whole users as JSON, joined by commas, and their *count* on all pages.

    *generation* is that of all whole users of the list, and *synced_at* tells since when they are up to date. They are
    not *complete* if some users were last read before whole rows were kept.
    """

    facts: ListFacts
    generation: int
    synced_at: int | None
    complete: bool
    count: int
    items: bytes


class UserRowStore:
    """Reads whole users for callers."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def page(
        self, account_id: int, portal: Portal, *, active: bool | None, page: int, size: int
    ) -> UserPage | None:
        """Return page *page* (from 1) of *size* users, in the order of the list; None if the list was never stored.

        *active* leaves out all others; None leaves out none.
        """
        return await self._database.read_batched(_read_page, account_id, portal.portal_id, active, page, size)


LIST_STATE = "SELECT generation, synced_at FROM user_lists WHERE list_id = :list_id"
COUNT = "SELECT count(*), ifnull(sum(active), 0) FROM user_rows WHERE list_id = :list_id"
# The rows are looked up once their ids are known: rows that are skipped are only read in the index.
READ_PAGE = """
SELECT CAST(group_concat(body, ',') AS BLOB) FROM (
    SELECT body FROM user_rows WHERE row_id IN (
        SELECT row_id FROM user_rows WHERE {condition} ORDER BY row_id LIMIT :size OFFSET :skipped
    ) ORDER BY row_id
)
"""
READ_ALL = READ_PAGE.format(condition="list_id = :list_id")
READ_ACTIVE = READ_PAGE.format(condition="list_id = :list_id AND active = :active")


def _read_page(
    connection: Connection, account_id: int, portal_id: int, active: bool | None, page: int, size: int
) -> UserPage | None:
    facts = find_list(connection, account_id, portal_id, "users")
    if facts is None:
        return None
    key = {"list_id": facts.list_id, "active": active, "size": size, "skipped": (page - 1) * size}
    generation, synced_at = connection.execute(LIST_STATE, key).fetchone() or (0, None)
    every, working = connection.execute(COUNT, key).fetchone()
    count = {None: every, True: working, False: every - working}[active]
    items = b""
    if count > (page - 1) * size:
        (items,) = connection.execute(READ_ALL if active is None else READ_ACTIVE, key).fetchone()
    return UserPage(facts, generation, synced_at, every == facts.count, count, items)
