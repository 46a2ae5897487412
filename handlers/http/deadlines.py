"""Deadlines of many things that all have the same time: one sleeping task serves them all."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from typing import Generic, TypeVar

from gateway.background import end
from gateway.clock import Clock

T = TypeVar("T", bound=Hashable)


class Deadlines(Generic[T]):
    """Calls *on_due* with each thing that has begun and not ended within *seconds*.

    All have the same time, so they are due in the order in which they began.
    """

    def __init__(self, clock: Clock, seconds: float, on_due: Callable[[T], None]) -> None:
        self._clock = clock
        self._seconds = seconds
        self._on_due = on_due
        self._due: OrderedDict[T, float] = OrderedDict()
        self._watching: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        return len(self._due)

    def __iter__(self) -> Iterator[T]:
        return iter(self._due)

    def begin(self, one: T) -> None:
        """Give *one* its full time from now on."""
        self._due[one] = self._clock.monotonic() + self._seconds
        self._due.move_to_end(one)
        if self._watching is None:
            self._watching = asyncio.get_running_loop().create_task(self._watch(), name="deadlines")

    def end(self, one: T) -> None:
        """Take note that *one* has ended; it may not have begun."""
        self._due.pop(one, None)

    async def close(self) -> None:
        """Call nobody any more."""
        self._due.clear()
        if self._watching is not None:
            await end([self._watching])

    async def _watch(self) -> None:
        while self._due:
            one, due_at = next(iter(self._due.items()))
            wait_s = due_at - self._clock.monotonic()
            if wait_s > 0:
                await self._clock.sleep(wait_s)
            else:
                del self._due[one]
                self._on_due(one)
        self._watching = None
