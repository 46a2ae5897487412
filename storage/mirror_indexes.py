"""Indexed fields of mirrored records: their values are kept beside the rows, in the order of queries.

An index is built in the background, some rows at a time, while rows that change are indexed in the transaction that
changes them. Both read the values by the same expressions as queries do (`storage.json_values`).
"""

from collections.abc import Sequence
from sqlite3 import Connection

import orjson

from storage.database import Database
from storage.json_values import Kind, QueryField, SqlValue, values_statement

BUILT_ROWS = 500  # rows that one transaction indexes
DELETED_VALUES = 5000  # values of a dropped index that one transaction deletes


class IndexStore:
    """Declares, builds and drops the indexes of lists."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def list_fields(self, list_id: int) -> list[str]:
        """Return the names of the indexed fields of a list, in the order in which they were declared."""
        return await self._database.read(_list_fields, list_id)

    async def declare(self, list_id: int, fields: Sequence[QueryField], zone_s: int, *, drop_others: bool) -> None:
        """Index *fields* of a list, whose portal is *zone_s* ahead of UTC.

        An index that exists is kept if its values are read in the same way, else built again. *drop_others*: drop the
        indexes of all other fields.
        """
        await self._database.write(_declare, list_id, fields, zone_s, drop_others)

    async def work(self) -> bool:
        """Build a part of an index, or delete a part of a dropped one. Return whether there was anything to do."""
        return await self._database.read(_has_work) and await self._database.write(_work)


LIST_FIELDS = "SELECT field FROM mirror_indexes WHERE list_id = ? AND state <> 'dropped' ORDER BY index_id"
LOAD_INDEXES = """
SELECT index_id, field, kind, multiple, multifield, zone_s, state FROM mirror_indexes
WHERE list_id = ? AND state <> 'dropped' ORDER BY index_id
"""
DROP = "UPDATE mirror_indexes SET state = 'dropped' WHERE index_id = ?"
ADD = """
INSERT INTO mirror_indexes (list_id, field, kind, multiple, multifield, zone_s, state)
VALUES (?, ?, ?, ?, ?, ?, 'building')
"""


def _list_fields(connection: Connection, list_id: int) -> list[str]:
    return [field for (field,) in connection.execute(LIST_FIELDS, (list_id,))]


def ready_indexes(connection: Connection, list_id: int, zone_s: int) -> dict[tuple[str, Kind], int]:
    """The ids of the usable indexes of a list, by field and kind of values."""
    return {
        (field, Kind[kind]): index_id
        for index_id, field, kind, _, _, zone, state in connection.execute(LOAD_INDEXES, (list_id,))
        if state == "ready" and zone == zone_s
    }


def _declare(
    connection: Connection, list_id: int, fields: Sequence[QueryField], zone_s: int, drop_others: bool
) -> None:
    existing = {row[1]: row for row in connection.execute(LOAD_INDEXES, (list_id,)).fetchall()}
    for field in fields:
        wanted = (field.kind.name, int(field.multiple), int(field.multifield), zone_s)
        row = existing.pop(field.name, None)
        if row is not None and row[2:6] == wanted:
            continue
        if row is not None:
            connection.execute(DROP, (row[0],))
        connection.execute(ADD, (list_id, field.name, *wanted))
    if drop_others:
        connection.executemany(DROP, [(row[0],) for row in existing.values()])


DROP_ALL = "UPDATE mirror_indexes SET state = 'dropped' WHERE list_id = ?"


def drop_indexes(connection: Connection, list_id: int) -> None:
    """Drop all indexes of a list."""
    connection.execute(DROP_ALL, (list_id,))


DELETE_VALUES = "DELETE FROM mirror_values WHERE row_id IN (SELECT value FROM json_each(?))"
ADD_VALUES = "INSERT OR IGNORE INTO mirror_values SELECT ?, value, portal_row_id, row_id FROM ({values})"


def index_rows(connection: Connection, list_id: int, row_ids: Sequence[int]) -> None:
    """Bring the values of rows that have changed up to date, in all indexes of their list."""
    indexes = connection.execute(LOAD_INDEXES, (list_id,)).fetchall()
    if not indexes:
        return
    ids = orjson.dumps(row_ids).decode()
    connection.execute(DELETE_VALUES, (ids,))
    for index in indexes:
        _add_values(connection, index, "row_id IN (SELECT value FROM json_each(?)) AND deleted = 0", (ids,))


def _add_values(connection: Connection, index: tuple[object, ...], rows: str, parameters: tuple[SqlValue, ...]) -> None:
    index_id, field, kind, multiple, multifield, zone_s, *_ = index
    query_field = QueryField(str(field), Kind[str(kind)], bool(multiple), bool(multifield))
    values, bound = values_statement(query_field, int(str(zone_s)), rows, parameters)
    connection.execute(ADD_VALUES.format(values=values), (index_id, *bound))


HAS_WORK = "SELECT EXISTS (SELECT 1 FROM mirror_indexes WHERE state <> 'ready')"


def _has_work(connection: Connection) -> bool:
    (has_work,) = connection.execute(HAS_WORK).fetchone()
    return bool(has_work)


FIND_DROPPED = "SELECT index_id FROM mirror_indexes WHERE state = 'dropped' LIMIT 1"
DELETE_SOME = """
DELETE FROM mirror_values WHERE (index_id, value, portal_row_id) IN (
    SELECT index_id, value, portal_row_id FROM mirror_values WHERE index_id = ? LIMIT ?
)
"""
FORGET_INDEX = "DELETE FROM mirror_indexes WHERE index_id = ?"
FIND_BUILDING = """
SELECT index_id, field, kind, multiple, multifield, zone_s, list_id, built_upto FROM mirror_indexes
WHERE state = 'building' ORDER BY index_id LIMIT 1
"""
NEXT_END = """
SELECT row_id FROM mirror_rows WHERE list_id = ? AND deleted = 0 AND row_id > ? ORDER BY row_id LIMIT 1 OFFSET ?
"""
SET_BUILT = "UPDATE mirror_indexes SET built_upto = ? WHERE index_id = ?"
SET_READY = "UPDATE mirror_indexes SET state = 'ready' WHERE index_id = ?"
MAX_ROW_ID = 2**63 - 1


def _work(connection: Connection) -> bool:
    dropped = connection.execute(FIND_DROPPED).fetchone()
    if dropped is not None:
        if not connection.execute(DELETE_SOME, (*dropped, DELETED_VALUES)).rowcount:
            connection.execute(FORGET_INDEX, dropped)
        return True
    index = connection.execute(FIND_BUILDING).fetchone()
    if index is None:
        return False
    list_id, built_upto = index[-2:]
    end = connection.execute(NEXT_END, (list_id, built_upto, BUILT_ROWS - 1)).fetchone()
    upto = MAX_ROW_ID if end is None else end[0]
    rows = "list_id = ? AND deleted = 0 AND row_id > ? AND row_id <= ?"
    _add_values(connection, index, rows, (list_id, built_upto, upto))
    if end is None:
        connection.execute(SET_READY, (index[0],))
    else:
        connection.execute(SET_BUILT, (upto, index[0]))
    return True
