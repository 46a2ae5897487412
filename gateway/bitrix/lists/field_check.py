"""A caller's `filter` and `select` checked against what a list obeys, before anything of them is sent."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property

from gateway.bitrix.lists.field_rules import (
    COMPARE,
    CUSTOM,
    EQUAL,
    LOGICS,
    FieldRules,
    Groups,
    Operators,
    split_operator,
)
from gateway.bitrix.lists.id_filter import OPERATORS as ID_OPERATORS
from gateway.bitrix.lists.list_specs import LOGIC
from gateway.errors import FieldError, InvalidInput

SUBFILTER = "::SUBFILTER-"
SUBFILTER_LOGIC = "::LOGIC"
MULTIFIELD = "crm_multifield"
MOST_ADVICE = 20  # mistakes that get a nearest right form: finding one takes time, and no person makes more
MAX_NAME_CHARACTERS = 64  # of those that are looked for
UNKNOWN = "unknown_field"
WOULD_IGNORE = "which the list does not know and would ignore"
NOT_SENT = "which the list ignores: none of its first rows has it"
# What is written for an operator, and then what may be meant: the first that the list knows.
MEANT = {
    "<>": ("!=", "!"),
    "!=": ("!",),
    "~": ("%",),
    "*": ("%",),
    "?": ("%",),
    "@": ("=",),
    "!@": ("!",),
}


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a list as its fields method describes it; *other_name* is a second name that counts as well."""

    name: str
    type: str = ""
    multiple: bool = False
    other_name: str = ""

    @property
    def custom(self) -> bool:
        return self.name.startswith(CUSTOM) or self.other_name.startswith(CUSTOM)


@dataclass(frozen=True)
class ListFields:
    """The names that a list on one portal obeys: its fields, and those that *rules* add or take away.

    *told*: the portal names its fields; else it has no method for that, or not for this authorization.
    """

    rules: FieldRules
    fields: Mapping[str, Field]
    told: bool = True

    @cached_property
    def filters(self) -> Mapping[str, str]:
        """Names that filter, by how they are compared."""
        filtering = (
            field.name
            for field in self.fields.values()
            if self._is_column(field)
            and (self.rules.filters is None or field.custom or field.name in self.rules.filters)
        )
        return self._by_key((*filtering, *self.rules.filters_too))

    @cached_property
    def selects(self) -> Mapping[str, str]:
        """Names that can be selected, by how they are compared."""
        columns = [
            field
            for field in self.fields.values()
            if self._is_column(field) and field.type not in self.rules.hidden_types
        ]
        names = [name for field in columns for name in (field.name, field.other_name) if name]
        return self._by_key((*names, *self.rules.selects_too, *self.rules.comes_with))

    @cached_property
    def known(self) -> frozenset[str]:
        """All names of fields, obeyed or not, as they are compared."""
        return frozenset(map(self.key, self.fields))

    def key(self, name: str) -> str:
        """*name* as the list compares it."""
        return name.upper() if self.rules.any_case else name

    def type_of(self, name: str) -> str:
        field = self.fields.get(name)
        return "" if field is None else field.type

    def may_have(self, name: str) -> bool:
        """Whether the list may have the field *name* although the portal does not name it."""
        return self.rules.version == 3 and (not self.told or name.startswith(CUSTOM))

    def _is_column(self, field: Field) -> bool:
        return self.rules.multiple or not field.multiple or field.custom or field.type == MULTIFIELD

    def _by_key(self, names: Iterable[str]) -> dict[str, str]:
        return {self.key(name): name for name in names}


@dataclass(frozen=True)
class Checked:
    """A filter and a select as they are sent: the portal's own spelling, and what a selected column comes with.

    *unsure*: the names of the select that only the list's first rows can prove; see `check_columns`.
    """

    filter: Mapping[str, object]
    select: tuple[str, ...]
    unsure: tuple[str, ...] = ()


def check_fields(known: ListFields, given: Mapping[str, object], selected: Sequence[str]) -> Checked:
    """See that the list obeys every condition of the filter *given* and every name *selected*.

    Raises:
        InvalidInput: with one error for each that it would drop, or take for something else.
    """
    check = _Check(known)
    filter, select = check.conditions(given), check.selection(selected)
    _refuse_all(check.errors)
    return Checked(filter, select, tuple(check.unsure))


