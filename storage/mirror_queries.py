"""Queries of mirrored records: filtered, ordered, page by page or by keyset."""

import math
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from functools import partial
from sqlite3 import Connection

import orjson

from storage.conditions import Comparison, Group, IsUnselective, compile_condition, fields_of, order_expression
from storage.database import Database
from storage.json_values import Kind, QueryField, Sql, SqlValue
from storage.mirror import RECORD_ITEM, find_list
from storage.mirror_indexes import ready_indexes
from storage.records import ListFacts, Portal

MAX_COLLECTED_ROWS = 20_000  # ids of rows with certain values; if there are more, each row is looked at

Position = tuple[SqlValue | None, int]
"""Where a row is in its order: the value that rows are ordered by, and the id that decides between equal ones."""


@dataclass(frozen=True)
class QueryFacts:
    """What a query needs to know of its list: *zone_s* is how far the portal's times are ahead of UTC.

    *indexes* are the ids of the usable indexes by field and kind of values.
    """

    list: ListFacts
    zone_s: int
    indexes: dict[tuple[str, Kind], int]


@dataclass(frozen=True)
class Selection:
    """Live records of a list that meet a *condition*, in an order.

    They are ordered by *order*, and by the portal's id where that is equal; or, without *order*, as they were first
    stored. They start after *after*, or *skip* rows from the start; *backward* selects those before it instead. *count*
    is the number up to which all matching rows are counted; None counts none.
    """

    list_id: int
    condition: Comparison | Group | None = None
    order: QueryField | None = None
    descending: bool = False
    zone_s: int = 0
    size: int = 25
    skip: int = 0
    after: Position | None = None
    backward: bool = False
    count: int | None = None


@dataclass(frozen=True)
class SelectedRecords:
    """The records of a selection as JSON, with their positions, and whether there are *more* in its direction.

    *count* is the number of matching rows; None if it was not counted, or is beyond the limit.
    """

    generation: int
    items: list[bytes]
    positions: list[Position]
    more: bool
    count: int | None


@dataclass(frozen=True)
class Window:
    """The live records of a list that meet a *condition*, among the next *rows* with ids after *after*."""

    list_id: int
    condition: Group | None
    zone_s: int
    after: int
    rows: int


