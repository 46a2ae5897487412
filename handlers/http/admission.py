"""How many connections are open at once, in all and from one address; further ones are refused before they are read."""

import asyncio
import logging
from collections import Counter
from ipaddress import IPv6Address, ip_address
from typing import Protocol, cast

import orjson
from aiohttp.helpers import rfc822_formatted_time
from aiohttp.http import SERVER_SOFTWARE

from gateway.clock import Clock
from handlers.http.deadlines import Deadlines
from handlers.http.middleware import new_request_id

logger = logging.getLogger(__name__)

RETRY_AFTER_S = 5
REFUSAL_S = 2.0  # for a refused caller to read why
REFUSAL_BYTES = 128 * 1024  # dropped of what it sends meanwhile
MAX_REFUSALS = 100  # told why at once; others are disconnected without a word
IDLE_WHEN_FULL_S = 5.0
LOG_EVERY_S = 60.0
REFUSED = orjson.dumps(f"the gateway has too many open connections: try again in {RETRY_AFTER_S} s")


class Idler(Protocol):
    """A connection that may be idle."""

    @property
    def idle_after(self) -> int | None:
        """The number of requests that it has brought, while it waits for the next one; None while it does not."""

    def force_close(self) -> None:
        """Close it."""


class Admission:
    """Counts the open connections.

    One that is refused costs neither a handler nor a log line: what was refused is told once a minute. While the
    gateway is full, connections that stay idle for longer than IDLE_WHEN_FULL_S seconds are closed. Together with the
    time-out of a request's head this lets newcomers in again, health checks among them.
    """

    def __init__(self, clock: Clock, *, most: int, most_per_address: int) -> None:
        self._clock = clock
        self._most = most
        self._most_per_address = most_per_address
        self._open: dict[Idler, str] = {}
        self._by_address: Counter[str] = Counter()
        self._refusals: Deadlines[Refusal] = Deadlines(clock, REFUSAL_S, Refusal.close)
        self._idle: dict[Idler, int] = {}
        self._idle_since = clock.monotonic()
        self._refused = 0
        self._log_at = clock.monotonic()

    def admit(self, connection: Idler, transport: asyncio.Transport) -> bool:
        """Whether *connection* may stay; one that may not is answered and closed."""
        address = address_of(transport.get_extra_info("peername"))
        if len(self._open) < self._most and self._by_address[address] < self._most_per_address:
            self._open[connection] = address
            self._by_address[address] += 1
            return True
        if not self._by_address[address]:
            del self._by_address[address]
        self._make_room()
        self._tell_refused()
        if len(self._refusals) < MAX_REFUSALS:
            refusal = Refusal(self._refusals)
            transport.set_protocol(refusal)
            refusal.connection_made(transport)
        else:
            transport.abort()
        return False

    def leave(self, connection: Idler) -> None:
        """Take note that *connection* is closed."""
        self._idle.pop(connection, None)
        address = self._open.pop(connection, None)
        if address is not None:
            self._by_address[address] -= 1
            if not self._by_address[address]:
                del self._by_address[address]

    async def close(self) -> None:
        """Disconnect those who were refused."""
        for refusal in list(self._refusals):
            refusal.close()
        await self._refusals.close()

    def _make_room(self) -> None:
        """Close the connections that were idle when this was last done, unless they have been of use since."""
        now = self._clock.monotonic()
        if self._idle and now < self._idle_since + IDLE_WHEN_FULL_S:
            return
        for connection, before in list(self._idle.items()):
            if connection.idle_after == before:
                connection.force_close()
        self._idle = {}
        for one in self._open:
            if (requests := one.idle_after) is not None:
                self._idle[one] = requests
        self._idle_since = now

    def _tell_refused(self) -> None:
        self._refused += 1
        now = self._clock.monotonic()
        if now >= self._log_at:
            self._log_at = now + LOG_EVERY_S
            logger.warning(
                "connections are refused: GATEWAY_MAX_CONNECTIONS or GATEWAY_MAX_CONNECTIONS_PER_ADDRESS is reached",
                extra={"refused": self._refused, "open": len(self._open)},
            )
            self._refused = 0


class Refusal(asyncio.Protocol):
    """What a connection that is one too many is left with: an answer, and a moment to read it."""

    def __init__(self, refusals: "Deadlines[Refusal]") -> None:
        self._refusals = refusals
        self._left = REFUSAL_BYTES
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._refusals.begin(self)
        self._transport.write(refusal_answer())
        self._transport.write_eof()

    def data_received(self, data: bytes) -> None:
        self._left -= len(data)
        if self._left < 0:
            self.close()

    def connection_lost(self, _exc: BaseException | None) -> None:
        self._refusals.end(self)
        self._transport = None

    def close(self) -> None:
        """Close the connection, whatever is still to be sent or read."""
        if self._transport is not None:
            self._transport.abort()


def refusal_answer() -> bytes:
    """The answer to a connection that is one too many. What it was to ask is not known, so it has the plain form."""
    head = (
        f"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nContent-Length: {len(REFUSED)}\r\n"
        f"Retry-After: {RETRY_AFTER_S}\r\nX-Request-ID: {new_request_id()}\r\nX-Content-Type-Options: nosniff\r\n"
        f"Date: {rfc822_formatted_time()}\r\nServer: {SERVER_SOFTWARE}\r\nConnection: close\r\n\r\n"
    )
    return head.encode("ascii") + REFUSED


def address_of(peername: object) -> str:
    """What counts as one address: an IPv4 address, the /64 network of an IPv6 one, all peers that have none."""
    if not isinstance(peername, tuple) or not peername:
        return ""
    host = str(peername[0])
    if ":" not in host:
        return host
    address = IPv6Address(ip_address(host.partition("%")[0]))
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(IPv6Address(int(address) >> 64 << 64))
