"""HTTP requests to portals and authorization servers, with a deadline and under the egress policy."""

import ssl
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import orjson
from yarl import URL

from gateway.bitrix.errors import (
    AddressRefused,
    AnswerTooLarge,
    PortalMoved,
    PortalUnreachable,
    RedirectsToItself,
)
from gateway.bitrix.transport.download_session import MAX_DOWNLOADS, DownloadSession
from gateway.bitrix.transport.egress import EgressPolicy
from gateway.bitrix.transport.failures import translated_errors
from gateway.bitrix.transport.streamed_body import StreamedBody
from gateway.clock import Clock
from gateway.origins import origin_of
from gateway.redaction import mask_known

REQUEST_DEADLINE_S = 70.0  # the portal ends a request after 60 s; protocol.md 12.3
MAX_ANSWER_BYTES = 32 * 1024 * 1024  # a full batch of 2,500 rows with 13 kB each; the client splits larger ones
MAX_CONNECTIONS = 200
# Only encodings that are decoded in bounded steps, even if aiohttp finds other decoders installed.
ACCEPT = {"Accept": "application/json", "Accept-Encoding": "gzip, deflate"}
NO_HEADERS: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True)
class HttpAnswer:
    """An HTTP answer: its *status* and complete *body*."""

    status: int
    body: bytes
    replayed: bool = False  # an earlier answer, repeated for its Idempotency-Key


@dataclass(frozen=True)
class ResponseHead:
    """The head of an HTTP response: its *status*, its *content_type*, and the *location* of a redirect."""

    status: int
    content_type: str
    location: str | None


class PortalSession:
    """Sends requests to portals and authorization servers. Files are opened by *downloads*.

    It follows no redirects, stores no cookies, ignores proxies in the environment, and verifies TLS: for portals with
    *portal_tls*. Errors contain none of the *secrets* of a request. At most *max_answer_bytes* of an answer are read,
    counted after decompression, which is done in steps. Each request ends within REQUEST_DEADLINE_S seconds, however
    slowly the answer arrives.

    Each request raises:
        AddressRefused: the policy forbids the address.
        PortalUnreachable: no connection, no answer, or not within the deadline.
        PortalMoved: a redirect to another host.
        RedirectsToItself: a redirect to the requested host.
        PortalBroken: the answer is incomplete, or not HTTP.
        AnswerTooLarge: the answer has too many bytes.
    """

    def __init__(
        self,
        http: aiohttp.ClientSession,
        downloads: DownloadSession,
        policy: EgressPolicy,
        clock: Clock,
        max_answer_bytes: int,
        portal_tls: ssl.SSLContext | bool,
    ) -> None:
        self._http = http
        self.downloads = downloads
        self._clock = clock
        self._max_answer_bytes = max_answer_bytes
        self._portal_tls = portal_tls
        self.policy = policy

    async def post(
        self,
        url: str,
        body: object,
        secrets: Collection[str],
        headers: Mapping[str, str] = NO_HEADERS,
        *,
        deadline_s: float = REQUEST_DEADLINE_S,
    ) -> HttpAnswer:
        """POST *body*, as JSON unless it is a StreamedBody, to a portal's *url*, with additional *headers*."""
        return await self._request(
            "POST", url, secrets, tls=self._portal_tls, body=body, headers=headers, deadline_s=deadline_s
        )

    async def get(
        self, url: str, query: Mapping[str, str], secrets: Collection[str], *, max_bytes: int | None = None
    ) -> HttpAnswer:
        """GET an authorization server's *url* with *query*; *max_bytes* may lower the maximum size of the answer."""
        return await self._request("GET", url, secrets, tls=True, query=query, max_bytes=max_bytes)

    async def fetch_head(self, url: str, query: Mapping[str, str], timeout_s: float) -> ResponseHead:
        """GET the head of a portal's page, which may be a redirect. The body is not read."""
        async with self._open_response("GET", url, timeout_s, tls=self._portal_tls, query=query) as (_, response):
            return ResponseHead(response.status, response.content_type, response.headers.get("Location"))

    async def _request(
        self,
        method: str,
        url: str,
        secrets: Collection[str],
        *,
        tls: ssl.SSLContext | bool,
        query: Mapping[str, str] | None = None,
        body: object = None,
        headers: Mapping[str, str] = NO_HEADERS,
        max_bytes: int | None = None,
        deadline_s: float = REQUEST_DEADLINE_S,
    ) -> HttpAnswer:
        max_bytes = self._max_answer_bytes if max_bytes is None else min(max_bytes, self._max_answer_bytes)
        opened = self._open_response(
            method, url, deadline_s, tls=tls, query=query, body=body, headers={**ACCEPT, **headers}
        )
        async with opened as (target, response):
            if 300 <= response.status < 400:
                host = redirect_host(self.policy, target, response.headers.get("Location"))
                if host == host_of(target):
                    raise RedirectsToItself("", status=response.status)
                raise PortalMoved(host and mask_known(host, secrets), response.status)
            replayed = response.headers.get("Idempotent-Replayed") == "true"
            return HttpAnswer(response.status, await _read_body(response, max_bytes), replayed)

    @asynccontextmanager
    async def _open_response(
        self,
        method: str,
        url: str,
        timeout_s: float,
        *,
        tls: ssl.SSLContext | bool,
        query: Mapping[str, str] | None = None,
        body: object = None,
        headers: Mapping[str, str] = NO_HEADERS,
    ) -> AsyncIterator[tuple[URL, aiohttp.ClientResponse]]:
        """Yield the requested URL, and the response, whose body can be read in the block."""
        target = self.policy.check_url(url)
        sent: dict[str, Any] = {"json": body}
        if isinstance(body, StreamedBody):
            sent = {"data": body.chunks()}
            headers = {**headers, "Content-Type": body.content_type, "Content-Length": str(body.length)}
        try:
            async with self._clock.timeout(timeout_s):
                with translated_errors(), self.policy.calling(target):
                    async with self._http.request(
                        method, target, params=query, headers=headers, allow_redirects=False, ssl=tls, **sent
                    ) as response:
                        yield target, response
        except TimeoutError:
            raise PortalUnreachable(f"no response within {timeout_s:.0f} s", sent=True) from None


