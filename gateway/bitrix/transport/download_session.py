"""Opens files at portals, with connections of their own: a call never waits for a download."""

import ssl
from collections.abc import Iterator, Mapping
from contextlib import AsyncExitStack, contextmanager

import aiohttp
from aiohttp.hdrs import LOCATION
from yarl import URL

from gateway.bitrix.errors import ForeignAddress, PortalBroken, PortalUnreachable
from gateway.bitrix.transport.download import Download
from gateway.bitrix.transport.egress import EgressPolicy
from gateway.bitrix.transport.failures import translated_errors
from gateway.clock import Clock
from gateway.errors import TooManyDownloads

MAX_DOWNLOADS = 100  # open at the same time; a slow caller may keep his open for minutes
REDIRECTS = (301, 302, 303, 307, 308)
MAX_REDIRECTS = 4


class DownloadSession:
    """Opens files, as PortalSession sends requests. The head of a response must come within *head_deadline_s*."""

    def __init__(
        self,
        http: aiohttp.ClientSession,
        policy: EgressPolicy,
        clock: Clock,
        portal_tls: ssl.SSLContext | bool,
        *,
        head_deadline_s: float,
    ) -> None:
        self._http = http
        self._policy = policy
        self._clock = clock
        self._portal_tls = portal_tls
        self._head_deadline_s = head_deadline_s
        self._places = MAX_DOWNLOADS

    @contextmanager
    def place(self) -> Iterator[None]:
        """Take one of the MAX_DOWNLOADS places until the block ends. In it, one download may be open.

        Raises:
            TooManyDownloads: all are taken.
        """
        if not self._places:
            raise TooManyDownloads
        self._places -= 1
        try:
            yield
        finally:
            self._places += 1

    async def open(self, url: str, headers: Mapping[str, str]) -> Download:
        """GET a file at a portal's *url*. Its body is read from the result, which the caller must close.

        Redirects within the origin of *url* are followed. Source: methods.md 8.4 (inferred)

        Raises:
            AddressRefused: the policy forbids the address.
            PortalUnreachable: no connection, or no response within the deadline.
            ForeignAddress: a redirect to another origin, or to no valid address.
            PortalBroken: too many redirects, or not HTTP.
        """
        target = self._policy.check_url(url)
        for _ in range(MAX_REDIRECTS + 1):
            download = await self._get(target, headers)
            if download.status not in REDIRECTS:
                return download
            await download.close()
            target = resolve_at_portal(target, download.headers.get(LOCATION, ""))
        raise PortalBroken("too many redirects of a file", download.status)

    async def _get(self, target: URL, headers: Mapping[str, str]) -> Download:
        opened = AsyncExitStack()
        try:
            async with self._clock.timeout(self._head_deadline_s):
                with translated_errors(), self._policy.calling(target):
                    response = await opened.enter_async_context(
                        self._http.get(target, headers=headers, allow_redirects=False, ssl=self._portal_tls)
                    )
        except TimeoutError:
            raise PortalUnreachable(f"no response within {self._head_deadline_s:.0f} s", sent=True) from None
        return Download(response, opened, self._clock)


def resolve_at_portal(base: URL, address: str) -> URL:
    """Return the URL of a file that a portal names by *address*, which may be relative to *base*.

    It must be at the origin of *base*, to which alone the file and the token may go.

    Raises:
        ForeignAddress: it is not.
    """
    try:
        url = base.join(URL(address))
        is_own = url.origin() == base.origin() and url.user is None and url.password is None
    except ValueError:
        is_own = False
    if not address or not is_own:
        raise ForeignAddress
    return url
