"""Checks a caller's `filter` and `select` against the names, operators and values that a list accepts.

A portal silently drops what a list does not accept, so the check comes before anything is sent.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from gateway.bitrix.lists.field_rules import COMPARE, CUSTOM, EQUAL, LOGICS, Groups, Operators, split_operator
from gateway.bitrix.lists.id_filter import BOUND_OPERATORS
from gateway.bitrix.lists.list_fields import ListFields
from gateway.bitrix.lists.list_specs import LOGIC
from gateway.bitrix.lists.suggestions import suggest_name, suggest_operator
from gateway.errors import FieldError, InvalidInput

SUBFILTER = "::SUBFILTER-"
SUBFILTER_LOGIC = "::LOGIC"
MAX_SUGGESTIONS = 20  # errors with a suggested name, which takes time to find; no person makes more mistakes
UNKNOWN_FIELD = "unknown_field"
UNKNOWN_OPERATOR = "unknown_operator"
INVALID_VALUE = "invalid_value"


@dataclass(frozen=True)
class CheckedFields:
    """A filter and a select as they are sent: in the portal's spelling, with the names that other columns need.

    *unverified* are names of the select that only the list's first rows can verify; see `check_columns`.
    """

    filter: Mapping[str, object]
    select: tuple[str, ...]
    unverified: tuple[str, ...] = ()


def check_fields(fields: ListFields, conditions: Mapping[str, object], selected: Sequence[str]) -> CheckedFields:
    """Check that the list accepts every condition of a filter and every *selected* name.

    Raises:
        InvalidInput: with one error for each that the list would ignore, or interpret differently.
    """
    check = _Check(fields)
    filter, select = check.conditions(conditions), check.selection(selected)
    _raise_errors(check.errors)
    return CheckedFields(filter, select, tuple(check.unverified))


def check_columns(names: Iterable[str], rows: Iterable[Mapping[str, object]]) -> None:
    """Check that each of *names* is a column of at least one of a list's first *rows*.

    Raises:
        InvalidInput: with one error for each that no row has.
    """
    columns = frozenset[str]().union(*rows)
    _raise_errors(
        [
            FieldError(UNKNOWN_FIELD, f"unknown field {name!r}: none of the first rows has it", parameter="select")
            for name in names
            if name not in columns
        ]
    )


def _raise_errors(errors: Sequence[FieldError]) -> None:
    if errors:
        raise InvalidInput.of_errors(errors)


class _Check:
    """One check in progress: the errors found, and the names of the select that could not be verified."""

    def __init__(self, fields: ListFields) -> None:
        self._fields = fields
        self._rules = fields.rules
        self.errors: list[FieldError] = []
        self.unverified: list[str] = []

    def conditions(self, conditions: Mapping[str, object], *, nested: bool = False) -> dict[str, object]:
        """The conditions of a filter, or of a group *nested* in it, in the portal's spelling."""
        checked: dict[str, object] = {}
        original: dict[str, str] = {}
        nested = nested or (self._rules.groups is Groups.NUMBERED and any(key.lower() == LOGIC for key in conditions))
        for key, value in conditions.items():
            accepted = self._group(key, value, nested) or self._condition(key, value, nested)
            if accepted is None:
                continue
            name, checked_value = accepted
            if name in checked:
                self._refuse("filter", "invalid_filter", f"{original[name]!r} and {key!r} are the same condition")
            checked[name], original[name] = checked_value, key
        return checked

    def selection(self, selected: Sequence[str]) -> tuple[str, ...]:
        """The names to select, in the portal's spelling."""
        names: list[str] = []
        for requested in selected:
            if requested in self._rules.masks:
                names.append(requested)
                continue
            field, dot, related = requested.partition(".") if self._rules.version == 3 else (requested, "", "")
            name = self._fields.selects.get(self._fields.key(field)) or self._dependent_column(field)
            if name is None and self._fields.may_have(field):
                name = field
                self.unverified += [] if dot else [field]
            if name is None:
                sentence, suggestion = self._unknown(
                    requested, field, "{!r} is not a column of the list", self._fields.selects
                )
                self._refuse("select", UNKNOWN_FIELD, sentence, suggestion and suggestion + dot + related)
                continue
            names.append(name + dot + related)
            if name in self._rules.selected_by:
                names.append(self._rules.selected_by[name])
        return tuple(dict.fromkeys(names))

    def _dependent_column(self, name: str) -> str | None:
        """The column *name*, in any case, that is selected by the name of another one; None if it is not one."""
        return next((column for column in self._rules.selected_by if column.upper() == name.upper()), None)

    def _group(self, key: str, value: object, nested: bool) -> tuple[str, object] | None:
        """A group of conditions, or the `logic` that joins a group; None if *key* is neither."""
        if self._rules.groups is Groups.NUMBERED:
            if key.lower() == LOGIC:
                return key, self._logic(key, value)
            if key.isdigit() and isinstance(value, Mapping):
                return key, self.conditions(value, nested=True)
        if self._rules.groups is Groups.SUBFILTERS:
            if nested and key.upper() == SUBFILTER_LOGIC:
                logic = self._logic(key, value)
                return SUBFILTER_LOGIC, logic.upper() if isinstance(logic, str) else logic
            if key.upper().startswith(SUBFILTER) and len(key) > len(SUBFILTER):
                if isinstance(value, Mapping) and value:
                    return SUBFILTER + key[len(SUBFILTER) :], self.conditions(value, nested=True)
                self._refuse("filter", INVALID_VALUE, f"{key} takes an object of conditions")
                return key, value
        return None

    def _logic(self, key: str, value: object) -> object:
        if not (isinstance(value, str) and value.upper() in LOGICS):
            self._refuse("filter", INVALID_VALUE, f"{key} takes AND or OR")
        return value

    def _condition(self, key: str, value: object, nested: bool) -> tuple[str, object] | None:
        """One condition under the name to send; None if it was refused."""
        operator, field = split_operator(key)
        name: str | None = field
        if self._rules.checks_filter_names:
            name = self._fields.filters.get(self._fields.key(field))
        if operator not in self._rules.operators:
            self._refuse_operator(key, operator, name or field)
            return None
        if name is None:
            sentence, suggestion = self._unknown(
                key, field, "the list cannot be filtered by {!r}", self._fields.filters
            )
            self._refuse("filter", UNKNOWN_FIELD, sentence, suggestion and operator + suggestion)
            return None
        supported = self._supported_operators(name)
        if supported is not None and operator not in supported:
            listed = " ".join(item or "(none)" for item in supported)
            sentence = f"unsupported operator in {key!r}: {name} takes the operators {listed}"
            self._refuse("filter", UNKNOWN_OPERATOR, sentence, self._suggest_condition(operator, supported, name))
            return None
        if rule := self._broken_rule(key, operator, name, value, nested):
            self._refuse("filter", INVALID_VALUE, rule)
            return None
        return name if supported == EQUAL else operator + name, value

    def _unknown(self, requested: str, field: str, unusable: str, names: Mapping[str, str]) -> tuple[str, str | None]:
        """The sentence about a *requested* name that is not among *names*, and the name that may be meant.

        *unusable* is the sentence about a field that the list has and does not accept here.
        """
        if self._fields.key(field) not in self._fields.known:
            return f"unknown field {requested!r}, which the list would ignore", self._suggest_name(field, names)
        sentence = unusable.format(requested)
        if not self._rules.multiple_columns:
            return f"{sentence} (use /bitrix/stream/items/{{entityTypeId}})", None
        return sentence, self._suggest_name(field, names)

    def _supported_operators(self, name: str) -> Operators | None:
        """The only operators that *name* supports; None if it supports all operators of the list."""
        return self._rules.operators_of.get(name) or self._rules.operators_by_type.get(self._fields.type_of(name))

    def _broken_rule(self, key: str, operator: str, name: str, value: object, nested: bool) -> str | None:
        """The rule that *value* breaks, so that the portal would drop or misinterpret the condition; None if none."""
        if not nested and name.upper() == "ID" and operator in BOUND_OPERATORS:
            return None  # becomes a bound of the walk, which checks it
        if name in self._rules.yes_no_names:
            return None if value in ("Y", "N") else f"{key} takes Y or N"
        values = value if isinstance(value, list) else [value]
        if isinstance(value, list):
            if not value:
                return f"{key} takes at least one value"
            if operator in COMPARE or "%" in operator:
                return f"{key} takes one value"
            if len(value) > 1 and self._fields.type_of(name) in self._rules.single_value_types:
                return f"{key} takes one value"
        if any(isinstance(item, dict | list) for item in values):
            return f"{key} takes a value, or a list of values"
        if any(item in (None, "") for item in values) and (operator in COMPARE or not self._finds_empty(name)):
            return f"{key} takes a value; an empty one would be ignored"
        return None

    def _finds_empty(self, name: str) -> bool:
        """Whether an empty value finds the rows in which *name* is empty."""
        if self._fields.type_of(name) in self._rules.single_value_types:
            return False
        names = self._rules.finds_empty
        return names is None or name in names or name.startswith(CUSTOM)

    def _refuse_operator(self, key: str, operator: str, name: str) -> None:
        listed = " ".join(filter(None, self._rules.operators))
        sentence = f"unknown operator {operator!r} in {key!r}, which the list would ignore (it supports {listed})"
        if name not in self._fields.filters.values():
            name = self._suggest_name(name, self._fields.filters) or name
        supported = self._supported_operators(name) or self._rules.operators
        self._refuse("filter", UNKNOWN_OPERATOR, sentence, self._suggest_condition(operator, supported, name))

    def _suggest_condition(self, operator: str, supported: Operators, name: str) -> str | None:
        suggestion = suggest_operator(operator, supported)
        return None if suggestion is None else suggestion + name

    def _suggest_name(self, name: str, names: Mapping[str, str]) -> str | None:
        return suggest_name(name, names.values()) if len(self.errors) < MAX_SUGGESTIONS else None

    def _refuse(self, parameter: str, code: str, sentence: str, suggestion: str | None = None) -> None:
        question = "" if suggestion is None else f"; did you mean {suggestion!r}?"
        self.errors.append(FieldError(code, sentence + question, parameter=parameter))
