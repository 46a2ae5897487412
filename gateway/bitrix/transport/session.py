"""Requests to portals and authorization servers: under the egress policy, in time, and their failures in our words."""

import socket
import ssl
from collections.abc import AsyncIterator, Collection, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from urllib.parse import urlsplit

import aiohttp
import orjson
from yarl import URL

from gateway.bitrix.errors import (
    AddressRefused,
    AnswerTooLarge,
    PortalBroken,
    PortalMoved,
    PortalUnreachable,
    RedirectsToItself,
)
from gateway.bitrix.transport.egress import EgressPolicy, NotPublic
from gateway.clock import Clock
from gateway.origins import origin_of
from gateway.redaction import mask_known

REQUEST_DEADLINE_S = 70.0  # the portal cuts a request off after 60 s; protocol.md 12.3
MAX_ANSWER_BYTES = 32 * 1024 * 1024  # a full batch whose 2,500 rows have 13 kB each; a larger one is halved
MAX_CONNECTIONS = 200
# Encodings that are decoded in bounded steps, whatever else is installed beside them.
ACCEPT = {"Accept": "application/json", "Accept-Encoding": "gzip, deflate"}
NO_HEADERS: Mapping[str, str] = MappingProxyType({})
NO_CONNECTION: tuple[tuple[type[OSError], str], ...] = (  # the first that fits
    (socket.gaierror, ": unknown host"),
    (ssl.SSLCertVerificationError, ": invalid certificate"),
    (ssl.SSLError, ": TLS handshake failed"),
    (ConnectionRefusedError, ": refused"),
)


@dataclass(frozen=True)
class HttpAnswer:
    """What came back: the HTTP *status*, and the whole *body*."""

    status: int
    body: bytes
    replayed: bool = False  # an earlier answer, given again for its Idempotency-Key


@dataclass(frozen=True)
class PageHead:
    """How a page for people answers: its HTTP *status*, its *content_type*, and where a redirect leads."""

    status: int
    content_type: str
    location: str | None


class PortalSession:
    """Requests to portals and authorization servers; the only user of aiohttp.ClientSession.

    No redirect is followed, no cookie kept, no proxy taken from the environment, TLS is verified: of portals by
    *portal_tls*. No error tells any of the *secrets* that go with a request. Of an answer at most *max_answer_bytes*
    are read, counted after decompression, which is done piece by piece. Each request ends within REQUEST_DEADLINE_S
    seconds, however slowly bytes come.

    Each request raises:
        AddressRefused: the policy forbids the address.
        PortalUnreachable: no connection, none of an answer, or not in time.
        PortalMoved: a redirect elsewhere.
        RedirectsToItself: a redirect to the host that was asked.
        PortalBroken: the answer broke off, or is not HTTP.
        AnswerTooLarge: the answer has more bytes than are read.
    """

    def __init__(
        self,
        http: aiohttp.ClientSession,
        policy: EgressPolicy,
        clock: Clock,
        max_answer_bytes: int = MAX_ANSWER_BYTES,
        portal_tls: ssl.SSLContext | bool = True,
    ) -> None:
        self._http = http
        self._clock = clock
        self._max_answer_bytes = max_answer_bytes
        self._portal_tls = portal_tls
        self.policy = policy

    async def post(
        self, url: str, body: object, secrets: Collection[str], headers: Mapping[str, str] = NO_HEADERS
    ) -> HttpAnswer:
        """POST *body* as JSON to a portal's *url*, with further *headers*."""
        return await self._request("POST", url, secrets, tls=self._portal_tls, json=body, headers=headers)

    async def get(
        self, url: str, query: Mapping[str, str], secrets: Collection[str], *, max_bytes: int | None = None
    ) -> HttpAnswer:
        """GET an authorization server's *url* with *query*; of the answer at most *max_bytes*, None for the usual."""
        return await self._request("GET", url, secrets, tls=True, query=query, max_bytes=max_bytes)

    async def look(self, url: str, query: Mapping[str, str], within_s: float) -> PageHead:
        """How a portal's page at *url* answers within so many seconds; a redirect is an answer, and no body is read."""
        async with self._asking("GET", url, within_s, tls=self._portal_tls, query=query) as (_, response):
            return PageHead(response.status, response.content_type, response.headers.get("Location"))

    async def _request(
        self,
        method: str,
        url: str,
        secrets: Collection[str],
        *,
        tls: ssl.SSLContext | bool,
        query: Mapping[str, str] | None = None,
        json: object = None,
        headers: Mapping[str, str] = NO_HEADERS,
        max_bytes: int | None = None,
    ) -> HttpAnswer:
        most = self._max_answer_bytes if max_bytes is None else min(max_bytes, self._max_answer_bytes)
        headers = {**ACCEPT, **headers}
        async with self._asking(method, url, REQUEST_DEADLINE_S, tls=tls, query=query, json=json, headers=headers) as (
            target,
            response,
        ):
            if 300 <= response.status < 400:
                host = redirect_host(self.policy, target, response.headers.get("Location"))
                if host == host_of(target):
                    raise RedirectsToItself("", status=response.status)
                raise PortalMoved(host and mask_known(host, secrets), response.status)
            replayed = response.headers.get("Idempotent-Replayed") == "true"
            return HttpAnswer(response.status, await _body(response, most), replayed)

    @asynccontextmanager
    async def _asking(
        self,
        method: str,
        url: str,
        within_s: float,
        *,
        tls: ssl.SSLContext | bool,
        query: Mapping[str, str] | None = None,
        json: object = None,
        headers: Mapping[str, str] = NO_HEADERS,
    ) -> AsyncIterator[tuple[URL, aiohttp.ClientResponse]]:
        """What was asked, and the head of its answer, whose body can be read within the block."""
        target = self.policy.check_url(url)
        try:
            async with self._clock.timeout(within_s):
                with _told_as_ours(), self.policy.calling(target):
                    async with self._http.request(
                        method, target, params=query, json=json, headers=headers, allow_redirects=False, ssl=tls
                    ) as response:
                        yield target, response
        except TimeoutError:
            raise PortalUnreachable(f"no response within {within_s:.0f} s", sent=True) from None


