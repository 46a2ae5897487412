"""Random conditions and records, and a plain evaluation of conditions in Python."""

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

from hypothesis import strategies as st

from storage.conditions import Comparison, Group, Operator
from storage.json_values import Column, Kind, QueryField, SqlValue

ZONE_S = 3 * 3600
MISSING = object()  # a field that the row does not have
OPERATORS: tuple[Operator, ...] = ("=", "!=", ">", ">=", "<", "<=", "in", "between")
EMPTIES: tuple[object, ...] = (MISSING, None, "", [], False)
RAW: Mapping[Kind, tuple[object, ...]] = {
    Kind.TEXT: ("a", "A", "б", "a'b", 'a"b', "x\0y", "x", "5", 5, 5.5, "-1e999", "[]", "null", "%", " "),
    Kind.NUMBER: (
        *("20000.00", 20000, 20000.5, "1000|RUB", 1000.0, "|RUB", "abc", "-3", -3, "-.5", ".25", 0, "0", "+7", True),
        *(2**62, "9007199254740993", "12345678901234567890", "-1e999", "1e999", "[5]", "-", "Infinity"),
    ),
    Kind.TIME: (
        *("2026-01-01T03:00:00+03:00", "2026-01-01T00:00:00Z", "2026-01-01 03:00:00", "2026-01-01", "now", "12:00"),
        *("2026-01-01T00:00:00.250+00:00", "2025-12-31T23:59:59Z", "0000-00-00 00:00:00", "2451545", 2451545),
    ),
    Kind.DAY: ("2026-01-01", "2026-01-01T03:00:00+03:00", "2025-12-31", "2026-01-01T23:00:00-05:00", "soon", 20260101),
    Kind.FLAG: ("Y", "N", True, 1, 0, "1", "0", "K"),
    Kind.FILE: (
        *({"id": 5, "showUrl": "/a"}, {"id": "7"}, {"showUrl": "/b"}, 5, "7"),
    ),
}  # fmt: skip
VALUES: Mapping[Kind, tuple[SqlValue, ...]] = {
    Kind.TEXT: ("a", "A", "б", "a'b", "x\0y", "x", "5", "5.5", "-1e999", "[]", " "),
    Kind.NUMBER: (20000, 20000.0, 1000, -3, -0.5, 0.25, 0, 1, 7, 2**62, 9007199254740993, 12345678901234567890.0),
    Kind.TIME: (1767225600, 1767225599, 1767214800, 1767225600.25),
    Kind.DAY: ("2026-01-01", "2025-12-31", "2026-01-02"),
    Kind.FLAG: (1, 0, "K"),
    Kind.FILE: ("5", "7"),
}


def normal(kind: Kind, raw: object, *, element: bool = False) -> SqlValue | None:
    """The normal form of a raw value; None if it is empty."""
    if raw is False and kind is Kind.FLAG and not element:
        return 0
    if raw is MISSING or raw is None or raw is False or raw in ("", []):
        return None
    if kind is Kind.FLAG:
        if raw in ("Y", "1", 1):
            return 1
        return 0 if raw in ("N", "0", 0) else str(raw)
    if kind is Kind.NUMBER:
        if isinstance(raw, int | float):
            return int(raw) if raw is True else raw
        number = re.match(r"[-+]?(\d+(\.\d*)?|\.\d+)([eE][-+]?\d+)?", str(raw))
        if number is None or number[0] == "-1e999":
            return None
        return int(number[0]) if number[0].lstrip("+-").isdigit() and len(number[0]) < 19 else float(number[0])
    if kind in (Kind.TIME, Kind.DAY):
        try:
            moment = datetime.fromisoformat(str(raw)) if "-" in str(raw) else None
        except ValueError:
            moment = None
        if moment is None:
            return None
        if kind is Kind.DAY:
            return date(moment.year, moment.month, moment.day).isoformat()
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC) - timedelta(seconds=ZONE_S)
        return int(moment.timestamp())
    if isinstance(raw, dict):
        return str(raw["id"]) if "id" in raw else '{"showUrl":"/b"}'
    return str(raw)


def values_of(field: QueryField, row: Mapping[str, object]) -> list[SqlValue]:
    """The normal forms of the values that are not empty."""
    raw = row.get(field.name, MISSING)
    if not field.multiple:
        found = [normal(field.kind, raw)]
    else:
        elements = raw if isinstance(raw, list) else [raw]
        if field.multifield:
            elements = [item["VALUE"] if isinstance(item, dict) else item for item in elements]
        found = [normal(field.kind, item, element=True) for item in elements]
    return [value for value in found if value is not None]


