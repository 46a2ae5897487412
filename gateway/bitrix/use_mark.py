"""When a portal was last called, by the wall time, kept where a restart finds it."""

import asyncio
import math
from collections.abc import Awaitable, Callable

from gateway.clock import Clock

USE_MARK_S = 1.0  # how long a mark speaks for: a request is sent at most so long after the last one


class UseMark:
    """The last mark, which *save* keeps: even after a crash, nothing was sent later than USE_MARK_S seconds past it."""

    def __init__(self, clock: Clock, save: Callable[[float], Awaitable[None]]) -> None:
        self._clock = clock
        self._save = save
        self._marked_at = -math.inf
        self._saving = asyncio.Lock()

    async def cover(self) -> None:
        """Return once a mark that is kept speaks for a request that is sent now."""
        if self._speaks_for_now():
            return
        async with self._saving:
            while not self._speaks_for_now():
                now = self._clock.now()
                await self._save(now)
                self._marked_at = now

    def _speaks_for_now(self) -> bool:
        return 0 <= self._clock.now() - self._marked_at < USE_MARK_S  # less than 0: somebody has set the clock back
