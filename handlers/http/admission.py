"""Limits on open connections, in total and per client address. A connection above a limit is refused unread."""

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
REFUSAL_TIMEOUT_S = 2.0  # for a refused client to read the response
MAX_REFUSAL_BYTES = 128 * 1024  # received and discarded meanwhile
MAX_REFUSALS = 100  # open at the same time; further clients are disconnected without a response
MAX_IDLE_S = 5.0  # while a limit is reached, connections idle for longer are closed
LOG_INTERVAL_S = 60.0
REFUSED = orjson.dumps(f"too many open connections: try again in {RETRY_AFTER_S} s")


class IdleConnection(Protocol):
    """A connection that can be closed while it is idle."""

    @property
    def idle_after(self) -> int | None:
        """The number of requests received so far if the connection is idle: it waits for the next one; else None."""

    def force_close(self) -> None:
        """Close the connection."""


class Admission:
    """Counts the open connections and refuses those above the limits.

    A refusal needs no handler and no log line of its own; the number of refusals is logged once a minute. While a limit
    is reached, connections that have been idle for MAX_IDLE_S are closed. Together with the timeout of a request head
    this makes room for new clients, such as health checks.
    """

    def __init__(self, clock: Clock, *, max_connections: int, max_per_address: int) -> None:
        self._clock = clock
        self._max_connections = max_connections
        self._max_per_address = max_per_address
        self._open: dict[IdleConnection, str] = {}
        self._by_address: Counter[str] = Counter()
        self._refusals: Deadlines[Refusal] = Deadlines(clock, REFUSAL_TIMEOUT_S, Refusal.close)
        self._idle: dict[IdleConnection, int] = {}  # at the latest check, with the number of requests received
        self._idle_since = clock.monotonic()  # when that check was
        self._refused = 0
        self._log_at = clock.monotonic()

    def admit(self, connection: IdleConnection, transport: asyncio.Transport) -> bool:
        """Return whether *connection* may stay open. If not, respond with 503 and close it."""
        address = address_of(transport.get_extra_info("peername"))
        if len(self._open) < self._max_connections and self._by_address[address] < self._max_per_address:
            self._open[connection] = address
            self._by_address[address] += 1
            return True
        if not self._by_address[address]:
            del self._by_address[address]
        self._close_idle()
        self._log_refusal()
        if len(self._refusals) < MAX_REFUSALS:
            refusal = Refusal(self._refusals)
            transport.set_protocol(refusal)
            refusal.connection_made(transport)
        else:
            transport.abort()
        return False

    def release(self, connection: IdleConnection) -> None:
        """Remove *connection*, which is closed, from the counts."""
        self._idle.pop(connection, None)
        address = self._open.pop(connection, None)
        if address is not None:
            self._by_address[address] -= 1
            if not self._by_address[address]:
                del self._by_address[address]

    async def close(self) -> None:
        """Disconnect all refused clients."""
        for refusal in list(self._refusals):
            refusal.close()
        await self._refusals.close()

    def _close_idle(self) -> None:
        """Close the connections that were idle at the previous check and have received no request since."""
        now = self._clock.monotonic()
        if self._idle and now < self._idle_since + MAX_IDLE_S:
            return
        for connection, requests_before in list(self._idle.items()):
            if connection.idle_after == requests_before:
                connection.force_close()
        self._idle = {}
        for connection in self._open:
            if (requests := connection.idle_after) is not None:
                self._idle[connection] = requests
        self._idle_since = now

    def _log_refusal(self) -> None:
        self._refused += 1
        now = self._clock.monotonic()
        if now >= self._log_at:
            self._log_at = now + LOG_INTERVAL_S
            logger.warning(
                "connections are refused: GATEWAY_MAX_CONNECTIONS or GATEWAY_MAX_CONNECTIONS_PER_ADDRESS is reached",
                extra={"refused": self._refused, "open": len(self._open)},
            )
            self._refused = 0


class Refusal(asyncio.Protocol):
    """Sends the 503 response to a refused client, and leaves it a moment to read."""

    def __init__(self, refusals: "Deadlines[Refusal]") -> None:
        self._refusals = refusals
        self._remaining_bytes = MAX_REFUSAL_BYTES
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._refusals.start(self)
        self._transport.write(refusal_response())
        self._transport.write_eof()

    def data_received(self, data: bytes) -> None:
        self._remaining_bytes -= len(data)
        if self._remaining_bytes < 0:
            self.close()

    def connection_lost(self, _exc: BaseException | None) -> None:
        self._refusals.remove(self)
        self._transport = None

    def close(self) -> None:
        """Close the connection and drop unsent data."""
        if self._transport is not None:
            self._transport.abort()


def refusal_response() -> bytes:
    """Return the whole 503 response. The address of the request is unknown, so the error is a JSON string."""
    head = (
        f"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nContent-Length: {len(REFUSED)}\r\n"
        f"Retry-After: {RETRY_AFTER_S}\r\nX-Request-ID: {new_request_id()}\r\nX-Content-Type-Options: nosniff\r\n"
        f"Date: {rfc822_formatted_time()}\r\nServer: {SERVER_SOFTWARE}\r\nConnection: close\r\n\r\n"
    )
    return head.encode("ascii") + REFUSED


def address_of(peername: object) -> str:
    """Return the unit of the limit per address: an IPv4 address, the /64 network of an IPv6 address, or "" for others.

    An IPv4-mapped IPv6 address counts as its IPv4 address.
    """
    if not isinstance(peername, tuple) or not peername:
        return ""
    host = str(peername[0])
    if ":" not in host:
        return host
    address = IPv6Address(ip_address(host.partition("%")[0]))
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(IPv6Address(int(address) >> 64 << 64))