class QueryStore:
    """Reads records for callers."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def facts(self, account_id: int, portal: Portal, resource: str) -> QueryFacts | None:
        """Return what a query needs to know of a list; None if it was never stored."""
        return await self._database.read(_facts, account_id, portal.portal_id, resource)

    async def select(
        self, selection: Selection, timeout: AbstractAsyncContextManager[object]
    ) -> SelectedRecords | None:
        """Return the records of *selection*, in one snapshot; None if its list was purged.

        Raises:
            TimeoutError: *timeout* ended the query.
        """
        return await self._database.query(timeout, select_records, selection)

    async def lines(
        self, window: Window, timeout: AbstractAsyncContextManager[object]
    ) -> tuple[list[bytes], list[int], int | None] | None:
        """Return the matching records of *window*, as JSON, with their ids, and the id up to which they are all.

        That id is None at the end of the list. Return None if the list was purged.

        Raises:
            TimeoutError: *timeout* ended the query.
        """
        return await self._database.query(timeout, _lines, window)


LIST_ZONE = "SELECT zone_s FROM sync_settings WHERE list_id = :list_id"


def _facts(connection: Connection, account_id: int, portal_id: int, resource: str) -> QueryFacts | None:
    facts = find_list(connection, account_id, portal_id, resource)
    if facts is None:
        return None
    zone = connection.execute(LIST_ZONE, {"list_id": facts.list_id}).fetchone()
    zone_s = (zone and zone[0]) or 0
    return QueryFacts(facts, zone_s, ready_indexes(connection, facts.list_id, zone_s))


GENERATION = "SELECT generation FROM mirror_lists JOIN sync_settings USING (list_id) WHERE list_id = ?"
LIVE = "list_id = ? AND deleted = 0"
ONE_PART = "part = 0"  # true of all records; without it the index of the portal's ids is not used
IS_RECORD = "changed IS NOT NULL"  # true of all rows of these lists; without it the index of modified times is not used


def select_records(connection: Connection, selection: Selection) -> SelectedRecords | None:
    """Return the records of *selection*; None if its list was purged."""
    if (listed := connection.execute(GENERATION, (selection.list_id,)).fetchone()) is None:
        return None
    condition, values = _condition(selection, partial(_is_unselective, connection))
    found: list[tuple[int, int, SqlValue | None]] = []
    for keyset, bounds in _segments(selection):
        missing = selection.size + 1 - len(found)
        if missing > 0:
            found += _find(connection, selection, f"{condition} AND {keyset}", (*values, *bounds), missing)
    more = len(found) > selection.size
    del found[selection.size :]
    if selection.backward:
        found.reverse()
    items = load_items(connection, [row_id for row_id, _, _ in found])
    positions = [(value, row_id if selection.order is None else portal_id) for row_id, portal_id, value in found]
    return SelectedRecords(listed[0], items, positions, more, _count(connection, selection, condition, values))


def _is_unselective(connection: Connection, found: Sql) -> bool:
    text, parameters = found
    limited = f"SELECT 1 FROM mirror_values WHERE {text} LIMIT {MAX_COLLECTED_ROWS + 1}"
    (count,) = connection.execute(f"SELECT count(*) FROM ({limited})", parameters).fetchone()
    return bool(count > MAX_COLLECTED_ROWS)


def _condition(selection: Selection, is_unselective: IsUnselective) -> Sql:
    fields = [*fields_of(selection.condition), *([] if selection.order is None else [selection.order])]
    by_time = any(field.column == "modified" for field in fields)
    text, values = f"{LIVE} AND {IS_RECORD}" if by_time else LIVE, (selection.list_id,)
    if _names_ids(selection.condition):
        text = f"{ONE_PART} AND {text}"
    if selection.condition is None:
        return text, values
    added, parameters = compile_condition(selection.condition, selection.zone_s, is_unselective)
    return f"{text} AND {added}", (*values, *parameters)


def _names_ids(condition: Comparison | Group | None) -> bool:
    """Whether only rows of certain ids can match. A range of ids is looked for in the order of the query."""
    if isinstance(condition, Group):
        return not condition.any and not condition.negative and any(map(_names_ids, condition.conditions))
    return condition is not None and condition.field.column == "portal_row_id" and condition.operator in ("=", "in")


def _rows(selection: Selection) -> str:
    """The table, by the index of the portal's ids if only certain ids can match."""
    return ROWS_BY_ID if _names_ids(selection.condition) else ROWS


def _indexed(selection: Selection) -> bool:
    """Whether the values of an index give the order."""
    return selection.order is not None and selection.order.column is None and selection.order.index_id is not None


def _key(selection: Selection) -> Sql:
    """The expression of the value that rows are ordered by."""
    if selection.order is None:
        return "NULL", ()
    return ("indexed_value", ()) if _indexed(selection) else order_expression(selection.order, selection.zone_s)


def _segments(selection: Selection) -> list[Sql]:
    """The conditions of the rows after the position, in parts that each use an index, one after the other.

    Empty values come first ascending, last descending.
    """
    if selection.after is None:
        return [("1", ())]
    value, row_id = selection.after
    descending = selection.descending != selection.backward
    sign = "<" if descending else ">"
    if selection.order is None:
        return [(f"row_id {sign} ?", (row_id,))]
    if _indexed(selection):
        return [(f"(indexed_value, indexed_id) {sign} (?, ?)", (-math.inf if value is None else value, row_id))]
    key, parameters = _key(selection)
    if value is None:
        empty = f"{key} IS NULL AND portal_row_id {sign} ?", (*parameters, row_id)
        return [empty] if descending else [empty, (f"{key} IS NOT NULL", parameters)]
    following = f"({key}, portal_row_id) {sign} (?, ?)", (*parameters, value, row_id)
    return [following, (f"{key} IS NULL", parameters)] if descending else [following]