def holds(condition: Comparison | Group, row: Mapping[str, object]) -> bool:
    """Whether *condition* is true for *row*."""
    if isinstance(condition, Group):
        truths = [holds(part, row) for part in condition.conditions]
        return (any(truths) if condition.any else all(truths)) != condition.negative
    values, wanted, operator = values_of(condition.field, row), condition.values, condition.operator
    if operator in ("=", "!=", "in"):
        found = any(value in wanted for value in values) or (None in wanted and not values)
        return found != (operator == "!=")
    return any(compares(operator, value, wanted) for value in values)


def compares(operator: Operator, value: SqlValue, wanted: tuple[SqlValue | None, ...]) -> bool:
    """Whether *value* is in the range. As in SQLite, every text is greater than every number."""

    def key(item: object) -> tuple[bool, object]:
        return isinstance(item, str), item

    first, last = key(wanted[0]), key(wanted[-1])
    if operator == "between":
        return bool(first <= key(value) <= last)
    return bool(
        {
            ">": key(value) > first,
            ">=": key(value) >= first,
            "<": key(value) < first,
            "<=": key(value) <= first,
        }[operator]
    )


def row_of(name: str, raw: object) -> dict[str, object]:
    return {} if raw is MISSING else {name: raw}


COLUMN_FIELDS: tuple[tuple[str, Kind, Column, tuple[object, ...]], ...] = (
    ("STAGE_ID", Kind.TEXT, "stage", ("NEW", "WON", "C1:NEW", "", None, MISSING)),
    ("CATEGORY_ID", Kind.NUMBER, "category", ("0", 0, "1", 5, "", None, MISSING)),
    ("DATE_MODIFY", Kind.TIME, "modified", ("2026-01-01T03:00:00+03:00", "2025-12-31T23:59:59Z", "", None, MISSING)),
)
FIELDS = {name: QueryField(name, kind) for name, kind, _, _ in COLUMN_FIELDS} | {
    f"{kind.name}_{multiple}": QueryField(f"{kind.name}_{multiple}", kind, multiple)
    for kind in Kind
    for multiple in (False, True)
}
COLUMN_OF = {name: column for name, _, column, _ in COLUMN_FIELDS}
INDEX_OF = {name: number for number, name in enumerate(FIELDS, 1)}


@st.composite
def rows(draw: st.DrawFn) -> dict[str, object]:
    row: dict[str, object] = {}
    for name, _, _, raws in COLUMN_FIELDS:
        row |= row_of(name, draw(st.sampled_from(raws)))
    for kind in Kind:
        single = st.sampled_from((*EMPTIES, *RAW[kind]))
        row |= row_of(f"{kind.name}_False", draw(single))
        elements = st.sampled_from((None, "", False, *RAW[kind]))
        row |= row_of(f"{kind.name}_True", draw(st.sampled_from(EMPTIES) | st.lists(elements, max_size=3)))
    return row


@st.composite
def random_comparisons(draw: st.DrawFn) -> Comparison:
    field = draw(st.sampled_from(list(FIELDS.values())))
    operator = draw(st.sampled_from(OPERATORS))
    stages = {"STAGE_ID": ("NEW", "WON", "C1:NEW", "C1", "new")}
    value = st.sampled_from(stages.get(field.name, VALUES[field.kind]))
    if operator == "between":
        return Comparison(field, operator, (draw(value), draw(value)))
    if operator == "in":
        return Comparison(field, operator, tuple(draw(st.lists(st.none() | value, max_size=4))))
    return Comparison(field, operator, (draw(st.none() | value if operator in ("=", "!=") else value),))


def trees() -> st.SearchStrategy[Comparison | Group]:
    return st.recursive(
        random_comparisons(),
        lambda parts: st.builds(Group, st.booleans(), st.booleans(), st.lists(parts, max_size=4).map(tuple)),
        max_leaves=8,
    )


def read_from(condition: Comparison | Group, columns: bool, indexes: bool) -> Comparison | Group:
    """The condition on the same fields in typed *columns* or *indexes*, where they have them."""
    if isinstance(condition, Group):
        return replace(condition, conditions=tuple(read_from(part, columns, indexes) for part in condition.conditions))
    return replace(condition, field=read_from_field(condition.field, columns, indexes))


def read_from_field(field: QueryField, columns: bool, indexes: bool) -> QueryField:
    """The same field in a typed column or an index, where there is one."""
    column = COLUMN_OF.get(field.name) if columns else None
    return replace(field, column=column, index_id=INDEX_OF[field.name] if indexes else None)
