"""The bucket against a model of the portal's own, and the operating budget as a gauge."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.bitrix.limits import OPERATING_BASKET_S, OPERATING_WINDOW_S, LeakyBucket, OperatingBudget

TARIFFS = st.sampled_from([(50, 2.0), (250, 5.0)])


def refusals(moments: list[float], capacity: int, leak: float, phase: float) -> int:
    """How many of the requests sent at *moments* a portal refuses that drains at *phase* of every second."""
    counter, drained, refused = 0.0, math.floor(moments[0] - phase), 0
    for moment in moments:
        ticks = math.floor(moment - phase)
        counter = max(counter - (ticks - drained) * leak, 0)
        drained = ticks
        if counter > capacity:
            refused += 1
        else:
            counter += 1
    return refused


@given(TARIFFS, st.lists(st.floats(0, 5), min_size=1, max_size=200), st.floats(0, 0.999))
def test_no_request_sent_in_its_turn_is_ever_refused(
    tariff: tuple[int, float], pauses: list[float], phase: float
) -> None:
    bucket = LeakyBucket(*tariff)
    now, moments = 1000.0, []
    for pause in pauses:
        now += pause
        moments.append(now + bucket.reserve(now))
    assert moments == sorted(moments)
    assert refusals(sorted(moments), *tariff, phase) == 0


@given(st.floats(0, 0.999))
def test_120_requests_at_once_cause_no_refusal_and_take_36_seconds(phase: float) -> None:
    bucket = LeakyBucket(50, 2)
    moments = [1000 + bucket.reserve(1000) for _ in range(120)]
    assert refusals(moments, 50, 2, phase) == 0
    assert max(moments) == 1000 + (120 - 48) / 2


def test_the_model_refuses_a_burst_that_did_not_wait() -> None:
    assert refusals([1000.0] * 120, 50, 2, 0.5) == 120 - 51


def test_a_refusal_leaves_no_room_until_the_portal_has_drained() -> None:
    bucket = LeakyBucket(50, 2)
    assert bucket.reserve(0) == 0
    bucket.fill(0.5)
    assert bucket.reserve(0.5) == 1.5  # 52 with this one, 48 allowed: two drains
    assert bucket.wait(2.0) == 0


def test_a_reservation_made_before_a_refusal_waits_longer() -> None:
    bucket = LeakyBucket(50, 2)
    for _ in range(49):
        wait = bucket.reserve(0)
    assert wait == 1
    bucket.fill(0.9)
    assert bucket.wait(1.0) == 1.0


def test_a_place_given_back_is_there_for_the_next() -> None:
    bucket = LeakyBucket(50, 2)
    waits = [bucket.reserve(0) for _ in range(49)]
    bucket.give_back()
    assert (waits[-1], bucket.reserve(0)) == (1, 1)


def test_the_smallest_bucket_still_lets_one_through_at_a_time() -> None:
    bucket = LeakyBucket(1, 2)
    assert [bucket.reserve(0), bucket.reserve(0)] == [0, 1]


def test_a_method_rests_from_nine_tenths_of_the_limit_until_the_gauge_shrinks() -> None:
    budget = OperatingBudget(limit_s=480)
    budget.note(431.9, reset_at=700, now=600)
    assert budget.wait(600) == 0
    budget.note(432, reset_at=700, now=600)
    assert (budget.wait(600), budget.wait(690), budget.wait(700)) == (100, 10, 0)


def test_readings_are_never_summed() -> None:
    budget = OperatingBudget(limit_s=480)
    for second in range(100):
        budget.note(31, reset_at=900, now=second)
    assert budget.wait(100) == 0


def test_an_answer_without_a_gauge_changes_nothing() -> None:
    budget = OperatingBudget(limit_s=480)
    budget.note(480, reset_at=700, now=600)
    budget.note(None, None, now=610)
    assert budget.wait(610) == 90


def test_a_blocked_method_rests_until_the_last_known_reset() -> None:
    budget = OperatingBudget()
    budget.note(1, reset_at=700, now=600)
    budget.block(650)
    assert budget.wait(650) == 50


@pytest.mark.parametrize(
    ("reset_at", "wait"), [(None, OPERATING_BASKET_S), (500, OPERATING_BASKET_S), (1e10, OPERATING_WINDOW_S)]
)
def test_a_block_with_no_usable_reset_ends_all_the_same(reset_at: float | None, wait: float) -> None:
    budget = OperatingBudget()
    budget.note(1, reset_at, now=600)
    budget.block(600)
    assert budget.wait(600) == wait
