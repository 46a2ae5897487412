"""Conditions on records: SQLite finds what a plain evaluation in Python finds, wherever the values are."""

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage.conditions import Comparison, Group, Operator, order_expression
from storage.json_values import Column, Kind, QueryField, SqlValue
from tests.support.queried import RecordTable, table_of

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


def comparisons(field: QueryField, operator: Operator) -> list[Comparison]:
    """Comparisons of *field* with all values of its kind."""
    values = VALUES[field.kind]
    if operator == "between":
        return [Comparison(field, operator, (low, high)) for low in values for high in values]
    if operator == "in":
        lists: list[tuple[SqlValue | None, ...]] = [(), (None,), values, (*values[:2], None), (None, values[-1])]
        return [Comparison(field, operator, items) for items in lists]
    empty = (None,) if operator in ("=", "!=") else ()
    return [Comparison(field, operator, (value,)) for value in (*values, *empty)]


def row_of(name: str, raw: object) -> dict[str, object]:
    return {} if raw is MISSING else {name: raw}


@pytest.mark.parametrize("operator", OPERATORS)
@pytest.mark.parametrize("multiple", [False, True])
@pytest.mark.parametrize("kind", Kind)
def test_every_operator_finds_what_python_finds(kind: Kind, multiple: bool, operator: Operator) -> None:
    field = QueryField("X", kind, multiple)
    indexed = replace(field, index_id=3)
    raws = [*EMPTIES, *RAW[kind]]
    if multiple:
        pairs = [[first, second] for first in raws[1:] for second in RAW[kind][:4]]
        raws = [*raws, *pairs, *([raw] for raw in raws[1:] if raw != [])]
        raws = [raw for raw in raws if not isinstance(raw, dict)]  # json_each would read its keys
    rows = [row_of("X", raw) for raw in raws if not (multiple and isinstance(raw, list) and [] in raw)]
    table = table_of(rows)
    table.index(indexed, ZONE_S)
    for comparison in comparisons(field, operator):
        expected = [number for number, row in enumerate(rows, 1) if holds(comparison, row)]
        assert table.find(comparison, ZONE_S) == expected, comparison
        assert table.find(replace(comparison, field=indexed), ZONE_S) == expected, comparison


@pytest.mark.parametrize("operator", OPERATORS)
@pytest.mark.parametrize("index_id", [None, 3])
def test_multifields_compare_by_their_values(operator: Operator, index_id: int | None) -> None:
    field = QueryField("PHONE", Kind.TEXT, multiple=True, multifield=True, index_id=index_id)
    phones = [{"ID": "1", "VALUE": "a"}, {"ID": "2", "VALUE": "5"}, {"ID": "3", "VALUE": ""}]
    rows = [row_of("PHONE", raw) for raw in (*EMPTIES, phones, phones[:1], phones[1:], phones[2:], ["a"])]
    table = table_of(rows)
    if index_id is not None:
        table.index(field, ZONE_S)
    for comparison in comparisons(field, operator):
        expected = [number for number, row in enumerate(rows, 1) if holds(comparison, row)]
        assert table.find(comparison, ZONE_S) == expected, comparison


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
    name = condition.field.name
    column = COLUMN_OF.get(name) if columns else None
    return replace(
        condition, field=replace(condition.field, column=column, index_id=INDEX_OF[name] if indexes else None)
    )


@settings(max_examples=40)
@given(st.lists(rows(), min_size=1, max_size=6), st.lists(trees(), min_size=1, max_size=4))
def test_random_conditions_find_the_same_in_every_place(stored: list[dict[str, object]], sought: list[Group]) -> None:
    table = RecordTable()
    for row in stored:
        columns = {column: normal(kind, row.get(name, MISSING)) for name, kind, column, _ in COLUMN_FIELDS}
        table.add(row, **columns)
    for name, field in FIELDS.items():
        table.index(replace(field, index_id=INDEX_OF[name]), ZONE_S)
    for condition in sought:
        expected = [number for number, row in enumerate(stored, 1) if holds(condition, row)]
        for columns_used, indexes_used in ((False, False), (True, False), (False, True), (True, True)):
            assert table.find(read_from(condition, columns_used, indexes_used), ZONE_S) == expected


@pytest.mark.parametrize("kind", Kind)
def test_empty_values_are_first_ascending_and_last_descending(kind: Kind) -> None:
    field = QueryField("X", kind)
    raws = [*EMPTIES, *RAW[kind]]
    table = table_of(row_of("X", raw) for raw in raws)
    text, values = order_expression(field, ZONE_S)
    keys = [normal(kind, raw) for raw in raws]

    def key(number: int) -> tuple[bool, bool, object]:
        value = keys[number - 1]
        return value is not None, isinstance(value, str), value if value is not None else 0

    ascending = sorted(range(1, len(raws) + 1), key=key)
    query = f"SELECT portal_row_id FROM mirror_rows ORDER BY {text}"
    assert [number for (number,) in table.connection.execute(f"{query}, portal_row_id", values)] == ascending
    found = [keys[number - 1] for (number,) in table.connection.execute(f"{query} DESC", values)]
    assert found == [keys[number - 1] for number in reversed(ascending)]


def test_a_typed_column_orders_by_itself() -> None:
    assert order_expression(QueryField("STAGE_ID", Kind.TEXT, column="stage"), ZONE_S) == ("stage", ())


