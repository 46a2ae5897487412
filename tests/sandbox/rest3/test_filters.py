"""Filters of REST 3.0: matching rows and errors."""

from math import inf
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.sandbox.portal import SandboxPortal
from gateway.sandbox.rest3.errors import PREFIX, Rest3Error
from gateway.sandbox.rest3.eventlog import ENTRY
from gateway.sandbox.rest3.filters import read_filter
from gateway.sandbox.rest3.tasks import TASK
from gateway.sandbox.tables.table import Table
from tests.sandbox.client import RestClient

ROWS = Table(
    {
        1: {"id": 1, "userId": 5, "severity": "INFO", "timestampX": "2026-01-01T10:00:00+03:00"},
        2: {"id": 2, "userId": 7, "severity": "Security", "timestampX": "2026-01-02T10:00:00+03:00"},
        3: {"id": 3, "userId": None, "severity": "SECURITY", "timestampX": "2026-01-03T10:00:00+03:00"},
        5: {"id": 5, "userId": 5, "severity": None, "timestampX": "2026-01-04T07:00:00+00:00"},
    }
)


def found(conditions: Any) -> list[int]:
    return list(read_filter(conditions, ENTRY).ids(ROWS))


@pytest.mark.parametrize(
    ("conditions", "ids"),
    [
        (None, [1, 2, 3, 5]),
        ([], [1, 2, 3, 5]),
        ([["id", "=", 2]], [2]),
        ([["id", 2]], [2]),
        (["id", "=", 2], [2]),
        (["id", 2], [2]),
        ([["id", "!=", 2]], [1, 3, 5]),
        ([["id", ">", 2]], [3, 5]),
        ([["id", ">=", 2], ["id", "<", 5]], [2, 3]),
        ([["id", "<=", 3]], [1, 2, 3]),
        ([["id", "in", [5, 1, 9]]], [1, 5]),
        ([["id", [5, 1]]], [1, 5]),
        ([["id", "in", []]], []),
        ([["id", "between", [2, 5]]], [2, 3, 5]),
        ([["userId", "=", None]], [3]),
        ([["userId", "!=", 5]], [2, 3]),
        ([["userId", ">", 5]], [2]),
        ([["userId", "between", [5, 6]]], [1, 5]),
        ([["severity", "=", "security"]], [2, 3]),
        ([["timestampX", ">=", "2026-01-02T10:00:00"]], [2, 3, 5]),
        ([["timestampX", "between", ["2026-01-03", "2026-01-04T10:00:00+03:00"]]], [3, 5]),
        ([{"logic": "or", "conditions": [["id", 1], ["id", ">", 3]]}], [1, 5]),
        ([{"logic": "and", "conditions": [["id", ">", 1], ["userId", 5]]}], [5]),
        ([{"logic": "or", "conditions": [["id", 1]], "negative": True}], [2, 3, 5]),
        (
            [["id", "<", 5], {"logic": "or", "conditions": [["id", 1], {"logic": "and", "conditions": [["id", 3]]}]}],
            [1, 3],
        ),
        ([{"leftOperand": "id", "operator": "=", "rightOperand": 3}], [3]),
        ([{"logic": "or", "conditions": []}], []),
    ],
)
def test_a_filter_returns_the_matching_rows(conditions: Any, ids: list[int]) -> None:
    assert found(conditions) == ids


