"""PHP's rules for query strings, arrays and casts."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.sandbox.php import MAX_UNQUOTED, as_array, as_bool, as_number, parse_query
from tests.sandbox.client import php_query


@pytest.mark.parametrize(
    ("query", "params"),
    [
        ("a[b][c]=1", {"a": {"b": {"c": "1"}}}),
        ("a[]=1&a[]=2", {"a": ["1", "2"]}),
        ("a[0]=x&a[1]=y", {"a": ["x", "y"]}),
        ("a[1]=y&a[0]=x", {"a": {"1": "y", "0": "x"}}),
        ("a[5]=x", {"a": {"5": "x"}}),
        ("a[5]=x&a[]=y", {"a": {"5": "x", "6": "y"}}),
        ("a[05]=x&a[]=y", {"a": {"05": "x", "0": "y"}}),
        ("a[][n]=1&a[][n]=2", {"a": [{"n": "1"}, {"n": "2"}]}),
        ("filter[>ID]=10", {"filter": {">ID": "10"}}),
        ("filter%5B%3EID%5D=10", {"filter": {">ID": "10"}}),
        ("filter[%3E%3DDATE]=x", {"filter": {">=DATE": "x"}}),
        ("filter[>=DATE]=x", {"filter_>": "DATE]=x"}),
        ("a.b=1&c d=2", {"a_b": "1", "c_d": "2"}),
        ("a[b.c]=1", {"a": {"b.c": "1"}}),
        ("a=1&a=2", {"a": "2"}),
        ("a=1&a[b]=2", {"a": {"b": "2"}}),
        ("a[b]=2&a=1", {"a": "1"}),
        ("a=x+y%2B", {"a": "x y+"}),
        ("a", {"a": ""}),
        ("a[b]junk=1", {"a": {"b": "1"}}),
        ("a[b][c=1", {"a": {"b": "1"}}),
        ("a[ ]=1", {"a": ["1"]}),
        ("[a]=1&&=2", {}),
        (" a=1", {"a": "1"}),
        ("a=%D0%96%F0%9F%98%80", {"a": "Ж😀"}),
        ("a=%FF", {"a": "\ufffd"}),
        ("a" + "[b]" * 64 + "=1", {}),
    ],
)
def test_a_query_is_parsed_into_nested_parameters(query: str, params: dict[str, Any]) -> None:
    assert parse_query(query) == params


NAMES = st.text(
    st.characters(exclude_characters="[]. +", exclude_categories=("Cs", "Zs", "Cc")), min_size=1, max_size=8
)
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=12),
    lambda inner: st.lists(inner, min_size=1, max_size=4) | st.dictionaries(NAMES, inner, min_size=1, max_size=4),
    max_leaves=20,
)


@given(st.dictionaries(NAMES, VALUES, max_size=5))
def test_a_built_query_parses_to_the_same_parameters(params: dict[str, Any]) -> None:
    assert parse_query(php_query(params)) == {name: _as_php(value) for name, value in params.items()}


@given(st.text(st.sampled_from("ab01[]=&%5B+. "), max_size=40))
def test_any_query_can_be_parsed(query: str) -> None:
    assert all(isinstance(name, str) and name for name in parse_query(query))


@pytest.mark.parametrize("place", range(-4, 4))
def test_a_long_value_keeps_its_escapes(place: int) -> None:
    plain = "é" * 100 + "a" * (MAX_UNQUOTED + place)
    assert parse_query(f"a={plain}%D0%96%%zz%4+%")["a"] == f"{plain}Ж%%zz%4 %"
    assert parse_query(f"a=%{plain}")["a"] == f"%{plain}"
    assert parse_query("a=" + "%2B" * MAX_UNQUOTED)["a"] == "+" * MAX_UNQUOTED


def _as_php(value: Any) -> Any:
    """Convert objects whose keys count up from zero to lists, as PHP does."""
    if isinstance(value, dict):
        return as_array({key: _as_php(item) for key, item in value.items()})
    return [_as_php(item) for item in value] if isinstance(value, list) else value


def test_an_array_is_a_list_only_if_its_keys_count_up_from_zero() -> None:
    assert as_array({}) == []
    assert as_array({"0": "a", "1": "b"}) == ["a", "b"]
    assert as_array({"1": "b"}) == {"1": "b"}
    assert as_array({"1": "b", "0": "a"}) == {"1": "b", "0": "a"}


@pytest.mark.parametrize(
    ("value", "truth"),
    [
        ("0", False),
        ("", False),
        ([], False),
        (None, False),
        (0, False),
        ("false", True),
        ("N", True),
        ("0.0", True),
        (1, True),
    ],
)
def test_values_are_cast_to_bool_as_in_php(value: Any, truth: bool) -> None:
    assert as_bool(value) is truth


@pytest.mark.parametrize(
    ("value", "number"),
    [("12abc", 12), ("abc", 0), (" 7", 7), ("-3.5x", -3.5), ("", 0), ({"a": "b"}, 1), ([], 0), (None, 0), (True, 1)],
)
def test_numbers_are_cast_as_in_php(value: Any, number: float) -> None:
    assert as_number(value) == number


@pytest.mark.parametrize("number", [0, 7, -1, 2**53 + 1, -(2**53) - 1, 2**63 - 1, -(2**63)])
def test_whole_numbers_of_64_bits_stay_whole(number: int) -> None:
    for value in (number, str(number), f" {number}x"):
        assert (as_number(value), type(as_number(value))) == (number, int)


@pytest.mark.parametrize("value", [2**63, str(2**63), "9" * 5000, -(2**63) - 1, "7.0", 7.0, "7."])
def test_all_other_numbers_are_floats(value: Any) -> None:
    assert type(as_number(value)) is float