NAMES = ['a"b', "a\\", '\\"', "a.b", "a[0]", "[0]", "$", "$.x", "#", "a'b", "'; DROP TABLE mirror_rows; --", "имя", "?"]


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_never_part_of_the_sql_or_a_path_of_its_own(name: str) -> None:
    table = table_of([{name: "x", "other": "y"}, {"other": "x", "a": {"b": "x"}, "x": "x"}])
    field = QueryField(name, Kind.TEXT)
    assert table.find(Comparison(field, "=", ("x",)), ZONE_S) == [1]
    assert table.find(Comparison(field, "=", (None,)), ZONE_S) == [2]
    assert table.find(Comparison(replace(field, multiple=True), "=", ("x",)), ZONE_S) == [1]


@given(st.text(max_size=8), st.text(min_size=1, max_size=8))
def test_any_name_and_text_are_found(name: str, text: str) -> None:
    table = table_of([{f"{name}_": text}, {f"{name}_": f"{text}+"}, {}])
    field = QueryField(f"{name}_", Kind.TEXT)
    table.index(replace(field, index_id=1), ZONE_S)
    for searched in (field, replace(field, multiple=True), replace(field, index_id=1)):
        assert table.find(Comparison(searched, "=", (text,)), ZONE_S) == [1]
        assert table.find(Comparison(searched, "=", (None,)), ZONE_S) == [3]
        assert table.find(Comparison(searched, "in", (text, None)), ZONE_S) == [1, 3]
        assert table.find(Comparison(searched, "!=", (text,)), ZONE_S) == [2, 3]


def test_a_value_is_never_part_of_the_sql() -> None:
    text = "x' OR 1 = 1 --"
    table = table_of([{"X": "x"}, {"X": text}])
    assert table.find(Comparison(QueryField("X", Kind.TEXT), "=", (text,)), ZONE_S) == [2]


STAGE = QueryField("STAGE_ID", Kind.TEXT, column="stage")
CATEGORY = QueryField("CATEGORY_ID", Kind.NUMBER, column="category")
MODIFIED = QueryField("DATE_MODIFY", Kind.TIME, column="modified")
TITLE = QueryField("TITLE", Kind.TEXT)
INDEXED = QueryField("UF_X", Kind.NUMBER, index_id=7)


@pytest.mark.parametrize(
    ("conditions", "plan"),
    [
        ([Comparison(STAGE, "=", ("NEW",))], "mirror_rows_by_stage (list_id=? AND stage=?)"),
        (
            [Comparison(CATEGORY, "=", (0,)), Comparison(STAGE, "=", ("NEW",))],
            "mirror_rows_by_stage (list_id=? AND stage=? AND category=?)",
        ),
        (
            [Comparison(STAGE, "in", ("NEW", "WON")), Comparison(CATEGORY, ">=", (0,))],
            "mirror_rows_by_stage (list_id=? AND stage=? AND category>?)",
        ),
        (
            [Comparison(TITLE, "!=", ("a",)), Comparison(TITLE, "!=", ("b",)), Comparison(STAGE, "=", ("NEW",))],
            "mirror_rows_by_stage (list_id=? AND stage=?)",
        ),
        ([Comparison(CATEGORY, "=", (0,))], "mirror_rows_by_category (list_id=? AND category=?)"),
        ([Comparison(MODIFIED, ">=", (5,))], "mirror_rows_by_modified (list_id=? AND modified>?)"),
        (
            [Comparison(MODIFIED, "between", (5, 9))],
            "by_modified (list_id=? AND modified>? AND modified<?)",
        ),
        ([Comparison(INDEXED, "=", (5,))], "mirror_values USING PRIMARY KEY (index_id=? AND value=?)"),
        (
            [Comparison(INDEXED, "<", (5,))],
            "mirror_values USING PRIMARY KEY (index_id=? AND value>? AND value<?)",
        ),
        ([Comparison(INDEXED, "in", (5, 7))], "mirror_values USING PRIMARY KEY (index_id=? AND value=?)"),
        ([Comparison(INDEXED, "=", (None,))], "mirror_values USING PRIMARY KEY (index_id=? AND value=?)"),
    ],
)
def test_comparisons_use_the_indexes(conditions: list[Comparison], plan: str) -> None:
    assert plan in RecordTable().plan(Group(any=False, negative=False, conditions=tuple(conditions)))


@pytest.mark.parametrize("any_", [False, True])
@pytest.mark.parametrize("kind", Kind)
def test_a_thousand_conditions_fit_sqlite(kind: Kind, any_: bool) -> None:
    field = QueryField("UF_CRM_1737980095947", kind)
    conditions = tuple(Comparison(field, "between", (VALUES[kind][0], VALUES[kind][0])) for _ in range(1000))
    condition: Group = Group(any_, False, conditions)
    for level in range(31):
        condition = Group(level % 2 == 0, level % 3 == 0, (condition,))
    table = table_of([{}])
    assert table.find(condition, ZONE_S) == ([1] if holds(condition, {}) else [])


def test_ten_thousand_values_fit_sqlite() -> None:
    field = QueryField("X", Kind.NUMBER)
    conditions = tuple(Comparison(field, "in", tuple(range(n * 1000, (n + 1) * 1000))) for n in range(10))
    assert table_of([{"X": "9999.0"}, {"X": 10_000}]).find(Group(True, False, conditions), ZONE_S) == [1]
