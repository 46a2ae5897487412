"""Decoders under arbitrary bytes and JSON: each returns a value or raises a PortalError."""

import math
import tracemalloc
from collections.abc import Callable
from typing import TypeVar

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.bitrix.errors import AnswerTooLarge, OutcomeUnknown, PortalBroken, PortalError
from gateway.bitrix.limits.concurrency_limit import ConcurrencyLimit
from gateway.bitrix.limits.operating_budget import WINDOW_S, OperatingBudget
from gateway.bitrix.lists.list_specs import LIST_SPECS, decode_row_id
from gateway.bitrix.protocol.error_codes import portal_error
from gateway.bitrix.protocol.json_body import MAX_UNCOUNTED_BYTES, MAX_VALUES, decode_json
from gateway.bitrix.protocol.v2 import MAX_SECONDS, Answer, decode_answer, decode_answer3, decode_batch
from gateway.bitrix.protocol.v3 import rest3_error
from gateway.bitrix.retry import decide
from gateway.redaction import printable
from gateway.sandbox.behaviour.row_faults import ESCAPES, IDS

T = TypeVar("T")
Decode = Callable[[int, bytes], Answer]

MEGABYTE = 2**20
NUMBERS = st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False)
NAMES = st.sampled_from(
    (
        *("result", "error", "error_description", "total", "next", "time", "operating", "operating_reset_at"),
        *("duration", "result_error", "result_total", "result_next", "result_time", "c0", "code", "message"),
        *("validation", "ID", "id"),
    )
)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES | st.text(), inner, max_size=6),
    max_leaves=25,
)
STATUSES = st.integers(0, 999)
DECODERS = pytest.mark.parametrize("decode", [decode_answer, decode_answer3])


def body_of(value: object) -> bytes:
    return orjson.dumps(value)


@DECODERS
@given(STATUSES, st.binary() | VALUES.map(body_of))
def test_any_bytes_become_an_answer_or_a_portal_error(decode: Decode, status: int, body: bytes) -> None:
    outcome = outcome_of(lambda: decode(status, body))
    if isinstance(outcome, PortalError):
        assert printable(outcome.detail) == outcome.detail
        assert len(outcome.detail) < 1500
        return
    for seconds in (outcome.operating_s, outcome.operating_reset_at, outcome.duration_s):
        assert seconds is None or 0 <= seconds <= MAX_SECONDS
    for number in (outcome.total, outcome.next):
        assert number is None or type(number) is int


def outcome_of(decode: Callable[[], T]) -> T | PortalError:
    try:
        return decode()
    except PortalError as error:
        return error


@pytest.mark.parametrize("value", [-1, -1e-9, 1e12, 1e308, -1e308, 2**64 - 1, "480", True, None, [], {}], ids=repr)
def test_an_implausible_number_of_seconds_is_none(value: object) -> None:
    time = dict.fromkeys(("operating", "operating_reset_at", "duration"), value)
    answer = decode_answer(200, body_of({"result": [], "time": time}))
    assert (answer.operating_s, answer.operating_reset_at, answer.duration_s) == (None, None, None)
    assert answer.time == time


@given(VALUES, st.booleans())
def test_any_batch_becomes_one_outcome_per_command_or_an_error(result: object, halt: bool) -> None:
    outcomes = outcome_of(lambda: decode_batch(Answer(result), ["c0", "c1"], halt=halt))
    if isinstance(outcomes, PortalError):
        return
    assert all(isinstance(outcome, Answer | PortalError) for outcome in outcomes.values())
    assert list(outcomes) in (["c0"], ["c0", "c1"])


@pytest.mark.parametrize("method", LIST_SPECS)
@given(result=VALUES)
def test_any_rows_become_rows_with_ids_or_an_error(method: str, result: object) -> None:
    rows = outcome_of(lambda: LIST_SPECS[method].rows(Answer(result)))
    if isinstance(rows, PortalBroken):
        return
    assert isinstance(rows, list)
    assert all(type(found) is int and found >= 0 for found, _ in rows)


ODD_IDS = [alter(7) for alter in IDS.values()]
ODD_IDS += [None, [], {}, "", "0x7", "7.0", "7e0", "-7", "７", "²", "7\n", "7\x00", "9" * 19, 2**63, -1, 7.5, False]


