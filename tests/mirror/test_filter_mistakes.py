"""Filters in the grammar of REST 3.0: each mistake is reported with its place and the rule."""

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import InvalidInput
from gateway.mirror.filters import parse_filter
from tests.support.filter_fields import FIELDS, ZONE_S, nested
from tests.support.queried import RecordTable

OPERATORS = "must be one of = != > >= < <= in between"
CALENDAR_RULE = "must be a day and time that exist"
DATE_RULE = "must be a date (YYYY-MM-DD) or a date and time (RFC 3339, with or without a zone)"


def errors_of(value: object) -> list[tuple[str | None, str, str]]:
    """The pointer, code and sentence of each mistake in a filter."""
    with pytest.raises(InvalidInput) as raised:
        parse_filter(value, FIELDS)
    assert all(error.parameter == "filter" for error in raised.value.errors)
    assert raised.value.detail.startswith("filter: ")
    return [(error.pointer, error.code, error.detail) for error in raised.value.errors]


@pytest.mark.parametrize(
    ("value", "pointer", "code", "rule"),
    [
        (None, "", "invalid_filter", "must be a list of conditions"),
        ({}, "", "invalid_filter", "must be a list of conditions"),
        ("id", "", "invalid_filter", "must be a list of conditions"),
        ([5], "/0", "invalid_filter", "must be a condition (a list) or a group (an object)"),
        ([None], "/0", "invalid_filter", "must be a condition (a list) or a group (an object)"),
        ([["id", 1], "x"], "/1", "invalid_filter", "must be a condition (a list) or a group (an object)"),
        ([[]], "/0", "invalid_filter", "must be [field, operator, value], or [field, value]"),
        (["id"], "", "invalid_filter", "must be [field, operator, value], or [field, value]"),
        ([["id", "=", 1, 2]], "/0", "invalid_filter", "must be [field, operator, value], or [field, value]"),
        ([[5, "=", 1]], "/0/0", "invalid_filter", "must be the name of a field"),
        ([["", "=", 1]], "/0/0", "invalid_filter", "must be the name of a field"),
        ([[["id"], "=", 1]], "/0/0", "invalid_filter", "must be the name of a field"),
        ([["TITEL", "=", 1]], "/0/0", "unknown_field", "unknown field 'TITEL'; did you mean 'TITLE'?"),
        (["title", "=", 1], "/0", "unknown_field", "unknown field 'title'; did you mean 'TITLE'?"),
        ([["XYZZY", "=", 1]], "/0/0", "unknown_field", "unknown field 'XYZZY'"),
        ([["X" * 99, "=", 1]], "/0/0", "unknown_field", f"unknown field '{'X' * 64}…'"),
        ([["id", "like", 1]], "/0/1", "unknown_operator", OPERATORS),
        ([["id", "==", 1]], "/0/1", "unknown_operator", f"{OPERATORS}; did you mean '='?"),
        ([["id", "=>", 1]], "/0/1", "unknown_operator", f"{OPERATORS}; did you mean '>='?"),
        ([["id", "<>", 1]], "/0/1", "unknown_operator", f"{OPERATORS}; did you mean '!='?"),
        ([["id", "IN", [1]]], "/0/1", "unknown_operator", f"{OPERATORS}; did you mean 'in'?"),
        ([["id", None, 1]], "/0/1", "unknown_operator", OPERATORS),
        ([["id", ["="], 1]], "/0/1", "unknown_operator", OPERATORS),
        ([["id", {}, 1]], "/0/1", "unknown_operator", OPERATORS),
        ([["id", "x" * 10_000, 1]], "/0/1", "unknown_operator", OPERATORS),
        ([["id", "in", 1]], "/0/2", "invalid_filter", "must be a list after in"),
        ([["id", "in", None]], "/0/2", "invalid_filter", "must be a list after in"),
        ([["id", "between", 1]], "/0/2", "invalid_filter", "must be a list of two values after between"),
        ([["id", "between", [1]]], "/0/2", "invalid_filter", "must be a list of two values after between"),
        ([["id", "between", [1, 2, 3]]], "/0/2", "invalid_filter", "must be a list of two values after between"),
        ([["id", "between", [1, None]]], "/0/2/1", "invalid_value", "must not be empty after between"),
        ([["id", "=", [1]]], "/0/2", "invalid_filter", "must be a single value after ="),
        ([["id", {}]], "/0/1", "invalid_filter", "must be a single value after ="),
        ([["id", [[1]]]], "/0/1/0", "invalid_filter", "must be a single value after in"),
        ([["id", "in", [1, {}]]], "/0/2/1", "invalid_filter", "must be a single value after in"),
        ([["id", ">", None]], "/0/2", "invalid_value", "must not be empty after >"),
        ([["TITLE", "<=", ""]], "/0/2", "invalid_value", "must not be empty after <="),
        ([["OPPORTUNITY", ">", "abc"]], "/0/2", "invalid_value", "must be a number, as OPPORTUNITY is a number"),
        ([["OPPORTUNITY", "1,5"]], "/0/1", "invalid_value", "must be a number, as OPPORTUNITY is a number"),
        ([["OPPORTUNITY", "٣"]], "/0/1", "invalid_value", "must be a number, as OPPORTUNITY is a number"),
        ([["OPPORTUNITY", True]], "/0/1", "invalid_value", "must be a number, as OPPORTUNITY is a number"),
        ([["UF_MONEY", "1|RUB"]], "/0/1", "invalid_value", "must be a number, as UF_MONEY is a number"),
        ([["id", "1e999"]], "/0/1", "invalid_value", "must be a finite number, as id is a number"),
        ([["id", float("nan")]], "/0/1", "invalid_value", "must be a finite number, as id is a number"),
        ([["id", 10**400]], "/0/1", "invalid_value", "must be a finite number, as id is a number"),
        ([["TITLE", True]], "/0/1", "invalid_value", "must be a text or a number, as TITLE is a text"),
        ([["TITLE", "x" * 10_001]], "/0/1", "invalid_value", "must have at most 10000 characters, as TITLE is a text"),
        (
            [["UF_FLAG", "K"]],
            "/0/1",
            "invalid_value",
            "must be true or false (or Y or N, 1 or 0), as UF_FLAG is a flag",
        ),
        ([["UF_FLAG", 2]], "/0/1", "invalid_value", "must be true or false (or Y or N, 1 or 0), as UF_FLAG is a flag"),
        ([["OPENED", 0.5]], "/0/1", "invalid_value", "must be true or false (or Y or N, 1 or 0), as OPENED is a flag"),
        ([["UF_FILE", ">", 1]], "/0/2", "invalid_value", "must follow one of = != in: UF_FILE is a file"),
        ([{}], "/0/conditions", "invalid_filter", "must be a list of conditions"),
        ([{"conditions": {}}], "/0/conditions", "invalid_filter", "must be a list of conditions"),
        ([{"logic": "xor", "conditions": []}], "/0/logic", "invalid_filter", "must be and, or"),
        ([{"logic": "OR", "conditions": []}], "/0/logic", "invalid_filter", "must be and, or"),
        ([{"logic": [], "conditions": []}], "/0/logic", "invalid_filter", "must be and, or"),
        ([{"negative": 1, "conditions": []}], "/0/negative", "invalid_filter", "must be true or false"),
        (
            [{"negativ": True, "conditions": []}],
            "/0",
            "invalid_filter",
            "must have no other keys than logic, negative, conditions, not 'negativ'",
        ),
        (
            [{"conditions": [{"conditions": [["id", "~", 1]]}]}],
            "/0/conditions/0/conditions/0/1",
            "unknown_operator",
            OPERATORS,
        ),
        ([["id", [0] * 1001]], "/0/1", "invalid_filter", "must have at most 1000 values after in"),
        ([["id", "in", [0] * 10_000]], "/0/2", "invalid_filter", "must have at most 1000 values after in"),
        (
            [["id", [0] * 1000]] * 11,
            "/10/1",
            "invalid_filter",
            "must not exceed 10000 values in all",
        ),
        ([["id", 1]] * 1001, "/1000", "invalid_filter", "must not exceed 1000 conditions in all"),
        ([["id", 1]] * 10_000, "/1000", "invalid_filter", "must not exceed 1000 conditions in all"),
        ([{"conditions": []}] * 10_000, "/1000", "invalid_filter", "must not exceed 1000 conditions in all"),
    ],
)
def test_a_mistake_is_reported_with_its_place(value: object, pointer: str, code: str, rule: str) -> None:
    assert errors_of(value) == [(pointer, code, f"{pointer} {rule}".lstrip())]


