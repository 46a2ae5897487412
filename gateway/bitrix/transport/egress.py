"""The egress policy: which addresses the gateway may call. A portal's address is untrusted input.

The URL is checked before a call, the IP address when the socket is created. Every address passes there, literal or
resolved, so a name server cannot bypass the check. An operator may list private portals: a listed network allows its
addresses, a listed name allows the private addresses that this name resolves to, and no other.
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

NAT64 = ipaddress.IPv6Network("64:ff9b::/96")  # IPv6 addresses that embed an IPv4 address; RFC 6052

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
PrivatePortal = ipaddress.IPv4Network | ipaddress.IPv6Network | str
"""A network, or a host name; `*.corp.example` is any name below corp.example."""

# The private addresses that a listed name may resolve to. Loopback is not among them, and neither are link-local
# addresses: clouds serve a machine's credentials there.
# Source: RFC 1918, RFC 6598, RFC 4193
COMPANY_NETWORKS = tuple(
    ipaddress.ip_network(network)
    for network in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7")
)
# Clouds serve credentials at these addresses too.
METADATA = frozenset({ipaddress.ip_address("fd00:ec2::254"), ipaddress.ip_address("100.100.100.200")})

_called_host: ContextVar[str] = ContextVar("called_host", default="")  # the host that sockets are created for


class NotPublic(OSError):
    """A socket was requested for an address that is not public and not allowed by the policy."""

    def __init__(self) -> None:
        super().__init__("not a public address")


@dataclass(frozen=True)
class EgressPolicy:
    """Allows https to public addresses and to the listed *private* ones; *insecure* allows all, for a local sandbox."""

    insecure: bool
    private: tuple[PrivatePortal, ...] = ()

    def check_url(self, url: str) -> URL:
        """Return *url*, parsed.

        Raises:
            AddressRefused: not an absolute http(s) URL, not https, or with a user name.
        """
        try:
            parsed = URL(url)
            host, port = parsed.host, parsed.port
        except ValueError:
            raise AddressRefused("it is not a valid URL") from None
        if parsed.scheme not in ("https", "http") or not host or not port:
            raise AddressRefused("it is not an absolute https URL")
        if parsed.scheme == "http" and not self.insecure:
            raise AddressRefused("it is not https")
        if parsed.user is not None or parsed.password is not None:
            raise AddressRefused("it contains a user name")
        return parsed

    def may_call(self, host: str) -> bool:
        """Whether *host*, without brackets, is an allowed IP address, or a name that may resolve to one."""
        if self.insecure or self._lists(host):
            return True
        try:
            return self._may_connect(ipaddress.ip_address(host), host)
        except ValueError:
            labels = host.split(".")
            is_name = all(labels) and not labels[-1][0].isdigit()  # no top-level domain begins with a digit
            # A name without a dot may only resolve into a listed network; the socket factory checks that.
            return is_name and (len(labels) > 1 or bool(self._networks))

    @contextmanager
    def calling(self, url: URL) -> Iterator[None]:
        """Create sockets in the block for the host of *url*."""
        token = _called_host.set((url.raw_host or "").lower())
        try:
            yield
        finally:
            _called_host.reset(token)

    def socket_factory(self, address: AddrInfoType) -> socket.socket:
        """Create a socket for *address* of the host being called; a `socket_factory` of aiohttp's connector.

        Raises:
            NotPublic: the address is not allowed; PortalSession turns this into AddressRefused.
        """
        family, kind, protocol, _, target = address
        if not self._may_connect(ipaddress.ip_address(target[0]), _called_host.get()):
            raise NotPublic
        return socket.socket(family=family, type=kind, proto=protocol)

    def _may_connect(self, address: IPAddress, host: str) -> bool:
        if self.insecure or is_public(address):
            return True
        plain = getattr(address, "ipv4_mapped", None) or address
        networks = self._networks
        if self._lists(host) and plain not in METADATA:
            networks += COMPANY_NETWORKS
        return any(plain in network for network in networks)

    @property
    def _networks(self) -> tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]:
        return tuple(entry for entry in self.private if not isinstance(entry, str))

    def _lists(self, host: str) -> bool:
        """Whether *host* is a listed name."""
        return any(
            host.endswith(name[1:]) and len(host) >= len(name) if name.startswith("*.") else host == name
            for name in self.private
            if isinstance(name, str)
        )


def is_public(address: IPAddress) -> bool:
    """Whether *address* is public. An embedded IPv4 address decides for the IPv6 address around it."""
    embedded = _embedded_ipv4(address) if isinstance(address, ipaddress.IPv6Address) else None
    if embedded is not None:
        return is_public(embedded)
    local = address.is_multicast or address.is_reserved or address.is_unspecified or address.is_link_local
    site_local = isinstance(address, ipaddress.IPv6Address) and address.is_site_local
    return address.is_global and not local and not site_local


def _embedded_ipv4(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    if address in NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    teredo = address.teredo
    return address.ipv4_mapped or address.sixtofour or (teredo[1] if teredo else None)
