"""The access log: one line for each request.

A request only appends an entry to a list. A background task renders the entries and writes them in batches, in the form
of all other log lines. An entry holds the template of the route and nothing that the caller sent except a request id,
so there is nothing to redact.
"""

import asyncio
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from typing import NamedTuple

import orjson

from gateway.background import end
from gateway.clock import Clock

FLUSH_S = 0.5
MAX_BUFFERED_ENTRIES = 128  # a larger batch would delay the requests that are served meanwhile
ENABLED_LEVELS = ("debug", "info")


class AccessLogEntry(NamedTuple):
    """One answered request."""

    at: float  # Unix time, in seconds
    method: str
    route: str
    status: int
    duration_s: float
    request_id: str


def write_to_stderr(text: str) -> None:
    """Write *text* to the current standard error."""
    sys.stderr.write(text)


class AccessLog:
    """Buffers entries and writes each within half a second.

    *level* and *form* are the settings of all other log lines: with a *level* above info, nothing is logged; *form* is
    "json" or "console".
    """

    def __init__(
        self, clock: Clock, *, level: str, form: str, write: Callable[[str], object] = write_to_stderr
    ) -> None:
        self.enabled = level in ENABLED_LEVELS
        self._render = render_json if form == "json" else render_console
        self._clock = clock
        self._write = write
        self._buffer: list[AccessLogEntry] = []
        self._flush_task: asyncio.Task[None] | None = None

    def add(self, entry: AccessLogEntry) -> None:
        """Buffer *entry*."""
        self._buffer.append(entry)
        if len(self._buffer) >= MAX_BUFFERED_ENTRIES:
            self.flush()
        elif self._flush_task is None:
            self._flush_task = asyncio.create_task(self._flush_later(), name="access log")

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
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def render_json(entry: AccessLogEntry) -> str:
    line = {
        "event": f"{entry.method} {entry.route} {entry.status}",
        "level": "info",
        "logger": "handlers.requests",
        "timestamp": timestamp(entry.at),
        "ms": round(entry.duration_s * 1000, 1),
        "request_id": entry.request_id,
    }
    return orjson.dumps(line).decode() + "\n"


def render_console(entry: AccessLogEntry) -> str:
    event = f"{entry.method} {entry.route} {entry.status}"
    return (
        f"{timestamp(entry.at)} [info     ] {event:30} [handlers.requests] "
        f"ms={entry.duration_s * 1000:.1f} request_id={entry.request_id}\n"
    )
