"""The queue of requests to one portal, in two priorities."""

import asyncio
import math
from collections import deque
from enum import Enum, auto

from gateway.bitrix.limits.concurrency_limit import ConcurrencyLimit
from gateway.bitrix.limits.leaky_bucket import LeakyBucket
from gateway.clock import Clock
from gateway.errors import TooBusy

# The part of the bucket that is reserved for callers, so that one request a second is sent at once whatever runs in the
# background.
RESERVE_SHARE = 0.1  # of the capacity: the background keeps nearly all of a large bucket
MIN_RESERVE = 5  # requests: a tenth of a small bucket would be too little for several callers at once
GRACE_S = 1.0  # added to a maximum wait, for delays that the predicted wait omits: a refusal, slow requests in flight


class Priority(Enum):
    """Who waits for a request: a caller, or background work. Members are in the order in which they are served."""

    INTERACTIVE = auto()
    BACKGROUND = auto()


Waiting = dict[Priority, deque[asyncio.Future[None]]]


class RequestQueue:
    """Queues requests until the portal's bucket and its concurrency limit have room for them.

    First in, first out within a priority. INTERACTIVE overtakes BACKGROUND. BACKGROUND leaves INTERACTIVE a part of the
    bucket (a tenth of the capacity, at least five) and of the concurrency. Room is counted when a request is
    dispatched, so two requests never use the same room.
    """

    def __init__(self, clock: Clock, bucket: LeakyBucket, concurrency: ConcurrencyLimit) -> None:
        self._clock = clock
        self._waiting: Waiting = {priority: deque() for priority in Priority}
        self._reserved = {
            Priority.INTERACTIVE: 0,
            Priority.BACKGROUND: max(MIN_RESERVE, math.ceil(bucket.capacity * RESERVE_SHARE)),
        }
        self._in_flight = 0
        self._drain_watcher: asyncio.Task[None] | None = None
        self.bucket = bucket
        self.concurrency = concurrency

    @property
    def is_idle(self) -> bool:
        """Whether no request waits or is in flight, and the bucket is empty."""
        empty = self.bucket.level(self._clock.monotonic()) <= 0
        return empty and not self._in_flight and not any(self._waiting.values())

    def room(self, priority: Priority) -> int:
        """Return how many requests of *priority* could be sent without waiting."""
        limit = self.concurrency.background_size if priority is Priority.BACKGROUND else self.concurrency.size
        in_bucket = self.bucket.room(self._clock.monotonic(), self._reserved[priority])
        return max(min(in_bucket, limit - self._in_flight), 0)

    def wait_s(self, priority: Priority, *, first: bool = False, requests: int = 1) -> float:
        """Return the predicted seconds until the bucket has room for the last of *requests* new ones of *priority*.

        With *first*, they go before the others of their priority. Requests in flight are not taken into account.
        """
        ahead = sum(len(self._waiting[before]) for before in Priority if before.value <= priority.value - first)
        return self.bucket.wait_s(self._clock.monotonic(), ahead + requests - 1, self._reserved[priority])

    def enqueue(self, priority: Priority, max_wait_s: float | None, *, first: bool = False) -> asyncio.Future[None]:
        """Add a request at the end of its *priority*, or with *first* at the front.

        The returned future is done when the request may be sent. Call `release` after the request, or `cancel` if it
        was not sent.

        Raises:
            TooBusy: the predicted wait exceeds *max_wait_s* seconds.
        """
        wait_s = self.wait_s(priority, first=first)
        if max_wait_s is not None and wait_s > max_wait_s:
            raise TooBusy(wait_s)
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if first:
            self._waiting[priority].appendleft(waiter)
        else:
            self._waiting[priority].append(waiter)
        self._dispatch()
        return waiter

    def release(self) -> None:
        """End a request that was in flight."""
        self._in_flight -= 1
        self._dispatch()

    def cancel(self, priority: Priority, waiter: asyncio.Future[None]) -> None:
        """Remove a request that is not sent, and return the room that it may hold."""
        if not waiter.cancelled():  # it was dispatched
            self.bucket.refund()
            self._in_flight -= 1
        elif waiter in self._waiting[priority]:
            self._waiting[priority].remove(waiter)
        self._dispatch()

    def merge(self, other: "RequestQueue") -> None:
        """Take over the requests of *other*, which queues for the same portal, and its bucket's level."""
        now = self._clock.monotonic()
        self.bucket.add(other.bucket.level(now), now)
        in_flight, waiting = other.hand_over()
        self._in_flight += in_flight
        for priority, waiters in waiting.items():
            self._waiting[priority].extend(waiters)
        self._dispatch()

    def hand_over(self) -> tuple[int, Waiting]:
        """Return the number of requests in flight and those that wait, and forget both."""
        in_flight, waiting = self._in_flight, self._waiting
        self._in_flight, self._waiting = 0, {priority: deque() for priority in Priority}
        self._dispatch()
        return in_flight, waiting

    def _dispatch(self) -> None:
        """Send off every request there is room for."""
        for priority, waiting in self._waiting.items():
            while waiting and self.room(priority):
                waiter = waiting.popleft()
                if waiter.cancelled():
                    continue
                self.bucket.take(self._clock.monotonic())
                self._in_flight += 1
                waiter.set_result(None)
        if self._drain_watcher is None and any(self._waiting.values()):
            self._drain_watcher = asyncio.create_task(self._dispatch_after_drains(), name="request queue")
        elif self._drain_watcher is not None and not any(self._waiting.values()):
            self._drain_watcher.cancel()
            self._drain_watcher = None

    async def _dispatch_after_drains(self) -> None:
        while True:
            await self._clock.sleep(self.bucket.next_drain_s(self._clock.monotonic()))
            self._dispatch()
