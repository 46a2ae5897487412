"""The time of a portal's last request, stored so that a restart can rely on it."""

import asyncio
import math
from collections.abc import Awaitable, Callable

from gateway.clock import Clock

CHECKPOINT_S = 1.0  # how long one stored time covers requests


class ActivityCheckpoint:
    """A stored wall time. Even after a crash, no request was sent later than CHECKPOINT_S seconds after it.

    Storing takes time. A new time therefore lies ahead of the clock by as long as the last *save* took, and is still
    valid once it is stored, however slow the database is. An exception of *save* keeps the request from being sent.
    """

    def __init__(self, clock: Clock, save: Callable[[float], Awaitable[None]]) -> None:
        self._clock = clock
        self._save = save
        self._lead_s = 0.0
        self._valid_from = math.inf  # wall time; before it, the clock was set back
        self._valid_until = -math.inf
        self._saving = asyncio.Lock()

    async def ensure_saved(self) -> None:
        """Return once a stored time covers a request that is sent now."""
        if self._covers_now():
            return
        async with self._saving:
            while not self._covers_now():
                now, started_at = self._clock.now(), self._clock.monotonic()
                checkpoint = now + self._lead_s
                await self._save(checkpoint)
                self._lead_s = self._clock.monotonic() - started_at
                self._valid_from, self._valid_until = now, checkpoint + CHECKPOINT_S

    def _covers_now(self) -> bool:
        return self._valid_from <= self._clock.now() < self._valid_until
