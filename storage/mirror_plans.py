"""Decides by which index the records of a query are found.

SQLite could decide, but it does not know how many rows match: it would sort a list of a million rows to show the first
25, or look at all of them to find none. So the rows that match a comparison are counted first, up to a limit. Few of
them are collected. Otherwise the rows are looked at in the order of the query until enough match, which is soon where
many do.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from sqlite3 import Connection

from storage.conditions import (
    INDEXES,
    Comparison,
    Compiled,
    Group,
    Scope,
    comparisons,
    compile_condition,
    conjuncts,
    is_found_by_index,
    matching_rows,
)
from storage.json_values import Column, QueryField, Sql, SqlValue

MAX_COUNTED_ROWS = 200_000  # by all comparisons of a query

ORDERED: tuple[Column, ...] = ("modified", "portal_row_id")  # whose indexes give the order of a query


@dataclass(frozen=True)
class Source:
    """What rows are selected from, with its parameters. It has those for which *holds* is true."""

    rows: str
    holds: str = "1"
    parameters: tuple[SqlValue, ...] = ()


LISTED = Source("mirror_rows INDEXED BY mirror_rows_listed")  # in the order in which they were stored
COLLECTED = Source("mirror_rows NOT INDEXED")  # by their ids
BY_COLUMN = {column: Source(f"mirror_rows INDEXED BY {index.name}", index.holds) for column, index in INDEXES.items()}
# The values of an index are read in their own order, and each row is looked up; or the value of each collected row is.
_VALUES = """(
    SELECT value AS indexed_value, portal_row_id AS indexed_id, row_id AS indexed_row FROM mirror_values
    WHERE index_id = ?
)"""
_VALUES_FIRST = f"{_VALUES} CROSS JOIN {COLLECTED.rows} ON row_id = indexed_row"
_ROWS_FIRST = f"{COLLECTED.rows} CROSS JOIN {_VALUES} ON row_id = indexed_row"


@dataclass(frozen=True)
class Plan:
    """What to SELECT FROM, under which condition, and the values of the parameters of both."""

    source: str
    condition: str
    parameters: tuple[SqlValue, ...]


def is_ordered_by_values(order: QueryField | None) -> bool:
    """Whether the values of an indexed field give the order."""
    return order is not None and order.index_id is not None and order.column not in ORDERED


class Planner:
    """Plans queries for the live records of a list that meet one *condition*; None stands for all of them.

    *zone_s* is how far the portal's times are ahead of UTC. Up to *max_collected* rows are few.
    """

    def __init__(
        self,
        connection: Connection,
        list_id: int,
        condition: Comparison | Group | None,
        zone_s: int,
        max_collected: int,
    ) -> None:
        self._connection = connection
        self._list_id = list_id
        self._condition = condition
        self._zone_s = zone_s
        self._max_collected = max_collected
        self._found = [comparison for comparison in comparisons(condition) if is_found_by_index(comparison)]
        # A stage is in one pipeline, so it matches fewer rows.
        self._drivers = sorted(
            [found for found in conjuncts(condition) if found.field.column is not None and is_found_by_index(found)],
            key=lambda found: (found.operator != "=", found.field.column != "stage"),
        )
        self._left = MAX_COUNTED_ROWS
        self._few: dict[Sql, bool] = {}

    def rows(self, order: QueryField | None) -> Plan:
        """How to find the records in the order of the field *order*; None: the order in which they were stored."""
        if order is not None and order.index_id is not None and is_ordered_by_values(order):
            index = (order.index_id,)
            return self._plan([], Source(_VALUES_FIRST, parameters=index), Source(_ROWS_FIRST, parameters=index))
        drivers = [driver for driver in self._drivers if _keeps_order(driver, order)]
        ordered = order is not None and order.column in ORDERED
        return self._plan(drivers, _by_column(order) if ordered else LISTED)

    def count(self) -> Plan:
        """How to find the records in any order."""
        return self._plan(self._drivers, LISTED)

    def _plan(self, drivers: Sequence[Comparison], otherwise: Source, collected: Source = COLLECTED) -> Plan:
        """The plan that looks at the fewest rows. The index of each of *drivers* finds them in the right order.

        *otherwise* is the source of all rows, *collected* that of a few.
        """
        driver = self._only(drivers) or next(filter(self._matches_few, drivers), None)
        compiled = self._compile(collects=driver is None)
        if driver is None and compiled.collected:
            return self._of(collected, compiled)
        driver = driver or next(iter(drivers), None)
        return self._of(otherwise if driver is None else _by_column(driver.field), compiled)

    def _only(self, drivers: Sequence[Comparison]) -> Comparison | None:
        """The first of *drivers* if no other index could help. The index of stages has the pipelines too."""
        first = next(iter(drivers), None)
        if first is None:
            return None
        covered = ("category",) if first.field.column == "stage" else ()
        others = [found for found in self._found if found != first and found.field.column not in covered]
        return None if others else first

    def _matches_few(self, comparison: Comparison) -> bool:
        return self._is_few(matching_rows(comparison, self._list_id))

    def _is_few(self, rows: Sql) -> bool:
        """Whether the SELECT *rows* finds few rows; False once too many have been counted."""
        if rows not in self._few:
            text, parameters = rows
            most = min(self._max_collected, self._left)
            counted = f"SELECT count(*) FROM ({text} LIMIT {most + 1})"
            (count,) = self._connection.execute(counted, parameters).fetchone()
            self._few[rows] = count <= most
            self._left = max(self._left - count, 0)
        return self._few[rows]

    def _compile(self, *, collects: bool) -> Compiled:
        return _compile(self._condition, Scope(self._list_id, self._zone_s, self._is_few if collects else _never))

    def _of(self, source: Source, compiled: Compiled) -> Plan:
        return _of(source, self._list_id, compiled)


def plan_window(list_id: int, condition: Group | None, zone_s: int) -> Plan:
    """How to look at the live records of a list that meet *condition* one by one, by ascending id."""
    return _of(BY_COLUMN["portal_row_id"], list_id, _compile(condition, Scope(list_id, zone_s, _never)))


def _by_column(field: QueryField | None) -> Source:
    """The rows by the index of the field's typed column."""
    assert field is not None
    assert field.column is not None
    return BY_COLUMN[field.column]


def _keeps_order(comparison: Comparison, order: QueryField | None) -> bool:
    """Whether the index of its column gives the matching rows in the order."""
    column, operator = comparison.field.column, comparison.operator
    if order is None:
        return operator == "=" and column not in ORDERED
    if order.column in ORDERED:
        return operator != "in" and column == order.column
    return True  # no index gives this order: the rows are sorted


def _never(_rows: Sql) -> bool:
    return False


def _compile(condition: Comparison | Group | None, scope: Scope) -> Compiled:
    return Compiled("1") if condition is None else compile_condition(condition, scope)


def _of(source: Source, list_id: int, compiled: Compiled) -> Plan:
    condition = f"list_id = ? AND deleted = 0 AND {source.holds} AND {compiled.text}"
    return Plan(source.rows, condition, (*source.parameters, list_id, *compiled.parameters))
