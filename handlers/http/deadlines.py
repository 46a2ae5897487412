"""Deadlines of many items that all have the same timeout, served by one sleeping task."""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from typing import Generic, TypeVar

from gateway.background import end
from gateway.clock import Clock

logger = logging.getLogger(__name__)

T = TypeVar("T", bound=Hashable)


class Deadlines(Generic[T]):
    """Calls *on_timeout* with each item that was started and not removed within *timeout_s*.

    Since the timeout is the same for all, items expire in the order in which they were started. An exception of
    *on_timeout* is logged, so that it does not stop the deadlines of other items.
    """

    def __init__(self, clock: Clock, timeout_s: float, on_timeout: Callable[[T], None]) -> None:
        self._clock = clock
        self._timeout_s = timeout_s
        self._on_timeout = on_timeout
        self._deadlines: OrderedDict[T, float] = OrderedDict()
        self._task: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        return len(self._deadlines)

    def __iter__(self) -> Iterator[T]:
        return iter(self._deadlines)

    def start(self, item: T) -> None:
        """Start the timeout of *item*, or restart it."""
        self._deadlines[item] = self._clock.monotonic() + self._timeout_s
        self._deadlines.move_to_end(item)
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._watch(), name="deadlines")

    def remove(self, item: T) -> None:
        """Forget *item*, if it was started."""
        self._deadlines.pop(item, None)

    async def close(self) -> None:
        """Forget all items."""
        self._deadlines.clear()
        if self._task is not None:
            await end([self._task])

    async def _watch(self) -> None:
        while self._deadlines:
            item, deadline = next(iter(self._deadlines.items()))
            wait_s = deadline - self._clock.monotonic()
            if wait_s > 0:
                await self._clock.sleep(wait_s)
            else:
                del self._deadlines[item]
                try:
                    self._on_timeout(item)
                except Exception:
                    logger.exception("a deadline failed")
        self._task = None
