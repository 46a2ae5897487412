"""Those who wait to call one portal, in two priorities, and what lets the next one go."""

import asyncio
import math
from collections import deque
from enum import Enum, auto

from gateway.bitrix.limits.concurrency_limit import ConcurrencyLimit
from gateway.bitrix.limits.leaky_bucket import LeakyBucket
from gateway.clock import Clock
from gateway.errors import TooBusy

# What is kept for callers, so that one a second is answered at once whatever goes on: a small bucket, of which a tenth
# would be little, still takes a handful who come together; a large one leaves the background nearly all of its burst.
MIN_RESERVE = 5
RESERVE_SHARE = 0.1
GRACE_S = 1.0  # for what nobody could foresee: a refusal, requests that take long


class Priority(Enum):
    """Who waits: a caller, or work that nobody waits for. In the order in which they are served."""

    INTERACTIVE = auto()
    BACKGROUND = auto()


class RequestQueue:
    """One portal's bucket and its bound on requests in flight, with those who wait for them.

    First come, first served within a priority. INTERACTIVE overtakes BACKGROUND, which leaves it a part of the bucket
    (a tenth of the capacity, five at least) and of the places in flight. A place in the line is a reservation: room is
    counted for the first in the line the moment it is there, so no two can see the same room.
    """

    def __init__(self, clock: Clock, bucket: LeakyBucket, flight: ConcurrencyLimit) -> None:
        self._clock = clock
        self._waiting: dict[Priority, deque[asyncio.Future[None]]] = {priority: deque() for priority in Priority}
        self._kept = {
            Priority.INTERACTIVE: 0,
            Priority.BACKGROUND: max(MIN_RESERVE, math.ceil(bucket.capacity * RESERVE_SHARE)),
        }
        self._in_flight = 0
        self._watch: asyncio.Task[None] | None = None
        self.bucket = bucket
        self.flight = flight

    @property
    def at_rest(self) -> bool:
        """Whether nobody waits, nothing is in flight, and the bucket is empty."""
        empty = self.bucket.level(self._clock.monotonic()) <= 0
        return empty and not self._in_flight and not any(self._waiting.values())

    def room(self, priority: Priority) -> int:
        """How many requests *priority* could send now without waiting."""
        in_flight = self.flight.for_background if priority is Priority.BACKGROUND else self.flight.size
        return max(min(self.bucket.room(self._clock.monotonic(), self._kept[priority]), in_flight - self._in_flight), 0)

    def queue(self, priority: Priority, max_wait_s: float | None, *, first: bool = False) -> asyncio.Future[None]:
        """A place at the end of *priority*, or its *first*: done when the request may be sent.

        It is to be ended by `leave`, or by `cancel` where nothing was sent.

        Raises:
            TooBusy: it would be more than *max_wait_s* seconds until then.
        """
        wait_s = self.wait(priority, first=first)
        if max_wait_s is not None and wait_s > max_wait_s:
            raise TooBusy(wait_s)
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if first:
            self._waiting[priority].appendleft(waiter)
        else:
            self._waiting[priority].append(waiter)
        self._admit()
        return waiter

    def wait(self, priority: Priority, *, first: bool = False, requests: int = 1) -> float:
        """The seconds that the bucket would let a newcomer to *priority* wait, as far as can be foreseen.

        Of so many *requests* that come together, the last one.
        """
        ahead = sum(len(self._waiting[before]) for before in Priority if before.value <= priority.value - first)
        return self.bucket.wait(self._clock.monotonic(), ahead + requests - 1, self._kept[priority])

    def leave(self) -> None:
        """Take note that a request has come to its end."""
        self._in_flight -= 1
        self._admit()

    def cancel(self, priority: Priority, waiter: asyncio.Future[None]) -> None:
        """Take *waiter*, who sends nothing, out of the line, and give back what it may hold."""
        if not waiter.cancelled():  # it was let go already
            self.bucket.give_back()
            self._in_flight -= 1
        elif waiter in self._waiting[priority]:
            self._waiting[priority].remove(waiter)
        self._admit()

    def absorb(self, other: "RequestQueue") -> None:
        """Take over what *other*, which turned out to be before the same portal, has counted, and who waits there."""
        now = self._clock.monotonic()
        self.bucket.add(other.bucket.level(now), now)
        self._in_flight += other._in_flight
        for priority in Priority:
            self._waiting[priority].extend(other._waiting[priority])
            other._waiting[priority].clear()
        other._admit()
        self._admit()

    def _admit(self) -> None:
        """Let go all who may."""
        for priority, waiting in self._waiting.items():
            while waiting and self.room(priority):
                waiter = waiting.popleft()
                if waiter.cancelled():
                    continue
                self.bucket.take(self._clock.monotonic())
                self._in_flight += 1
                waiter.set_result(None)
        if self._watch is None and any(self._waiting.values()):
            self._watch = asyncio.create_task(self._watch_drains(), name="waiting line")
        elif self._watch is not None and not any(self._waiting.values()):
            self._watch.cancel()
            self._watch = None

    async def _watch_drains(self) -> None:
        while True:
            await self._clock.sleep(self.bucket.until_drain(self._clock.monotonic()))
            self._admit()
