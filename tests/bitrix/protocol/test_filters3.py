"""The filter grammar of REST 3.0: valid filters pass, and errors point to the invalid part."""

from collections.abc import Callable, Iterator
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.bitrix.protocol.filters3 import MAX_DEPTH, check_filter
from gateway.errors import InvalidInput

LETTERS = "aZж=<>. '\""
scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(LETTERS, max_size=8)
fields = st.text(LETTERS, min_size=1, max_size=8)
comparisons = st.sampled_from(["=", "!=", ">", ">=", "<", "<="])
conditions = st.one_of(
    st.tuples(fields, comparisons, scalars),
    st.tuples(fields, st.just("in"), st.lists(scalars, max_size=4)),
    st.tuples(fields, st.just("between"), st.lists(scalars, min_size=2, max_size=2)),
    st.tuples(fields, scalars),
    st.tuples(fields, st.lists(scalars, max_size=4)),
).map(list)


def groups(elements: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.fixed_dictionaries(
        {"conditions": st.lists(elements, max_size=4)},
        optional={"logic": st.sampled_from(["and", "or"]), "negative": st.booleans()},
    )


filters = st.lists(st.recursive(conditions, groups, max_leaves=8), max_size=5) | conditions

# Functions that make a condition or a group invalid, and return the pointer to the error in it.
Break = Callable[[Any], str]


def _unknown_operator(condition: Any) -> str:
    condition[1:] = ["like", 1]
    return "/1"


def _no_field(condition: Any) -> str:
    condition[:] = ["", "=", 1]
    return "/0"


def _number_for_a_field(condition: Any) -> str:
    condition[:] = [5, "=", 1]
    return "/0"


def _alone(condition: Any) -> str:
    del condition[1:]
    return ""


def _too_long(condition: Any) -> str:
    condition[1:] = ["=", 1, 2]
    return ""


def _single_after_in(condition: Any) -> str:
    condition[1:] = ["in", 1]
    return "/2"


def _one_after_between(condition: Any) -> str:
    condition[1:] = ["between", [1]]
    return "/2"


def _list_after_equals(condition: Any) -> str:
    condition[1:] = ["=", [1]]
    return "/2"


def _reference(condition: Any) -> str:
    condition[1:] = ["=", {"$ref": "0.id"}]
    return "/2"


def _logic(group: Any) -> str:
    group["logic"] = "xor"
    return "/logic"


def _no_conditions(group: Any) -> str:
    group.pop("conditions")
    return "/conditions"


def _object_for_conditions(group: Any) -> str:
    group["conditions"] = {"0": ["id", 1]}
    return "/conditions"


def _scalar_among_conditions(group: Any) -> str:
    group["conditions"].insert(0, "id")
    return "/conditions/0"


def _negative(group: Any) -> str:
    group["negative"] = 1
    return "/negative"


OF_CONDITIONS: list[Break] = [
    _unknown_operator,
    _no_field,
    _number_for_a_field,
    _alone,
    _too_long,
    _single_after_in,
    _one_after_between,
    _list_after_equals,
    _reference,
]
OF_GROUPS: list[Break] = [_logic, _no_conditions, _object_for_conditions, _scalar_among_conditions, _negative]


def parts(elements: list[Any], pointer: str) -> Iterator[tuple[Any, str]]:
    """Yield every condition and group, with its pointer."""
    for index, element in enumerate(elements):
        place = f"{pointer}/{index}"
        yield element, place
        if isinstance(element, dict):
            yield from parts(element["conditions"], f"{place}/conditions")


def error_pointer(value: object, *, references: bool = False) -> str | None:
    """Return the pointer to the invalid part; None for a valid filter."""
    try:
        check_filter(value, "/filter", references=references)
    except InvalidInput as error:
        return error.errors[0].pointer
    return None


@given(filters)
def test_every_filter_of_the_grammar_is_accepted_and_not_changed(value: list[Any]) -> None:
    before = deepcopy(value)
    assert error_pointer(value) is None
    assert error_pointer(value, references=True) is None
    assert value == before


@given(st.lists(st.recursive(conditions, groups, max_leaves=8), min_size=1, max_size=5), st.data())
def test_the_error_points_to_the_invalid_part(value: list[Any], data: st.DataObject) -> None:
    value = deepcopy(value)
    part, place = data.draw(st.sampled_from(list(parts(value, "/filter"))))
    breaks = OF_GROUPS if isinstance(part, dict) else OF_CONDITIONS
    below = data.draw(st.sampled_from(breaks))(part)
    assert error_pointer(value) == place + below


@pytest.mark.parametrize("value", [None, True, 5, "id", {}, {"logic": "or", "conditions": []}])
def test_only_a_list_is_a_filter(value: object) -> None:
    assert error_pointer(value) == "/filter"


def test_a_single_condition_needs_no_list() -> None:
    assert error_pointer(["id", ">", 5]) is None
    assert error_pointer(["id", "like", 5]) == "/filter/1"


@pytest.mark.parametrize("operator", ["=", "in", "between", ">="])
@pytest.mark.parametrize("name", ["$ref", "$refArray"])
def test_a_reference_is_a_value_only_in_a_batch(operator: str, name: str) -> None:
    assert error_pointer([["id", operator, {name: "0.id"}]], references=True) is None
    assert error_pointer([["id", operator, {name: "0.id"}]]) == "/filter/0/2"
    assert error_pointer([["id", operator, {"ref": "0.id"}]], references=True) == "/filter/0/2"
    assert error_pointer([{"conditions": [["id", {name: "0.id"}]]}], references=True) is None


def test_groups_have_a_maximum_depth() -> None:
    def nested(depth: int) -> list[Any]:
        elements: list[Any] = [["id", 1]]
        for _ in range(depth):
            elements = [{"logic": "or", "conditions": elements}]
        return elements

    assert error_pointer(nested(MAX_DEPTH)) is None
    assert error_pointer(nested(MAX_DEPTH + 1)) == "/filter" + "/0/conditions" * MAX_DEPTH + "/0"


def test_only_the_operator_of_a_long_form_condition_is_checked() -> None:
    long = {"leftOperand": {"field": "id"}, "operator": "=", "rightOperand": 5}
    assert error_pointer([long]) is None
    assert error_pointer([{**long, "operator": "like"}]) == "/filter/0/operator"
