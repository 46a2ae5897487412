"""Requests through a limiter on a manual clock, and a model of the portal's request counter."""

import asyncio
import math
from collections.abc import Callable, Collection, Coroutine
from typing import Any

from gateway.bitrix.attempts import Attempts
from gateway.bitrix.limits.limiter import PortalLimiter
from gateway.bitrix.limits.portal_request import PortalRequest
from gateway.bitrix.limits.request_queue import Priority
from tests.clock import ManualClock

CAPACITY, LEAK, RESERVED = 50, 2.0, {Priority.INTERACTIVE: 0, Priority.BACKGROUND: 5}
START = 1_800_000_000.0


class QuickClock(ManualClock):
    """For tests without sockets: nothing needs real time to settle."""

    async def settle(self) -> None:
        for _ in range(8):
            await asyncio.sleep(0)


def a_request(
    priority: Priority = Priority.INTERACTIVE,
    *,
    methods: Collection[str] = ("profile",),
    budget_key: str = "app",
    commands: int = 1,
    max_wait_s: float | None = None,
    is_repeated: bool = False,
) -> PortalRequest:
    """Return a request for a limiter."""
    attempts = Attempts(QuickClock(START), max_wait_s=max_wait_s)
    if is_repeated:
        attempts.on_sent()
    return PortalRequest(next(iter(methods)), methods, attempts, budget_key, priority, commands)


class Burst:
    """Sends requests through one limiter, and records when each was sent."""

    def __init__(self, concurrency: int = 1000) -> None:
        self.clock = QuickClock(START)
        self.limiter = PortalLimiter(self.clock, CAPACITY, LEAK, concurrency)
        self.concurrency = concurrency
        self.sent: list[tuple[Priority, int]] = []
        self.sent_at: list[float] = []
        self.waiting: dict[Priority, list[int]] = {priority: [] for priority in Priority}
        self.in_flight = 0
        self._number = 0

    def make(
        self, priority: Priority, *, duration_s: float = 0.0, max_wait_s: float | None = None
    ) -> asyncio.Task[None]:
        """Start a request that takes the portal *duration_s* seconds."""
        self._number += 1
        return asyncio.create_task(self._request(priority, self._number, duration_s, max_wait_s))

    async def _request(self, priority: Priority, number: int, duration_s: float, max_wait_s: float | None) -> None:
        self.waiting[priority].append(number)
        try:
            async with self.limiter.slot(a_request(priority, max_wait_s=max_wait_s)):
                assert self.waiting[priority][0] == number, "first in, first out"
                assert priority is Priority.INTERACTIVE or not self.waiting[Priority.INTERACTIVE], "callers go first"
                self.waiting[priority].remove(number)
                self.sent.append((priority, number))
                self.sent_at.append(self.clock.monotonic())
                self.in_flight += 1
                try:
                    await self.clock.sleep(duration_s)
                finally:
                    self.in_flight -= 1
        finally:
            if number in self.waiting[priority]:
                self.waiting[priority].remove(number)

    def check_not_idle(self) -> None:
        """Check that requests wait only for the portal's counter (drained on our clock) or the concurrency."""
        counter, drained_at = 0.0, START
        for moment in [*self.sent_at, self.clock.monotonic()]:  # the last one stands for a waiting request
            ticks = (
                math.floor(moment - self.sent_at[0]) - math.floor(drained_at - self.sent_at[0]) if self.sent_at else 0
            )
            counter, drained_at = max(counter - ticks * LEAK, 0.0) + 1, moment
        for priority, waiting in self.waiting.items():
            limit = self.concurrency if priority is Priority.INTERACTIVE else self.concurrency * 7 // 8
            if waiting and self.in_flight < max(limit - 1, 1):
                assert counter > CAPACITY - LEAK - RESERVED[priority]


def run(test: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(test())


def refusals(sent_at: list[float], capacity: int, leak: float, phase: float) -> int:
    """Return how many requests a portal refuses that drains at *phase* of every second."""
    counter, drained_at, refused = 0.0, math.floor(sent_at[0] - phase), 0
    for moment in sent_at:
        ticks = math.floor(moment - phase)
        counter = max(counter - (ticks - drained_at) * leak, 0)
        drained_at = ticks
        if counter > capacity:
            refused += 1
        else:
            counter += 1
    return refused
