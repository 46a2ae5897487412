"""What every list method shares: filter, order, select and pages, over a table and the kinds of its columns."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from typing import Any, TypeAlias

from gateway.sandbox.errors import CallError
from gateway.sandbox.php import Value, as_number, entries_of, is_array
from gateway.sandbox.table import Row, Table

PAGE_ROWS = 50


class Kind(Enum):
    """How the values of a column are compared."""

    NUMBER = "number"
    TEXT = "text"
    BOOL = "bool"
    DATE = "date"
    NUMBERS = "numbers"


Columns: TypeAlias = Mapping[str, Kind]
Test: TypeAlias = Callable[[Row], bool]
Order: TypeAlias = Sequence[tuple[str, bool]]  # column, descending?

# Longest first. Source: [docs] settings/how-to-call-rest-api/list-methods-pecularities.md
OPERATORS = ("!=%", "!%=", "!@", "!=", "!%", ">=", "<=", "=%", "%=", "!", "=", ">", "<", "@", "%")


@dataclass(frozen=True)
class Schema:
    """What a list method knows of its rows: columns that can be named, the id, what it does with other names.

    *strict* methods refuse a name they do not know; the others drop it, and the list comes unfiltered.
    """

    columns: Columns
    key: str
    strict: bool = False
    nested: bool = False  # filters may hold groups with ``logic``


@dataclass(frozen=True)
class Window:
    """Which rows of a list to send. Without *counted* (``start=-1``) nothing is counted, and ``total`` is 0."""

    offset: int = 0
    counted: bool = True
    whole: bool = False  # no pages: everything at once

    @classmethod
    def at(cls, start: Value, *, whole_pages: bool) -> "Window":
        """The window of a ``start``: classic methods go down to a full page, controllers take it literally."""
        rows = int(as_number(start))
        if rows < 0:
            return cls(counted=False)
        return cls(rows - rows % PAGE_ROWS if whole_pages else rows)


@dataclass(frozen=True)
class Page:
    rows: list[Row]
    total: int
    next: int | None


@dataclass(frozen=True)
class Filter:
    """The conditions of a filter: an open range of ids, apart because it makes a list cheap, and the other tests."""

    above: float
    below: float
    tests: tuple[Test, ...]

    def ids(self, table: Table) -> Sequence[int]:
        found = table.ids_between(self.above, self.below)
        if not self.tests:
            return found
        return [row_id for row_id in found if all(test(table[row_id]) for test in self.tests)]


def read_filter(given: Value, schema: Schema) -> Filter:
    """The filter in ``{"<operator>COLUMN": value}``.

    Raises:
        CallError: a strict method does not know the column.
    """
    above, below = float("-inf"), float("inf")
    tests: list[Test] = []
    for entry, value in entries_of(given).items():
        operator, column = split_operator(entry)
        if column == schema.key and operator in (">", ">=", "<", "<="):
            bound = as_number(value)
            if operator == ">":
                above = max(above, bound)
            elif operator == ">=":
                above = max(above, _just_below(bound))
            elif operator == "<":
                below = min(below, bound)
            else:
                below = min(below, _just_above(bound))
        elif test := _read_test(entry, value, schema):
            tests.append(test)
    return Filter(above, below, tuple(tests))


def split_operator(entry: str) -> tuple[str, str]:
    """``">=ID"`` as ``(">=", "ID")``; a bare name means equality."""
    for operator in OPERATORS:
        if entry.startswith(operator):
            return operator, entry.removeprefix(operator)
    return "=", entry


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


def _read_test(entry: str, value: Value, schema: Schema) -> Test | None:
    if schema.nested and entry.isdigit() and is_array(value):
        return _read_group(entries_of(value), schema)
    operator, column = split_operator(entry)
    if column not in schema.columns:
        if schema.strict and not (schema.nested and column == "logic"):
            raise CallError("INVALID_ARG_VALUE", f"Invalid filter: field '{column}' is not allowed in filter")
        return None
    return _column_test(operator, column, value, schema.columns[column])


def _read_group(entries: dict[str, Value], schema: Schema) -> Test:
    combine = any if str(entries.pop("logic", "AND")).upper() == "OR" else all
    tests = [test for entry, value in entries.items() if (test := _read_test(entry, value, schema))]
    return lambda row: combine(test(row) for test in tests)


def _column_test(operator: str, column: str, value: Value, kind: Kind) -> Test:
    negative = operator.startswith("!")
    operator = operator.removeprefix("!")
    matches: Callable[[Value], bool]
    if "%" in operator:
        matches = _like(value, wildcards=operator != "%")
    elif operator in ("", "=", "@"):
        wanted = [_comparable(item, kind) for item in (entries_of(value).values() if is_array(value) else [value])]

        def matches(found: Value) -> bool:
            if kind is Kind.NUMBERS:
                return any(number in wanted for number in (found or [None]))
            return _comparable(found, kind) in wanted
    else:
        bound = _comparable(value, kind)
        compare = _COMPARISONS[operator]

        def matches(found: Value) -> bool:
            own = _comparable(found, kind)
            return own is not None and bound is not None and compare(own, bound)

    return lambda row: matches(row.get(column)) is not negative


_COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    ">": lambda own, bound: own > bound,
    ">=": lambda own, bound: own >= bound,
    "<": lambda own, bound: own < bound,
    "<=": lambda own, bound: own <= bound,
}


def _like(value: Value, *, wildcards: bool) -> Callable[[Value], bool]:
    text = str(value).casefold()
    pattern = re.compile(
        ".*".join(map(re.escape, text.split("%"))) if wildcards else f".*{re.escape(text)}.*", re.DOTALL
    )
    return lambda found: pattern.fullmatch(str("" if found is None else found).casefold()) is not None


def _comparable(value: Value, kind: Kind) -> Any:
    """*value* in a form that compares as the portal's column does; None for an empty one."""
    if value in (None, "", [], {}):
        return None
    if kind in (Kind.NUMBER, Kind.NUMBERS):
        return as_number(value)
    if kind is Kind.BOOL:
        return value in (True, 1, "1", "Y", "y", "true")
    if kind is Kind.DATE:
        return _timestamp(value)
    return str(value).casefold()


def _timestamp(value: Value) -> float:
    """Unix time of an ISO date; for what is no date a number unlike every other, so that it finds nothing."""
    try:
        moment = datetime.fromisoformat(str(value))
    except ValueError:
        return float("nan")
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _sort_key(value: Value, kind: Kind) -> Any:
    comparable = _comparable(value, kind)
    if kind is Kind.TEXT:
        return comparable or ""
    if kind is Kind.NUMBERS:
        return value[0] if value else 0
    return float("-inf") if comparable is None else comparable


def _just_below(bound: float) -> float:
    return bound - 0.5 if bound.is_integer() else bound


def _just_above(bound: float) -> float:
    return bound + 0.5 if bound.is_integer() else bound
