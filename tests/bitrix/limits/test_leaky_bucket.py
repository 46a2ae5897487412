"""The leaky bucket against a model of the portal's own."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.bitrix.limits.leaky_bucket import LeakyBucket
from tests.bitrix.limits.burst import refusals

TARIFFS = st.sampled_from([(50, 2.0), (250, 5.0)])


def sent_at(bucket: LeakyBucket, now: float) -> float:
    """Count a request that is made at *now*, and return when it may be sent."""
    moment = now + bucket.wait_s(now)
    bucket.take(moment)
    return moment


@given(TARIFFS, st.lists(st.floats(0, 5), min_size=1, max_size=200), st.floats(0, 0.999))
def test_no_request_is_refused_that_waited_for_the_bucket(
    tariff: tuple[int, float], pauses: list[float], phase: float
) -> None:
    bucket = LeakyBucket(*tariff)
    now, moments = 1000.0, []
    for pause in pauses:
        now = sent_at(bucket, now + pause)
        moments.append(now)
    assert refusals(moments, *tariff, phase) == 0


def admitted(bucket: LeakyBucket, seconds: int, late_s: float = 0.0) -> list[float]:
    """When requests are sent as fast as the bucket admits them, from *late_s* seconds after it has drained."""
    moments: list[float] = []
    bucket.level(1000.0)
    now = 1000.0 + late_s
    while now < 1000.0 + seconds:
        for _ in range(bucket.room(now)):
            bucket.take(now)
            moments.append(now)
        now += bucket.wait_s(now)
    return moments


@given(st.integers(2, 300), st.floats(0.1, 1000), st.floats(0, 0.999), st.floats(0, 0.999))
def test_any_bucket_is_used_as_far_as_the_portal_accepts(
    capacity: int, leak: float, phase: float, late_s: float
) -> None:
    moments = admitted(LeakyBucket(capacity, leak), 20, late_s)
    assert refusals(moments, capacity, leak, phase) == 0
    at_once = max(capacity - leak, capacity / 2)
    assert len(moments) >= math.floor(at_once) + math.floor(19 * min(leak, math.floor(at_once)))


@pytest.mark.parametrize(("capacity", "leak", "a_second"), [(50, 50, 25), (50, 1000, 25), (50, 26, 25), (50, 24, 24)])
def test_a_leak_as_large_as_the_capacity_is_not_one_request_a_second(capacity: int, leak: int, a_second: int) -> None:
    moments = admitted(LeakyBucket(capacity, leak), 11)
    assert moments.count(1010.0) == a_second


def in_turn(bucket: LeakyBucket, count: int, now: float, reserved: int = 0) -> list[float]:
    """Count *count* requests made at *now*, and return when each is sent, as predicted by the bucket."""
    predicted = [now + bucket.wait_s(now, ahead, reserved) for ahead in range(count)]
    for moment in predicted:
        assert bucket.room(moment, reserved) >= 1
        bucket.take(moment)
    return predicted


@given(TARIFFS, st.floats(0, 0.999), st.integers(0, 25))
def test_a_burst_is_neither_refused_nor_delayed_without_need(
    tariff: tuple[int, float], phase: float, reserved: int
) -> None:
    capacity, leak = tariff
    moments = in_turn(LeakyBucket(*tariff), 400, 1000.0, reserved)
    assert refusals(moments, *tariff, phase) == 0
    at_once = int(capacity - leak) - reserved
    assert moments == [1000.0 + max(math.ceil((index + 1 - at_once) / leak), 0) for index in range(400)]


@given(st.floats(0, 0.999))
def test_120_requests_at_once_are_all_accepted_and_take_36_seconds(phase: float) -> None:
    moments = in_turn(LeakyBucket(50, 2), 120, 1000.0)
    assert refusals(moments, 50, 2, phase) == 0
    assert max(moments) == 1000 + (120 - 48) / 2


def test_the_model_refuses_a_burst_that_does_not_wait() -> None:
    assert refusals([1000.0] * 120, 50, 2, 0.5) == 120 - 51


def test_after_a_refusal_there_is_no_room_until_the_portal_has_drained() -> None:
    bucket = LeakyBucket(50, 2)
    bucket.take(0)
    bucket.mark_full(0.5)
    assert (bucket.room(0.5), bucket.wait_s(0.5)) == (0, 1.5)  # 52 with the next request, 48 allowed: two drains
    assert bucket.wait_s(2.0) == 0


def test_a_refunded_request_leaves_its_room_to_the_next() -> None:
    bucket = LeakyBucket(50, 2)
    for _ in range(48):
        bucket.take(0)
    assert (bucket.room(0), bucket.wait_s(0)) == (0, 1)
    bucket.refund()
    assert (bucket.room(0), bucket.wait_s(0)) == (1, 0)


def test_the_smallest_bucket_admits_one_request_at_a_time() -> None:
    bucket = LeakyBucket(1, 2)
    assert in_turn(bucket, 2, 0) == [0, 1]
    assert LeakyBucket(2, 2).room(0, reserved=5) == 1


def test_a_restored_level_drains_by_its_age() -> None:
    bucket = LeakyBucket(50, 2)
    bucket.restore(40, age_s=3.9, now=7)
    assert bucket.level(7) == 34


@pytest.mark.parametrize(("age_s", "level"), [(-5, 51), (0, 51), (10, 31), (1e9, 0)])
def test_an_unknown_level_counts_as_full(age_s: float, level: float) -> None:
    bucket = LeakyBucket(50, 2)
    bucket.restore(None, age_s, now=7)
    assert bucket.level(7) == level
