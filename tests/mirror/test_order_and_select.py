"""The parameters `order` and `select` of queries."""

import pytest

from gateway.bitrix.lists.list_fields import Field
from gateway.errors import InvalidInput
from gateway.mirror.query_fields import QueryFields, parse_order, parse_select
from gateway.mirror.resources import RECORDS, find_resource, list_fields, record_type
from storage.json_values import Kind, QueryField
from tests.support.filter_fields import listed

ONE_FIELD = "must be one field: FIELD, or -FIELD for descending"
FIELDS = QueryFields(
    listed(
        {
            "TITLE": Field("TITLE", "string"),
            "STAGE_ID": Field("STAGE_ID", "crm_status"),
            "UF_FILE": Field("UF_FILE", "file"),
            "UF_TAGS": Field("UF_TAGS", "enumeration", multiple=True),
        }
    ),
    {"STAGE_ID": "stage"},
    {},
    0,
)


@pytest.mark.parametrize(
    ("text", "field", "descending"),
    [
        ("TITLE", QueryField("TITLE", Kind.TEXT), False),
        ("-STAGE_ID", QueryField("STAGE_ID", Kind.TEXT, column="stage"), True),
        ("-id", QueryField("id", Kind.NUMBER, column="portal_row_id"), True),
    ],
)
def test_an_order_is_a_field_and_a_direction(text: str, field: QueryField, descending: bool) -> None:
    assert parse_order(text, FIELDS) == (field, descending)


@pytest.mark.parametrize(
    ("text", "code", "rule"),
    [
        ("TITEL", "unknown_field", "unknown field 'TITEL'; did you mean 'TITLE'?"),
        ("-title", "unknown_field", "unknown field 'title'; did you mean 'TITLE'?"),
        *(
            (text, "invalid_value", ONE_FIELD)
            for text in ("", "-", "--TITLE", "+TITLE", "TITLE,STAGE_ID", "TITLE desc")
        ),
        ("syncedAt", "unknown_field", "'syncedAt' can only be selected"),
        ("-UF_FILE", "invalid_value", "UF_FILE must not be a file, which has no order"),
        ("UF_TAGS", "invalid_value", "UF_TAGS must not be a multiple field, which has no order"),
    ],
)
def test_an_order_that_is_none_is_refused(text: str, code: str, rule: str) -> None:
    with pytest.raises(InvalidInput) as raised:
        parse_order(text, FIELDS)
    (error,) = raised.value.errors
    assert (error.parameter, error.code, error.detail) == ("order", code, rule)


def test_a_select_keeps_its_order_and_each_name_once() -> None:
    assert parse_select("UF_TAGS,id,TITLE,id,syncedAt,deleted", FIELDS) == (
        "UF_TAGS",
        "id",
        "TITLE",
        "syncedAt",
        "deleted",
    )


def test_all_mistakes_of_a_select_are_reported_at_once() -> None:
    with pytest.raises(InvalidInput) as raised:
        parse_select("TITEL,TITLE,,XYZZY", FIELDS)
    assert [(error.parameter, error.code, error.detail) for error in raised.value.errors] == [
        ("select", "unknown_field", "unknown field 'TITEL'; did you mean 'TITLE'?"),
        ("select", "invalid_value", "must be names of fields, separated by commas"),
        ("select", "unknown_field", "unknown field 'XYZZY'"),
    ]


def test_a_select_of_too_many_names_is_refused() -> None:
    with pytest.raises(InvalidInput, match="must have at most 1000 names"):
        parse_select(",".join(f"X{number}" for number in range(1001)), FIELDS)


@pytest.mark.parametrize("name", [*RECORDS, "items/128"])
def test_the_portals_name_of_the_id_is_ordered_by_the_index_of_ids(name: str) -> None:
    id_name = "id" if name in ("invoices", "items/128") else "ID"
    described = {id_name: Field(id_name, "integer")}
    fields = QueryFields(list_fields(find_resource(name), described), record_type(find_resource(name)).columns, {}, 0)
    for order in (id_name, "id"):
        field, descending = parse_order(f"-{order}", fields)
        assert (field.column, descending) == ("portal_row_id", True)
