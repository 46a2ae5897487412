"""A response whose body is read piece by piece."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack

import aiohttp
from aiohttp.hdrs import CONTENT_DISPOSITION, CONTENT_ENCODING, CONTENT_TYPE

from gateway.bitrix.errors import PortalUnreachable
from gateway.bitrix.transport.failures import translated_errors
from gateway.clock import Clock

STALL_S = 30.0  # without a byte
PAGES = ("application/json", "text/html")
IDENTITY = "identity"  # no Content-Encoding


class Download:
    """An open response: its *status* and *headers*, and its body, once. `close` it in any case."""

    def __init__(self, response: aiohttp.ClientResponse, opened: AsyncExitStack, clock: Clock) -> None:
        self._response = response
        self._opened = opened
        self._clock = clock
        self.status = response.status
        self.headers: Mapping[str, str] = response.headers

    @property
    def is_page(self) -> bool:
        """Whether the body is JSON or HTML, as of errors, and is not named as a file."""
        media_type = self.headers.get(CONTENT_TYPE, "").partition(";")[0].strip().lower()
        return media_type in PAGES and CONTENT_DISPOSITION not in self.headers

    @property
    def is_encoded(self) -> bool:
        """Whether the body has another length than the file."""
        return self.headers.get(CONTENT_ENCODING, IDENTITY).lower() != IDENTITY

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the body in the pieces in which it arrives: other sizes would cost a copy.

        Raises:
            PortalUnreachable: it has stalled, or the connection was dropped.
            PortalBroken: it is incomplete.
        """
        while True:
            try:
                async with self._clock.timeout(STALL_S):
                    with translated_errors():
                        chunk = await self._response.content.readany()
            except TimeoutError:
                raise PortalUnreachable(f"no byte within {STALL_S:.0f} s", sent=True) from None
            if not chunk:
                return
            yield chunk

    async def read(self, max_bytes: int) -> bytes:
        """Return the first *max_bytes* of the body."""
        received = bytearray()
        async for chunk in self.chunks():
            received += chunk
            if len(received) >= max_bytes:
                break
        return bytes(received[:max_bytes])

    async def close(self) -> None:
        """Close the response. What was not read of its body is not read."""
        await self._opened.aclose()
