"""Web origins: scheme, host and port of a URL."""

import re
from ipaddress import IPv6Address
from urllib.parse import urlsplit

DEFAULT_PORTS = {"http": 80, "https": 443}
MAX_HOST_CHARACTERS = 253  # of a DNS name; RFC 1035 section 2.3.4
LABEL = r"[a-z0-9]([a-z0-9_-]{0,61}[a-z0-9])?"  # of a host name in lower case
HOST_NAME = re.compile(rf"{LABEL}(\.{LABEL})*", re.ASCII)


def origin_of(url: str) -> str:
    """The origin of an absolute http or https URL, normalized: lower case, no default port.

    Raises:
        ValueError: when *url* is not such a URL, or has a user name; the text is the broken rule.
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
        raise ValueError(f"must have a host name of at most {MAX_HOST_CHARACTERS} characters")
    if "@" in parts.netloc:
        raise ValueError("must not have a user name")
    bracketed = "[" in parts.netloc
    if not (is_ipv6(parts.hostname) if bracketed else HOST_NAME.fullmatch(parts.hostname)):
        raise ValueError("must have a host name of letters, digits, hyphens and dots, or an IP address")
    host = f"[{parts.hostname}]" if bracketed else parts.hostname
    return f"{parts.scheme}://{host}" + ("" if port in (None, DEFAULT_PORTS[parts.scheme]) else f":{port}")


def is_ipv6(host: str) -> bool:
    """Whether *host*, without brackets, is an IPv6 address without a zone."""
    try:
        return IPv6Address(host).scope_id is None
    except ValueError:
        return False


def exact_origin(text: str) -> str:
    """*text*, an origin with or without a trailing slash, normalized.

    Raises:
        ValueError: when *text* is not an origin, or has a path or a query; the text is the broken rule.
    """
    origin = origin_of(text)
    parts = urlsplit(text)
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        raise ValueError("must be an origin, like https://example.com, without a path or a query")
    return origin
