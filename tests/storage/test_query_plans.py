"""Which index finds the records of a query that names the portal's ids, however large the list is."""

import pytest

from storage.conditions import Comparison, Group
from storage.json_values import Kind, QueryField
from storage.mirror_queries import Selection, select_records
from tests.support.queried import RecordTable, table_of

ID = QueryField("ID", Kind.NUMBER, column="portal_row_id")
STAGE = QueryField("STAGE_ID", Kind.TEXT, column="stage")
BY_ID = "mirror_rows USING INDEX mirror_rows_by_portal_row (list_id=? AND part=?"
LISTED = "mirror_rows USING COVERING INDEX mirror_rows_listed (list_id=?)"


def all_of(*conditions: Comparison) -> Group:
    return Group(any=False, negative=False, conditions=conditions)


@pytest.fixture(scope="module")
def table() -> RecordTable:
    table = table_of([{"STAGE_ID": "NEW"}] * 3)
    table.connection.execute("INSERT INTO mirror_lists VALUES (1, 1, 1, 'deals', 1, 3, 3)")
    table.connection.execute("INSERT INTO sync_settings (list_id, enabled) VALUES (1, 1)")
    return table


@pytest.mark.parametrize(
    ("selection", "ids", "rows_plan", "count_plan"),
    [
        (Selection(1, order=ID, descending=True), [3, 2, 1], f"{BY_ID})", LISTED),
        (Selection(1, order=ID, after=(1, 1)), [2, 3], f"{BY_ID} AND portal_row_id>?)", LISTED),
        (Selection(1, Comparison(ID, ">", (1,)), order=ID), [2, 3], f"{BY_ID} AND portal_row_id>?)", LISTED),
        (Selection(1, all_of(Comparison(ID, "=", (2,)))), [2], *[f"{BY_ID} AND portal_row_id=?)"] * 2),
        (Selection(1, Comparison(ID, "in", (3, 1, 7, 8, 9))), [1, 3], *[f"{BY_ID} AND portal_row_id=?)"] * 2),
        (
            Selection(1, all_of(Comparison(ID, "in", (3, 1, 7, 8, 9)), Comparison(STAGE, "=", ("NEW",))), order=STAGE),
            [],
            *[f"{BY_ID} AND portal_row_id=?)"] * 2,
        ),
        (Selection(1, Comparison(ID, ">=", (2,))), [2, 3], LISTED, LISTED),
        (Selection(1, Comparison(ID, "!=", (2,))), [1, 3], LISTED, LISTED),
        (
            Selection(1, Group(any=True, negative=False, conditions=(Comparison(ID, "=", (2,)),) * 2)),
            [2],
            LISTED,
            LISTED,
        ),
    ],
)
def test_ids_are_found_by_an_index_that_has_them(
    table: RecordTable, selection: Selection, ids: list[int], rows_plan: str, count_plan: str
) -> None:
    statements: list[str] = []
    table.connection.set_trace_callback(statements.append)
    found = select_records(table.connection, selection)
    select_records(table.connection, Selection(1, selection.condition, count=10))
    table.connection.set_trace_callback(None)
    assert found is not None
    assert [item.partition(b",")[0] for item in found.items] == [b'{"id":%d' % row_id for row_id in ids]
    first = next(statement for statement in statements if statement.startswith("SELECT row_id"))
    last = next(statement for statement in reversed(statements) if statement.startswith("SELECT count"))
    assert rows_plan in table.explain(first)
    assert count_plan in table.explain(last)