def check_columns(names: Iterable[str], rows: Iterable[Mapping[str, object]]) -> None:
    """See that the columns *names* are among the first *rows* of a list.

    Raises:
        InvalidInput: with one error for each that no row has.
    """
    found = frozenset[str]().union(*rows)
    _refuse_all([FieldError(UNKNOWN, _has(name, NOT_SENT), parameter="select") for name in names if name not in found])


def _refuse_all(errors: Sequence[FieldError]) -> None:
    if errors:
        sentence = "; ".join(f"{error.parameter}: {error.detail}" for error in errors)
        raise InvalidInput(sentence, errors)


def _has(name: str, rule: str) -> str:
    return f"has {name!r}, {rule}"


class _Check:
    """One check under way, with the errors found so far."""

    def __init__(self, known: ListFields) -> None:
        self._known = known
        self._rules = known.rules
        self.errors: list[FieldError] = []
        self.unsure: list[str] = []

    def conditions(self, given: Mapping[str, object], *, nested: bool = False) -> dict[str, object]:
        """The conditions of a filter, or of a group *nested* in it, in the portal's own spelling."""
        checked: dict[str, object] = {}
        origin: dict[str, str] = {}
        nested = nested or (self._rules.groups is Groups.NUMBERED and any(key.lower() == LOGIC for key in given))
        for key, value in given.items():
            sent = self._group(key, value, nested) or self._condition(key, value, nested)
            if sent is None:
                continue
            name, found = sent
            if name in checked:
                self._refuse("filter", "invalid_filter", f"has {origin[name]!r} and {key!r}, which are one condition")
            checked[name], origin[name] = found, key
        return checked

    def selection(self, selected: Sequence[str]) -> tuple[str, ...]:
        """The names to select, in the portal's own spelling."""
        names: list[str] = []
        for given in selected:
            if given in self._rules.masks:
                names.append(given)
                continue
            own, dot, related = given.partition(".") if self._rules.version == 3 else (given, "", "")
            name = self._known.selects.get(self._known.key(own)) or self._along(own)
            if name is None and self._known.may_have(own):
                name = own
                self.unsure += [] if dot else [own]
            if name is None:
                rule, nearest = self._unknown(own, "which is no column of the list", self._known.selects)
                self._refuse("select", UNKNOWN, _has(given, rule), nearest and nearest + dot + related)
                continue
            names.append(name + dot + related)
            if name in self._rules.comes_with:
                names.append(self._rules.comes_with[name])
        return tuple(dict.fromkeys(names))

    def _along(self, given: str) -> str | None:
        """A column of answers that comes with another, in any case."""
        return next((name for name in self._rules.comes_with if name.upper() == given.upper()), None)

    def _group(self, key: str, value: object, nested: bool) -> tuple[str, object] | None:
        """A group of conditions, or what joins those of one; None where *key* is neither."""
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
                self._refuse("filter", "invalid_value", f"{key} takes an object of conditions")
                return key, value
        return None

    def _logic(self, key: str, value: object) -> object:
        if not (isinstance(value, str) and value.upper() in LOGICS):
            self._refuse("filter", "invalid_value", f"{key} takes AND or OR")
        return value

    def _condition(self, key: str, value: object, nested: bool) -> tuple[str, object] | None:
        """One condition under the name to send; None for one that is refused."""
        operator, given = split_operator(key)
        name: str | None = given
        if self._rules.names_filters:
            name = self._known.filters.get(self._known.key(given))
        if operator not in self._rules.operators:
            self._refuse_operator(key, operator, name or given)
            return None
        if name is None:
            rule, nearest = self._unknown(given, "by which the list cannot be filtered", self._known.filters)
            self._refuse("filter", UNKNOWN, _has(key, rule), nearest and operator + nearest)
            return None
        only = self._only(name)
        if only is not None and operator not in only:
            shown = " ".join(one or "(none)" for one in only)
            rule = f"has {key!r}, which the portal does not compare so: {name} takes the operators {shown}"
            self._refuse("filter", "unknown_operator", rule, self._meant(operator, only, name))
            return None
        if broken := self._broken_value(key, operator, name, value, nested):
            self._refuse("filter", "invalid_value", broken)
            return None
        return name if only == EQUAL else operator + name, value

    def _unknown(self, given: str, of_a_field: str, names: Mapping[str, str]) -> tuple[str, str | None]:
        """Why a name does not count, *of_a_field* where it is one, and the one of *names* that may be meant."""
        if self._known.key(given) not in self._known.known:
            return WOULD_IGNORE, self._nearest(given, names)
        if not self._rules.multiple:
            return f"{of_a_field} (/bitrix/stream/items/{{entityTypeId}} has it)", None
        return of_a_field, self._nearest(given, names)

    def _only(self, name: str) -> Operators | None:
        """The operators that alone count for *name*; None where it takes all that the list knows."""
        return self._rules.operators_of.get(name) or self._rules.operators_by_type.get(self._known.type_of(name))

    def _broken_value(self, key: str, operator: str, name: str, value: object, nested: bool) -> str | None:
        """The rule that *value* breaks, so that the portal would drop the condition or take it for another one."""
        if not nested and name.upper() == "ID" and operator in ID_OPERATORS:
            return None  # those become the bounds of the walk
        if name in self._rules.yes_or_no:
            return None if value in ("Y", "N") else f"{key} takes Y or N"
        values = value if isinstance(value, list) else [value]
        if isinstance(value, list):
            if not value:
                return f"{key} takes at least one value"
            if operator in COMPARE or "%" in operator:
                return f"{key} takes one value"
            if len(value) > 1 and self._known.type_of(name) in self._rules.one_value:
                return f"{key} takes one value"
        if any(isinstance(one, dict | list) for one in values):
            return f"{key} takes a value, or a list of values"
        if any(one in (None, "") for one in values) and (operator in COMPARE or not self._may_be_empty(name)):
            return f"{key} takes a value; an empty one would be ignored"
        return None

    def _may_be_empty(self, name: str) -> bool:
        """Whether an empty value finds the rows where *name* is empty."""
        if self._known.type_of(name) in self._rules.one_value:
            return False
        named = self._rules.empty_means_empty
        return named is None or name in named or name.startswith(CUSTOM)

    def _refuse_operator(self, key: str, operator: str, name: str) -> None:
        shown = " ".join(filter(None, self._rules.operators))
        rule = f"has {key!r}, whose operator {operator!r} the list does not know (it knows {shown}) and would ignore"
        if name not in self._known.filters.values():
            name = self._nearest(name, self._known.filters) or name
        only = self._only(name) or self._rules.operators
        self._refuse("filter", "unknown_operator", rule, self._meant(operator, only, name))

    def _meant(self, operator: str, allowed: Operators, name: str) -> str | None:
        """The condition that may be meant by an *operator* that does not count."""
        operator = re.sub(r"\s", "", operator)
        anagram = next((one for one in allowed if sorted(one) == sorted(operator)), None)
        if anagram is not None:
            return anagram + name
        meant = next((one for one in MEANT.get(operator, ()) if one in allowed), None)
        if meant is None and "%" in operator and "!" not in operator and "=" in allowed:
            meant = "="
        if meant is None and operator[:1] == operator[1:2]:
            meant = next((one for one in allowed if one == operator[:1]), None)
        return None if meant is None else meant + name

    def _nearest(self, given: str, names: Mapping[str, str]) -> str | None:
        """The one of *names* that *given* may be a misspelling of."""
        if len(self.errors) >= MOST_ADVICE or len(given) > MAX_NAME_CHARACTERS:
            return None
        plain = {name.replace("_", "").upper(): name for name in names.values()}
        close = get_close_matches(given.replace("_", "").upper(), plain, n=1, cutoff=0.8)
        return plain[close[0]] if close else None

    def _refuse(self, parameter: str, code: str, rule: str, nearest: str | None = None) -> None:
        asked = "" if nearest is None else f"; did you mean {nearest!r}?"
        self.errors.append(FieldError(code, rule + asked, parameter=parameter))


def read_fields(described: Mapping[str, object]) -> dict[str, Field]:
    """The fields that a fields method names, with what it says of each."""
    fields = {}
    for name, told in described.items():
        if isinstance(told, dict):
            fields[name] = Field(
                name, str(told.get("type", "")), told.get("isMultiple") is True, str(told.get("upperName", ""))
            )
        else:
            fields[name] = Field(name)
    return fields
