"""Stores in the mirror what callers have written through the gateway."""

from dataclasses import dataclass
from sqlite3 import Connection

from storage.database import Database
from storage.mirror import RECORD_ITEM, find_list
from storage.mirror_changes import bury_records, update_rows
from storage.records import Portal, RowPage


@dataclass(frozen=True)
class ChangedList:
    """A list that was changed, the generation that it has reached, and the JSON of the record as it is there now.

    The record is None if the list never had it.
    """

    list_id: int
    generation: int
    item: bytes | None


class OwnWriteStore:
    """Writes single records. Writes are not durable: after a machine crash, the next sync reads the records again."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def save(self, account_id: int, portal: Portal, resource: str, page: RowPage) -> ChangedList | None:
        """Store the only row of *page*, unless it has changed since its mark. Return None if it is not mirrored."""
        return await self._database.write(_save, account_id, portal.portal_id, resource, page)

    async def bury(
        self, account_id: int, portal: Portal, resource: str, portal_row_id: int, tombstone: bytes
    ) -> ChangedList | None:
        """Mark a record deleted. Return None if it is not mirrored."""
        return await self._database.write(_bury, account_id, portal.portal_id, resource, portal_row_id, tombstone)


GENERATION = "SELECT generation FROM mirror_lists WHERE list_id = ?"
ITEM = f"""
SELECT CAST({RECORD_ITEM} AS BLOB) FROM mirror_rows WHERE list_id = ? AND part = 0 AND portal_row_id = ?
"""
ROW_ID = "SELECT row_id FROM mirror_rows WHERE list_id = ? AND part = 0 AND portal_row_id = ?"


def _save(connection: Connection, account_id: int, portal_id: int, resource: str, page: RowPage) -> ChangedList | None:
    facts = find_list(connection, account_id, portal_id, resource)
    if facts is None or not facts.enabled:
        return None
    update_rows(connection, facts.list_id, page)
    ((portal_row_id, _),) = page.rows
    return _changed(connection, facts.list_id, portal_row_id)


def _bury(
    connection: Connection, account_id: int, portal_id: int, resource: str, portal_row_id: int, tombstone: bytes
) -> ChangedList | None:
    facts = find_list(connection, account_id, portal_id, resource)
    if facts is None or not facts.enabled:
        return None
    rows = connection.execute(ROW_ID, (facts.list_id, portal_row_id)).fetchall()
    bury_records(connection, facts.list_id, [row_id for (row_id,) in rows], head=tombstone, mark=facts.generation)
    return _changed(connection, facts.list_id, portal_row_id)


def _changed(connection: Connection, list_id: int, portal_row_id: int) -> ChangedList:
    (generation,) = connection.execute(GENERATION, (list_id,)).fetchone()
    row = connection.execute(ITEM, (list_id, portal_row_id)).fetchone()
    return ChangedList(list_id, generation, row and row[0])
