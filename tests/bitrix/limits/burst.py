"""Requests through a limiter on a clock of ours: when each was made, and when sent."""

import asyncio
import math
from collections.abc import Callable, Coroutine
from typing import Any

from gateway.bitrix.limits.limiter import PortalLimiter
from gateway.bitrix.limits.request_queue import Priority
from tests.clock import ManualClock

CAPACITY, LEAK, KEPT = 50, 2.0, {Priority.INTERACTIVE: 0, Priority.BACKGROUND: 5}
START = 1_800_000_000.0


class QuickClock(ManualClock):
    """For tests without sockets: nothing needs real time to settle."""

    async def settle(self) -> None:
        for _ in range(8):
            await asyncio.sleep(0)


class Burst:
    """Requests through a limiter: when each was made, and when sent."""

    def __init__(self, concurrency: int = 1000) -> None:
        self.clock = QuickClock(START)
        self.limiter = PortalLimiter(self.clock, CAPACITY, LEAK, concurrency)
        self.concurrency = concurrency
        self.sent: list[tuple[Priority, int]] = []
        self.moments: list[float] = []
        self.waiting: dict[Priority, list[int]] = {priority: [] for priority in Priority}
        self.in_flight = 0
        self._number = 0

    def make(self, priority: Priority, *, takes_s: float = 0.0, max_wait_s: float | None = None) -> asyncio.Task[None]:
        self._number += 1
        return asyncio.create_task(self._request(priority, self._number, takes_s, max_wait_s))

    async def _request(self, priority: Priority, number: int, takes_s: float, max_wait_s: float | None) -> None:
        self.waiting[priority].append(number)
        try:
            async with self.limiter.place(priority, max_wait_s=max_wait_s):
                assert self.waiting[priority][0] == number, "first come, first served"
                assert priority is Priority.INTERACTIVE or not self.waiting[Priority.INTERACTIVE], "callers go first"
                self.waiting[priority].remove(number)
                self.sent.append((priority, number))
                self.moments.append(self.clock.monotonic())
                self.in_flight += 1
                try:
                    await self.clock.sleep(takes_s)
                finally:
                    self.in_flight -= 1
        finally:
            if number in self.waiting[priority]:
                self.waiting[priority].remove(number)

    def check_not_idle(self) -> None:
        """Whoever waits has a reason: the portal's counter, were its second ours, or enough in flight."""
        counter, drained = 0.0, START
        for moment in [*self.moments, self.clock.monotonic()]:
            ticks = math.floor(moment - self.moments[0]) - math.floor(drained - self.moments[0]) if self.moments else 0
            counter, drained = max(counter - ticks * LEAK, 0.0) + 1, moment  # the last one is who waits
        for priority, waiting in self.waiting.items():
            limit = self.concurrency if priority is Priority.INTERACTIVE else self.concurrency * 7 // 8
            if waiting and self.in_flight < max(limit - 1, 1):
                assert counter > CAPACITY - LEAK - KEPT[priority]


def run(test: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(test())


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