@asynccontextmanager
async def open_session(
    policy: EgressPolicy,
    clock: Clock,
    *,
    max_answer_bytes: int = MAX_ANSWER_BYTES,
    portal_ca_file: Path | None = None,
) -> AsyncIterator[PortalSession]:
    """Yield a session. Portals may also use certificates issued by the authorities in *portal_ca_file*."""
    portal_tls = True if portal_ca_file is None else tls_context(portal_ca_file)
    async with _open_http(policy, MAX_CONNECTIONS) as http, _open_http(policy, MAX_DOWNLOADS) as files:
        downloads = DownloadSession(files, policy, clock, portal_tls, head_deadline_s=REQUEST_DEADLINE_S)
        yield PortalSession(http, downloads, policy, clock, max_answer_bytes, portal_tls)


def _open_http(policy: EgressPolicy, max_connections: int) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=max_connections, socket_factory=policy.socket_factory),
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=None),  # our clock measures the deadlines
        json_serialize=lambda value: orjson.dumps(value).decode(),
        cookie_jar=aiohttp.DummyCookieJar(),
        middlewares=(_send_once,),
    )


def tls_context(ca_file: Path) -> ssl.SSLContext:
    """Return a context that trusts the system's authorities and those in *ca_file*."""
    context = ssl.create_default_context()
    context.load_verify_locations(ca_file)
    context.set_alpn_protocols(("http/1.1",))
    return context


async def _send_once(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    """Send *request* without aiohttp's own retry of a GET: an authorization code is valid for a single GET.

    aiohttp repeats a request only after errors of its own, so translating them here prevents it.
    """
    with translated_errors():
        return await handler(request)


async def _read_body(response: aiohttp.ClientResponse, max_bytes: int) -> bytes:
    """Return the body of at most *max_bytes*. A body whose Content-Length is larger is not read at all."""
    too_large = AnswerTooLarge(f"{max_bytes} bytes", response.status)
    if (response.content_length or 0) > max_bytes:
        raise too_large
    received = bytearray()
    async for chunk in response.content.iter_any():
        received += chunk
        if len(received) > max_bytes:
            raise too_large
    return bytes(received)


def host_of(url: URL) -> str:
    """Return the host of *url*, with its port unless it is the default."""
    return urlsplit(origin_of(str(url.origin()))).netloc


def redirect_host(policy: EgressPolicy, requested: URL, location: str | None) -> str | None:
    """Return the host, and port, of a redirect's *location*; None unless it may be called.

    The rest of *location* is dropped: its path may contain a secret.
    """
    if not location or not location.isprintable():
        return None
    try:
        origin = origin_of(str(requested.join(URL(location))))
        policy.check_url(origin)
    except (ValueError, AddressRefused):
        return None
    parts = urlsplit(origin)
    return parts.netloc if policy.may_call(parts.hostname or "") else None
