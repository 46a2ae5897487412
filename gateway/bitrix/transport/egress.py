"""Which addresses the gateway may call: a portal's address is a stranger's input.

The scheme and shape are checked before a call, the IP address where the socket is made: there every address passes,
literal or resolved, so that no answer of a name server can smuggle one in. An operator may list portals inside a
network: a listed network allows its addresses, a listed name allows what that name, and no other, resolves to.
"""

import ipaddress
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from aiohttp.connector import AddrInfoType
from yarl import URL

from gateway.bitrix.errors import AddressRefused

NAT64 = ipaddress.IPv6Network("64:ff9b::/96")

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
PrivatePortal = ipaddress.IPv4Network | ipaddress.IPv6Network | str
"""A network whose addresses may be called, or the name of a host; `*.corp.example` is any name below corp.example."""

# What a listed name may lead to: neither loopback nor link-local addresses, where clouds tell a machine its secrets.
# Source: RFC 1918, RFC 6598, RFC 4193
COMPANY_NETWORKS = tuple(
    ipaddress.ip_network(one) for one in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7")
)
METADATA = frozenset({ipaddress.ip_address("fd00:ec2::254"), ipaddress.ip_address("100.100.100.200")})  # the same there

_called_host: ContextVar[str] = ContextVar("called_host", default="")  # whose address the next socket is made for


class NotPublic(OSError):
    """A socket was asked for towards an address inside somebody's own network."""

    def __init__(self) -> None:
        super().__init__("not a public address")


@dataclass(frozen=True)
class EgressPolicy:
    """Only https, only public addresses and the *private* ones listed; *insecure* lifts both, for a sandbox here."""

    insecure: bool
    private: tuple[PrivatePortal, ...] = ()

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

    def may_call(self, host: str) -> bool:
        """Whether *host*, without brackets, is an IP address that may be called, or a name that could lead to one."""
        if self.insecure or self._lists(host):
            return True
        try:
            return self._may_connect(ipaddress.ip_address(host), host)
        except ValueError:
            labels = host.split(".")
            named = all(labels) and not labels[-1][0].isdigit()  # no top-level domain begins with a digit
            return named and (len(labels) > 1 or any(not isinstance(one, str) for one in self.private))

    @contextmanager
    def calling(self, url: URL) -> Iterator[None]:
        """Make sockets within the block for the host of *url*."""
        token = _called_host.set((url.raw_host or "").lower())
        try:
            yield
        finally:
            _called_host.reset(token)

    def socket_factory(self, address: AddrInfoType) -> socket.socket:
        """A socket for *address* of the host being called, as aiohttp's connector asks for one.

        Raises:
            NotPublic: the address may not be called; PortalSession turns this into AddressRefused.
        """
        family, kind, protocol, _, target = address
        if not self._may_connect(ipaddress.ip_address(target[0]), _called_host.get()):
            raise NotPublic
        return socket.socket(family=family, type=kind, proto=protocol)

    def _may_connect(self, address: IPAddress, host: str) -> bool:
        if self.insecure or is_public(address):
            return True
        plain = getattr(address, "ipv4_mapped", None) or address
        networks = [one for one in self.private if not isinstance(one, str)]
        named = self._lists(host) and plain not in METADATA
        return any(plain in network for network in (*networks, *(COMPANY_NETWORKS if named else ())))

    def _lists(self, host: str) -> bool:
        """Whether *host* is a listed name."""
        return any(
            host.endswith(one[1:]) and len(host) >= len(one) if one.startswith("*.") else host == one
            for one in self.private
            if isinstance(one, str)
        )


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
