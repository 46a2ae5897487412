"""Which addresses the gateway may call: a portal's address is a stranger's input.

The scheme and shape are checked before a call, the IP address where the socket is made: there every address passes,
literal or resolved, so that no answer of a name server can smuggle one in.
"""

import ipaddress
import socket
from dataclasses import dataclass

from aiohttp.connector import AddrInfoType
from yarl import URL

from gateway.bitrix.errors import AddressRefused

NAT64 = ipaddress.IPv6Network("64:ff9b::/96")

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address


class NotPublic(OSError):
    """A socket was asked for towards an address inside somebody's own network."""

    def __init__(self) -> None:
        super().__init__("not a public address")


@dataclass(frozen=True)
class EgressPolicy:
    """Only https, only public addresses; *insecure* lifts both, for a sandbox on this machine."""

    insecure: bool

    def check_url(self, url: str) -> URL:
        """*url*, parsed, if its shape allows calling it.

        Raises:
            AddressRefused: not an absolute http(s) address, not https, or with a user's name in it.
        """
        try:
            parsed = URL(url)
            host, port = parsed.host, parsed.port
        except ValueError:
            raise AddressRefused("it is not an address") from None
        if parsed.scheme not in ("https", "http") or not host or not port:
            raise AddressRefused("it is not an absolute https address")
        if parsed.scheme == "http" and not self.insecure:
            raise AddressRefused("it is not https")
        if parsed.user is not None or parsed.password is not None:
            raise AddressRefused("it names a user")
        return parsed

    def socket_factory(self, address: AddrInfoType) -> socket.socket:
        """A socket for *address*, as aiohttp's connector asks for one.

        Raises:
            NotPublic: the address is not a global one; PortalSession turns this into AddressRefused.
        """
        family, kind, protocol, _, target = address
        if not self.insecure and not is_public(ipaddress.ip_address(target[0])):
            raise NotPublic
        return socket.socket(family=family, type=kind, proto=protocol)


def is_public(address: IPAddress) -> bool:
    """Whether *address*, and any IPv4 address wrapped in it, belongs to the open internet."""
    wrapped = _wrapped(address) if isinstance(address, ipaddress.IPv6Address) else None
    if wrapped is not None:
        return is_public(wrapped)
    local = address.is_multicast or address.is_reserved or address.is_unspecified or address.is_link_local
    site_local = isinstance(address, ipaddress.IPv6Address) and address.is_site_local
    return address.is_global and not local and not site_local


def _wrapped(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    if address in NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    teredo = address.teredo
    return address.ipv4_mapped or address.sixtofour or (teredo[1] if teredo else None)
