"""The one limiter before a portal, shared by everything that calls it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from weakref import WeakSet

from gateway.bitrix.errors import (
    AnswerTooLarge,
    OperatingLimitReached,
    PortalBroken,
    PortalError,
    PortalFailing,
    PortalUnreachable,
    QueryLimitExceeded,
)
from gateway.bitrix.limits.activity_checkpoint import CHECKPOINT_S, ActivityCheckpoint
from gateway.bitrix.limits.concurrency_limit import ConcurrencyLimit
from gateway.bitrix.limits.leaky_bucket import OPERATING_LIMIT_S, LeakyBucket, OperatingBudget
from gateway.bitrix.limits.request_queue import GRACE_S, Priority, RequestQueue
from gateway.bitrix.protocol.v2 import Answer
from gateway.clock import Clock
from gateway.errors import TooBusy
from gateway.memory import LruCache

BUDGET_CACHE_BYTES = 96 * 1024  # of one portal
BUDGET_BYTES = 512  # what a budget takes beside its names
NO_BUDGETS: tuple[str, tuple[str, ...]] = ("", ())


class OutOfOperatingTime(Exception):
    """A method's operating time ran out while a request for it stood in line."""


class PortalLimiter:
    """One leaky bucket, one bound on requests in flight, and the operating budgets of every credential's methods.

    Two accounts on one portal must share one limiter: the portal counts them together.
    """

    def __init__(
        self,
        clock: Clock,
        capacity: int,
        leak_per_s: float,
        concurrency: int,
        operating_limit_s: float = OPERATING_LIMIT_S,
    ) -> None:
        self._clock = clock
        self._line = RequestQueue(clock, LeakyBucket(capacity, leak_per_s), ConcurrencyLimit(concurrency))
        self._operating_limit_s = operating_limit_s
        self._budgets: LruCache[tuple[str, str], OperatingBudget] = LruCache(BUDGET_CACHE_BYTES, _weigh)
        self._use_mark: ActivityCheckpoint | None = None
        self._names = WeakSet([self])  # all limiters that are this one

    @property
    def level(self) -> float:
        """What the portal's counter stands at."""
        return self._line.bucket.level(self._clock.monotonic())

    @property
    def at_rest(self) -> bool:
        """Whether nothing waits, is under way or is to be waited for, under this name or another: it knows nothing."""
        now = self._clock.now()
        rested = all(budget.wait(now) <= 0 for budget in self._budgets.values())
        return rested and self._line.at_rest and len(self._names) == 1

    def restore(self, level: float | None, marked_at: float) -> None:
        """Continue from the *level* of an earlier limiter at *marked_at* (wall time); None if not known."""
        if level is None:
            marked_at += CHECKPOINT_S
        self._line.bucket.restore(level, self._clock.now() - marked_at, self._clock.monotonic())

    def keep_marks(self, save: Callable[[float], Awaitable[None]]) -> None:
        """Before anything is sent, have *save* keep a mark of the wall time: once in CHECKPOINT_S seconds."""
        self._use_mark = ActivityCheckpoint(self._clock, save)

    def room(self, priority: Priority) -> int:
        """How many requests *priority* could send right now without waiting."""
        return self._line.room(priority)

    def wait(self, priority: Priority, requests: int) -> float:
        """How many seconds the bucket would keep the last of so many requests of *priority* waiting."""
        return self._line.wait(priority, requests=requests)

    @asynccontextmanager
    async def place(
        self,
        priority: Priority,
        *,
        max_wait_s: float | None = None,
        again: bool = False,
        budgets: tuple[str, Iterable[str]] = NO_BUDGETS,
    ) -> AsyncIterator[None]:
        """Room for one request, for as long as the block lasts; one that goes *again* goes first in its priority.

        *budgets* are the key and the methods that it will draw on.

        Raises:
            TooBusy: there is none within *max_wait_s* seconds; None waits for as long as it takes.
            OutOfOperatingTime: one of its methods must rest by now.
        """
        waiter = self._line.queue(priority, max_wait_s, first=again)
        try:
            if not waiter.done():
                await self._turn(waiter, max_wait_s)
        except TimeoutError:
            self._line.cancel(priority, waiter)
            raise TooBusy(max(self._line.wait(priority), 1.0)) from None
        except asyncio.CancelledError:
            self._line.cancel(priority, waiter)
            raise
        try:
            if self._use_mark is not None:
                await self._use_mark.cover()
            if self.rest_s(*budgets) > 0:
                raise OutOfOperatingTime
        except BaseException:  # cancelled perhaps: whatever it is, nothing is sent
            self._line.cancel(priority, waiter)
            raise
        try:
            yield
        finally:
            self._line.leave()

    async def _turn(self, waiter: asyncio.Future[None], max_wait_s: float | None) -> None:
        if max_wait_s is None:
            await waiter
        else:
            async with self._clock.timeout(max_wait_s + GRACE_S):
                await waiter

    async def rest(self, budget_key: str, methods: Iterable[str], max_wait_s: float | None = None) -> float:
        """Wait until none of *methods* is out of operating time; the seconds that took.

        Raises:
            TooBusy: that would take more than *max_wait_s* seconds.
        """
        rested_s = 0.0
        while (wait_s := self.rest_s(budget_key, methods)) > 0:
            if max_wait_s is not None and rested_s + wait_s > max_wait_s:
                raise TooBusy(wait_s)
            await self._clock.sleep(wait_s)
            rested_s += wait_s
        return rested_s

    def rest_s(self, budget_key: str, methods: Iterable[str]) -> float:
        """For how many seconds one of *methods* is out of operating time."""
        now = self._clock.now()
        budgets = [self._budgets.get((budget_key, method.lower())) for method in methods]
        return max((budget.wait(now) for budget in budgets if budget is not None), default=0.0)

    def heed(self, budget_key: str, method: str, outcome: Answer | PortalError) -> None:
        """Learn from what came of a call of *method*, also where it was one of a batch."""
        match outcome:
            case QueryLimitExceeded():
                self._line.bucket.fill(self._clock.monotonic())
            case OperatingLimitReached():
                self._budget(budget_key, method).block(self._clock.now())
            case Answer() if outcome.operating_s is not None or outcome.operating_reset_at is not None:
                budget = self._budget(budget_key, method)
                budget.note(outcome.operating_s, outcome.operating_reset_at, self._clock.now())

    def _budget(self, budget_key: str, method: str) -> OperatingBudget:
        key = budget_key, method.lower()
        budget = self._budgets.get(key) or OperatingBudget(self._operating_limit_s)
        self._budgets.remember(key, budget)
        return budget

    def landed(self, methods: Iterable[str], commands: int, outcome: Answer | PortalError, started_at: float) -> None:
        """Learn how the portal bears what it is sent, from a request of so many *commands* of these *methods*."""
        now, kind = self._clock.monotonic(), " ".join(sorted(methods))
        match outcome:
            case Answer():
                took_s = now - started_at if outcome.duration_s is None else outcome.duration_s
                self._line.flight.answered(kind, commands, took_s, started_at, now)
            case PortalFailing() | PortalUnreachable(sent=True) | AnswerTooLarge():
                self._line.flight.on_overload(started_at, now)
            case PortalBroken() if outcome.status is not None and outcome.status >= 500:
                self._line.flight.on_overload(started_at, now)

    def join(self, other: "PortalLimiter") -> None:
        """Become one with *other*, which turned out to be before the same portal; all names of both stay good."""
        if other._line is self._line:
            return
        self._line.absorb(other._line)
        for key, budget in other._budgets.items():
            if (ours := self._budgets.get(key)) is not None:
                ours.join(budget)
            else:
                self._budgets.remember(key, budget)
        self._names |= other._names
        for limiter in other._names:
            limiter._line, limiter._budgets, limiter._use_mark = self._line, self._budgets, self._use_mark
            limiter._names = self._names


def _weigh(key: tuple[str, str], _budget: OperatingBudget) -> int:
    return sum(map(len, key)) + BUDGET_BYTES
