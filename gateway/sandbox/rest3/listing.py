"""Select, order, pages and cursors of the REST 3.0 lists, over a table and the fields of its rows.

Source: [docs] api-reference/rest-v3.md; [srv] rest/lib/v3; protocol notes 9.3, 9.5, 9.6
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, TypeAlias

from gateway.sandbox.content.portal_data import PortalData
from gateway.sandbox.php import Value
from gateway.sandbox.rest3.dto import Dto, Field
from gateway.sandbox.rest3.errors import (
    invalid_filter,
    invalid_order,
    invalid_pagination,
    invalid_select,
    not_allowed_in,
    unknown_field,
)
from gateway.sandbox.rest3.filters import KEY, Filter, read_filter
from gateway.sandbox.tables.table import Row, Rows

PAGE_ROWS = 50
MAX_ROWS = 1000

Select: TypeAlias = Callable[[Row, PortalData], Row]


def read_select(names: Value, dto: Dto, default: Sequence[str]) -> Select:
    """Return a function from a row to its selected fields, or the *default* ones, always with the id.

    An unknown field of the object is ignored; an unknown field of a related object is refused.

    Raises:
        Rest3Error: the select is not a list of names, or a related field is unknown.
    """
    if names is not None and not (isinstance(names, list) and all(isinstance(name, str) for name in names)):
        raise invalid_select("Parameter `select` must be an array of field names")
    own: list[str] = [] if names else list(default)
    related: dict[str, list[str]] = {}
    for name in names or []:
        first, dot, inner = name.partition(".")
        if dot:
            related.setdefault(first, []).append(_related_field(first, inner, dto))
        elif name in dto.relations:
            related[name] = list(dto.relations[name].dto.fields)
        elif name in dto.fields:
            own.append(name)
    columns = {name: dto.fields[name].shows or name for name in (KEY, *own)}

    def select(row: Row, data: PortalData) -> Row:
        return {name: row.get(column) for name, column in columns.items()} | {
            name: _related_row(row, data, name, inner, dto) for name, inner in related.items()
        }

    return select


def _related_field(relation: str, name: str, dto: Dto) -> str:
    if relation not in dto.relations:
        raise unknown_field(relation, dto.name)
    if name not in dto.relations[relation].dto.fields:
        raise unknown_field(name, dto.relations[relation].dto.name)
    return name


def _related_row(row: Row, data: PortalData, relation: str, names: list[str], dto: Dto) -> Row | None:
    found = dto.relations[relation].find(row, data)
    return None if found is None else {name: found[name] for name in names}


@dataclass(frozen=True)
class Window:
    """Which rows of a list to return."""

    offset: int = 0
    limit: int = PAGE_ROWS


def read_pagination(value: Value, max_rows: int) -> Window:
    """Read the window of ``{"page", "limit", "offset"}``. A page overrides an offset; *max_rows* caps the limit.

    Page 0 is page 1, as in the official JS SDK.

    Raises:
        Rest3Error: *value* is not an object of such numbers, or the limit is 0.
    """
    if value is None or value == []:
        return Window(limit=min(PAGE_ROWS, max_rows))
    if not isinstance(value, dict) or not all(
        type(value.get(name, 1)) is int and value.get(name, 1) >= minimum
        for name, minimum in (("page", 0), ("limit", 1), ("offset", 0))
    ):
        raise invalid_pagination(value)
    limit = min(value.get("limit", PAGE_ROWS), max_rows)
    return Window(max(value["page"] - 1, 0) * limit if "page" in value else value.get("offset", 0), limit)


def read_order(value: Value, dto: Dto) -> list[tuple[Field, bool]]:
    """Read the order ``{"field": "DESC"}``: fields, and whether each is descending.

    Raises:
        Rest3Error: *value* is not an object, a direction is invalid, or a field is unknown or not sortable.
    """
    if value is None or value == []:
        return []
    if not isinstance(value, dict):
        raise invalid_order(value)
    order = []
    for name, direction in value.items():
        if str(direction).upper() not in ("ASC", "DESC"):
            raise invalid_order(value)
        order.append((_sortable(name, dto), str(direction).upper() == "DESC"))
    return order


def _sortable(name: str, dto: Dto) -> Field:
    field = dto.fields.get(name)
    if field is None:
        raise unknown_field(name, dto.name)
    if not field.sortable:
        raise not_allowed_in(dto.name, name, "Sortable")
    return field


def list_rows(
    table: Rows, query: dict[str, Value], dto: Dto, data: PortalData, default: Sequence[str], max_rows: int
) -> list[Row]:
    """Return one page of a ``*.list``, at most *max_rows* rows. Ties, and all rows by default, are by ascending id.

    Raises:
        Rest3Error: select, filter, order or pagination is invalid.
    """
    select = read_select(query.get("select"), dto, default)
    conditions = read_filter(query.get("filter"), dto)
    order = read_order(query.get("order"), dto)
    window = read_pagination(query.get("pagination"), max_rows)
    return [select(table[row_id], data) for row_id in _ids(table, conditions, order, window)]


def tail_rows(
    table: Rows, query: dict[str, Value], dto: Dto, data: PortalData, default: Sequence[str], max_rows: int
) -> list[Row]:
    """Return one page of a ``*.tail``: the rows strictly after the cursor's value, in the cursor's order.

    Raises:
        Rest3Error: select, filter or cursor is invalid, or the filter contains the cursor's field.
    """
    cursor = query.get("cursor") or {"field": KEY}
    if not isinstance(cursor, dict) or not isinstance(cursor.get("field"), str):
        raise invalid_pagination(cursor)
    field = _sortable(cursor["field"], dto)
    descending = read_order({field.name: cursor.get("order", "ASC")}, dto)[0][1]
    if field.name in read_filter(query.get("filter"), dto).names:
        raise invalid_filter(f"Cursor field {field.name} cannot be used at filter.")
    after_cursor = [field.name, "<" if descending else ">", cursor.get("value", 0)]
    conditions = read_filter(query.get("filter"), dto, [after_cursor])
    window = read_pagination({"limit": cursor.get("limit", PAGE_ROWS)}, max_rows)
    select = read_select(query.get("select"), dto, default)
    return [select(table[row_id], data) for row_id in _ids(table, conditions, [(field, descending)], window)]


def _ids(table: Rows, conditions: Filter, order: list[tuple[Field, bool]], window: Window) -> list[int]:
    if not order or order[0][0].name == KEY:
        found = conditions.ids(table, descending=bool(order) and order[0][1])
        return list(islice(found, window.offset, window.offset + window.limit))
    ids = list(conditions.ids(table))
    for field, descending in reversed(order):
        ids.sort(key=_sorted_by(table, field), reverse=descending)
    return ids[window.offset : window.offset + window.limit]


def _sorted_by(table: Rows, field: Field) -> Callable[[int], Any]:
    def key(row_id: int) -> Any:
        value = field.comparable(table[row_id].get(field.name))
        return (value is not None, value)

    return key
