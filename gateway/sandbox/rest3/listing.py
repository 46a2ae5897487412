"""What the lists of REST 3.0 share: select, order, pages and cursors, over a table and the fields of its rows.

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


def read_select(given: Value, dto: Dto, default: Sequence[str]) -> Select:
    """What makes of a row the part that was asked for: its id, always, and the fields selected or else the *default*.

    A field of its own that the object does not have is dropped; one of a related object is refused.

    Raises:
        Rest3Error: it is no list of names, or a related field is unknown.
    """
    if given is not None and not (isinstance(given, list) and all(isinstance(name, str) for name in given)):
        raise invalid_select("Parameter `select` must be an array of field names")
    own: list[str] = [] if given else list(default)
    related: dict[str, list[str]] = {}
    for name in given or []:
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
    """Which rows of a list to send."""

    offset: int = 0
    limit: int = PAGE_ROWS


def read_pagination(given: Value, most: int) -> Window:
    """The window of ``{"page", "limit", "offset"}``: a page goes before an offset, a large limit is cut to *most*.
    Page 0 is page 1, as the official JS SDK has it.

    Raises:
        Rest3Error: it is no object of such numbers, or the limit is 0.
    """
    if given is None or given == []:
        return Window(limit=min(PAGE_ROWS, most))
    if not isinstance(given, dict) or not all(
        type(given.get(name, 1)) is int and given.get(name, 1) >= lowest
        for name, lowest in (("page", 0), ("limit", 1), ("offset", 0))
    ):
        raise invalid_pagination(given)
    limit = min(given.get("limit", PAGE_ROWS), most)
    return Window(max(given["page"] - 1, 0) * limit if "page" in given else given.get("offset", 0), limit)


def read_order(given: Value, dto: Dto) -> list[tuple[Field, bool]]:
    """The order in ``{"field": "DESC"}``: fields, and whether each descends.

    Raises:
        Rest3Error: it is no object, has another direction, or a field that cannot be sorted by.
    """
    if given is None or given == []:
        return []
    if not isinstance(given, dict):
        raise invalid_order(given)
    order = []
    for name, direction in given.items():
        if str(direction).upper() not in ("ASC", "DESC"):
            raise invalid_order(given)
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
    table: Rows, query: dict[str, Value], dto: Dto, data: PortalData, default: Sequence[str], most: int
) -> list[Row]:
    """One page of a ``*.list`` of at *most* so many rows, ties and all without an order by ascending id.

    Raises:
        Rest3Error: select, filter, order or pagination are not as they should be.
    """
    select = read_select(query.get("select"), dto, default)
    conditions = read_filter(query.get("filter"), dto)
    order = read_order(query.get("order"), dto)
    window = read_pagination(query.get("pagination"), most)
    return [select(table[row_id], data) for row_id in _ids(table, conditions, order, window)]


def tail_rows(
    table: Rows, query: dict[str, Value], dto: Dto, data: PortalData, default: Sequence[str], most: int
) -> list[Row]:
    """One page of a ``*.tail``, as `list_rows`: the rows strictly beyond the value of the cursor's field, in its order.

    Raises:
        Rest3Error: select, filter or cursor are not as they should be, or the filter names the cursor's field.
    """
    cursor = query.get("cursor") or {"field": KEY}
    if not isinstance(cursor, dict) or not isinstance(cursor.get("field"), str):
        raise invalid_pagination(cursor)
    field = _sortable(cursor["field"], dto)
    descending = read_order({field.name: cursor.get("order", "ASC")}, dto)[0][1]
    if field.name in read_filter(query.get("filter"), dto).names:
        raise invalid_filter(f"Cursor field {field.name} cannot be used at filter.")
    beyond = [field.name, "<" if descending else ">", cursor.get("value", 0)]
    conditions = read_filter(query.get("filter"), dto, [beyond])
    window = read_pagination({"limit": cursor.get("limit", PAGE_ROWS)}, most)
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
