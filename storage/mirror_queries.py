"""Queries of mirrored records: filtered, ordered, page by page or by keyset."""

import math
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from sqlite3 import Connection

import orjson

from gateway.memory import LruCache
from storage.conditions import INDEXES, Comparison, Group, comparisons, order_expression
from storage.database import Database
from storage.json_values import Kind, QueryField, Sql, SqlValue
from storage.mirror import RECORD_ITEM, find_list
from storage.mirror_indexes import ready_indexes
from storage.mirror_plans import Plan, Planner, is_ordered_by_values, plan_window
from storage.records import ListFacts, Portal

Position = tuple[SqlValue | None, int]
"""Where a row is in its order: the value that rows are ordered by, and the id that decides between equal ones."""

MAX_COLLECTED_ROWS = 10_000  # by their ids; if more match, each row is looked at
COUNT_CACHE_BYTES = 2 * 1024 * 1024
COUNT_BYTES, COMPARISON_BYTES = 512, 512  # estimated size of a cached count, and of each comparison without its values
BY_ID = INDEXES["portal_row_id"]


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


@dataclass(frozen=True)
class Counted:
    """How many rows of a list match at a generation; None if there are too many to count."""

    generation: int
    rows: int | None


_CountKey = tuple[int, Comparison | Group | None, int, int]
"""List, condition, the zone of its times, and the number up to which rows are counted."""


class QueryStore:
    """Reads records for callers. The numbers of matching rows are cached until their list changes."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._counts: LruCache[_CountKey, Counted] = LruCache(COUNT_CACHE_BYTES, _weigh)

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
        if selection.count is None:
            return await self._database.query(timeout, select_records, selection, None)
        key = (selection.list_id, selection.condition, selection.zone_s, selection.count)
        selected = await self._database.query(timeout, select_records, selection, self._counts.get(key))
        if selected is not None:
            self._counts.remember(key, Counted(selected.generation, selected.count))
        return selected

    async def lines(
        self, window: Window, timeout: AbstractAsyncContextManager[object]
    ) -> tuple[list[bytes], list[int], int | None] | None:
        """Return the matching records of *window*, as JSON, with their ids, and the id up to which they are all.

        That id is None at the end of the list. Return None if the list was purged.

        Raises:
            TimeoutError: *timeout* ended the query.
        """
        return await self._database.query(timeout, _lines, window)


def _weigh(key: _CountKey, _counted: Counted) -> int:
    found = comparisons(key[1])
    return COUNT_BYTES + sum(COMPARISON_BYTES + sum(len(str(value)) for value in item.values) * 4 for item in found)


LIST_ZONE = "SELECT zone_s FROM sync_settings WHERE list_id = :list_id"


def _facts(connection: Connection, account_id: int, portal_id: int, resource: str) -> QueryFacts | None:
    facts = find_list(connection, account_id, portal_id, resource)
    if facts is None:
        return None
    zone = connection.execute(LIST_ZONE, {"list_id": facts.list_id}).fetchone()
    zone_s = (zone and zone[0]) or 0
    return QueryFacts(facts, zone_s, ready_indexes(connection, facts.list_id, zone_s))


GENERATION = "SELECT generation FROM mirror_lists JOIN sync_settings USING (list_id) WHERE list_id = ?"


def select_records(
    connection: Connection, selection: Selection, counted: Counted | None, max_collected: int = MAX_COLLECTED_ROWS
) -> SelectedRecords | None:
    """Return the records of *selection*; None if its list was purged. They are *counted* if that is still true.

    How they are found depends on *max_collected*.
    """
    if (listed := connection.execute(GENERATION, (selection.list_id,)).fetchone()) is None:
        return None
    planner = Planner(connection, selection.list_id, selection.condition, selection.zone_s, max_collected)
    plan = planner.rows(selection.order)
    found: list[tuple[int, int, SqlValue | None]] = []
    for keyset in _segments(selection):
        missing = selection.size + 1 - len(found)
        if missing > 0:
            found += _find(connection, selection, plan, keyset, missing)
    more = len(found) > selection.size
    del found[selection.size :]
    if selection.backward:
        found.reverse()
    items = load_items(connection, [row_id for row_id, _, _ in found])
    positions = [(value, row_id if selection.order is None else portal_id) for row_id, portal_id, value in found]
    if counted is not None and counted.generation == listed[0]:
        return SelectedRecords(listed[0], items, positions, more, counted.rows)
    return SelectedRecords(listed[0], items, positions, more, _count(connection, selection, planner))


def _key(selection: Selection) -> Sql:
    """The expression of the value that rows are ordered by."""
    if selection.order is None:
        return "NULL", ()
    if is_ordered_by_values(selection.order):
        return "indexed_value", ()
    return order_expression(selection.order, selection.zone_s)


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
    if is_ordered_by_values(selection.order):
        return [(f"(indexed_value, indexed_id) {sign} (?, ?)", (-math.inf if value is None else value, row_id))]
    key, parameters = _key(selection)
    if value is None:
        empty = f"{key} IS NULL AND portal_row_id {sign} ?", (*parameters, row_id)
        return [empty] if descending else [empty, (f"{key} IS NOT NULL", parameters)]
    following = f"({key}, portal_row_id) {sign} (?, ?)", (*parameters, value, row_id)
    return [following, (f"{key} IS NULL", parameters)] if descending else [following]


def _find(
    connection: Connection, selection: Selection, plan: Plan, keyset: Sql, limit: int
) -> list[tuple[int, int, SqlValue | None]]:
    """The row id, the portal's id and the ordering value of matching rows, in order."""
    key, parameters = _key(selection)
    direction = " DESC" if selection.descending != selection.backward else ""
    if selection.order is None:
        order = f"row_id{direction}"
    elif is_ordered_by_values(selection.order):
        order = f"indexed_value{direction}, indexed_id{direction}"
    elif selection.order.column == "portal_row_id":
        order = f"portal_row_id{direction}"
    else:
        order = f"3{direction}, portal_row_id{direction}"
    query = (
        f"SELECT row_id, portal_row_id, {key} FROM {plan.source} WHERE {plan.condition} AND {keyset[0]}"
        f" ORDER BY {order} LIMIT ? OFFSET ?"
    )
    values = (*parameters, *plan.parameters, *keyset[1], limit, selection.skip)
    found = connection.execute(query, values).fetchall()
    return [(row_id, portal_id, None if value == -math.inf else value) for row_id, portal_id, value in found]


