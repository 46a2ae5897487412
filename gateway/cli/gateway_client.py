"""An HTTP client of the running gateway, with no access that other callers do not have."""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Protocol

import orjson
from aiohttp import ClientConnectorError, ClientError, ClientResponse, ClientSession, ClientTimeout

from gateway.errors import GatewayError
from gateway.settings.config import Config

LOCAL_HOSTS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # a server on all interfaces is reached over loopback
REQUEST_TIMEOUT_S = 90  # connecting by webhook waits for the portal
STREAM_TIMEOUT = ClientTimeout(total=None)  # a portal may pause for minutes
IDENTITY = {"Accept-Encoding": "identity"}
# Statuses after which a write may have been done: of the gateway itself, and of a proxy before it.
UNCLEAR_STATUSES = (500, 502, 504)


class Form(Protocol):
    """A form with files that is read while it is sent."""

    headers: Mapping[str, str]
    """The headers that describe it, with its size."""

    is_sent: bool
    """Whether its last byte may have been sent."""

    failure: GatewayError | None
    """Why it could not be read."""

    def chunks(self) -> AsyncIterator[bytes]:
        """Yield the form."""


class RequestFailed(GatewayError):
    """the request to the gateway failed"""

    code = "request_failed"
    status: int | None = None


class RequestRefused(RequestFailed):
    """the gateway responded with an error"""

    def __init__(self, detail: str, status: int, code: str) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code


class Unanswered(RequestFailed):
    """the response to a write was lost"""

    code = "outcome_unknown"


class Unreachable(RequestFailed):
    """there is no gateway"""


class TryLater(RequestFailed):
    """the request had no effect, and may have one later: after *retry_after_s*, if that is known"""

    def __init__(
        self, detail: str, retry_after_s: float | None = None, *, code: str, status: int | None = None
    ) -> None:
        super().__init__(detail)
        self.retry_after_s = retry_after_s
        self.code = code
        self.status = status


class GatewayClient:
    """Sends requests to the gateway at *origin* with a bearer token."""

    def __init__(self, session: ClientSession, origin: str, token: str) -> None:
        self._session = session
        self._origin = origin
        self._headers = {"Authorization": f"Bearer {token}"}

    async def request(self, method: str, path: str, body: Mapping[str, object] | None = None) -> Any:
        """The decoded JSON of the response; None if the response is empty.

        Raises:
            RequestFailed: when the gateway cannot be reached, or responds with an error.
        """
        url = f"{self._origin}{path}"
        try:
            async with self._session.request(method, url, json=body, headers=self._headers) as response:
                content = self._decode(await response.read())
        except (ClientError, TimeoutError) as error:
            raise self._unreachable(error) from error
        _raise_for_status(method, path, response, content)
        return content

    async def stream(self, path: str, query: Mapping[str, str]) -> AsyncGenerator[bytes, None]:
        """The body at *path*, in chunks that end at any byte.

        Raises:
            RequestFailed: as `request`, and when the connection is lost.
        """
        async with self.open(path, query, {}) as response:
            async for chunk in response.content.iter_any():
                yield chunk

    @asynccontextmanager
    async def open(
        self, path: str, query: Mapping[str, str], headers: Mapping[str, str]
    ) -> AsyncIterator[ClientResponse]:
        """Open the response to a GET of *path*, whose body is read in the block.

        Raises:
            RequestFailed: as `request`.
            TryLater: when the connection is lost, also in the block, or the gateway is busy.
        """
        headers = {**self._headers, **IDENTITY, **headers}
        url = f"{self._origin}{path}"
        try:
            async with self._session.get(url, params=query, headers=headers, timeout=STREAM_TIMEOUT) as response:
                if response.status >= 400:
                    _raise_for_status("GET", path, response, self._decode(await response.read()))
                yield response
        except ClientConnectorError as error:
            raise self._unreachable(error) from error
        except ClientError as error:
            raise _lost() from error

    async def send(self, path: str, query: Mapping[str, str], form: Form) -> Any:
        """Send *form* to *path*, once the gateway is ready to receive it. Return the decoded JSON of the response.

        Raises:
            RequestFailed: as `request`; nothing of the form was taken.
            TryLater: when the connection is lost before the end of the form, or the gateway is busy; the same.
            Unanswered: when the form was sent, but its outcome is unknown.
            GatewayError: when the form could not be read; nothing of it was taken.
        """
        headers = {**self._headers, **form.headers}
        url = f"{self._origin}{path}"
        try:
            async with self._session.post(
                url, params=query, data=form.chunks(), headers=headers, expect100=True, timeout=STREAM_TIMEOUT
            ) as response:
                if form.is_sent and response.status in UNCLEAR_STATUSES:
                    raise Unanswered(f"the form was sent, but POST {path} failed with status {response.status}")
                content = self._decode(await response.read())
        except ClientConnectorError as error:
            raise self._unreachable(error) from error
        except ClientError as error:
            if form.failure is not None:
                raise form.failure from error
            if form.is_sent:
                raise Unanswered("the connection to the gateway was lost after the form was sent") from error
            raise _lost() from error
        _raise_for_status("POST", path, response, content)
        return content

    def _decode(self, body: bytes) -> Any:
        try:
            return orjson.loads(body) if body else None
        except orjson.JSONDecodeError as error:
            raise RequestFailed(f"the server at {self._origin} is not a gateway") from error

    def _unreachable(self, error: Exception) -> Unreachable:
        return Unreachable(f"cannot reach a gateway at {self._origin} ({type(error).__name__}): is it running?")


def _raise_for_status(method: str, path: str, response: ClientResponse, content: Any) -> None:
    if response.status < 400:
        return
    problem = content if isinstance(content, dict) else {"detail": content}
    code = str(problem.get("code", RequestFailed.code))
    detail = f"{method} {path} failed with status {response.status}: {problem.get('detail')}"
    # The gateway has done nothing when it says when to try again.
    if response.status in (429, 503) and (retry_after := response.headers.get("Retry-After", "")).isdecimal():
        raise TryLater(detail, float(retry_after), code=code, status=response.status)
    raise RequestRefused(detail, response.status, code)


def _lost() -> TryLater:
    return TryLater("the connection to the gateway was lost", code="connection_lost")


@asynccontextmanager
async def open_client(origin: str, token: str) -> AsyncIterator[GatewayClient]:
    """A client of the gateway at *origin*; its connections close with the block."""
    async with ClientSession(timeout=ClientTimeout(total=REQUEST_TIMEOUT_S)) as session:
        yield GatewayClient(session, origin, token)


def local_origin(config: Config) -> str:
    """The origin at which this machine reaches the gateway that runs with *config*."""
    host = LOCAL_HOSTS.get(config.host, config.host)
    return f"http://{f'[{host}]' if ':' in host else host}:{config.port}"
