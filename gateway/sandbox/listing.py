"""What every list method shares: order, select and pages, over a table and the schema of its rows."""

import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from gateway.sandbox.errors import CallError
from gateway.sandbox.filters import Filter, Kind, Schema, comparable
from gateway.sandbox.php import Value, as_number, entries_of
from gateway.sandbox.table import Row, Table

PAGE_ROWS = 50

Order: TypeAlias = Sequence[tuple[str, bool]]  # column, descending?


@dataclass(frozen=True)
class Window:
    """Which rows of a list to send. Without *counted* (``start=-1``) nothing is counted, and ``total`` is 0."""

    offset: int = 0
    counted: bool = True
    whole: bool = False  # no pages: everything at once

    @classmethod
    def at(cls, start: Value, *, whole_pages: bool) -> "Window":
        """The window of a ``start``: classic methods go down to a full page, controllers take it literally."""
        number = as_number(start)
        if number < 0:
            return cls(counted=False)
        rows = int(min(number, sys.maxsize))
        return cls(rows - rows % PAGE_ROWS if whole_pages else rows)


@dataclass(frozen=True)
class Page:
    rows: list[Row]
    total: int
    next: int | None


def read_order(given: Value, schema: Schema) -> Order:
    """The order in ``{"COLUMN": "DESC"}``; what is not DESC ascends.

    Raises:
        CallError: a strict method does not know the column.
    """
    order = []
    for column, direction in entries_of(given).items():
        if column in schema.columns:
            order.append((column, str(direction).upper() == "DESC"))
        elif schema.strict:
            raise CallError("INVALID_ARG_VALUE", f"Invalid order: field '{column}' is not allowed in order")
    return order


def find(table: Table, conditions: Filter, order: Order, schema: Schema, window: Window) -> Page:
    """One page of the rows that meet the *conditions*, ties by ascending id."""
    ids = _sorted_ids(table, conditions.ids(table), order, schema)
    end = len(ids) if window.whole else window.offset + PAGE_ROWS
    rows = [table[row_id] for row_id in ids[window.offset : end]]
    if not window.counted:
        return Page(rows, total=0, next=None)
    return Page(rows, total=len(ids), next=end if end < len(ids) else None)


def _sorted_ids(table: Table, ids: Sequence[int], order: Order, schema: Schema) -> Sequence[int]:
    """*ids*, which come ascending, in the *order*."""
    for column, descending in reversed(order):
        if column != schema.key:
            ids = sorted(ids, key=_sorted_by(table, column, schema.columns[column]), reverse=descending)
        elif descending or len(order) > 1:
            ids = sorted(ids, reverse=descending)
    return ids


def _sorted_by(table: Table, column: str, kind: Kind) -> Callable[[int], Any]:
    return lambda row_id: _sort_key(table[row_id].get(column), kind)


def select_columns(row: Row, names: Iterable[str]) -> Row:
    """The columns that *names* asks for: ``*`` is every ordinary one, ``UF_*`` every custom one."""
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
