"""Filters in the grammar of REST 3.0: what they mean for rows."""

import pytest

from gateway.bitrix.lists.list_fields import Field
from gateway.mirror.filters import parse_filter
from gateway.mirror.query_fields import query_field
from storage.conditions import Comparison, Group
from storage.json_values import Kind, QueryField
from tests.support.filter_fields import FIELDS, ZONE_S, nested
from tests.support.queried import RecordTable

ROWS: tuple[dict[str, object], ...] = (
    {
        "TITLE": "5",
        "STAGE_ID": "NEW",
        "CATEGORY_ID": "0",
        "OPPORTUNITY": "20000.00",
        "ASSIGNED_BY_ID": "1",
        "OPENED": "Y",
        "UF_FLAG": "1",
        "DATE_MODIFY": "2026-01-01T03:00:00+03:00",
        "BEGINDATE": "2026-01-01T03:00:00+03:00",
        "UF_FILE": {"id": 9, "showUrl": "/f"},
        "UF_TAGS": [41, 43],
        "UF_MONEY": "1000|RUB",
        "PHONE": [{"ID": "1", "VALUE": "+7900"}],
        'UF"; --': "quoted",
    },
    {
        "TITLE": "nul\0",
        "STAGE_ID": "WON",
        "CATEGORY_ID": "1",
        "OPPORTUNITY": "",
        "ASSIGNED_BY_ID": "2",
        "OPENED": "N",
        "UF_FLAG": "0",
        "DATE_MODIFY": "2026-01-02T00:00:00+03:00",
        "BEGINDATE": "",
        "UF_FILE": False,
        "UF_TAGS": False,
        "UF_MONEY": "",
        "PHONE": False,
    },
    {"TITLE": None, "OPENED": "K", "UF_TAGS": ["43"], "OPPORTUNITY": 7, "ASSIGNED_BY_ID": 2},
)