@pytest.mark.parametrize("levels", [33, 64, 500])
def test_deep_groups_are_refused(levels: int) -> None:
    pointer = "/0" + "/conditions/0" * 32
    rule = "must not be nested deeper than 32 groups"
    assert errors_of(orjson.loads(orjson.dumps(nested(levels)) if levels < 100 else deep_json(levels))) == [
        (pointer, "invalid_filter", f"{pointer} {rule}")
    ]


def deep_json(levels: int) -> bytes:
    """A filter nested deeper than orjson writes, and as deep as it reads."""
    return b'[{"conditions":' * levels + b"[]" + b"}]" * levels


@pytest.mark.parametrize("name", ["DATE_MODIFY", "BEGINDATE"])
@pytest.mark.parametrize(
    "value",
    [
        "soon",
        "now",
        "2026-1-1",
        "20260101",
        "2026-W01-1",
        "2026-01-01T00:00:00 03:00",
        "2026-01-01T00:00:00+0300",
        "٢٠٢٦-01-01",
        "2026-01-01\0",
        "2026-01-01\n",
        1767225600,
        1.5,
        True,
    ],
)
def test_what_is_no_date_is_refused(name: str, value: object) -> None:
    kind = "a time" if name == "DATE_MODIFY" else "a date"
    assert errors_of([[name, value]]) == [("/0/1", "invalid_value", f"/0/1 {DATE_RULE}, as {name} is {kind}")]


