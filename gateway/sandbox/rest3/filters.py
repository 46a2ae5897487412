"""The filters of REST 3.0: arrays of conditions and groups, checked against the fields of the object.

Source: [docs] api-reference/rest-v3.md; [srv] rest/lib/v3; protocol notes 9.4
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import inf
from typing import TypeAlias

from gateway.sandbox.php import Value
from gateway.sandbox.query.filters import COMPARISONS
from gateway.sandbox.rest3.dto import Dto, Field, Kind
from gateway.sandbox.rest3.errors import invalid_filter, not_allowed_in, unknown_field, unknown_operator
from gateway.sandbox.tables.table import Row, Rows

Test: TypeAlias = Callable[[Row], bool]

KEY = "id"

OPERATORS = ("=", "!=", *COMPARISONS, "in", "between")
_WITH_A_LIST = ("in", "between")


@dataclass(frozen=True)
class Condition:
    """A field, an operator and the value to compare with."""

    field: Field
    operator: str
    value: Value

    def test(self) -> Test:
        name, comparable = self.field.name, self.field.comparable
        wanted = [comparable(item) for item in (self.value if self.operator in _WITH_A_LIST else [self.value])]
        known = frozenset(wanted)
        if self.operator in ("=", "in"):
            return lambda row: comparable(row.get(name)) in known
        if self.operator == "!=":
            return lambda row: comparable(row.get(name)) not in known
        if self.operator == "between":
            lowest, highest = wanted
            return lambda row: (operand := comparable(row.get(name))) is not None and lowest <= operand <= highest
        bound, compare = wanted[0], COMPARISONS[self.operator]
        return lambda row: None not in (operand := comparable(row.get(name)), bound) and compare(operand, bound)

    def id_range(self) -> tuple[float, float] | None:
        """The open range of ids that the condition allows; None if it is not a range of ids."""
        if self.field.name != KEY or self.operator in ("!=", "in") or self.value is None:
            return None
        if self.operator == "between":
            return self.value[0] - 0.5, self.value[1] + 0.5
        return {
            "=": (self.value - 0.5, self.value + 0.5),
            ">": (self.value, inf),
            ">=": (self.value - 0.5, inf),
            "<": (-inf, self.value),
            "<=": (-inf, self.value + 0.5),
        }[self.operator]


@dataclass(frozen=True)
class Filter:
    """An open range of ids, separate because it makes a list cheap, and the other tests.

    *names* are all fields of the filter.
    """

    above: float
    below: float
    tests: tuple[Test, ...]
    names: frozenset[str]

    def ids(self, table: Rows, *, descending: bool = False) -> Iterator[int]:
        """Yield the ids of matching rows lazily."""
        found = table.ids_between(self.above, self.below)
        for row_id in reversed(found) if descending else found:
            row = {KEY: row_id} if self.names <= {KEY} else table[row_id]
            if all(test(row) for test in self.tests):
                yield row_id


def read_filter(value: Value, dto: Dto, further: Sequence[Value] = ()) -> Filter:
    """Read the filter of a request and add *further* conditions. None is an empty filter.

    Raises:
        Rest3Error: the syntax is invalid, or a field is unknown or not filterable.
    """
    above, below = -inf, inf
    tests: list[Test] = []
    names: set[str] = set()
    for element in (*_elements(value), *further):
        part = _read_element(element, dto, names)
        bounds = part.id_range() if isinstance(part, Condition) else None
        if bounds is not None:
            above, below = max(above, bounds[0]), min(below, bounds[1])
        else:
            tests.append(part.test() if isinstance(part, Condition) else part)
    return Filter(above, below, tuple(tests), frozenset(names))


def _elements(value: Value) -> list[Value]:
    if value is None:
        return []
    if not isinstance(value, list):
        raise invalid_filter(value)
    # The array itself may be the only condition.
    return [value] if value and isinstance(value[0], str) else value


def _read_element(element: Value, dto: Dto, names: set[str]) -> Condition | Test:
    match element:
        case [str(name), value]:
            return _condition(name, "in" if isinstance(value, list) else "=", value, dto, names)
        case [str(name), str(operator), value]:
            return _condition(name, operator, value, dto, names)
        case {"leftOperand": str(name), "operator": str(operator), "rightOperand": value}:
            return _condition(name, operator, value, dto, names)
        case {"logic": "and" | "or" as logic, "conditions": list(elements)}:
            tests = [_test_of(_read_element(item, dto, names)) for item in elements]
            return _group(all if logic == "and" else any, tests, negative=element.get("negative") is True)
    raise invalid_filter(element)


def _test_of(part: Condition | Test) -> Test:
    return part.test() if isinstance(part, Condition) else part


def _group(combine: Callable[[Iterable[bool]], bool], tests: list[Test], *, negative: bool) -> Test:
    return lambda row: combine(test(row) for test in tests) is not negative


def _condition(name: str, operator: str, value: Value, dto: Dto, names: set[str]) -> Condition:
    field = dto.fields.get(name)
    if field is None:
        raise unknown_field(name, dto.name)
    if not field.filterable:
        raise not_allowed_in(dto.name, name, "Filterable")
    if operator not in OPERATORS:
        raise unknown_operator(operator)
    if isinstance(value, list) is not (operator in _WITH_A_LIST):
        raise invalid_filter([name, operator, value])
    if operator == "between" and (len(value) != 2 or None in value or field.kind not in (Kind.INT, Kind.DATE_TIME)):
        raise invalid_filter([name, operator, value])
    for item in value if isinstance(value, list) else [value]:
        field.checked(item)
    names.add(name)
    return Condition(field, operator, value)
