"""Log lines of frequent events: an event only appends an entry to a list, a background task renders and writes them.

A line of structlog costs an event much more, and a page of the mirror takes less time than that.
"""

import asyncio
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Generic, TypeVar

from gateway.background import end
from gateway.clock import Clock

Entry = TypeVar("Entry")

FLUSH_S = 0.5
MAX_BUFFERED_ENTRIES = 128  # a larger batch would delay the requests that are served meanwhile
ENABLED_LEVELS = ("debug", "info")


def write_to_stderr(text: str) -> None:
    """Write *text* to the current standard error."""
    sys.stderr.write(text)


class LineLog(Generic[Entry]):
    """Buffers entries and writes each within half a second, as the line that *render* makes of it.

    The lines have the level info: nothing is logged if *level*, the setting of all other log lines, is above that.
    """

    def __init__(
        self,
        clock: Clock,
        render: Callable[[Entry], str],
        *,
        level: str,
        write: Callable[[str], object] = write_to_stderr,
    ) -> None:
        self.enabled = level in ENABLED_LEVELS
        self._clock = clock
        self._render = render
        self._write = write
        self._buffer: list[Entry] = []
        self._flush_task: asyncio.Task[None] | None = None

    def add(self, entry: Entry) -> None:
        """Buffer *entry*."""
        self._buffer.append(entry)
        if len(self._buffer) >= MAX_BUFFERED_ENTRIES:
            self.flush()
        elif self._flush_task is None:
            self._flush_task = asyncio.create_task(self._flush_later(), name="log lines")

    def flush(self) -> None:
        """Write all buffered entries."""
        entries, self._buffer = self._buffer, []
        self._write("".join(map(self._render, entries)))

    async def close(self) -> None:
        """Write all buffered entries and stop the background task."""
        if self._flush_task is not None:
            await end([self._flush_task])
        self.flush()

    async def _flush_later(self) -> None:
        await self._clock.sleep(FLUSH_S)
        self._flush_task = None
        self.flush()


def timestamp(at: float) -> str:
    """The time of a line, such as 2026-11-27T14:55:00.123456Z, at the Unix time *at*."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
