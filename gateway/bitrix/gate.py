"""The one gate before a portal, shared by everything that calls it."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

from gateway.bitrix.errors import OperatingLimitReached, PortalError, QueryLimitExceeded
from gateway.bitrix.limits import LeakyBucket, OperatingBudget
from gateway.bitrix.wire import Answer
from gateway.clock import Clock


class PortalGate:
    """One leaky bucket, one bound on requests in flight, and the operating budgets of every credential's methods.

    Two accounts on one portal must share one gate: the portal counts them together.
    """

    def __init__(self, clock: Clock, capacity: int, leak_per_s: float, concurrency: int) -> None:
        self._clock = clock
        self._bucket = LeakyBucket(capacity, leak_per_s)
        self._turn = asyncio.Lock()
        self._in_flight = asyncio.Semaphore(concurrency)
        self._budgets: defaultdict[tuple[str, str], OperatingBudget] = defaultdict(OperatingBudget)

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """Room for one request, for as long as the block lasts; first come, first served."""
        async with self._in_flight:
            # Whoever has the turn alone holds a reservation ahead of its time, so that a refusal or a leaver moves it.
            async with self._turn:
                wait_s = self._bucket.reserve(self._clock.monotonic())
                try:
                    while wait_s > 0:
                        await self._clock.sleep(wait_s)
                        wait_s = self._bucket.wait(self._clock.monotonic())
                except asyncio.CancelledError:
                    self._bucket.give_back()
                    raise
            yield

    async def rest(self, budget_key: str, methods: Iterable[str]) -> float:
        """Wait until none of *methods* is out of operating time; the seconds that took."""
        rested_s = 0.0
        budgets = [self._budgets[budget_key, method.lower()] for method in methods]
        while (wait_s := max(budget.wait(self._clock.now()) for budget in budgets)) > 0:
            await self._clock.sleep(wait_s)
            rested_s += wait_s
        return rested_s

    def heed(self, budget_key: str, method: str, outcome: Answer | PortalError) -> None:
        """Learn from what came of a call of *method*, also where it was one of a batch."""
        budget = self._budgets[budget_key, method.lower()]
        match outcome:
            case QueryLimitExceeded():
                self._bucket.fill(self._clock.monotonic())
            case OperatingLimitReached():
                budget.block(self._clock.now())
            case Answer():
                budget.note(outcome.operating_s, outcome.operating_reset_at, self._clock.now())
