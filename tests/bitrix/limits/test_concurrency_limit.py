"""The concurrency limit: how it reacts to failures, slow answers and good ones."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.bitrix.limits.concurrency_limit import MIN_SIZE, ConcurrencyLimit

USUAL_S = 2.0


def steady(limit: ConcurrencyLimit, seconds: range, duration_s: float = USUAL_S) -> list[int]:
    """Return the sizes after one answer in each of *seconds*."""
    sizes = []
    for second in seconds:
        limit.on_success("batch crm.deal.list", 50, duration_s, started_at=second, now=second)
        sizes.append(limit.size)
    return sizes


def test_a_failure_halves_the_limit_and_every_good_second_adds_one() -> None:
    limit = ConcurrencyLimit(32)
    limit.on_overload(started_at=1, now=2)
    assert limit.size == 16
    assert steady(limit, range(3, 7)) == [17, 18, 19, 20]
    assert steady(limit, range(7, 40))[-1] == 32


def test_many_answers_in_a_second_add_no_more_than_one() -> None:
    limit = ConcurrencyLimit(32)
    limit.on_overload(started_at=1, now=2)
    for _ in range(20):
        limit.on_success("profile", 1, 0.1, started_at=3, now=3.5)
    assert limit.size == 17


def test_failures_of_one_burst_halve_the_limit_once() -> None:
    limit = ConcurrencyLimit(32)
    for _ in range(10):
        limit.on_overload(started_at=1, now=2)
    assert limit.size == 16
    limit.on_overload(started_at=2.5, now=3)
    assert limit.size == 8


def test_an_answer_to_a_request_sent_before_a_failure_does_not_raise_the_limit() -> None:
    limit = ConcurrencyLimit(32)
    limit.on_overload(started_at=1, now=2)
    limit.on_success("profile", 1, 0.1, started_at=1, now=10)
    assert limit.size == 16


def test_three_answers_in_a_row_that_take_twice_as_long_as_usual_halve_the_limit() -> None:
    limit = ConcurrencyLimit(32)
    steady(limit, range(20))
    assert steady(limit, range(20, 23), duration_s=5.0) == [32, 32, 16]


def test_a_single_slow_answer_changes_nothing() -> None:
    limit = ConcurrencyLimit(32)
    steady(limit, range(20))
    assert steady(limit, range(20, 22), duration_s=50.0) == [32, 32]
    assert steady(limit, range(22, 24)) == [32, 32]
    assert steady(limit, range(24, 26), duration_s=50.0) == [32, 32]


def test_a_lasting_slowdown_becomes_usual() -> None:
    limit = ConcurrencyLimit(32)
    steady(limit, range(20))
    sizes = steady(limit, range(20, 100), duration_s=5.0)
    assert min(sizes) < 32
    assert sizes[-1] == 32


def test_quick_answers_and_larger_batches_are_not_slow() -> None:
    limit = ConcurrencyLimit(32)
    for second in range(20):
        limit.on_success("profile", 1, 0.01, started_at=second, now=second)
        limit.on_success("batch user.get", 1 if second < 10 else 50, 0.1 if second < 10 else 5.0, second, second)
    for second in range(20, 40):
        limit.on_success("profile", 1, 0.9, started_at=second, now=second)  # 90 times as long, but still short
    assert limit.size == 32


@given(st.integers(1, 64), st.lists(st.tuples(st.booleans(), st.floats(0, 3)), max_size=200))
def test_the_limit_stays_within_its_bounds_and_reserves_a_share_for_callers(
    max_size: int, events: list[tuple[bool, float]]
) -> None:
    limit, now = ConcurrencyLimit(max_size), 0.0
    for failed, pause in events:
        now += pause
        if failed:
            limit.on_overload(now, now)
        else:
            limit.on_success("profile", 1, 0.1, now, now)
        assert min(MIN_SIZE, max_size) <= limit.size <= max_size
        assert 1 <= limit.background_size <= max(limit.size - 1, 1)


@pytest.mark.parametrize(("max_size", "background"), [(1, 1), (2, 1), (8, 7), (32, 28), (64, 56)])
def test_an_eighth_is_reserved_for_callers(max_size: int, background: int) -> None:
    assert ConcurrencyLimit(max_size).background_size == background
