"""A client of the running gateway, as any caller could write one."""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import orjson
from aiohttp import ClientConnectorError, ClientError, ClientResponse, ClientSession, ClientTimeout

from gateway.errors import GatewayError
from gateway.settings.config import Config

HERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # what listens everywhere is reached on this machine
ANSWER_WITHIN_S = 90  # connecting by webhook waits for the portal
NO_DEADLINE = ClientTimeout(total=None)  # of a stream, whose portal may rest for minutes


class RequestFailed(GatewayError):
    """the gateway did not do what was asked of it"""

    code = "request_failed"


class GatewayClient:
    """Speaks to the gateway at *origin* with a bearer token."""

    def __init__(self, session: ClientSession, origin: str, token: str) -> None:
        self._session = session
        self._origin = origin
        self._headers = {"Authorization": f"Bearer {token}"}

    async def request(self, method: str, path: str, body: Mapping[str, object] | None = None) -> Any:
        """The JSON that *method* on *path* answers with, None where there is none.

        Raises:
            RequestFailed: when the gateway cannot be reached, or refuses; it says which and why.
        """
        url = f"{self._origin}{path}"
        try:
            async with self._session.request(method, url, json=body, headers=self._headers) as response:
                answer = self._decoded(await response.read())
        except (ClientError, TimeoutError) as error:
            raise self._no_answer(error) from error
        _check(method, path, response, answer)
        return answer

    async def stream(self, path: str, query: Mapping[str, str]) -> AsyncGenerator[bytes, None]:
        """What the gateway sends at *path*, some bytes at a time.

        Raises:
            RequestFailed: as `request`; or the connection was lost on the way, at whatever byte.
        """
        headers = self._headers | {"Accept-Encoding": "identity"}
        try:
            async with self._session.get(
                f"{self._origin}{path}", params=query, headers=headers, timeout=NO_DEADLINE
            ) as response:
                if response.status >= 400:
                    _check("GET", path, response, self._decoded(await response.read()))
                async for piece in response.content.iter_any():
                    yield piece
        except ClientConnectorError as error:
            raise self._no_answer(error) from error
        except ClientError as error:
            raise RequestFailed("the connection to the gateway was lost") from error

    def _decoded(self, body: bytes) -> Any:
        try:
            return orjson.loads(body) if body else None
        except orjson.JSONDecodeError as error:
            raise RequestFailed(f"what answers at {self._origin} is not a gateway") from error

    def _no_answer(self, error: Exception) -> RequestFailed:
        return RequestFailed(f"no gateway answers at {self._origin} ({type(error).__name__}): is it running?")


def _check(method: str, path: str, response: ClientResponse, answer: Any) -> None:
    if response.status >= 400:
        told = answer["detail"] if isinstance(answer, dict) else answer
        raise RequestFailed(f"{method} {path} was answered {response.status}: {told}")


@asynccontextmanager
async def connected(origin: str, token: str) -> AsyncIterator[GatewayClient]:
    """A client of the gateway at *origin*."""
    async with ClientSession(timeout=ClientTimeout(total=ANSWER_WITHIN_S)) as session:
        yield GatewayClient(session, origin, token)


def origin_of(config: Config) -> str:
    """Where the gateway that runs by the settings of *config* is reached from this machine."""
    host = HERE.get(config.host, config.host)
    return f"http://{f'[{host}]' if ':' in host else host}:{config.port}"