@pytest.fixture(scope="module")
def table() -> RecordTable:
    table = RecordTable()
    table.add(ROWS[0], stage="NEW", category=0, modified=1767225600)
    table.add(ROWS[1], stage="WON", category=1, modified=1767301200)
    table.add(ROWS[2])
    money = FIELDS.find("UF_MONEY")
    assert money is not None
    table.index(money, ZONE_S)
    return table


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ([], [1, 2, 3]),
        ([["id", "=", 2]], [2]),
        (["id", "=", 2], [2]),
        (["id", "2"], [2]),
        (["id", [1, "3", 9]], [1, 3]),
        ([["id", "in", []]], []),
        ([["id", "between", [2, 3]]], [2, 3]),
        ([["id", "between", [3, 2]]], []),
        ([["STAGE_ID", "=", "NEW"]], [1]),
        ([["STAGE_ID", "!=", "NEW"]], [2, 3]),
        ([["STAGE_ID", None]], [3]),
        ([["STAGE_ID", ""]], [3]),
        ([["STAGE_ID", "in", ["WON", None]]], [2, 3]),
        ([["STAGE_ID", "=", "NEW"], ["CATEGORY_ID", "=", 0]], [1]),
        ([["STAGE_ID", "=", "NEW"], ["CATEGORY_ID", "=", 1]], []),
        ([{"logic": "or", "conditions": [["STAGE_ID", "NEW"], ["CATEGORY_ID", 1]]}], [1, 2]),
        ([{"conditions": [["STAGE_ID", "NEW"], ["CATEGORY_ID", 0]], "negative": True}], [2, 3]),
        ([["id", "!=", 1], {"logic": "and", "conditions": [{"logic": "or", "conditions": [["id", [1, 2]]]}]}], [2]),
        ([{"logic": "or", "conditions": []}], []),
        ([{"logic": "and", "conditions": []}], [1, 2, 3]),
        (["TITLE", "=", 5], [1]),
        (["TITLE", "=", "nul\0"], [2]),
        (["TITLE", "=", "nul"], []),
        (["TITLE", "=", None], [3]),
        (["OPPORTUNITY", "=", 20000], [1]),
        (["OPPORTUNITY", "=", "20000.0"], [1]),
        (["OPPORTUNITY", ">", "2e1"], [1]),
        (["OPPORTUNITY", "<", 10], [3]),
        (["OPPORTUNITY", "!=", 7], [1, 2]),
        (["OPPORTUNITY", "!=", None], [1, 3]),
        (["OPPORTUNITY", "<", 2**64], [1, 3]),
        (["OPPORTUNITY", "<", 2**63], [1, 3]),
        (["OPPORTUNITY", ">", -(2**63)], [1, 3]),
        (["ASSIGNED_BY_ID", "=", 2], [2, 3]),
        (["OPENED", "=", True], [1]),
        (["OPENED", "=", "Y"], [1]),
        (["OPENED", "=", 0], [2]),
        (["OPENED", "=", False], [2]),
        (["OPENED", "=", "K"], [3]),
        (["OPENED", "!=", "Y"], [2, 3]),
        (["UF_FLAG", "=", "Y"], [1]),
        (["UF_FLAG", "=", False], [2]),
        (["UF_FLAG", "=", "0"], [2]),
        (["UF_FLAG", "=", None], [3]),
        (["DATE_MODIFY", "=", "2026-01-01T00:00:00Z"], [1]),
        (["DATE_MODIFY", "=", "2026-01-01 03:00"], [1]),
        (["DATE_MODIFY", "=", "2025-12-31t19:00:00.000-05:00"], [1]),
        (["DATE_MODIFY", "=", "2026-01-02"], [2]),
        (["DATE_MODIFY", ">", "2026-01-01T00:00:00.5Z"], [2]),
        (["DATE_MODIFY", "between", ["2026-01-01", "2026-01-02"]], [1, 2]),
        (["DATE_MODIFY", "!=", None], [1, 2]),
        (["BEGINDATE", "=", "2026-01-01"], [1]),
        (["BEGINDATE", "=", "2025-12-31T22:00:00Z"], [1]),
        (["BEGINDATE", "<", "2026-01-01"], []),
        (["BEGINDATE", "=", None], [2, 3]),
        (["UF_FILE", "=", None], [2, 3]),
        (["UF_FILE", "=", 9], [1]),
        (["UF_TAGS", "=", 43], [1, 3]),
        (["UF_TAGS", "=", "41"], [1]),
        (["UF_TAGS", "!=", 41], [2, 3]),
        (["UF_TAGS", "=", None], [2]),
        (["UF_MONEY", ">=", 1000], [1]),
        (["UF_MONEY", "=", None], [2, 3]),
        (["PHONE", "=", "+7900"], [1]),
        (["PHONE", "=", None], [2, 3]),
        (['UF"; --', "=", "quoted"], [1]),
        (["TITLE", "=", "' OR 1 = 1 --"], []),
        (nested(32), [1]),
        ([["id", "in", list(range(1000))]], [1, 2, 3]),
        ([{"logic": "or", "conditions": [["id", n] for n in range(999)]}], [1, 2, 3]),
    ],
)
def test_a_filter_finds_its_rows(table: RecordTable, value: object, found: list[int]) -> None:
    assert table.find(parse_filter(value, FIELDS), ZONE_S) == found


def test_fields_are_read_from_columns_and_indexes() -> None:
    condition = parse_filter([["STAGE_ID", "NEW"], ["UF_MONEY", 5], ["DATE_MODIFY", "2026-01-01"]], FIELDS)
    assert condition == Group(
        any=False,
        negative=False,
        conditions=(
            Comparison(QueryField("STAGE_ID", Kind.TEXT, column="stage"), "=", ("NEW",)),
            Comparison(QueryField("UF_MONEY", Kind.NUMBER, index_id=4), "=", (5,)),
            Comparison(QueryField("DATE_MODIFY", Kind.TIME, column="modified"), "=", (1767214800,)),
        ),
    )


@pytest.mark.parametrize("field", [Field("X", "string"), Field("X", "datetime"), Field("X", "user", multiple=True)])
def test_a_column_of_another_kind_is_not_used(field: Field) -> None:
    assert query_field(field, {"X": "person"}, {}).column is None


@pytest.mark.parametrize(
    ("portal_type", "kind"),
    [
        ("string", Kind.TEXT),
        ("enumeration", Kind.TEXT),
        ("crm", Kind.TEXT),
        ("of the future", Kind.TEXT),
        ("integer", Kind.NUMBER),
        ("money", Kind.NUMBER),
        ("crm_company", Kind.NUMBER),
        ("datetime", Kind.TIME),
        ("date", Kind.DAY),
        ("char", Kind.FLAG),
        ("boolean", Kind.FLAG),
        ("file", Kind.FILE),
    ],
)
def test_the_kind_follows_the_portal_type(portal_type: str, kind: Kind) -> None:
    assert query_field(Field("X", portal_type), {}, {}).kind is kind
