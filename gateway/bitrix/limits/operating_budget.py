"""Operating budgets: how long the portal's server may work for one method; pure arithmetic on `now`.

Source: protocol.md 12 (b24restdocs limits.md, settings/performance/limits.md)
"""

import math
from collections.abc import Iterable

from gateway.memory import LruCache

OPERATING_LIMIT_S = 480.0
PAUSE_SHARE = 0.9  # of the limit
WINDOW_S = 600.0  # the portal sums operating time over this window
STEP_S = 60.0  # and drops the oldest part of it once in this time
BUDGET_CACHE_BYTES = 96 * 1024  # per portal
BUDGET_BYTES = 512  # memory that one budget takes, without its names


class OperatingBudget:
    """The operating time of one method for one credential.

    Keeps the portal's latest reading and never adds readings up. The method is paused from 90 % of the limit on, and
    after a 429, until the portal's total shrinks. All times are Unix times.
    """

    def __init__(self, limit_s: float = OPERATING_LIMIT_S) -> None:
        self._pause_from_s = limit_s * PAUSE_SHARE
        self._reset_at: float | None = None
        self._paused_until = -math.inf
        self._blocked_until = -math.inf  # set by a 429; answers to earlier requests do not lift it

    def update(self, operating_s: float | None, reset_at: float | None, now: float) -> None:
        """Store the reading of an answer. A missing value leaves the stored one in place."""
        if reset_at is not None:
            self._reset_at = reset_at
        if operating_s is not None:
            self._paused_until = self._shrinks_at(now) if operating_s >= self._pause_from_s else -math.inf

    def block(self, now: float) -> None:
        """Pause the method after a 429, which carries no reading."""
        self._blocked_until = self._shrinks_at(now)

    def merge(self, other: "OperatingBudget") -> None:
        """Take over the longer pauses of *other*, which counts the same method of the same portal."""
        self._paused_until = max(self._paused_until, other._paused_until)
        self._blocked_until = max(self._blocked_until, other._blocked_until)

    def wait_s(self, now: float) -> float:
        """Return the seconds until the method may be called again."""
        return max(self._paused_until - now, self._blocked_until - now, 0.0)

    def _shrinks_at(self, now: float) -> float:
        if self._reset_at is None or self._reset_at <= now:
            return now + STEP_S
        return min(self._reset_at, now + WINDOW_S)


class OperatingBudgets:
    """All operating budgets of one portal, by credential and method. The least recently used are dropped."""

    def __init__(self, limit_s: float = OPERATING_LIMIT_S) -> None:
        self._limit_s = limit_s
        self._budgets: LruCache[tuple[str, str], OperatingBudget] = LruCache(BUDGET_CACHE_BYTES, _weigh)

    def of(self, budget_key: str, method: str) -> OperatingBudget:
        """Return the budget of *method*, whose case does not matter, for one credential; it may be new."""
        key = budget_key, method.lower()
        budget = self._budgets.get(key) or OperatingBudget(self._limit_s)
        self._budgets.remember(key, budget)
        return budget

    def wait_s(self, budget_key: str, methods: Iterable[str], now: float) -> float:
        """Return the seconds until all *methods* may be called."""
        budgets = [self._budgets.get((budget_key, method.lower())) for method in methods]
        return max((budget.wait_s(now) for budget in budgets if budget is not None), default=0.0)

    def all_available(self, now: float) -> bool:
        """Whether no method of any credential is paused."""
        return all(budget.wait_s(now) <= 0 for budget in self._budgets.values())

    def merge(self, other: "OperatingBudgets") -> None:
        """Take over the budgets of *other*, which belong to the same portal."""
        for key, budget in other._budgets.items():
            if (known := self._budgets.get(key)) is not None:
                known.merge(budget)
            else:
                self._budgets.remember(key, budget)


def _weigh(key: tuple[str, str], _budget: OperatingBudget) -> int:
    return sum(map(len, key)) + BUDGET_BYTES
