"""Reads a filter in the grammar of REST 3.0 into a condition on the records of one list.

Every name, operator and value is checked against the list's fields. All mistakes are reported at once.

Source: contract/rest3.md 7 and T2-T5 (b24restdocs api-reference/rest-v3.md)
"""

from collections.abc import Mapping
from typing import NoReturn, get_args

from gateway.bitrix.lists.suggestions import suggest_operator
from gateway.errors import MAX_ERRORS, FieldError, InvalidInput
from gateway.mirror.filter_values import read_value
from gateway.mirror.query_fields import MAX_SUGGESTIONS, QueryFields
from storage.conditions import Comparison, Group, Operator
from storage.json_values import Kind, QueryField, SqlValue

OPERATORS: tuple[Operator, ...] = get_args(Operator)
LOGICS = ("and", "or")
GROUP_KEYS = ("logic", "negative", "conditions")
TAKE_EMPTY = ("=", "!=", "in")  # operators that find empty fields
MAX_DEPTH = 32  # of nested groups
MAX_CONDITIONS = 1000  # in all, groups included
MAX_VALUES = 1000  # in a list after in
MAX_ALL_VALUES = 10_000  # SQLite takes 32,766 parameters
MAX_OPERATOR_CHARACTERS = 16  # longer ones get no suggestion


def parse_filter(value: object, fields: QueryFields) -> Group:
    """The condition that *value*, the JSON of a `filter`, describes.

    `null`, or an empty text, after ``=``, ``!=`` and in a list after ``in`` stands for an empty field. An empty list
    after ``in`` matches nothing. All of no conditions matches every row, any of none matches no row.

    Raises:
        InvalidInput: with one error for each mistake, up to MAX_ERRORS. Each begins with its JSON pointer.
    """
    parser = _Parser(fields)
    try:
        conditions = parser.filter(value)
    except _Stopped:
        conditions = ()
    if parser.errors:
        raise InvalidInput.of_errors(parser.errors)
    return Group(any=False, negative=False, conditions=conditions)


class _Stopped(Exception):
    """A mistake after which the rest of the filter is not read."""


