"""Ends the reading of a large body whose sender stalls, is too slow, or sends more than is allowed."""

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
TOTAL_S = 3600.0  # for the whole body
STALLED = f"body: no byte was received within {STALL_S:.0f} s"
TOO_SLOW = (
    f"body: fewer than {MIN_BYTES_PER_S // 1024} KiB a second were received, over {RATE_WINDOW_S:.0f} s: "
    "send fewer or smaller files at once"
)
TOO_LATE = f"body: was not received within {TOTAL_S:.0f} s: send fewer or smaller files at once"

Check = Callable[[int], None]
"""Takes the number of bytes received so far, and raises an HttpError if they are too many."""


class SenderWatch:
    """Watches how much of the body of a request arrives, and how fast: only time in which a read waits counts for that.

    *check* is called with the number of bytes, as they are after the Content-Encoding.
    """

    def __init__(self, request: web.Request, check: Check) -> None:
        self._check = check
        self._clock = request.app[CLOCK]
        self._content = request.content
        self._is_reading = False

    async def read(self, read: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs) -> T:
        """Return what *read* reads of the body.

        Raises:
            HttpError: 408: the sender is too slow; or the error of the check.
        """
        self._is_reading = True
        try:
            result = await read(*args, **kwargs)
        finally:
            self._is_reading = False
        self._check(self._content.total_bytes)
        return result

    async def run(self) -> None:
        """Let the body fail once its sender breaks a rule, or up to LOOK_S later."""
        try:
            await self._look()
        except HttpError as error:
            self._content.set_exception(error)

    async def _look(self) -> None:
        """Look at what has been received, again and again.

        Raises:
            HttpError: the sender has broken a rule.
        """
        ends_at = self._clock.monotonic() + TOTAL_S
        silent_s = window_s = 0.0
        received = before_window = self._content.total_raw_bytes
        while True:
            await self._clock.sleep(LOOK_S)
            self._check(self._content.total_bytes)
            if self._clock.monotonic() >= ends_at:
                raise HttpError(408, TOO_LATE)
            if not self._is_reading:
                continue
            before, received = received, self._content.total_raw_bytes
            silent_s = silent_s + LOOK_S if received == before else 0.0
            window_s += LOOK_S
            if silent_s >= STALL_S:
                raise HttpError(408, STALLED)
            if window_s >= RATE_WINDOW_S:
                if received - before_window < MIN_BYTES_PER_S * window_s:
                    raise HttpError(408, TOO_SLOW)
                window_s, before_window = 0.0, received


@asynccontextmanager
async def watched_sender(request: web.Request, check: Check) -> AsyncIterator[SenderWatch]:
    """Watch the sender of a request until the block ends."""
    watch = SenderWatch(request, check)
    running = asyncio.create_task(watch.run())
    try:
        yield watch
    finally:
        running.cancel()
