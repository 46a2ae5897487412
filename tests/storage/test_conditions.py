"""Conditions on records: SQLite finds what a plain evaluation in Python finds, wherever the values are."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage.conditions import Comparison, Group, Operator, order_expression
from storage.json_values import Kind, QueryField, SqlValue
from tests.support.conditions import (
    COLUMN_FIELDS,
    EMPTIES,
    FIELDS,
    INDEX_OF,
    MISSING,
    OPERATORS,
    RAW,
    VALUES,
    ZONE_S,
    holds,
    normal,
    read_from,
    row_of,
    rows,
    trees,
)
from tests.support.queried import RecordTable, table_of


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
