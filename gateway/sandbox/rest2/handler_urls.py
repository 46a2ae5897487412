"""The addresses of an application's handlers."""

from urllib.parse import urlsplit

from gateway.sandbox.errors import CallError


def check_handler_url(url: str) -> None:
    """Check that a portal accepts *url* as the address of a handler of events or placements.

    Raises:
        CallError: neither http nor https, or no host name with a dot. An address that cannot be parsed counts as the
            latter (inferred).
    Source: [docs] api-reference/events/event-bind.md, widgets/placement-bind.md
    """
    try:
        parts = urlsplit(url)
    except ValueError:
        raise _wrong_url() from None
    if parts.scheme not in ("http", "https"):
        raise CallError("ERROR_UNSUPPORTED_PROTOCOL", "Unsupported event handler protocol")
    if "." not in (parts.hostname or ""):
        raise _wrong_url()


def _wrong_url() -> CallError:
    return CallError("ERROR_WRONG_HANDLER_URL", "Wrong handler URL")
