"""Turns aiohttp's errors into ours."""

import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager

import aiohttp

from gateway.bitrix.errors import AddressRefused, PortalBroken, PortalUnreachable
from gateway.bitrix.transport.egress import NotPublic

CONNECTION_FAILURES: tuple[tuple[type[OSError], str], ...] = (  # causes and their texts; the first match is used
    (socket.gaierror, ": unknown host"),
    (ssl.SSLCertVerificationError, ": invalid certificate"),
    (ssl.SSLError, ": TLS handshake failed"),
    (ConnectionRefusedError, ": refused"),
)


@contextmanager
def translated_errors() -> Iterator[None]:
    """Replace aiohttp's errors with ours; its messages may contain a URL with a secret in it."""
    try:
        yield
    except aiohttp.ClientConnectorError as error:
        if isinstance(error.os_error, NotPublic):
            raise AddressRefused("it leads into a private network") from None
        reason = next((text for kind, text in CONNECTION_FAILURES if isinstance(error.os_error, kind)), "")
        raise PortalUnreachable(f"no connection{reason}", sent=False) from None
    except (aiohttp.InvalidURL, UnicodeError):  # a host such as 1.2.3, or with a label that is too long
        raise AddressRefused("its host is not valid") from None
    except aiohttp.ClientPayloadError:
        raise PortalBroken("incomplete body") from None
    except aiohttp.ClientResponseError:
        raise PortalBroken("not HTTP") from None
    except (aiohttp.ClientError, OSError):
        raise PortalUnreachable("the connection was dropped", sent=True) from None
