"""The content of a file of Disk, read through the running gateway."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from http import HTTPStatus

from aiohttp import ClientResponse

from gateway.cli.gateway_client import GatewayClient, RequestFailed, TryLater, Unreachable
from gateway.cli.retry import pause_after
from gateway.clock import Clock

SILENCE_S = 120.0  # after which the gateway is given up as gone
PORTAL_FAILED = (HTTPStatus.BAD_GATEWAY, HTTPStatus.GATEWAY_TIMEOUT)

SILENT = f"the gateway has sent nothing for {SILENCE_S:.0f} s"


class ContentBroken(RequestFailed):
    """the content that was received is not that of the file"""

    code = "content_broken"


class RemoteFile:
    """A file whose content is read once. What it is called and its size are known once the first chunk is read."""

    def __init__(self, client: GatewayClient, file_id: int, clock: Clock) -> None:
        self._client = client
        self._path = f"/bitrix/files/{file_id}/content"
        self._clock = clock
        self._tag: str | None = None
        self.name: str | None = None
        self.size = 0
        self.received = 0

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """Yield the content; when the connection is lost, continue where it was.

        Raises:
            RequestFailed: the gateway cannot be reached, or refuses the request.
            TryLater: the connection was lost or silent too often, or the gateway stays busy.
            ContentBroken: the file was changed meanwhile, or the content has another size than announced.
        """
        attempt = 1
        while self._tag is None or self.received < self.size:
            try:
                async with AsyncExitStack() as stack:
                    async with self._limited_silence():
                        opening = self._client.open(self._path, {}, self._range())
                        response = await stack.enter_async_context(opening)
                    self._check(response)
                    while chunk := await self._next(response):
                        self.received += len(chunk)
                        yield chunk
                break
            except RequestFailed as failure:
                await pause_after(self._temporary(failure), attempt, self._clock)
                attempt += 1
        if self.received != self.size:
            raise ContentBroken(f"{self.received:,} of {self.size:,} bytes were received")

    async def _next(self, response: ClientResponse) -> bytes:
        """What comes next of the body; nothing at its end."""
        async with self._limited_silence():
            return await response.content.readany()

    @asynccontextmanager
    async def _limited_silence(self) -> AsyncIterator[None]:
        """
        Raises:
            TryLater: the block has waited for SILENCE_S.
        """
        try:
            async with self._clock.timeout(SILENCE_S):
                yield
        except TimeoutError as error:
            raise TryLater(SILENT, code="connection_lost") from error

    def _temporary(self, failure: RequestFailed) -> TryLater:
        """Return *failure* if it may pass, as all failures to reach the gateway or the portal after the first part.

        Raises:
            RequestFailed: *failure*, if it may not.
        """
        if isinstance(failure, TryLater):
            return failure
        if self.received and (isinstance(failure, Unreachable) or failure.status in PORTAL_FAILED):
            return TryLater(failure.detail, code=failure.code, status=failure.status)
        raise failure

    def _range(self) -> dict[str, str]:
        """The headers that ask for what is missing, of the same version. Source: RFC 9110, sections 13.1.5 and 14.2"""
        if self._tag is None:
            return {}
        return {"Range": f"bytes={self.received}-", "If-Range": self._tag}

    def _check(self, response: ClientResponse) -> None:
        """Take the facts of the file from the first response, and compare the others with them.

        Raises:
            ContentBroken: a fact is missing, or the response is not what is missing of the same version.
        """
        if self._tag is not None:
            part = f"bytes {self.received}-{self.size - 1}/{self.size}"
            if response.status != HTTPStatus.PARTIAL_CONTENT or response.headers.get("Content-Range") != part:
                raise ContentBroken("the file was changed while it was downloaded")
            return
        tag, size, disposition = response.headers.get("ETag"), response.content_length, response.content_disposition
        if tag is None or size is None:
            raise ContentBroken("the response has no ETag or no Content-Length")
        self._tag, self.size = tag, size
        self.name = None if disposition is None else disposition.filename
