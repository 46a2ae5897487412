"""A line for every request, which costs the request no more than appending to a list.

The lines are rendered and written in batches beside the requests. They name the route's template and never what the
caller put into it, so there is nothing in them to redact; their shape is that of all other log lines.
"""

import asyncio
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from typing import NamedTuple

import orjson

from gateway.background import end
from gateway.clock import Clock
from gateway.settings.config import Config

FLUSH_S = 0.5
MOST_WAITING = 128  # so that no request waits long for the lines of others
LEVELS_WITH_REQUESTS = ("debug", "info")


class AccessLogEntry(NamedTuple):
    """One request that was answered: when (Unix seconds), what, how, how long it took, its id."""

    at: float
    method: str
    route: str
    status: int
    seconds: float
    request_id: str


def to_stderr(text: str) -> None:
    """Write *text* to what is the standard error now."""
    sys.stderr.write(text)


class RequestLog:
    """Collects what was served and writes it as log lines."""

    def __init__(self, config: Config, clock: Clock, write: Callable[[str], object] = to_stderr) -> None:
        self.enabled = config.log_level in LEVELS_WITH_REQUESTS
        self._render = render_json if config.log_format == "json" else render_console
        self._clock = clock
        self._write = write
        self._waiting: list[AccessLogEntry] = []
        self._flushing: asyncio.Task[None] | None = None

    def add(self, served: AccessLogEntry) -> None:
        """Take note of a request; it is written within half a second."""
        self._waiting.append(served)
        if len(self._waiting) >= MOST_WAITING:
            self.flush()
        elif self._flushing is None:
            self._flushing = asyncio.create_task(self._flush_soon(), name="request log")

    def flush(self) -> None:
        """Write what has been collected."""
        lines, self._waiting = self._waiting, []
        self._write("".join(map(self._render, lines)))

    async def close(self) -> None:
        """Write what is left."""
        if self._flushing is not None:
            await end([self._flushing])
        self.flush()

    async def _flush_soon(self) -> None:
        await self._clock.sleep(FLUSH_S)
        self._flushing = None
        self.flush()


def timestamp(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def render_json(served: AccessLogEntry) -> str:
    line = {
        "event": f"{served.method} {served.route} {served.status}",
        "level": "info",
        "logger": "handlers.requests",
        "timestamp": timestamp(served.at),
        "ms": round(served.seconds * 1000, 1),
        "request_id": served.request_id,
    }
    return orjson.dumps(line).decode() + "\n"


def render_console(served: AccessLogEntry) -> str:
    event = f"{served.method} {served.route} {served.status}"
    return (
        f"{timestamp(served.at)} [info     ] {event:30} [handlers.requests] "
        f"ms={served.seconds * 1000:.1f} request_id={served.request_id}\n"
    )