@pytest.mark.parametrize("value", ODD_IDS, ids=repr)
def test_an_invalid_id_is_a_broken_answer(value: object) -> None:
    with pytest.raises(PortalBroken, match="a row without a usable ID"):
        decode_row_id({"ID": value}, "ID")


@pytest.mark.parametrize(
    "body",
    [b"", b" ", b"[", b"\xff{}", b'"\\ud800"', b"NaN", b"1e999", b"{}{}", b"[" * 2000 + b"]" * 2000, b"[" * 10**6],
    ids=lambda body: repr(body[:20]),
)
def test_a_body_that_is_not_json_is_broken_and_not_kept_in_memory(body: bytes) -> None:
    with pytest.raises(PortalBroken, match=r": (not JSON|empty)$") as caught:
        decode_json(body)
    assert caught.value.__context__ is None  # orjson's error has the whole text


def test_an_answer_with_too_many_values_is_not_decoded() -> None:
    body = b"[" + b"[]," * (MAX_UNCOUNTED_BYTES // 2) + b"0]"
    tracemalloc.start()
    try:
        with pytest.raises(AnswerTooLarge, match=f"more than {MAX_VALUES} values$"):
            decode_json(body)
        assert tracemalloc.get_traced_memory()[1] < MEGABYTE
    finally:
        tracemalloc.stop()


def test_the_largest_answer_of_a_regular_portal_is_decoded() -> None:
    rows = [{f"UF_CRM_{column}": "some value" for column in range(300)}] * 2500
    body = orjson.dumps({"result": rows})
    assert len(body) > MAX_UNCOUNTED_BYTES
    assert decode_json(body) == {"result": rows}


@pytest.mark.parametrize("status", [200, 400, 500, None])
def test_the_messages_of_a_portal_are_printable_and_of_limited_length(status: int | None) -> None:
    long = ESCAPES * 10_000
    errors = [portal_error(long, long, status), rest3_error({"code": long, "message": long}, status or 400)]
    for error in [*errors, *map(OutcomeUnknown, errors)]:
        for text in (error.detail, error.portal_code, error.description):
            assert text.isprintable()
            assert len(text) < 1500


def test_validation_entries_are_limited_in_number_and_length() -> None:
    entry = {f"{number}{ESCAPES}": ESCAPES * 1000 for number in range(1000)}
    error = rest3_error({"code": "X", "message": "", "validation": [entry] * 1000}, 400)
    assert len(error.validation) == 50
    assert all(len(entry) == 10 for entry in error.validation)
    assert all(
        text.isprintable() and len(text) <= 501 for entry in error.validation for pair in entry.items() for text in pair
    )


@pytest.mark.parametrize(("write", "kind"), [(False, AnswerTooLarge), (True, OutcomeUnknown)])
def test_an_answer_that_is_too_large_is_not_requested_again(write: bool, kind: type[PortalError]) -> None:
    decision = decide(AnswerTooLarge("1 bytes"), 1, 0, write, 0)
    assert (type(decision.error), decision.wait_s) == (kind, None)
    assert not decision.error.refuses_command or write


@given(st.lists(st.tuples(NUMBERS, NUMBERS, st.integers(0, 10**6)), max_size=20))
def test_no_reading_from_a_portal_pauses_a_method_for_longer_than_the_window(
    readings: list[tuple[float, float, int]],
) -> None:
    budget, now = OperatingBudget(), 1_800_000_000.0
    for operating, reset_at, passed_s in readings:
        now += passed_s
        time = {"operating": operating, "operating_reset_at": reset_at}
        answer = decode_answer(200, body_of({"result": [], "time": time}))
        budget.update(answer.operating_s, answer.operating_reset_at, now)
        budget.block(now)
        assert 0 < budget.wait_s(now) <= WINDOW_S


@given(st.lists(NUMBERS, min_size=1, max_size=50))
def test_no_duration_from_a_portal_breaks_the_concurrency_limit(durations: list[float]) -> None:
    limit = ConcurrencyLimit(32)
    for now, duration in enumerate(durations):
        answer = decode_answer(200, body_of({"result": [], "time": {"duration": duration}}))
        duration_s = 1.0 if answer.duration_s is None else answer.duration_s
        assert math.isfinite(duration_s)
        limit.on_success("kind", 1, duration_s, float(now), float(now))
        assert 2 <= limit.size <= 32
