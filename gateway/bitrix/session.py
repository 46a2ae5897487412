"""Requests to portals and authorization servers: under the egress policy, in time, and their failures in our words."""

import socket
import ssl
from collections.abc import AsyncIterator, Collection, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from types import MappingProxyType

import aiohttp
import orjson
from yarl import URL

from gateway.bitrix.egress import EgressPolicy, NotPublic
from gateway.bitrix.errors import AddressRefused, AnswerTooLarge, PortalBroken, PortalMoved, PortalUnreachable
from gateway.clock import Clock
from gateway.redaction import mask_known

REQUEST_DEADLINE_S = 70.0  # the portal cuts a request off after 60 s; protocol.md 12.3
MAX_ANSWER_BYTES = 32 * 1024 * 1024  # a full batch whose 2,500 rows have 13 kB each; a larger one is halved
MAX_CONNECTIONS = 200
LONGEST_HOST = 253  # characters. Source: RFC 1035, section 2.3.4
# Encodings that are decoded in bounded steps, whatever else is installed beside them.
ACCEPT = {"Accept": "application/json", "Accept-Encoding": "gzip, deflate"}
NO_HEADERS: Mapping[str, str] = MappingProxyType({})
NO_CONNECTION: tuple[tuple[type[OSError], str], ...] = (  # the first that fits
    (socket.gaierror, ": there is no host of that name"),
    (ssl.SSLCertVerificationError, ": its certificate is not valid"),
    (ssl.SSLError, ": it does not speak TLS"),
    (ConnectionRefusedError, ": nobody listens there"),
)


@dataclass(frozen=True)
class HttpAnswer:
    """What came back: the HTTP *status*, and the whole *body*."""

    status: int
    body: bytes
    replayed: bool = False  # an earlier answer, given again for its Idempotency-Key


class PortalSession:
    """Requests to portals and authorization servers; the only user of aiohttp.ClientSession.

    No redirect is followed, no cookie kept, no proxy taken from the environment, TLS is verified. No error tells any of
    the *secrets* that go with a request. Of an answer at most *max_answer_bytes* are read, counted after decompression,
    which is done piece by piece. Each request ends within REQUEST_DEADLINE_S seconds, however slowly bytes come.

    Each request raises:
        AddressRefused: the policy forbids the address.
        PortalUnreachable: no connection, none of an answer, or not in time.
        PortalMoved: a redirect.
        PortalBroken: the answer broke off, or is not HTTP.
        AnswerTooLarge: the answer has more bytes than are read.
    """

    def __init__(
        self,
        http: aiohttp.ClientSession,
        policy: EgressPolicy,
        clock: Clock,
        max_answer_bytes: int = MAX_ANSWER_BYTES,
    ) -> None:
        self._http = http
        self._clock = clock
        self._max_answer_bytes = max_answer_bytes
        self.policy = policy

    async def post(
        self, url: str, body: object, secrets: Collection[str], headers: Mapping[str, str] = NO_HEADERS
    ) -> HttpAnswer:
        """POST *body* as JSON to *url*, with further *headers*."""
        return await self._request("POST", url, secrets, json=body, headers=headers)

    async def get(
        self, url: str, query: Mapping[str, str], secrets: Collection[str], *, max_bytes: int | None = None
    ) -> HttpAnswer:
        """GET *url* with *query*; of the answer at most *max_bytes*, None for as many as of any other."""
        return await self._request("GET", url, secrets, query=query, max_bytes=max_bytes)

    async def _request(
        self,
        method: str,
        url: str,
        secrets: Collection[str],
        *,
        query: Mapping[str, str] | None = None,
        json: object = None,
        headers: Mapping[str, str] = NO_HEADERS,
        max_bytes: int | None = None,
    ) -> HttpAnswer:
        most = self._max_answer_bytes if max_bytes is None else min(max_bytes, self._max_answer_bytes)
        target = self.policy.check_url(url)
        try:
            async with self._clock.timeout(REQUEST_DEADLINE_S):
                with _told_as_ours():
                    async with self._http.request(
                        method, target, params=query, json=json, headers={**ACCEPT, **headers}, allow_redirects=False
                    ) as response:
                        if 300 <= response.status < 400:
                            host = _host(target, response.headers.get("Location"))
                            raise PortalMoved(host and mask_known(host, secrets), response.status)
                        replayed = response.headers.get("Idempotent-Replayed") == "true"
                        return HttpAnswer(response.status, await _body(response, most), replayed)
        except TimeoutError:
            raise PortalUnreachable(f"not within {REQUEST_DEADLINE_S:.0f} s", sent=True) from None


@asynccontextmanager
async def open_session(
    policy: EgressPolicy, clock: Clock, *, max_answer_bytes: int = MAX_ANSWER_BYTES
) -> AsyncIterator[PortalSession]:
    """A session for as long as the block lasts."""
    connector = aiohttp.TCPConnector(limit=MAX_CONNECTIONS, socket_factory=policy.socket_factory)
    async with aiohttp.ClientSession(
        connector=connector,
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=None),  # deadlines are our clock's
        json_serialize=lambda value: orjson.dumps(value).decode(),
        cookie_jar=aiohttp.DummyCookieJar(),
        middlewares=(_once_only,),
    ) as http:
        yield PortalSession(http, policy, clock, max_answer_bytes)


async def _once_only(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    """Send *request* one time: aiohttp would repeat a GET by itself, and a code is worth a single GET."""
    with _told_as_ours():
        return await handler(request)


@contextmanager
def _told_as_ours() -> Iterator[None]:
    """Put what aiohttp raises in our words; its own texts may hold an address with a secret in it."""
    try:
        yield
    except aiohttp.ClientConnectorError as error:
        if isinstance(error.os_error, NotPublic):
            raise AddressRefused("it leads into a private network") from None
        why = next((words for kind, words in NO_CONNECTION if isinstance(error.os_error, kind)), "")
        raise PortalUnreachable(f"no connection{why}", sent=False) from None
    except (aiohttp.InvalidURL, UnicodeError):  # of a host that is no name and nearly a number, or has an endless label
        raise AddressRefused("it names no host") from None
    except aiohttp.ClientPayloadError:
        raise PortalBroken("it broke off") from None
    except aiohttp.ClientResponseError:
        raise PortalBroken("it is no HTTP") from None
    except (aiohttp.ClientError, OSError):
        raise PortalUnreachable("the connection was dropped", sent=True) from None


async def _body(response: aiohttp.ClientResponse, most: int) -> bytes:
    """The body, up to *most* bytes; one that announces more is not begun."""
    too_large = AnswerTooLarge(f"{most} bytes", response.status)
    if (response.content_length or 0) > most:
        raise too_large
    received = bytearray()
    async for chunk in response.content.iter_any():
        received += chunk
        if len(received) > most:
            raise too_large
    return bytes(received)


def _host(asked: URL, location: str | None) -> str | None:
    """The host and port that a redirect names, and nothing of its path or query."""
    try:
        target = asked.join(URL(location)) if location else None
        if target is None or target.raw_host is None or len(target.raw_host) > LONGEST_HOST:
            return None
        return target.raw_host if target.is_default_port() else f"{target.raw_host}:{target.port}"
    except ValueError:
        return None
