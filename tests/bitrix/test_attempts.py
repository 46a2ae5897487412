"""How long a call may wait, before and after it is committed."""

import pytest

from gateway.bitrix.attempts import Attempts, SingleAttempt
from gateway.bitrix.errors import PortalBroken
from gateway.bitrix.protocol.error_codes import portal_error
from gateway.bitrix.retry import RETRY_DEADLINE_S
from tests.clock import ManualClock


def test_all_waits_of_a_call_are_deducted_from_its_maximum(clock: ManualClock) -> None:
    attempts = Attempts(clock, max_wait_s=30)
    attempts.on_queue_wait(10)
    attempts.on_budget_wait(15)
    assert attempts.queue_wait_s == attempts.budget_wait_s == 5
    attempts.on_queue_wait(10)
    assert attempts.queue_wait_s == attempts.budget_wait_s == 0


def test_a_committed_call_waits_in_the_queue_without_a_maximum(clock: ManualClock) -> None:
    attempts = Attempts(clock, max_wait_s=30, max_budget_wait_s=20)
    attempts.on_budget_wait(5)
    attempts.committed = True
    assert (attempts.queue_wait_s, attempts.budget_wait_s) == (None, 15)


async def test_waits_for_operating_budgets_do_not_count_towards_the_retry_deadline(clock: ManualClock) -> None:
    refusal = portal_error("QUERY_LIMIT_EXCEEDED", "", 503)
    attempts = Attempts(clock)
    attempts.on_sent()
    await clock.advance(RETRY_DEADLINE_S + 1)
    assert attempts.decide(refusal, write=False).wait_s is None
    attempts.on_budget_wait(RETRY_DEADLINE_S)
    assert attempts.decide(refusal, write=False).wait_s == 0


async def test_the_retry_deadline_runs_from_the_first_attempt(clock: ManualClock) -> None:
    refusal = portal_error("QUERY_LIMIT_EXCEEDED", "", 503)
    attempts = Attempts(clock)
    await clock.advance(RETRY_DEADLINE_S + 1)
    attempts.on_sent()
    assert attempts.decide(refusal, write=False).wait_s == 0


@pytest.mark.parametrize("write", [False, True])
def test_a_single_attempt_reports_its_wait_and_is_not_repeated(clock: ManualClock, write: bool) -> None:
    waits: list[float] = []
    attempt = SingleAttempt(clock, waits.append)
    attempt.on_budget_wait(7)
    attempt.on_sent()
    error = PortalBroken("not JSON")
    decision = attempt.decide(error, write)
    assert (waits, decision.error, decision.wait_s) == ([7], error, None)
