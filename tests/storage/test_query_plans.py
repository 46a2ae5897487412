"""Which index finds the records of a query, however large the list is, and that all plans find the same records."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import chain, product

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage.conditions import Comparison, Group
from storage.json_values import Kind, QueryField, SqlValue
from storage.mirror_queries import MAX_COLLECTED_ROWS, SelectedRecords, Selection, select_records
from tests.support.conditions import (
    COLUMN_FIELDS,
    FIELDS,
    INDEX_OF,
    MISSING,
    ZONE_S,
    holds,
    normal,
    read_from,
    read_from_field,
    rows,
    trees,
    values_of,
)
from tests.support.queried import RecordTable

ID = QueryField("ID", Kind.NUMBER, column="portal_row_id")
STAGE = QueryField("STAGE_ID", Kind.TEXT, column="stage")
PIPELINE = QueryField("CATEGORY_ID", Kind.NUMBER, column="category")
PERSON = QueryField("ASSIGNED_BY_ID", Kind.NUMBER, column="person")
MODIFIED = QueryField("DATE_MODIFY", Kind.TIME, column="modified")
TITLE = QueryField("TITLE", Kind.TEXT)
AMOUNT = QueryField("UF_AMOUNT", Kind.NUMBER, index_id=7)
ROWS = MAX_COLLECTED_ROWS + 100  # all but ten are in one stage of one pipeline

COLLECTED = "SEARCH mirror_rows USING INTEGER PRIMARY KEY (rowid=?)"
LISTED = "INDEX mirror_rows_listed (list_id=?)"
BY_ID = "INDEX mirror_rows_by_portal_row (list_id=? AND part=?"
BY_STAGE = "INDEX mirror_rows_by_stage (list_id=? AND stage=?)"
BY_PERSON = "INDEX mirror_rows_by_person (list_id=? AND person=?)"
BY_TIME = "INDEX mirror_rows_by_modified (list_id=?"

MOST = Comparison(STAGE, "=", ("NEW",))
FEW = Comparison(STAGE, "in", ("WON", "LOSE"))
MOST_PIPELINES = Comparison(PIPELINE, ">=", (0,))
ONE_PERSON = Comparison(PERSON, "=", (3,))
LATE = Comparison(MODIFIED, ">", (5,))
A_TITLE = Comparison(TITLE, "=", ("a title",))


def all_of(*conditions: Comparison | Group) -> Group:
    return Group(any=False, negative=False, conditions=conditions)


def any_of(*conditions: Comparison | Group) -> Group:
    return Group(any=True, negative=False, conditions=conditions)


@pytest.fixture(scope="module")
def table() -> RecordTable:
    table = RecordTable()
    for number in range(1, ROWS + 1):
        is_last = number > ROWS - 10
        columns = {"stage": "WON" if is_last else "NEW", "category": int(is_last), "person": number % 100}
        table.add({"UF_AMOUNT": number}, **columns, modified=number)
    table.index(AMOUNT, 0)
    return table


def plans(table: RecordTable, selection: Selection) -> tuple[str, str]:
    """How SQLite finds and counts the records of *selection*."""
    statements: list[str] = []
    table.connection.set_trace_callback(statements.append)
    select_records(table.connection, selection, None)
    found = next(statement for statement in statements if statement.startswith("SELECT row_id, portal_row_id"))
    table.connection.set_trace_callback(None)
    counted = next(statement for statement in reversed(statements) if statement.startswith("SELECT count"))
    return table.explain(found), table.explain(counted)


def selection(condition: Comparison | Group | None, order: str | None = None) -> Selection:
    fields = {field.name: field for field in (ID, STAGE, MODIFIED, TITLE, AMOUNT)}
    if order is None:
        return Selection(1, condition, count=10)
    return Selection(1, condition, fields[order.removeprefix("-")], order.startswith("-"), count=10)


@pytest.mark.parametrize(
    ("condition", "order", "rows_plan", "count_plan"),
    [
        (None, "-ID", f"{BY_ID})", LISTED),
        (None, "-DATE_MODIFY", f"{BY_TIME})", LISTED),
        (MOST, None, BY_STAGE, f"COVERING {BY_STAGE}"),
        (all_of(Comparison(PIPELINE, "=", (0,)), MOST), None, BY_STAGE, f"COVERING {BY_STAGE}"),
        (all_of(A_TITLE, MOST), None, BY_STAGE, BY_STAGE),
        (all_of(Comparison(PIPELINE, "=", (0,)), ONE_PERSON), None, BY_PERSON, BY_PERSON),
        (all_of(MOST, ONE_PERSON), None, BY_PERSON, BY_PERSON),
        (all_of(MOST, MOST_PIPELINES), None, BY_STAGE, BY_STAGE),
        (FEW, None, COLLECTED, "mirror_rows_by_stage (list_id=? AND stage=?)"),
        (all_of(MOST, FEW), None, COLLECTED, "mirror_rows_by_stage (list_id=? AND stage=?)"),
        (MOST_PIPELINES, None, LISTED, "mirror_rows_by_category (list_id=? AND category>?)"),
        (LATE, None, LISTED, f"{BY_TIME} AND modified>?)"),
        (LATE, "-DATE_MODIFY", f"{BY_TIME} AND modified>?)", f"{BY_TIME} AND modified>?)"),
        (all_of(LATE, FEW), "-DATE_MODIFY", COLLECTED, "mirror_rows_by_stage (list_id=? AND stage=?)"),
        (all_of(LATE, MOST), "DATE_MODIFY", f"{BY_TIME} AND modified>?)", BY_STAGE),
        (MOST, "-ID", f"{BY_ID})", BY_STAGE),
        (FEW, "ID", COLLECTED, "mirror_rows_by_stage (list_id=? AND stage=?)"),
        (ONE_PERSON, "ID", COLLECTED, BY_PERSON),
        (Comparison(ID, ">", (1,)), "ID", f"{BY_ID} AND portal_row_id>?)", f"{BY_ID} AND portal_row_id>?)"),
        (Comparison(ID, ">", (1,)), None, LISTED, f"{BY_ID} AND portal_row_id>?)"),
        (Comparison(ID, ">", (ROWS - 5,)), None, COLLECTED, f"{BY_ID} AND portal_row_id>?)"),
        (Comparison(ID, "in", (3, 1)), None, COLLECTED, f"{BY_ID} AND portal_row_id=?)"),
        (
            all_of(Comparison(ID, "in", (3, 1)), MOST),
            "STAGE_ID",
            f"{BY_ID} AND portal_row_id=?)",
            f"{BY_ID} AND portal_row_id=?)",
        ),
        (Comparison(ID, "!=", (2,)), None, LISTED, LISTED),
        (any_of(FEW, Comparison(ID, "=", (2,))), None, "MULTI-INDEX OR", "MULTI-INDEX OR"),
        (any_of(FEW, MOST), None, LISTED, LISTED),
        (Group(any=False, negative=True, conditions=(FEW,)), None, LISTED, LISTED),
        (Comparison(AMOUNT, "<", (9,)), None, COLLECTED, COLLECTED),
        (Comparison(AMOUNT, ">", (9,)), None, LISTED, LISTED),
        (None, "UF_AMOUNT", "SEARCH mirror_values USING PRIMARY KEY (index_id=?); " + COLLECTED, LISTED),
        (MOST, "UF_AMOUNT", "SEARCH mirror_values USING PRIMARY KEY (index_id=?); " + COLLECTED, BY_STAGE),
        (FEW, "UF_AMOUNT", COLLECTED, "mirror_rows_by_stage (list_id=? AND stage=?)"),
        (MOST, "TITLE", BY_STAGE, BY_STAGE),
        (Comparison(PERSON, "=", (None,)), None, LISTED, LISTED),
        (all_of(MOST, Comparison(ID, "in", ())), None, BY_STAGE, BY_STAGE),
        (all_of(MOST, any_of()), None, BY_STAGE, BY_STAGE),
    ],
)
def test_the_index_that_looks_at_the_fewest_rows_finds_them(
    table: RecordTable, condition: Comparison | Group | None, order: str | None, rows_plan: str, count_plan: str
) -> None:
    found, counted = plans(table, selection(condition, order))
    assert rows_plan in found
    assert count_plan in counted


def sort_key(field: QueryField | None, row: dict[str, object], number: int) -> tuple[bool, bool, SqlValue, int]:
    """Where a row is in ascending order: empty values first, numbers before texts, equal ones by id."""
    value = None if field is None else next(iter(values_of(field, row)), None)
    return value is not None, isinstance(value, str), 0 if value is None else value, number


def pages(table: RecordTable, selection: Selection, max_collected: int) -> tuple[list[int], list[int], int | None]:
    """The ids of all pages forward, those of the pages back from the last one, and the count."""
    page = read(table, selection, max_collected)
    count, forward = page.count, [ids_of(page.items)]
    while page.more:
        page = read(table, replace(selection, after=page.positions[-1]), max_collected)
        forward.append(ids_of(page.items))
    back = forward[-1:]
    while len(back) < len(forward):
        page = read(table, replace(selection, after=page.positions[0], backward=True), max_collected)
        back.insert(0, ids_of(page.items))
    return list(chain(*forward)), list(chain(*back)), count


def read(table: RecordTable, selection: Selection, max_collected: int) -> SelectedRecords:
    page = select_records(table.connection, selection, None, max_collected)
    assert page is not None
    return page


def ids_of(items: Sequence[bytes]) -> list[int]:
    return [orjson.loads(item)["id"] for item in items]


ORDERS = [field for field in FIELDS.values() if not field.multiple and field.kind is not Kind.FILE]


@settings(max_examples=60)
@given(
    st.lists(rows(), min_size=1, max_size=7),
    st.none() | trees(),
    st.sampled_from([(None, False), *product(ORDERS, (False, True))]),
)
def test_every_plan_finds_the_same_pages(
    stored: list[dict[str, object]], condition: Comparison | Group | None, ordered: tuple[QueryField | None, bool]
) -> None:
    order, descending = ordered
    table = RecordTable()
    for row in stored:
        table.add(row, **{column: normal(kind, row.get(name, MISSING)) for name, kind, column, _ in COLUMN_FIELDS})
    for name, field in FIELDS.items():
        table.index(replace(field, index_id=INDEX_OF[name]), ZONE_S)
    matching = [number for number, row in enumerate(stored, 1) if condition is None or holds(condition, row)]
    expected = sorted(
        matching,
        key=lambda number: sort_key(order, stored[number - 1], number),
        reverse=order is not None and descending,
    )
    for columns, indexes in ((False, False), (True, False), (False, True), (True, True)):
        asked = Selection(
            1,
            None if condition is None else read_from(condition, columns, indexes),
            None if order is None else read_from_field(order, columns, indexes),
            descending,
            ZONE_S,
            size=2,
            count=len(stored),
        )
        for max_collected in (0, 2, 100):
            assert pages(table, asked, max_collected) == (expected, expected, len(matching))