LOAD_ITEMS = f"""
SELECT row_id, CAST({RECORD_ITEM} AS BLOB) FROM mirror_rows WHERE row_id IN (SELECT value FROM json_each(?))
"""


def load_items(connection: Connection, row_ids: Sequence[int]) -> list[bytes]:
    """The JSON of records, in the order of *row_ids*."""
    items = dict(connection.execute(LOAD_ITEMS, (orjson.dumps(list(row_ids)).decode(),)).fetchall())
    return [items[row_id] for row_id in row_ids]


def _count(connection: Connection, selection: Selection, planner: Planner) -> int | None:
    if selection.count is None:
        return None
    plan = planner.count()
    limited = f"SELECT count(*) FROM (SELECT 1 FROM {plan.source} WHERE {plan.condition} LIMIT ?)"
    (count,) = connection.execute(limited, (*plan.parameters, selection.count + 1)).fetchone()
    return count if count <= selection.count else None


# Deleted rows count too: whether a row is deleted is not in the index.
WINDOW_END = f"""
SELECT portal_row_id FROM mirror_rows INDEXED BY {BY_ID.name}
WHERE list_id = ? AND {BY_ID.holds} AND portal_row_id > ? ORDER BY portal_row_id LIMIT 1 OFFSET ?
"""


def _lines(connection: Connection, window: Window) -> tuple[list[bytes], list[int], int | None] | None:
    if connection.execute(GENERATION, (window.list_id,)).fetchone() is None:
        return None
    end = connection.execute(WINDOW_END, (window.list_id, window.after, window.rows - 1)).fetchone()
    plan = plan_window(window.list_id, window.condition, window.zone_s)
    bound, bounds = ("", ()) if end is None else (" AND portal_row_id <= ?", end)
    query = (
        f"SELECT portal_row_id, CAST({RECORD_ITEM} AS BLOB) FROM {plan.source}"
        f" WHERE {plan.condition} AND portal_row_id > ?{bound} ORDER BY portal_row_id"
    )
    found = connection.execute(query, (*plan.parameters, window.after, *bounds)).fetchall()
    return [item for _, item in found], [row_id for row_id, _ in found], None if end is None else end[0]
