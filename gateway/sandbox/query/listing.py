"""Order, select and pages of the REST 2 lists, over a table and the schema of its rows."""

import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from gateway.sandbox.errors import CallError
from gateway.sandbox.php import Value, as_number, entries_of
from gateway.sandbox.query.filters import Filter, Kind, Schema, comparable, read_filter
from gateway.sandbox.tables.table import WHOLE_ROW, Projection, Row, Rows

PAGE_ROWS = 50

Order: TypeAlias = Sequence[tuple[str, bool]]  # column, descending?


@dataclass(frozen=True)
class Window:
    """Which rows of a list to return. If not *counted* (``start=-1``), ``total`` is 0."""

    offset: int = 0
    counted: bool = True
    unpaged: bool = False  # all rows in one answer
    page_rows: int = PAGE_ROWS

    @classmethod
    def at(cls, start: Value, *, whole_pages: bool, page_rows: int) -> "Window":
        """The window of a ``start``. Classic methods round it down to a full page, controllers use it as it is."""
        number = as_number(start)
        if number < 0:
            return cls(counted=False, page_rows=page_rows)
        skipped = int(min(number, sys.maxsize))
        return cls(skipped - skipped % page_rows if whole_pages else skipped, page_rows=page_rows)


@dataclass(frozen=True)
class Effort:
    """The work for a list: the rows of the counted table (0 if not counted) and the rows skipped."""

    counted_rows: int = 0
    skipped_rows: int = 0


@dataclass(frozen=True)
class Page:
    """The rows of one page with their ids."""

    ids: Sequence[int]
    rows: list[Row]
    total: int
    next: int | None
    effort: Effort


def read_order(value: Value, schema: Schema) -> Order:
    """Read the order ``{"COLUMN": "DESC"}``. Any other direction is ascending.

    Raises:
        CallError: a strict method gets an unknown column.
    """
    order = []
    for name, direction in entries_of(value).items():
        column = schema.name_of(name)
        if column in schema.columns:
            order.append((column, str(direction).upper() == "DESC"))
        elif schema.strict:
            raise CallError("INVALID_ARG_VALUE", f"Invalid order: field '{column}' is not allowed in order")
    return order


def find(
    table: Rows,
    conditions: Filter,
    order: Order,
    schema: Schema,
    window: Window,
    projection: Projection = WHOLE_ROW,
) -> Page:
    """Return one page of the rows that match *conditions*, ties by ascending id, through *projection*."""
    is_by_id = all(column == schema.key for column, _ in order)
    first_page_only = is_by_id and not window.counted and not any(descending for _, descending in order)
    ids = _sorted_ids(table, conditions.ids(table, limit=window.page_rows if first_page_only else None), order, schema)
    end = len(ids) if window.unpaged else window.offset + window.page_rows
    if order and order[0] == (schema.key, True):
        picked = ids[max(len(ids) - end, 0) : max(len(ids) - window.offset, 0)][::-1]
    else:
        picked = ids[window.offset : end]
    rows = table.project(picked, projection)
    if not window.counted:
        return Page(picked, rows, total=0, next=None, effort=Effort())
    effort = Effort() if window.unpaged else Effort(len(table), min(window.offset, len(ids)))
    return Page(picked, rows, total=len(ids), next=end if end < len(ids) else None, effort=effort)


def has_row_with(table: Rows, column: str, value: Value) -> bool:
    """Whether a row of *table* has this *value*, a number or a text."""
    kind = Kind.NUMBER if isinstance(value, int) else Kind.TEXT
    return bool(read_filter({column: value}, Schema({column: kind}, key="")).ids(table, limit=1))


def _sorted_ids(table: Rows, ids: Sequence[int], order: Order, schema: Schema) -> Sequence[int]:
    """Sort the ascending *ids* by *order*. If the id comes first in it, they stay ascending."""
    if order and order[0][0] == schema.key:
        return ids
    for column, descending in reversed(order):
        if column == schema.key:
            ids = sorted(ids, reverse=descending)
        else:
            ids = sorted(ids, key=_sorted_by(table, column, schema), reverse=descending)
    return ids


def _sorted_by(table: Rows, column: str, schema: Schema) -> Callable[[int], Any]:
    stored, kind = schema.stored.get(column, column), schema.columns[column]
    columns = frozenset({stored})
    return lambda row_id: _sort_key(table.read_columns(row_id, columns).get(stored), kind)


def select_columns(row: Row, names: Iterable[str]) -> Row:
    """The columns selected by *names*: ``*`` selects all standard columns, ``UF_*`` all custom ones."""
    wanted = set(names)
    everything, custom = "*" in wanted, "UF_*" in wanted
    return {
        name: value
        for name, value in row.items()
        if name in wanted or (custom if name.startswith("UF_") else everything)
    }


def _sort_key(value: Value, kind: Kind) -> Any:
    if kind is Kind.NUMBERS:
        return value[0] if value else 0
    found = comparable(value, kind)
    if kind is Kind.TEXT:
        return found or ""
    return float("-inf") if found is None else found
