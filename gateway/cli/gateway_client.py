"""An HTTP client of the running gateway, with no access that other callers do not have."""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import orjson
from aiohttp import ClientConnectorError, ClientError, ClientResponse, ClientSession, ClientTimeout

from gateway.errors import GatewayError
from gateway.settings.config import Config

LOCAL_HOSTS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # a server on all interfaces is reached over loopback
REQUEST_TIMEOUT_S = 90  # connecting by webhook waits for the portal
STREAM_TIMEOUT = ClientTimeout(total=None)  # a portal may pause for minutes


class RequestFailed(GatewayError):
    """the request to the gateway failed"""

    code = "request_failed"


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
        headers = self._headers | {"Accept-Encoding": "identity"}
        try:
            async with self._session.get(
                f"{self._origin}{path}", params=query, headers=headers, timeout=STREAM_TIMEOUT
            ) as response:
                if response.status >= 400:
                    _raise_for_status("GET", path, response, self._decode(await response.read()))
                async for chunk in response.content.iter_any():
                    yield chunk
        except ClientConnectorError as error:
            raise self._unreachable(error) from error
        except ClientError as error:
            raise RequestFailed("the connection to the gateway was lost") from error

    def _decode(self, body: bytes) -> Any:
        try:
            return orjson.loads(body) if body else None
        except orjson.JSONDecodeError as error:
            raise RequestFailed(f"the server at {self._origin} is not a gateway") from error

    def _unreachable(self, error: Exception) -> RequestFailed:
        return RequestFailed(f"cannot reach a gateway at {self._origin} ({type(error).__name__}): is it running?")


def _raise_for_status(method: str, path: str, response: ClientResponse, content: Any) -> None:
    if response.status >= 400:
        message = content["detail"] if isinstance(content, dict) else content
        raise RequestFailed(f"{method} {path} failed with status {response.status}: {message}")


@asynccontextmanager
async def open_client(origin: str, token: str) -> AsyncIterator[GatewayClient]:
    """A client of the gateway at *origin*; its connections close with the block."""
    async with ClientSession(timeout=ClientTimeout(total=REQUEST_TIMEOUT_S)) as session:
        yield GatewayClient(session, origin, token)


def local_origin(config: Config) -> str:
    """The origin at which this machine reaches the gateway that runs with *config*."""
    host = LOCAL_HOSTS.get(config.host, config.host)
    return f"http://{f'[{host}]' if ':' in host else host}:{config.port}"
