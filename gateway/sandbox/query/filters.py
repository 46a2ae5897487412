"""The filters of REST 2 lists: columns, comparison of values, operators and groups of conditions."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum
from functools import cached_property
from itertools import chain, islice
from math import inf, isnan
from operator import ge, gt, le, lt
from typing import Any, TypeAlias

from gateway.sandbox.errors import CallError
from gateway.sandbox.php import Value, as_number, entries_of, is_array, is_whole
from gateway.sandbox.tables.ids import ChainedIds
from gateway.sandbox.tables.table import Rows, Test
from gateway.sandbox.tables.time_bands import Spans


class Kind(Enum):
    """How values of a column are compared."""

    NUMBER = "number"
    TEXT = "text"
    BOOL = "bool"
    DATE = "date"
    NUMBERS = "numbers"
    MULTIFIELD = "multifield"


Columns: TypeAlias = Mapping[str, Kind]

# Longest first, by family of methods. Any other character before a name is part of it, which makes the name unknown.
# Source: [docs] api-reference/crm/deals/crm-deal-list.md, crm/universal/crm-item-list.md, user/user-get.md
OPERATORS = ("!@", "!=", ">=", "<=", "=%", "%=", "!", "=", ">", "<", "@", "%")  # of the old lists
WITH_NOT_LIKE = ("!=%", "!%=", "!%", *OPERATORS)
COMPARISONS: Mapping[str, Callable[[Any, Any], bool]] = {">": gt, ">=": ge, "<": lt, "<=": le}


@dataclass(frozen=True)
class Schema:
    """The columns that a list method knows, its id column, and how it treats other names.

    *strict* methods refuse an unknown name. The others ignore it, so the list is not filtered. *stored* maps the names
    of a method to different names in the table; a request may use either. For the columns in *exact* LIKE means
    equality. An empty condition on a column in *drops_empty* is ignored. *custom_tests* are conditions by name that do
    not compare a single column.
    """

    columns: Columns
    key: str
    strict: bool = False
    operators: tuple[str, ...] = OPERATORS
    logic: str | None = None  # the key of the operator of a group; None if filters have no groups
    group: str = ""  # the prefix of the names of groups that are not numbers
    stored: Mapping[str, str] = field(default_factory=dict)
    exact: frozenset[str] = frozenset()
    drops_empty: frozenset[str] = frozenset()
    custom_tests: "Mapping[str, CustomTest]" = field(default_factory=dict)

    def name_of(self, name: str) -> str:
        """Return the method's name for a column named by the method or by the table.

        Source: [docs] api-reference/crm/universal/index.md
        """
        return name if name in self.columns else self._by_stored.get(name, name)

    @cached_property
    def _by_stored(self) -> Mapping[str, str]:
        return {stored: name for name, stored in self.stored.items()}


@dataclass(frozen=True)
class CustomTest:
    """A condition that does not compare a single column. *make* builds its test, which reads these *columns*.

    *make* returns None for a value that the portal ignores.
    """

    columns: frozenset[str]
    make: Callable[[Value], Test | None]


@dataclass(frozen=True)
class Filter:
    """The conditions of a filter: ranges of ids and of times, separate because they make a list cheap, and all tests.

    *among* holds the only ids requested, None for any. *columns* are those that the tests read. *spans* are the times
    that some of the tests allow; *only_spans* says whether there are no other tests.
    """

    above: float
    below: float
    among: frozenset[int] | None
    tests: tuple[Test, ...]
    columns: frozenset[str]
    spans: Spans = field(default_factory=dict)
    only_spans: bool = False

    def ids(self, table: Rows, *, limit: int | None = None) -> Sequence[int]:
        """Return the ids of matching rows, ascending. With tests, return only the first *limit*."""
        if self.among is not None:
            found = sorted(row_id for row_id in self.among if self.above < row_id < self.below and row_id in table)
            return list(islice(self._matching(table, found), limit)) if self.tests else found
        if not self.tests:
            return table.ids_between(self.above, self.below)
        parts = table.parts_between(self.above, self.below, self.spans)
        if limit is None and self.only_spans:
            return ChainedIds(part.ids if part.is_certain else list(self._matching(table, part.ids)) for part in parts)
        return list(islice(self._matching(table, chain.from_iterable(part.ids for part in parts)), limit))

    def _matching(self, table: Rows, ids: Iterable[int]) -> Iterator[int]:
        return table.matching_ids(ids, lambda row: all(test(row) for test in self.tests), self.columns)


def read_filter(conditions: Value, schema: Schema) -> Filter:
    """Read the filter ``{"<operator>COLUMN": value}``.

    Raises:
        CallError: a strict method gets an unknown column.
    """
    above, below = float("-inf"), float("inf")
    among: frozenset[int] | None = None
    tests: list[Test] = []
    columns: set[str] = set()
    spans: dict[str, tuple[float, float]] = {}
    only_spans = True
    entries = entries_of(conditions)
    if _is_or(entries, schema):
        return Filter(above, below, None, (_read_group(entries, schema, columns),), frozenset(columns))
    for entry, value in entries.items():
        operator, column = split_operator(entry, schema.operators)
        column = schema.name_of(column)
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
        elif column == schema.key and operator in ("=", "@"):
            wanted = _ids_in(value)
            among = wanted if among is None else among & wanted
        elif test := _read_test(entry, value, schema, columns):
            tests.append(test)
            moment = comparable(value, Kind.DATE) if schema.columns.get(column) is Kind.DATE else None
            if operator in COMPARISONS and moment is not None and not isnan(moment):
                stored = schema.stored.get(column, column)
                spans[stored] = _narrowed(spans.get(stored, (-inf, inf)), operator, moment)
            else:
                only_spans = False
    return Filter(above, below, among, tuple(tests), frozenset(columns), spans, only_spans)


def _narrowed(span: tuple[float, float], operator: str, bound: float) -> tuple[float, float]:
    """*span* within a *bound*, which is always part of it."""
    earliest, latest = span
    return (max(earliest, bound), latest) if operator.startswith(">") else (earliest, min(latest, bound))


def _ids_in(value: Value) -> frozenset[int]:
    numbers = [comparable(item, Kind.NUMBER) for item in (entries_of(value).values() if is_array(value) else [value])]
    return frozenset(int(number) for number in numbers if number is not None and is_whole(number))


def split_operator(entry: str, operators: Sequence[str]) -> tuple[str, str]:
    """``">=ID"`` as ``(">=", "ID")``. A name without an operator means equality."""
    for operator in operators:
        if entry.startswith(operator):
            return operator, entry.removeprefix(operator)
    return "=", entry


def _read_test(entry: str, value: Value, schema: Schema, columns: set[str]) -> Test | None:
    """The test of one entry, None if it is ignored. Adds the table columns that it reads to *columns*."""
    if _is_group(entry, schema) and is_array(value):
        return _read_group(entries_of(value), schema, columns)
    operator, column = split_operator(entry, schema.operators)
    column = schema.name_of(column)
    if column in schema.custom_tests:
        custom = schema.custom_tests[column]
        columns.update(custom.columns)
        test = custom.make(value)
        return test if test is None or not operator.startswith("!") else lambda row: not test(row)
    if column not in schema.columns:
        if schema.strict and column != schema.logic:
            raise CallError("INVALID_ARG_VALUE", f"Invalid filter: field '{column}' is not allowed in filter")
        return None
    if column in schema.drops_empty and value in ("", None, [], {}):
        return None
    stored, kind = schema.stored.get(column, column), schema.columns[column]
    columns.add(stored)
    if column in schema.exact:
        operator = operator.replace("%", "")
    return _column_test(operator, stored, value, kind)


def _read_group(entries: dict[str, Value], schema: Schema, columns: set[str]) -> Test:
    combine = any if _is_or(entries, schema) else all
    tests = [test for entry, value in entries.items() if (test := _read_test(entry, value, schema, columns))]
    return lambda row: combine(test(row) for test in tests)


def _is_group(entry: str, schema: Schema) -> bool:
    """Whether *entry* is the name of a group of conditions."""
    if schema.logic is None:
        return False
    return entry.isdigit() or bool(schema.group and entry.startswith(schema.group))


def _is_or(group: dict[str, Value], schema: Schema) -> bool:
    """Whether the group is joined by OR."""
    return schema.logic is not None and str(group.get(schema.logic)).upper() == "OR"


def _column_test(operator: str, column: str, value: Value, kind: Kind) -> Test:
    negative = operator.startswith("!")
    operator = operator.removeprefix("!")
    matches: Callable[[Value], bool]
    if "%" in operator:
        matches = _like(value, wildcards=operator != "%")
    elif operator in ("", "=", "@"):
        wanted = [comparable(item, kind) for item in (entries_of(value).values() if is_array(value) else [value])]

        def matches(found: Value) -> bool:
            return any(comparable(item, kind) in wanted for item in _values(found, kind))

    else:
        bound = comparable(value, kind)
        compare = COMPARISONS[operator]

        def matches(found: Value) -> bool:
            operand = comparable(found, kind)
            return operand is not None and bound is not None and compare(operand, bound)

    return lambda row: matches(row.get(column)) is not negative


def _values(found: Value, kind: Kind) -> Sequence[Value]:
    """The values of a column, any of which may match. An empty column has the value None."""
    if found is False and kind is not Kind.BOOL:  # an empty multiple field
        return [None]
    if not isinstance(found, list):
        return [found]
    return [item["VALUE"] if kind is Kind.MULTIFIELD else item for item in found] or [None]


def _like(value: Value, *, wildcards: bool) -> Callable[[Value], bool]:
    text = str(value).casefold()
    pattern = re.compile(
        ".*".join(map(re.escape, text.split("%"))) if wildcards else f".*{re.escape(text)}.*", re.DOTALL
    )
    return lambda found: pattern.fullmatch(str("" if found is None else found).casefold()) is not None


def comparable(value: Value, kind: Kind) -> Any:
    """*value* in a form that compares as the portal's column does; None for an empty value."""
    if value is None or value == "" or value == [] or value == {}:
        return None
    if kind in (Kind.NUMBER, Kind.NUMBERS):
        return as_number(value)
    if kind is Kind.BOOL:
        return value in (True, 1, "1", "Y", "y", "true")
    if kind is Kind.DATE:
        return _timestamp(value)
    return str(value).casefold()


def _timestamp(value: Value) -> float:
    """The Unix time of an ISO date. An invalid date is NaN, which matches nothing."""
    try:
        moment = datetime.fromisoformat(str(value))
    except ValueError:
        return float("nan")
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _just_below(bound: float) -> float:
    return bound - 1 if is_whole(bound) else bound


def _just_above(bound: float) -> float:
    return bound + 1 if is_whole(bound) else bound
