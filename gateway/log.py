"""Logging: structlog on top of the standard library; masks secrets and escapes control characters."""

import logging
import sys
from collections.abc import Mapping
from typing import TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from gateway.redaction import MASK, Secret, printable, redact

SECRET_FIELDS = frozenset(
    {
        "access_token",
        "application_token",
        "auth",
        "authorization",
        "client_secret",
        "encryption_key",
        "jwt_previous_secrets",
        "jwt_secret",
        "password",
        "refresh_token",
        "token",
    }
)
TRACEBACK_FIELDS = ("exception", "stack")


def redact_value(value: object) -> object:
    """*value* with all text redacted and printable, at any depth; objects are replaced by their repr."""
    match value:
        case Secret():
            return repr(value)
        case str():
            return printable(redact(value))
        case None | bool() | int() | float():
            return value
        case Mapping():
            return {
                printable(redact(str(name))): MASK if str(name).lower() in SECRET_FIELDS else redact_value(inner)
                for name, inner in value.items()
            }
        case list() | tuple() | set() | frozenset():
            return [redact_value(inner) for inner in value]
        case _:
            return printable(redact(repr(value)))


def indented(traceback: str) -> str:
    """*traceback*, redacted and indented, so that none of its lines looks like a log line."""
    return "\n".join(f"  {printable(line)}" for line in redact(traceback).split("\n"))


def redact_event(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Redact all fields. Runs last before rendering, when tracebacks are already text."""
    return {
        printable(name): MASK
        if name.lower() in SECRET_FIELDS
        else indented(value)
        if name in TRACEBACK_FIELDS and isinstance(value, str)
        else redact_value(value)
        for name, value in event.items()
    }


def configure_logging(level: str, form: str, stream: TextIO | None = None) -> None:
    """Write log lines of *level* and above, of all libraries, to *stream* (default: stderr) as console or json."""
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    target = sys.stderr if stream is None else stream
    renderer: Processor = (
        structlog.processors.JSONRenderer(ensure_ascii=False)
        if form == "json"
        else structlog.dev.ConsoleRenderer(colors=target.isatty())
    )
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(target)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                structlog.processors.StackInfoRenderer(),
                redact_event,
                renderer,
            ],
        )
    )
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
