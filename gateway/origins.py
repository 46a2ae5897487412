"""Web origins: scheme, host and port, the part of an address that says whose it is."""

import re
from ipaddress import IPv6Address
from urllib.parse import urlsplit

DEFAULT_PORTS = {"http": 80, "https": 443}
MAX_HOST_CHARACTERS = 253  # characters of a name that can be looked up; RFC 1035 section 2.3.4
LABEL = r"[a-z0-9]([a-z0-9_-]{0,61}[a-z0-9])?"  # of a host's name, in lower case
HOST_NAME = re.compile(rf"{LABEL}(\.{LABEL})*", re.ASCII)


def origin_of(url: str) -> str:
    """The origin of an absolute http or https address, in one spelling: lower case, no default port.

    Raises:
        ValueError: when *url* is no such address, or names a user; the text is the rule it breaks.
    """
    if not url.isascii() or not url.isprintable() or " " in url or "\\" in url:
        raise ValueError("must be an address in plain ASCII characters, without spaces and backslashes")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise ValueError("must be an absolute address, like https://example.com") from error
    if parts.scheme not in DEFAULT_PORTS or not parts.hostname:
        raise ValueError("must be an absolute http or https address, like https://example.com")
    if len(parts.hostname) > MAX_HOST_CHARACTERS:
        raise ValueError(f"must name a host of at most {MAX_HOST_CHARACTERS} characters")
    if "@" in parts.netloc:
        raise ValueError("must be an address without a user name")
    bracketed = "[" in parts.netloc
    if not (is_ipv6(parts.hostname) if bracketed else HOST_NAME.fullmatch(parts.hostname)):
        raise ValueError("must name a host of letters, digits, hyphens and dots, or an IP address")
    host = f"[{parts.hostname}]" if bracketed else parts.hostname
    return f"{parts.scheme}://{host}" + ("" if port in (None, DEFAULT_PORTS[parts.scheme]) else f":{port}")


def is_ipv6(host: str) -> bool:
    """Whether *host*, written without brackets, is an IPv6 address that means the same on every machine."""
    try:
        return IPv6Address(host).scope_id is None
    except ValueError:
        return False


def exact_origin(text: str) -> str:
    """The origin that *text* is, with nothing beside it but a slash at the end.

    Raises:
        ValueError: when it is more or less than an origin; the text is the rule it breaks.
    """
    origin = origin_of(text)
    parts = urlsplit(text)
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        raise ValueError("must be an origin, like https://example.com, without a path or a query")
    return origin
