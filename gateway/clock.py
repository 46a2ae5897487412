"""The clock: the only module that reads the time, so that tests can replace it."""

import asyncio
import time
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from functools import lru_cache
from typing import Protocol


class Clock(Protocol):
    """Source of time for the gateway and the sandbox."""

    def now(self) -> float:
        """Wall-clock time in seconds since the Unix epoch."""

    def monotonic(self) -> float:
        """Seconds from an arbitrary start that never decrease, for durations and limits."""

    async def sleep(self, seconds: float) -> None:
        """Wait *seconds*; zero or less yields to the event loop once."""

    def timeout(self, seconds: float) -> AbstractAsyncContextManager[object]:
        """Cancel the enclosed block after *seconds*.

        Raises:
            TimeoutError: when the block was cancelled.
        """


class SystemClock:
    """The system clock."""

    def now(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(max(seconds, 0))

    def timeout(self, seconds: float) -> AbstractAsyncContextManager[object]:
        return asyncio.timeout(seconds)


@lru_cache(1024)
def format_time(at: int) -> str:
    """Format Unix seconds as RFC 3339 in UTC, such as 2026-11-27T14:55:00Z."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
