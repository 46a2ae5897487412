"""When a portal was last called, by the wall time, kept where a restart finds it."""

import asyncio
import math
from collections.abc import Awaitable, Callable

from gateway.clock import Clock

CHECKPOINT_S = 1.0  # how long a mark speaks for: a request is sent at most so long after the last one


class ActivityCheckpoint:
    """The last mark, which *save* keeps: even after a crash, nothing was sent later than CHECKPOINT_S seconds past it.

    A mark lies ahead by as long as the last one took to be saved: so it is still good once it is kept, however slow the
    database is. Where *save* raises, nothing is sent; a *save* that has no room on the disk keeps the mark elsewhere.
    """

    def __init__(self, clock: Clock, save: Callable[[float], Awaitable[None]]) -> None:
        self._clock = clock
        self._save = save
        self._lead_s = 0.0
        self._speaks_from = math.inf  # the wall time; before it, somebody has set the clock back
        self._speaks_until = -math.inf
        self._saving = asyncio.Lock()

    async def cover(self) -> None:
        """Return once a mark that is kept speaks for a request that is sent now."""
        if self._speaks_for_now():
            return
        async with self._saving:
            while not self._speaks_for_now():
                now, began_at = self._clock.now(), self._clock.monotonic()
                mark = now + self._lead_s
                await self._save(mark)
                self._lead_s = self._clock.monotonic() - began_at
                self._speaks_from, self._speaks_until = now, mark + CHECKPOINT_S

    def _speaks_for_now(self) -> bool:
        return self._speaks_from <= self._clock.now() < self._speaks_until