@pytest.mark.parametrize("name", ["DATE_MODIFY", "BEGINDATE"])
@pytest.mark.parametrize(
    "value", ["2026-02-30", "2026-01-01T25:00:00Z", "2026-01-01T00:00:60Z", "2026-01-01T00:00:00+99:00"]
)
def test_a_day_or_time_that_does_not_exist_is_refused(name: str, value: str) -> None:
    kind = "a time" if name == "DATE_MODIFY" else "a date"
    assert errors_of([[name, value]]) == [("/0/1", "invalid_value", f"/0/1 {CALENDAR_RULE}, as {name} is {kind}")]


ENDS = ("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-12:00")


@pytest.mark.parametrize("value", ENDS)
def test_times_at_the_ends_of_the_calendar_are_times(value: str) -> None:
    parse_filter([["DATE_MODIFY", value]], FIELDS)


@pytest.mark.parametrize("value", ENDS)
def test_days_outside_the_calendar_are_refused(value: str) -> None:
    assert errors_of([["BEGINDATE", value]]) == [
        ("/0/1", "invalid_value", f"/0/1 {CALENDAR_RULE}, as BEGINDATE is a date")
    ]


def test_all_mistakes_are_reported_at_once() -> None:
    mistakes = errors_of([["TITEL", "~", 1], ["id", "in", ["a", 2, "b"]], {"logic": "x", "conditions": [5]}])
    assert [pointer for pointer, _, _ in mistakes] == [
        "/0/0",
        "/0/1",
        "/1/2/0",
        "/1/2/2",
        "/2/logic",
        "/2/conditions/0",
    ]


def test_mistakes_are_capped() -> None:
    mistakes = errors_of([["TITEL", 1]] * 500)
    assert len(mistakes) == 100
    assert [detail.count("did you mean") for *_, detail in mistakes] == [1] * 20 + [0] * 80


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.sampled_from(
        ["id", "TITLE", "OPENED", "DATE_MODIFY", "=", "in", "between", ">", "and", "or", "2026-01-01", "\0"]
    ),
    lambda items: (
        st.lists(items, max_size=4)
        | st.dictionaries(st.sampled_from(["logic", "negative", "conditions", "x"]), items, max_size=3)
    ),
    max_leaves=20,
)


@given(JSON)
def test_any_json_is_a_filter_or_invalid(value: object) -> None:
    try:
        condition = parse_filter(value, FIELDS)
    except InvalidInput:
        return
    RecordTable().find(condition, ZONE_S)
