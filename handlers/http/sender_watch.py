"""Ends the reading of a large body whose sender stalls or is too slow."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import ParamSpec, TypeVar

from aiohttp import web

from handlers.http.errors import HttpError
from handlers.http.keys import CLOCK

P = ParamSpec("P")
T = TypeVar("T")

LOOK_S = 5.0  # between two looks at what has been received
STALL_S = 30.0  # without a byte
RATE_WINDOW_S = 60.0
MIN_BYTES_PER_S = 8 * 1024  # over each window
STALLED = f"body: no byte was received within {STALL_S:.0f} s"
TOO_SLOW = (
    f"body: fewer than {MIN_BYTES_PER_S // 1024} KiB a second were received, over {RATE_WINDOW_S:.0f} s: "
    "send fewer or smaller files at once"
)


class SenderWatch:
    """Watches how fast the body of a request arrives. Only time in which a read waits for it counts."""

    def __init__(self, request: web.Request) -> None:
        self._clock = request.app[CLOCK]
        self._content = request.content
        self._is_reading = False

    async def read(self, read: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs) -> T:
        """Return what *read* reads of the body.

        Raises:
            HttpError: 408: the sender is too slow.
        """
        self._is_reading = True
        try:
            return await read(*args, **kwargs)
        finally:
            self._is_reading = False

    async def run(self) -> None:
        """Let the body fail once its sender is too slow, or up to LOOK_S later."""
        silent_s = window_s = 0.0
        received = before_window = self._content.total_raw_bytes
        while True:
            await self._clock.sleep(LOOK_S)
            if not self._is_reading:
                continue
            before, received = received, self._content.total_raw_bytes
            silent_s = silent_s + LOOK_S if received == before else 0.0
            window_s += LOOK_S
            if silent_s >= STALL_S:
                self._content.set_exception(HttpError(408, STALLED))
            elif window_s >= RATE_WINDOW_S:
                if received - before_window < MIN_BYTES_PER_S * window_s:
                    self._content.set_exception(HttpError(408, TOO_SLOW))
                window_s, before_window = 0.0, received


@asynccontextmanager
async def watched_sender(request: web.Request) -> AsyncIterator[SenderWatch]:
    """Watch the sender of a request until the block ends."""
    watch = SenderWatch(request)
    running = asyncio.create_task(watch.run())
    try:
        yield watch
    finally:
        running.cancel()