ROWS = "mirror_rows"
ROWS_BY_ID = "mirror_rows INDEXED BY mirror_rows_by_portal_row"
# The index is read in its own order, and each row is looked up.
INDEXED_ROWS = """(
    SELECT value AS indexed_value, portal_row_id AS indexed_id, row_id AS indexed_row FROM mirror_values
    WHERE index_id = ?
) CROSS JOIN mirror_rows ON row_id = indexed_row"""


def _find(
    connection: Connection, selection: Selection, condition: str, values: Sequence[SqlValue], limit: int
) -> list[tuple[int, int, SqlValue | None]]:
    """The row id, the portal's id and the ordering value of matching rows, in order."""
    key, parameters = _key(selection)
    direction = " DESC" if selection.descending != selection.backward else ""
    source, sources = _rows(selection), []
    if selection.order is None:
        order = f"row_id{direction}"
    elif _indexed(selection):
        source, sources = INDEXED_ROWS, [selection.order.index_id]
        order = f"indexed_value{direction}, indexed_id{direction}"
    elif selection.order.column == "portal_row_id":
        condition, order = f"{ONE_PART} AND {condition}", f"portal_row_id{direction}"
    else:
        order = f"3{direction}, portal_row_id{direction}"
    query = f"SELECT row_id, portal_row_id, {key} FROM {source} WHERE {condition} ORDER BY {order} LIMIT ? OFFSET ?"
    found = connection.execute(query, (*parameters, *sources, *values, limit, selection.skip)).fetchall()
    return [(row_id, portal_id, None if value == -math.inf else value) for row_id, portal_id, value in found]


LOAD_ITEMS = f"""
SELECT row_id, CAST({RECORD_ITEM} AS BLOB) FROM mirror_rows WHERE row_id IN (SELECT value FROM json_each(?))
"""


def load_items(connection: Connection, row_ids: Sequence[int]) -> list[bytes]:
    """The JSON of records, in the order of *row_ids*."""
    items = dict(connection.execute(LOAD_ITEMS, (orjson.dumps(list(row_ids)).decode(),)).fetchall())
    return [items[row_id] for row_id in row_ids]


def _count(connection: Connection, selection: Selection, condition: str, values: Sequence[SqlValue]) -> int | None:
    if selection.count is None:
        return None
    limited = f"SELECT count(*) FROM (SELECT 1 FROM {_rows(selection)} WHERE {condition} LIMIT ?)"
    (count,) = connection.execute(limited, (*values, selection.count + 1)).fetchone()
    return count if count <= selection.count else None


WINDOW_END = """
SELECT portal_row_id FROM mirror_rows INDEXED BY mirror_rows_by_portal_row
WHERE list_id = ? AND part = 0 AND portal_row_id > ? ORDER BY portal_row_id LIMIT 1 OFFSET ?
"""


def _lines(connection: Connection, window: Window) -> tuple[list[bytes], list[int], int | None] | None:
    if connection.execute(GENERATION, (window.list_id,)).fetchone() is None:
        return None
    end = connection.execute(WINDOW_END, (window.list_id, window.after, window.rows - 1)).fetchone()
    # The rows of a window are looked at one by one: collecting all rows that match would cost more.
    condition, values = _condition(
        Selection(window.list_id, window.condition, zone_s=window.zone_s), is_unselective=lambda _: True
    )
    bound, bounds = ("", ()) if end is None else (" AND portal_row_id <= ?", end)
    query = (
        f"SELECT portal_row_id, CAST({RECORD_ITEM} AS BLOB) FROM mirror_rows"
        f" WHERE {condition} AND part = 0 AND portal_row_id > ?{bound} ORDER BY portal_row_id"
    )
    found = connection.execute(query, (*values, window.after, *bounds)).fetchall()
    return [item for _, item in found], [row_id for row_id, _ in found], None if end is None else end[0]