@pytest.mark.parametrize(
    ("conditions", "name"),
    [
        ("id", "INVALIDFILTEREXCEPTION"),
        ({"id": 1}, "INVALIDFILTEREXCEPTION"),
        ([5], "INVALIDFILTEREXCEPTION"),
        ([["id"]], "INVALIDFILTEREXCEPTION"),
        ([["id", "=", 1, 2]], "INVALIDFILTEREXCEPTION"),
        ([[1, "=", 1]], "INVALIDFILTEREXCEPTION"),
        ([["id", "=", [1]]], "INVALIDFILTEREXCEPTION"),
        ([["id", "in", 1]], "INVALIDFILTEREXCEPTION"),
        ([["id", "between", [1]]], "INVALIDFILTEREXCEPTION"),
        ([["id", "between", [1, 2, 3]]], "INVALIDFILTEREXCEPTION"),
        ([["severity", "between", ["a", "b"]]], "INVALIDFILTEREXCEPTION"),
        ([{"logic": "xor", "conditions": []}], "INVALIDFILTEREXCEPTION"),
        ([{"logic": "or", "conditions": {}}], "INVALIDFILTEREXCEPTION"),
        ([{"logic": "or"}], "INVALIDFILTEREXCEPTION"),
        ([["nope", "=", 1]], "UNKNOWNDTOPROPERTYEXCEPTION"),
        ([{"logic": "or", "conditions": [["nope", 1]]}], "UNKNOWNDTOPROPERTYEXCEPTION"),
        ([["id", "like", 1]], "UNKNOWNFILTEROPERATOREXCEPTION"),
        ([["id", "%", 1]], "UNKNOWNFILTEROPERATOREXCEPTION"),
        ([["id", "=", "5"]], "VALIDATION_REQUESTVALIDATIONEXCEPTION"),
        ([["id", "=", True]], "VALIDATION_REQUESTVALIDATIONEXCEPTION"),
        ([["id", "in", [1, "2"]]], "VALIDATION_REQUESTVALIDATIONEXCEPTION"),
        ([["timestampX", ">", "soon"]], "VALIDATION_REQUESTVALIDATIONEXCEPTION"),
    ],
)
def test_an_invalid_filter_is_refused(conditions: Any, name: str) -> None:
    with pytest.raises(Rest3Error) as error:
        read_filter(conditions, ENTRY)
    assert (error.value.code, error.value.status) == (PREFIX + name, 400)


def test_tasks_can_be_filtered_only_by_id() -> None:
    with pytest.raises(Rest3Error) as error:
        read_filter([["status", "=", "pending"]], TASK)
    assert list(error.value.invalid) == ["status"]
    assert "`Filterable`" in error.value.invalid["status"]


IDS = st.integers(-2, 12)
CONDITION = st.one_of(
    st.tuples(st.sampled_from(["=", "!=", ">", ">=", "<", "<="]), IDS),
    st.tuples(st.just("in"), st.lists(IDS, max_size=4)),
    st.tuples(st.just("between"), st.lists(IDS, min_size=2, max_size=2)),
)
MEANING: dict[str, Any] = {
    "=": lambda own, value: own == value,
    "!=": lambda own, value: own != value,
    ">": lambda own, value: own > value,
    ">=": lambda own, value: own >= value,
    "<": lambda own, value: own < value,
    "<=": lambda own, value: own <= value,
    "in": lambda own, value: own in value,
    "between": lambda own, value: value[0] <= own <= value[1],
}


@given(st.lists(CONDITION, max_size=4), st.sampled_from(["and", "or"]), st.booleans())
def test_conditions_mean_the_same_alone_and_in_groups(
    conditions: list[tuple[str, Any]], logic: str, negative: bool
) -> None:
    table = Table({row_id: {"id": row_id} for row_id in range(11) if row_id % 4 != 3})
    written = [["id", operator, value] for operator, value in conditions]

    def meets(row_id: int) -> list[bool]:
        return [MEANING[operator](row_id, value) for operator, value in conditions]

    plain = read_filter(written, TASK)
    assert list(plain.ids(table)) == [row_id for row_id in table if all(meets(row_id))]
    assert list(plain.ids(table, descending=True)) == list(plain.ids(table))[::-1]
    grouped = read_filter([{"logic": logic, "conditions": written, "negative": negative}], TASK)
    assert (grouped.above, grouped.below) == (-inf, inf)
    combine = all if logic == "and" else any
    assert list(grouped.ids(table)) == [row_id for row_id in table if combine(meets(row_id)) is not negative]


async def test_a_filter_works_over_the_wire(rest3: RestClient, portal: SandboxPortal) -> None:
    first, second, *_ = portal.data.tasks
    answer = await rest3.call("tasks.task.list", filter=[["id", [first, second]]])
    assert answer.result == {"items": [{"id": first}, {"id": second}]}
