"""The call log: one line for each request to a portal, without parameters; at debug level with their names."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple

import orjson

from gateway.clock import Clock
from gateway.log_lines import LineLog, timestamp, write_to_stderr
from gateway.redaction import printable, redact

EVENT, LOGGER = "portal call", "gateway.bitrix.calls"
# What a parameter may be called. Whatever else a caller sends as a name is not shown.
PARAMETER_NAME = re.compile(r"[!=@<>%?~]{0,4}[A-Za-z_*][\w.*:-]{0,63}", re.ASCII)
HIDDEN_NAME = "?"
NAMING_PARTS = ("fields", "filter", "select")  # parameters that contain names
MAX_NAMES_CHARACTERS = 1000
PLAIN_VALUE = re.compile(r"[^\s\"'=\\]+")


class CallLogEntry(NamedTuple):
    """One request to a portal that has been answered, has failed or was cancelled.

    *outcome* is ``ok``, the portal's error code or the name of an error class. *attempt* counts from 1. *names* are
    those of the parameters, or the methods of a batch's *commands*, separated by commas; None if they are not shown.
    """

    at: float  # Unix time, in seconds
    method: str
    portal: str
    account: str | None
    duration_s: float
    outcome: str
    attempt: int
    request_id: str | None
    commands: int | None
    names: str | None


class CallLog(LineLog[CallLogEntry]):
    """The lines of calls, in the *form* of all other log lines: "json" or "console"."""

    def __init__(
        self, clock: Clock, *, level: str, form: str, write: Callable[[str], object] = write_to_stderr
    ) -> None:
        super().__init__(clock, render_json if form == "json" else render_console, level=level, write=write)
        self.shows_names = level == "debug"


def fields_of(entry: CallLogEntry) -> dict[str, object]:
    """The fields of a line, in their order; absent ones are left out.

    An error code is readable already, see `PortalError`, and method names are checked. The name of an account is the
    caller's own.
    """
    names = "parameters" if entry.commands is None else "methods"
    fields = {
        "method": entry.method,
        "commands": entry.commands,
        "portal": entry.portal,
        "account": None if entry.account is None else printable(redact(entry.account)),
        "ms": round(entry.duration_s * 1000, 1),
        "outcome": entry.outcome,
        "attempt": entry.attempt,
        "request_id": entry.request_id,
        names: entry.names,
    }
    return {name: value for name, value in fields.items() if value is not None}


def render_json(entry: CallLogEntry) -> str:
    head = {"event": EVENT, "level": "info", "logger": LOGGER, "timestamp": timestamp(entry.at)}
    return orjson.dumps({**head, **fields_of(entry)}).decode() + "\n"


def render_console(entry: CallLogEntry) -> str:
    fields = " ".join(f"{name}={_quoted(value)}" for name, value in fields_of(entry).items())
    return f"{timestamp(entry.at)} [info     ] {EVENT:30} [{LOGGER}] {fields}\n"


def parameter_names(arguments: object) -> str:
    """The names of the parameters in *arguments*, and of the fields within some of them; never a value."""
    return listed(_names(arguments))


def listed(names: Iterable[str]) -> str:
    """*names* separated by commas, as many as fit a line."""
    text = ",".join(names)
    return text if len(text) <= MAX_NAMES_CHARACTERS else f"{text[:MAX_NAMES_CHARACTERS]}…"


def _names(arguments: object) -> Iterator[str]:
    """Yield ``fields`` and ``fields.TITLE``. A `select` lists names; so does each condition of a REST 3.0 `filter`."""
    if not isinstance(arguments, Mapping):
        return
    for name, value in arguments.items():
        shown = _shown(name)
        yield shown
        if shown.lower() not in NAMING_PARTS:
            continue
        if isinstance(value, list | tuple):
            conditions = (item[0] if isinstance(item, list | tuple) and item else item for item in value)
            inner: Iterable[object] = (item for item in conditions if isinstance(item, str))
        else:
            inner = value if isinstance(value, Mapping) else ()
        yield from (f"{shown}.{_shown(item)}" for item in inner)


def _shown(name: object) -> str:
    return name if isinstance(name, str) and PARAMETER_NAME.fullmatch(name) else HIDDEN_NAME


def _quoted(value: object) -> str:
    text = str(value)
    return text if PLAIN_VALUE.fullmatch(text) else orjson.dumps(text).decode()
