"""The fields by which a list's records are filtered, ordered and selected, as the portal describes them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from gateway.bitrix.lists.list_fields import Field, ListFields
from gateway.bitrix.lists.suggestions import suggest_name
from gateway.errors import FieldError, InvalidInput
from gateway.mirror.row_json import OWN_NAMES
from storage.json_values import Column, Kind, QueryField

MAX_SHOWN_CHARACTERS = 64  # of a caller's name in an error


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


def query_field(field: Field, columns: Mapping[str, Column], indexes: Mapping[tuple[str, Kind], int]) -> QueryField:
    """How *field* is queried. *columns* gives the typed column by its name, *indexes* the index by name and kind.

    A column or index that holds another kind of value than the field is not used.
    """
    kind = KINDS.get(field.type, Kind.TEXT)
    column = columns.get(field.name)
    if column is not None and (field.multiple or COLUMN_KINDS[column] is not kind):
        column = None
    multifield = field.type == "crm_multifield"
    return QueryField(
        field.name,
        kind,
        field.multiple or multifield,
        multifield,
        column,
        indexes.get((field.name, kind)),
    )


@dataclass(frozen=True)
class QueryFields:
    """The fields of one list by their exact names, and its portal's *zone_s*, the seconds that it is ahead of UTC."""

    listed: ListFields
    columns: Mapping[str, Column]
    indexes: Mapping[tuple[str, Kind], int]
    zone_s: int

    def find(self, name: str) -> QueryField | None:
        """The field *name* of a filter or an order; ``id`` is always one. None if it is unknown."""
        if name == ID.name:
            return ID
        field = self.listed.column(name)
        return None if field is None else query_field(field, self.columns, self.indexes)

    def type_of(self, name: str) -> str:
        """The portal's type of the field *name*, which must be known."""
        return "integer" if name == ID.name else self.listed.type_of(name)

    def unknown(self, name: str, *, suggest: bool) -> str:
        """The sentence about a *name* that `find` does not know, with the nearest one if it is to *suggest* one."""
        shown = name if len(name) <= MAX_SHOWN_CHARACTERS else f"{name[:MAX_SHOWN_CHARACTERS]}…"
        if name in self.listed.fields:
            return f"{shown!r} is not a column of the list"
        if name in OWN_NAMES:
            return f"{shown!r} can only be selected"
        nearest = suggest_name(name, (*self.listed.columns, ID.name)) if suggest else None
        return f"unknown field {shown!r}" + ("" if nearest is None else f"; did you mean {nearest!r}?")


FIELD_NAME = re.compile(r"\w+")
MAX_SELECTED = 1000
MAX_SUGGESTIONS = 20  # names that get a suggestion, which takes time to find; no person makes more mistakes


def parse_order(text: str, fields: QueryFields) -> tuple[QueryField, bool]:
    """The field that *text*, ``FIELD`` or ``-FIELD``, orders by, and whether it is descending.

    Raises:
        InvalidInput: the field is unknown, or has no order: files and multiple fields.
    """
    name = text.removeprefix("-")
    field = fields.find(name)
    if field is None and not FIELD_NAME.fullmatch(name):
        raise InvalidInput.of_parameter("order", "invalid_value", "must be one field: FIELD, or -FIELD for descending")
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
        elif name not in OWN_NAMES and fields.listed.column(name) is None:
            sentence = fields.unknown(name, suggest=len(errors) < MAX_SUGGESTIONS)
            errors.append(FieldError("unknown_field", sentence, parameter="select"))
    if errors:
        raise InvalidInput.of_errors(errors)
    return tuple(names)