@asynccontextmanager
async def open_session(
    policy: EgressPolicy,
    clock: Clock,
    *,
    max_answer_bytes: int = MAX_ANSWER_BYTES,
    portal_ca_file: Path | None = None,
) -> AsyncIterator[PortalSession]:
    """A session for as long as the block lasts; portals may also show certificates of *portal_ca_file*."""
    connector = aiohttp.TCPConnector(limit=MAX_CONNECTIONS, socket_factory=policy.socket_factory)
    async with aiohttp.ClientSession(
        connector=connector,
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=None),  # deadlines are our clock's
        json_serialize=lambda value: orjson.dumps(value).decode(),
        cookie_jar=aiohttp.DummyCookieJar(),
        middlewares=(_once_only,),
    ) as http:
        portal_tls = True if portal_ca_file is None else trusting(portal_ca_file)
        yield PortalSession(http, policy, clock, max_answer_bytes, portal_tls)


def trusting(ca_file: Path) -> ssl.SSLContext:
    """The system's trust, and that in the certificates of *ca_file*."""
    context = ssl.create_default_context()
    context.load_verify_locations(ca_file)
    context.set_alpn_protocols(("http/1.1",))
    return context


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
        raise PortalBroken("incomplete body") from None
    except aiohttp.ClientResponseError:
        raise PortalBroken("not HTTP") from None
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


def host_of(url: URL) -> str:
    """The host of *url*, with the port where that is not the usual one."""
    return urlsplit(origin_of(str(url.origin()))).netloc


def redirect_host(policy: EgressPolicy, asked: URL, location: str | None) -> str | None:
    """The host, and port, that a redirect leads to; None where that is none that a portal may be called at.

    Nothing else of a *location* is kept: its path may hold a secret.
    """
    if not location or not location.isprintable():
        return None
    try:
        origin = origin_of(str(asked.join(URL(location))))
        policy.check_url(origin)
    except (ValueError, AddressRefused):
        return None
    parts = urlsplit(origin)
    return parts.netloc if policy.may_call(parts.hostname or "") else None
