"""The retry rules: which calls are repeated, how often, and after how long."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.bitrix.errors import OutcomeUnknown, PortalBroken, PortalError, PortalUnreachable
from gateway.bitrix.protocol.error_codes import portal_error
from gateway.bitrix.retry import FIRST_PAUSE_S, MAX_ATTEMPTS, RETRY_DEADLINE_S, decide

TRANSIENT = [
    portal_error("INTERNAL_SERVER_ERROR", "", 500),
    portal_error("", "", 502),
    portal_error("", "", 429),
    PortalBroken("not JSON", 502),
    PortalUnreachable("dropped", sent=True),
]
NOT_EXECUTED = [
    portal_error("QUERY_LIMIT_EXCEEDED", "", 200),
    portal_error("OPERATION_TIME_LIMIT", "", 429),
    PortalUnreachable("refused", sent=False),
]
FINAL = [
    portal_error("", "wrong", 400),
    portal_error("OVERLOAD_LIMIT", "", 503),
    portal_error("invalid_token", "", 401),
]


@pytest.mark.parametrize("error", TRANSIENT + NOT_EXECUTED)
def test_a_read_is_repeated(error: PortalError) -> None:
    assert decide(error, 1, 0, False, 0).wait_s is not None


@pytest.mark.parametrize("error", NOT_EXECUTED)
def test_a_write_that_was_not_executed_is_repeated(error: PortalError) -> None:
    assert decide(error, 1, 0, True, 0).wait_s is not None


@pytest.mark.parametrize("error", TRANSIENT)
def test_a_write_that_may_have_been_executed_is_not_repeated(error: PortalError) -> None:
    decision = decide(error, 1, 0, True, 0)
    assert decision.wait_s is None
    assert isinstance(decision.error, OutcomeUnknown)
    assert decision.error.cause is error


@pytest.mark.parametrize("error", FINAL)
@pytest.mark.parametrize("write", [False, True])
def test_a_permanent_error_is_not_repeated(error: PortalError, write: bool) -> None:
    assert decide(error, 1, 0, write, 0) == decide(error, 1, 0, not write, 0)
    assert decide(error, 1, 0, write, 0).wait_s is None
    assert decide(error, 1, 0, write, 0).error is error


@given(st.sampled_from(TRANSIENT), st.integers(1, MAX_ATTEMPTS - 1), st.floats(0, 1, exclude_max=True))
def test_pauses_double_with_jitter_within_each_step(error: PortalError, attempt: int, jitter: float) -> None:
    step = FIRST_PAUSE_S * 2 ** (attempt - 1)
    wait_s = decide(error, attempt, 0, False, jitter).wait_s
    assert wait_s is not None
    assert step / 2 <= wait_s <= step


@pytest.mark.parametrize("error", TRANSIENT)
def test_the_fifth_attempt_is_the_last(error: PortalError) -> None:
    assert decide(error, MAX_ATTEMPTS - 1, 0, False, 0).wait_s is not None
    assert decide(error, MAX_ATTEMPTS, 0, False, 0).wait_s is None


def test_no_attempt_starts_after_the_deadline() -> None:
    assert decide(TRANSIENT[0], 1, RETRY_DEADLINE_S, False, 0).wait_s is None
    assert decide(NOT_EXECUTED[0], 1, RETRY_DEADLINE_S + 1, False, 0).wait_s is None


def test_a_method_that_remains_out_of_operating_time_fails() -> None:
    error = portal_error("OPERATION_TIME_LIMIT", "", 429)
    assert [decide(error, attempt, 0, False, 0.5).wait_s for attempt in (1, 4, 5)] == [0, 0, None]


def test_attempts_delayed_by_the_rate_limit_are_not_limited_in_number() -> None:
    assert decide(NOT_EXECUTED[0], 100, 10, False, 0.5).wait_s == 0
