"""A clock that only a test advances."""

import asyncio
import heapq
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TypeVar

from tests.support.idle import idle

T = TypeVar("T")

STEP_GROWTH = 1.1  # a wait of 600 s takes 50 steps instead of 1,200, and a deadline of 30 s still 20


class ManualClock:
    """Sleepers and deadlines are parked until `advance`, which wakes them in order of their time.

    It stands still while the process has work: sockets and threads take real time, on any machine.
    """

    def __init__(self, start: float = 1_800_000_000.0) -> None:
        self._now = start
        self.wall_shift_s = 0.0  # by which the wall time was adjusted
        self._parked: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._events = 0  # number of sleepers and deadlines parked or woken

    def now(self) -> float:
        return self._now + self.wall_shift_s

    def monotonic(self) -> float:
        return self._now

    async def sleep(self, seconds: float) -> None:
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        woken = asyncio.get_running_loop().create_future()
        self._park(self._now + seconds, lambda: None if woken.done() else woken.set_result(None))
        await woken

    def timeout(self, seconds: float) -> AbstractAsyncContextManager[object]:
        return self._deadline(seconds)

    @asynccontextmanager
    async def _deadline(self, seconds: float) -> AsyncIterator[asyncio.Timeout]:
        loop = asyncio.get_running_loop()
        ended = False
        async with asyncio.timeout(None) as limit:

            def expire() -> None:
                if not ended:
                    limit.reschedule(loop.time())

            self._park(self._now + seconds, expire)
            try:
                yield limit
            finally:
                ended = True

    def _park(self, at: float, wake: Callable[[], None]) -> None:
        heapq.heappush(self._parked, (at, next(self._order), wake))
        self._events += 1

    @property
    def next_at(self) -> float | None:
        """When the first parked sleeper or deadline is due."""
        return self._parked[0][0] if self._parked else None

    async def advance(self, seconds: float) -> None:
        """Advance the time by *seconds*; let the loop settle after each sleeper that wakes."""
        until = self._now + seconds
        await self.settle()
        while self._wake_first(until):
            await self.settle()
        self._now = until
        await self.settle()

    def elapse(self, seconds: float) -> None:
        """Advance the time by *seconds* although the process may be busy."""
        until = self._now + seconds
        while self._wake_first(until):
            pass
        self._now = until

    def _wake_first(self, until: float) -> bool:
        """Wake the first that is due, at its time. False: none is due before *until*."""
        if not self._parked or self._parked[0][0] > until:
            return False
        at, _, wake = heapq.heappop(self._parked)
        self._now = max(self._now, at)
        self._events += 1
        wake()
        return True

    async def settle(self) -> None:
        """Let everything run that does not wait for the clock."""
        await idle()

    async def until(self, awaitable: Awaitable[T], *, step_s: float = 0.5, limit_s: float = 7200) -> T:
        """Return the result of *awaitable*; advance the time in steps while it waits.

        A step is *step_s* seconds. Steps grow while nothing is parked and nothing wakes, but not beyond the next wake.
        """
        task = asyncio.ensure_future(awaitable)
        end = self._now + limit_s
        step, events = step_s, self._events
        while not task.done():
            await idle(task)
            if not task.done() and self._parked:
                assert self._now < end, f"still waiting after {limit_s} s of the manual clock"
                step = step * STEP_GROWTH if self._events == events else step_s
                events = self._events
                await self.advance(max(min(step, self._parked[0][0] - self._now), step_s))
        return task.result()
