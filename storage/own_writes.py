"""Stores in the mirror what callers have written through the gateway."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from sqlite3 import Connection

import orjson

from storage.database import Database
from storage.mirror import RECORD_ITEM, find_list
from storage.mirror_changes import bury_records, update_rows
from storage.records import Portal, RowPage


@dataclass(frozen=True)
class ChangedList:
    """A list that was changed, the generation that it has reached, and the JSON of the written records by id."""

    list_id: int
    generation: int
    items: Mapping[int, bytes]


class OwnWriteStore:
    """Stores written records. Writes are not durable: after a machine crash, the next sync reads the records again."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def save(self, account_id: int, portal: Portal, resource: str, page: RowPage) -> ChangedList | None:
        """Store the rows of *page*, but those that changed since its mark. Return None if the list is not mirrored."""
        return await self._database.write(_save, account_id, portal.portal_id, resource, page)

    async def bury(
        self, account_id: int, portal: Portal, resource: str, portal_row_id: int, tombstone: bytes
    ) -> ChangedList | None:
        """Mark a record deleted. Return None if its list is not mirrored."""
        return await self._database.write(_bury, account_id, portal.portal_id, resource, portal_row_id, tombstone)


GENERATION = "SELECT generation FROM mirror_lists WHERE list_id = ?"
ITEMS = f"""
SELECT portal_row_id, CAST({RECORD_ITEM} AS BLOB) FROM mirror_rows
WHERE list_id = ? AND part = 0 AND portal_row_id IN (SELECT value FROM json_each(?))
"""
ROW_ID = "SELECT row_id FROM mirror_rows WHERE list_id = ? AND part = 0 AND portal_row_id = ?"


def _save(connection: Connection, account_id: int, portal_id: int, resource: str, page: RowPage) -> ChangedList | None:
    facts = find_list(connection, account_id, portal_id, resource)
    if facts is None or not facts.enabled:
        return None
    update_rows(connection, facts.list_id, page)
    return _changed(connection, facts.list_id, [portal_row_id for portal_row_id, _ in page.rows])


def _bury(
    connection: Connection, account_id: int, portal_id: int, resource: str, portal_row_id: int, tombstone: bytes
) -> ChangedList | None:
    facts = find_list(connection, account_id, portal_id, resource)
    if facts is None or not facts.enabled:
        return None
    rows = connection.execute(ROW_ID, (facts.list_id, portal_row_id)).fetchall()
    bury_records(connection, facts.list_id, [row_id for (row_id,) in rows], head=tombstone, mark=facts.generation)
    return _changed(connection, facts.list_id, [portal_row_id])


def _changed(connection: Connection, list_id: int, portal_row_ids: Sequence[int]) -> ChangedList:
    (generation,) = connection.execute(GENERATION, (list_id,)).fetchone()
    items = connection.execute(ITEMS, (list_id, orjson.dumps(portal_row_ids).decode())).fetchall()
    return ChangedList(list_id, generation, dict(items))