class _Parser:
    """One filter in progress: the mistakes found, and how many conditions and values it has."""

    def __init__(self, fields: QueryFields) -> None:
        self._fields = fields
        self._conditions = 0
        self._values = 0
        self._suggestions = 0
        self.errors: list[FieldError] = []

    def filter(self, value: object) -> tuple[Comparison | Group, ...]:
        if not isinstance(value, list):
            self._refuse("", "invalid_filter", "must be a list of conditions")
            return ()
        if value and isinstance(value[0], str):  # a single condition needs no list around it
            return self._elements([value], "", 1, single=True)
        return self._elements(value, "", 1)

    def _elements(
        self, elements: list[object], pointer: str, depth: int, *, single: bool = False
    ) -> tuple[Comparison | Group, ...]:
        """The conditions and groups of a list; those with mistakes are left out."""
        conditions: list[Comparison | Group] = []
        for index, element in enumerate(elements):
            place = pointer if single else f"{pointer}/{index}"
            self._conditions += 1
            if self._conditions > MAX_CONDITIONS:
                self._stop(place, f"must not exceed {MAX_CONDITIONS} conditions in all")
            condition: Comparison | Group | None = None
            if isinstance(element, list):
                condition = self._condition(element, place)
            elif isinstance(element, dict):
                condition = self._group(element, place, depth)
            else:
                self._refuse(place, "invalid_filter", "must be a condition (a list) or a group (an object)")
            if condition is not None:
                conditions.append(condition)
        return tuple(conditions)

    def _group(self, group: Mapping[str, object], pointer: str, depth: int) -> Group | None:
        if depth > MAX_DEPTH:
            self._refuse(pointer, "invalid_filter", f"must not be nested deeper than {MAX_DEPTH} groups")
            return None
        if unknown := group.keys() - set(GROUP_KEYS):
            listed = ", ".join(GROUP_KEYS)
            name = min(unknown)[:64]
            self._refuse(pointer, "invalid_filter", f"must have no other keys than {listed}, not {name!r}")
            return None
        logic, negative = group.get("logic", "and"), group.get("negative", False)
        if logic not in LOGICS:
            self._refuse(f"{pointer}/logic", "invalid_filter", "must be and, or")
        if not isinstance(negative, bool):
            self._refuse(f"{pointer}/negative", "invalid_filter", "must be true or false")
        elements = group.get("conditions")
        if not isinstance(elements, list):
            self._refuse(f"{pointer}/conditions", "invalid_filter", "must be a list of conditions")
            return None
        conditions = self._elements(elements, f"{pointer}/conditions", depth + 1)
        return Group(logic == "or", negative is True, conditions)

    def _condition(self, condition: list[object], pointer: str) -> Comparison | None:
        if len(condition) not in (2, 3):
            self._refuse(pointer, "invalid_filter", "must be [field, operator, value], or [field, value]")
            return None
        name = condition[0]
        if not isinstance(name, str) or not name:
            self._refuse(f"{pointer}/0", "invalid_filter", "must be the name of a field")
            return None
        field = self._fields.find(name)
        if field is None:
            self._refuse(f"{pointer}/0", "unknown_field", self._fields.unknown(name, suggest=self._may_suggest()))
        if len(condition) == 2:
            operator: object = "in" if isinstance(condition[1], list) else "="
        else:
            operator = condition[1]
        if operator not in OPERATORS:
            self._refuse_operator(f"{pointer}/1", operator)
            return None
        if field is None:
            return None
        values = self._read_values(field, operator, condition[-1], f"{pointer}/{len(condition) - 1}")
        return None if values is None else Comparison(field, operator, values)

    def _read_values(
        self, field: QueryField, operator: Operator, value: object, pointer: str
    ) -> tuple[SqlValue | None, ...] | None:
        """The values after *operator* in the form of *field*; None if there is a mistake."""
        if operator in ("in", "between"):
            if not isinstance(value, list):
                wanted = "a list" if operator == "in" else "a list of two values"
                self._refuse(pointer, "invalid_filter", f"must be {wanted} after {operator}")
                return None
            if operator == "between" and len(value) != 2:
                self._refuse(pointer, "invalid_filter", "must be a list of two values after between")
                return None
            if len(value) > MAX_VALUES:
                self._refuse(pointer, "invalid_filter", f"must have at most {MAX_VALUES} values after in")
                return None
            places = [(f"{pointer}/{index}", item) for index, item in enumerate(value)]
        else:
            places = [(pointer, value)]
        self._values += len(places)
        if self._values > MAX_ALL_VALUES:
            self._stop(pointer, f"must not exceed {MAX_ALL_VALUES} values in all")
        before = len(self.errors)
        values = [self._read_value(field, operator, item, place) for place, item in places]
        return tuple(values) if len(self.errors) == before else None

    def _read_value(self, field: QueryField, operator: Operator, value: object, pointer: str) -> SqlValue | None:
        if isinstance(value, list | dict):
            self._refuse(pointer, "invalid_filter", f"must be a single value after {operator}")
            return None
        if value is None or value == "":
            if operator not in TAKE_EMPTY:
                self._refuse(pointer, "invalid_value", f"must not be empty after {operator}")
            return None
        if field.kind is Kind.FILE and operator not in TAKE_EMPTY:
            listed = " ".join(TAKE_EMPTY)
            self._refuse(pointer, "invalid_value", f"must follow one of {listed}: {field.name} is a file")
            return None
        try:
            return read_value(value, field.kind, self._fields.type_of(field.name), self._fields.zone_s)
        except ValueError as error:
            self._refuse(pointer, "invalid_value", f"{error}, as {field.name} is {_words(field.kind)}")
            return None

    def _refuse_operator(self, pointer: str, operator: object) -> None:
        meant = (
            suggest_operator(operator.lower(), OPERATORS) if isinstance(operator, str) and len(operator) < 9 else None
        )
        question = "" if meant is None else f"; did you mean {meant!r}?"
        self._refuse(pointer, "unknown_operator", f"must be one of {' '.join(OPERATORS)}{question}")

    def _may_suggest(self) -> bool:
        self._suggestions += 1
        return self._suggestions <= MAX_SUGGESTIONS

    def _refuse(self, pointer: str, code: str, rule: str) -> None:
        self.errors.append(FieldError(code, f"{pointer} {rule}".lstrip(), pointer, "filter"))
        if len(self.errors) >= MAX_ERRORS:
            raise _Stopped

    def _stop(self, pointer: str, rule: str) -> NoReturn:
        self._refuse(pointer, "invalid_filter", rule)
        raise _Stopped


def _words(kind: Kind) -> str:
    return {
        Kind.TEXT: "a text",
        Kind.NUMBER: "a number",
        Kind.TIME: "a time",
        Kind.DAY: "a date",
        Kind.FLAG: "a flag",
        Kind.FILE: "a file",
    }[kind]
