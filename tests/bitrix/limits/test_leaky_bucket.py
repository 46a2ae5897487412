"""The bucket against a model of the portal's own, and the operating budget as a gauge."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.bitrix.limits.leaky_bucket import OPERATING_BASKET_S, OPERATING_WINDOW_S, LeakyBucket, OperatingBudget
from tests.bitrix.limits.burst import refusals

TARIFFS = st.sampled_from([(50, 2.0), (250, 5.0)])


def sent_at(bucket: LeakyBucket, now: float) -> float:
    """When a request that is made at *now* may be sent; it is counted."""
    moment = now + bucket.wait(now)
    bucket.take(moment)
    return moment


@given(TARIFFS, st.lists(st.floats(0, 5), min_size=1, max_size=200), st.floats(0, 0.999))
def test_no_request_sent_in_its_turn_is_ever_refused(
    tariff: tuple[int, float], pauses: list[float], phase: float
) -> None:
    bucket = LeakyBucket(*tariff)
    now, moments = 1000.0, []
    for pause in pauses:
        now = sent_at(bucket, now + pause)
        moments.append(now)
    assert refusals(moments, *tariff, phase) == 0


def in_turn(bucket: LeakyBucket, count: int, now: float, kept: int = 0) -> list[float]:
    """When each of *count* requests made at *now* is sent, by what the bucket tells the first and those behind it."""
    foreseen = [now + bucket.wait(now, ahead, kept) for ahead in range(count)]
    for moment in foreseen:
        assert bucket.room(moment, kept) >= 1  # what was foreseen is there
        bucket.take(moment)
    return foreseen


@given(TARIFFS, st.floats(0, 0.999), st.integers(0, 25))
def test_a_burst_is_neither_refused_nor_held_back(tariff: tuple[int, float], phase: float, kept: int) -> None:
    capacity, leak = tariff
    moments = in_turn(LeakyBucket(*tariff), 400, 1000.0, kept)
    assert refusals(moments, *tariff, phase) == 0
    at_once = int(capacity - leak) - kept
    assert moments == [1000.0 + max(math.ceil((index + 1 - at_once) / leak), 0) for index in range(400)]


@given(st.floats(0, 0.999))
def test_120_requests_at_once_cause_no_refusal_and_take_36_seconds(phase: float) -> None:
    moments = in_turn(LeakyBucket(50, 2), 120, 1000.0)
    assert refusals(moments, 50, 2, phase) == 0
    assert max(moments) == 1000 + (120 - 48) / 2


def test_the_model_refuses_a_burst_that_did_not_wait() -> None:
    assert refusals([1000.0] * 120, 50, 2, 0.5) == 120 - 51


def test_a_refusal_leaves_no_room_until_the_portal_has_drained() -> None:
    bucket = LeakyBucket(50, 2)
    bucket.take(0)
    bucket.fill(0.5)
    assert (bucket.room(0.5), bucket.wait(0.5)) == (0, 1.5)  # 52 with this one, 48 allowed: two drains
    assert bucket.wait(2.0) == 0


def test_a_request_that_was_never_sent_leaves_its_room_to_the_next() -> None:
    bucket = LeakyBucket(50, 2)
    for _ in range(48):
        bucket.take(0)
    assert (bucket.room(0), bucket.wait(0)) == (0, 1)
    bucket.give_back()
    assert (bucket.room(0), bucket.wait(0)) == (1, 0)


def test_the_smallest_bucket_still_lets_one_through_at_a_time() -> None:
    bucket = LeakyBucket(1, 2)
    assert in_turn(bucket, 2, 0) == [0, 1]
    assert LeakyBucket(2, 2).room(0, kept=5) == 1


def test_a_restored_level_has_drained_meanwhile() -> None:
    bucket = LeakyBucket(50, 2)
    bucket.restore(40, age_s=3.9, now=7)
    assert bucket.level(7) == 34


@pytest.mark.parametrize(("age_s", "level"), [(-5, 51), (0, 51), (10, 31), (1e9, 0)])
def test_a_level_that_nobody_noted_is_taken_for_full(age_s: float, level: float) -> None:
    bucket = LeakyBucket(50, 2)
    bucket.restore(None, age_s, now=7)
    assert bucket.level(7) == level


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


def test_an_answer_sent_off_before_a_block_does_not_lift_it() -> None:
    budget = OperatingBudget()
    budget.note(1, reset_at=700, now=600)
    budget.block(650)
    budget.note(400, reset_at=700, now=651)
    assert budget.wait(651) == 49


def test_budgets_that_are_one_rest_for_the_longer() -> None:
    mine, other = OperatingBudget(), OperatingBudget()
    mine.note(480, reset_at=650, now=600)
    other.note(1, reset_at=700, now=600)
    other.block(600)
    mine.join(other)
    assert mine.wait(600) == 100
