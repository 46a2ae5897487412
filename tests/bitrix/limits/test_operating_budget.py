"""The operating budget of one method."""

import pytest

from gateway.bitrix.limits.operating_budget import STEP_S, WINDOW_S, OperatingBudget


def test_a_method_is_paused_from_nine_tenths_of_the_limit_until_the_total_shrinks() -> None:
    budget = OperatingBudget(limit_s=480)
    budget.update(431.9, reset_at=700, now=600)
    assert budget.wait_s(600) == 0
    budget.update(432, reset_at=700, now=600)
    assert (budget.wait_s(600), budget.wait_s(690), budget.wait_s(700)) == (100, 10, 0)


def test_readings_are_not_added_up() -> None:
    budget = OperatingBudget(limit_s=480)
    for second in range(100):
        budget.update(31, reset_at=900, now=second)
    assert budget.wait_s(100) == 0


def test_an_answer_without_a_reading_changes_nothing() -> None:
    budget = OperatingBudget(limit_s=480)
    budget.update(480, reset_at=700, now=600)
    budget.update(None, None, now=610)
    assert budget.wait_s(610) == 90


def test_a_blocked_method_is_paused_until_the_last_known_reset() -> None:
    budget = OperatingBudget()
    budget.update(1, reset_at=700, now=600)
    budget.block(650)
    assert budget.wait_s(650) == 50


@pytest.mark.parametrize(("reset_at", "wait"), [(None, STEP_S), (500, STEP_S), (1e10, WINDOW_S)])
def test_a_block_without_a_usable_reset_time_ends_too(reset_at: float | None, wait: float) -> None:
    budget = OperatingBudget()
    budget.update(1, reset_at, now=600)
    budget.block(600)
    assert budget.wait_s(600) == wait


def test_an_answer_that_arrives_after_a_block_does_not_lift_it() -> None:
    budget = OperatingBudget()
    budget.update(1, reset_at=700, now=600)
    budget.block(650)
    budget.update(400, reset_at=700, now=651)
    assert budget.wait_s(651) == 49


def test_merged_budgets_are_paused_for_the_longer_time() -> None:
    budget, other = OperatingBudget(), OperatingBudget()
    budget.update(480, reset_at=650, now=600)
    other.update(1, reset_at=700, now=600)
    other.block(600)
    budget.merge(other)
    assert budget.wait_s(600) == 100
