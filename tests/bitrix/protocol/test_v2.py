"""Encoded calls and decoded answers of REST 2."""

import json
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.bitrix.errors import PortalBroken, PortalError, QueryLimitExceeded
from gateway.bitrix.protocol.v2 import Answer, decode_answer, decode_batch, encode_command, encode_params
from gateway.errors import InvalidInput
from tests.bitrix.protocol import php

texts = st.text(st.characters(exclude_categories=["Cs"]))
scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts
keys = texts.filter(lambda key: key.strip() != "" and "]" not in key and "\0" not in key)
names = keys.filter(lambda name: not set(name) & set("[. "))
values = st.recursive(
    scalars, lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(keys, inner), max_leaves=12
)


def as_php_sees(value: object) -> object:
    if isinstance(value, Mapping) and value:
        return {key: as_php_sees(item) for key, item in value.items()}
    if isinstance(value, list | tuple) and value:
        return {str(index): as_php_sees(item) for index, item in enumerate(value)}
    if value is True or value is False:
        return str(int(value))
    return str(value) if isinstance(value, str | int | float) else ""


@given(st.dictionaries(names, values))
def test_php_decodes_the_same_parameters(params: dict[str, object]) -> None:
    meant = {name: as_php_sees(value) for name, value in params.items() if value not in ([], {}, ())}
    assert php.parse(encode_params(params)) == meant


@given(st.lists(values))
def test_php_decodes_arguments_at_their_positions(arguments: list[object]) -> None:
    meant = {str(place): as_php_sees(value) for place, value in enumerate(arguments) if value not in ([], {}, ())}
    places = [int(place) for place in meant]
    if places == list(range(len(places))):
        assert php.parse(encode_params(arguments)) == meant
    else:
        with pytest.raises(InvalidInput):
            encode_params(arguments)


@given(st.dictionaries(names, values))
def test_a_query_contains_only_names_brackets_and_escapes(params: dict[str, object]) -> None:
    query = encode_params(params)
    assert query.isascii()
    assert not set(query) & set(" #?+<>!@\"'\\$;/:,")


@pytest.mark.parametrize(
    ("params", "query"),
    [
        ({"filter": {">=ID": 10}}, "filter[%3E%3DID]=10"),
        ({"filter": {"@ID": (1, 2)}}, "filter[%40ID][0]=1&filter[%40ID][1]=2"),
        ({"filter": {"@ID": []}}, "filter[%40ID]="),
        (
            {"fields": {"TITLE": None, "OPENED": True, "CLOSED": False}},
            "fields[TITLE]=&fields[OPENED]=1&fields[CLOSED]=0",
        ),
        ({"select": [], "order": {}}, ""),
        ({"x": "a+b &#"}, "x=a%2Bb%20%26%23"),
    ],
)
def test_parameters_are_encoded_as_a_php_query(params: dict[str, object], query: str) -> None:
    assert encode_params(params) == query


@pytest.mark.parametrize(
    "params",
    [
        {"": 1},
        {"a.b": 1},
        {"a[b]": 1},
        {"a": {"b]": 1}},
        {"a": {" ": 1}},
        {"a": {1: 1}},
        {"a": float("inf")},
        {"a": object()},
    ],
)
def test_parameters_without_a_php_notation_are_refused(params: dict[str, object]) -> None:
    with pytest.raises(InvalidInput):
        encode_params(params)


def test_a_command_is_a_method_and_its_query() -> None:
    assert encode_command("profile", {}) == "profile"
    assert encode_command("user.get", {"FILTER": {">ID": 5}}) == "user.get?FILTER[%3EID]=5"


def test_an_answer_has_the_result_and_its_metadata() -> None:
    time = {"start": 1, "operating": 3.5, "operating_reset_at": 1778747792}
    body = json.dumps({"result": [1], "next": 50, "total": 94, "time": time}).encode()
    assert decode_answer(200, body) == Answer([1], 94, 50, 3.5, 1778747792, time=time)
    assert decode_answer(200, b'{"result": null}') == Answer(None)


@pytest.mark.parametrize("status", [200, 400, 503])
@pytest.mark.parametrize("code", ['""', "0", '"0"', "null", '"QUERY_LIMIT_EXCEEDED"'])
def test_an_error_key_makes_an_error_with_any_status(status: int, code: str) -> None:
    with pytest.raises(PortalError) as caught:
        decode_answer(status, f'{{"error": {code}, "error_description": "no", "result": []}}'.encode())
    assert not isinstance(caught.value, PortalBroken)
    assert (caught.value.description, caught.value.status) == ("no", status)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, b""),
        (502, b"<html><body>Bad Gateway</body></html>"),
        (200, b'{"result": [{"ID": "1"}, {"I'),
        (200, b"[]"),
        (200, b'"ok"'),
        (200, b"{}"),
        (500, b'{"result": []}'),
        (200, b'{"result": [], "total": "many"}'),
        (200, b'{"result": [], "next": true}'),
    ],
)
def test_an_unknown_body_is_a_broken_answer(status: int, body: bytes) -> None:
    with pytest.raises(PortalBroken):
        decode_answer(status, body)


def batch(**members: object) -> Answer:
    names = ("result", "result_error", "result_total", "result_next", "result_time")
    return Answer({name: members.get(name, []) for name in names})


def test_a_batch_is_decoded_in_all_its_shapes() -> None:
    as_list = batch(result=[["a"], ["b"]], result_total=[1, 1])
    as_object = batch(result={"0": ["a"], "1": ["b"]}, result_total={"0": 1, "1": 1})
    expected = {"0": Answer(["a"], 1), "1": Answer(["b"], 1)}
    assert decode_batch(as_list, ["0", "1"]) == decode_batch(as_object, ["0", "1"]) == expected


def test_commands_that_a_halted_batch_did_not_execute_are_left_out() -> None:
    answer = batch(result={"a": 1}, result_error={"b": {"error": "NO", "error_description": ""}})
    assert list(decode_batch(answer, ["a", "b", "c"], halt=True)) == ["a", "b"]
    assert list(decode_batch(answer, ["a", "b", "c"])) == ["a", "b", "c"]


def test_every_command_of_a_batch_has_an_outcome() -> None:
    answer = batch(
        result={"ok": None, "odd": []},
        result_error={"slow": {"error": "QUERY_LIMIT_EXCEEDED", "error_description": ""}, "mute": "?"},
        result_time={"ok": {"operating": 0.2, "operating_reset_at": 7}},
        result_total={"odd": "x"},
    )
    ok, odd, slow, mute, lost = decode_batch(answer, ["ok", "odd", "slow", "mute", "lost"]).values()
    assert ok == Answer(None, operating_s=0.2, operating_reset_at=7, time={"operating": 0.2, "operating_reset_at": 7})
    assert isinstance(slow, QueryLimitExceeded)
    assert slow.status is None
    assert all(isinstance(outcome, PortalBroken) for outcome in (odd, mute, lost))


@pytest.mark.parametrize("answer", [Answer([]), Answer(None), batch(result="x"), batch(result_error=7)])
def test_an_unknown_batch_envelope_is_a_broken_answer(answer: Answer) -> None:
    with pytest.raises(PortalBroken):
        decode_batch(answer, ["a"])
