"""The id of the HTTP request that is being served, for the log lines of what is done for it."""

from contextvars import ContextVar

CURRENT_REQUEST_ID: ContextVar[str | None] = ContextVar("CURRENT_REQUEST_ID", default=None)
"""None in work of the gateway's own, such as syncs."""
