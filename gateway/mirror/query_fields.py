"""The fields by which a list's records are filtered, ordered and selected, as the portal describes them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from gateway.bitrix.lists.suggestions import suggest_name
from gateway.errors import FieldError, InvalidInput
from gateway.mirror.row_json import OWN_NAMES
from storage.json_values import Column, Kind, QueryField

MAX_SHOWN_CHARACTERS = 64  # of a caller's name in an error


class FieldDescriptor(Protocol):
    """What the portal says about a field. *type* is the portal's word, such as ``crm_status``."""

    @property
    def name(self) -> str: ...

    @property
    def type(self) -> str: ...

    @property
    def multiple(self) -> bool: ...


# How values of the portal's types compare; all other types compare as text. Links to one kind of record hold its id, as
# digits in classic methods and as a number in crm.item. Source: methods.md 4, 5 (b24restdocs crm/data-types.md)
KINDS = {
    **dict.fromkeys(("integer", "double", "money", "user", "employee"), Kind.NUMBER),
    **dict.fromkeys(("crm_lead", "crm_contact", "crm_company", "crm_quote", "crm_category"), Kind.NUMBER),
    **dict.fromkeys(("iblock_section", "iblock_element"), Kind.NUMBER),
    "datetime": Kind.TIME,
    "date": Kind.DAY,
    "boolean": Kind.FLAG,
    "char": Kind.FLAG,
    "file": Kind.FILE,
}
COLUMN_KINDS: dict[Column, Kind] = {
    "category": Kind.NUMBER,
    "stage": Kind.TEXT,
    "person": Kind.NUMBER,
    "contact": Kind.NUMBER,
    "company": Kind.NUMBER,
    "modified": Kind.TIME,
    "portal_row_id": Kind.NUMBER,
}
ID = QueryField("id", Kind.NUMBER, column="portal_row_id")


def query_field(
    descriptor: FieldDescriptor, columns: Mapping[str, Column], indexes: Mapping[tuple[str, Kind], int]
) -> QueryField:
    """The field of *descriptor*. *columns* gives the typed column by its name, *indexes* the index by name and kind.

    A column or index that holds another kind of value than the field is not used.
    """
    kind = KINDS.get(descriptor.type, Kind.TEXT)
    column = columns.get(descriptor.name)
    if column is not None and (descriptor.multiple or COLUMN_KINDS[column] is not kind):
        column = None
    multifield = descriptor.type == "crm_multifield"
    return QueryField(
        descriptor.name,
        kind,
        descriptor.multiple or multifield,
        multifield,
        column,
        indexes.get((descriptor.name, kind)),
    )


@dataclass(frozen=True)
class QueryFields:
    """The fields of one list by their exact names, and its portal's *zone_s*, the seconds that it is ahead of UTC."""

    descriptors: Mapping[str, FieldDescriptor]
    columns: Mapping[str, Column]
    indexes: Mapping[tuple[str, Kind], int]
    zone_s: int

    def find(self, name: str) -> QueryField | None:
        """The field *name* of a filter or an order; ``id`` is always one. None if it is unknown."""
        if name == ID.name:
            return ID
        descriptor = self.descriptors.get(name)
        return None if descriptor is None else query_field(descriptor, self.columns, self.indexes)

    def type_of(self, name: str) -> str:
        """The portal's type of the field *name*, which must be known."""
        return "integer" if name == ID.name else self.descriptors[name].type

    def unknown(self, name: str, *, suggest: bool) -> str:
        """The sentence about an unknown *name*, with the nearest known one if it is to *suggest* one."""
        return unknown_field(name, (*self.descriptors, ID.name) if suggest else ())


def unknown_field(name: str, known: Iterable[str]) -> str:
    """The sentence about an unknown *name*, with the nearest of the *known* ones."""
    shown = name if len(name) <= MAX_SHOWN_CHARACTERS else f"{name[:MAX_SHOWN_CHARACTERS]}…"
    nearest = suggest_name(name, known)
    return f"unknown field {shown!r}" + ("" if nearest is None else f"; did you mean {nearest!r}?")


MAX_SELECTED = 1000
MAX_SUGGESTIONS = 20  # names that get a suggestion, which takes time to find; no person makes more mistakes


def parse_order(text: str, fields: QueryFields) -> tuple[QueryField, bool]:
    """The field that *text*, ``FIELD`` or ``-FIELD``, orders by, and whether it is descending.

    Raises:
        InvalidInput: the field is unknown, or has no order: files and multiple fields.
    """
    name = text.removeprefix("-")
    field = fields.find(name)
    if field is None:
        raise InvalidInput.of_parameter("order", "unknown_field", fields.unknown(name, suggest=True))
    if field.multiple or field.kind is Kind.FILE:
        kind = "a multiple field" if field.multiple else "a file"
        raise InvalidInput.of_parameter("order", "invalid_value", f"{name} must not be {kind}, which has no order")
    return field, text != name


def parse_select(text: str, fields: QueryFields) -> tuple[str, ...]:
    """The names in *text*, separated by commas, in their order and each once. What we add to rows can be selected too.

    Raises:
        InvalidInput: with one error for each name that is empty or unknown.
    """
    names = dict.fromkeys(text.split(","))
    if len(names) > MAX_SELECTED:
        raise InvalidInput.of_parameter("select", "invalid_value", f"must have at most {MAX_SELECTED} names")
    errors: list[FieldError] = []
    for name in names:
        if not name:
            rule = "must be names of fields, separated by commas"
            errors.append(FieldError("invalid_value", rule, parameter="select"))
        elif name not in OWN_NAMES and name not in fields.descriptors:
            sentence = fields.unknown(name, suggest=len(errors) < MAX_SUGGESTIONS)
            errors.append(FieldError("unknown_field", sentence, parameter="select"))
    if errors:
        raise InvalidInput("; ".join(f"select: {error.detail}" for error in errors), errors)
    return tuple(names)
