"""The access log: one line for each request.

An entry holds the template of the route and nothing that the caller sent except a request id, so there is nothing to
redact.
"""

from collections.abc import Callable
from typing import NamedTuple

import orjson

from gateway.clock import Clock
from gateway.log_lines import LineLog, timestamp, write_to_stderr


class AccessLogEntry(NamedTuple):
    """One answered request."""

    at: float  # Unix time, in seconds
    method: str
    route: str
    status: int
    duration_s: float
    request_id: str


class AccessLog(LineLog[AccessLogEntry]):
    """The lines of requests, in the *form* of all other log lines: "json" or "console"."""

    def __init__(
        self, clock: Clock, *, level: str, form: str, write: Callable[[str], object] = write_to_stderr
    ) -> None:
        super().__init__(clock, render_json if form == "json" else render_console, level=level, write=write)


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
