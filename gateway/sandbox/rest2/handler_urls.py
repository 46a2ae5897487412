"""The addresses of an application's handlers."""

from urllib.parse import urlsplit

from gateway.sandbox.errors import CallError


def check_handler_url(url: str) -> None:
    """Check that a portal accepts *url* as the address of a handler of events or placements.

    An IP address passes, because it has dots.

    Raises:
        CallError: no host with a dot after its first character, or neither http nor https. An address that cannot be
            parsed counts as the former (inferred).
    Source: [docs] api-reference/events/event-bind.md, widgets/index.md; [srv] rest/lib/handlerhelper.php
    """
    if "." not in _host_of(url)[1:]:
        raise CallError("ERROR_WRONG_HANDLER_URL", "Wrong handler URL")
    if not url.startswith(("http://", "https://")):
        raise CallError("ERROR_UNSUPPORTED_PROTOCOL", "Unsupported event handler protocol")


def _host_of(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""
