"""The only place that reads the time, so that a test can move it by hand."""

import asyncio
import time
from contextlib import AbstractAsyncContextManager
from typing import Protocol


class Clock(Protocol):
    """Time as the gateway and the sandbox see it."""

    def now(self) -> float:
        """The wall time: seconds since the Unix epoch."""

    def monotonic(self) -> float:
        """Seconds that never go back, from an arbitrary start: for durations and limits."""

    async def sleep(self, seconds: float) -> None:
        """Return once *seconds* have passed; zero or less yields to the loop once."""

    def timeout(self, seconds: float) -> AbstractAsyncContextManager[object]:
        """Cancel the enclosed block after *seconds*.

        Raises:
            TimeoutError: when the block had to be cancelled.
        """


class SystemClock:
    """The machine's own time."""

    def now(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(max(seconds, 0))

    def timeout(self, seconds: float) -> AbstractAsyncContextManager[object]:
        return asyncio.timeout(seconds)
