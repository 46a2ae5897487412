"""The authorization servers: they exchange an authorization code, or a refresh token, for a pair of tokens.

Source: protocol.md 13 (b24restdocs settings/oauth/index.md, auto-renewal.md, error-codes.md)
"""

import ipaddress
import random
import re
from collections.abc import Callable, Collection
from copy import copy
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from yarl import URL

from gateway.bitrix.errors import (
    AddressRefused,
    PortalBroken,
    PortalError,
    RedirectsToItself,
    WrongPortal,
)
from gateway.bitrix.protocol.error_codes import portal_error
from gateway.bitrix.protocol.json_body import decode_json
from gateway.bitrix.retry import decide
from gateway.clock import Clock

if TYPE_CHECKING:
    from gateway.bitrix.transport.session import PortalSession

MAX_LIFETIME_S = 366 * 86_400  # of an access token; usually an hour
MAX_ANSWER_BYTES = 65_536  # of a token response, which usually has about one thousand
USABLE_TEXT = re.compile(r"[\x21-\x7e]{1,4096}")  # safe in a header, an address and a log line
PUBLIC_PARAMETERS = ("grant_type", "client_id")  # of a token request; all others are secret

OnTokenRequest = Callable[[str, str | None, Collection[str], float, int, BaseException | None], None]
"""Called with the authorization server, the account (None: not known), the names of the parameters, the monotonic time
at which a request was sent, the number of the attempt, and its error."""


@dataclass(frozen=True)
class Tokens:
    """A pair of tokens and the properties of its response; *expires_at* is a Unix time by our clock."""

    access_token: str = field(repr=False)
    refresh_token: str = field(repr=False)
    expires_at: float
    client_endpoint: str
    member_id: str
    server_domain: str

    @property
    def portal_origin(self) -> str:
        """The origin of the portal that the tokens are for, according to the authorization server."""
        return str(URL(self.client_endpoint).origin())

    @property
    def portal_host(self) -> str:
        """The host of that portal, with a port if it is not the default one."""
        return self.portal_origin.partition("://")[2]


def ignore_request(*_: object) -> None:
    """The default `OnTokenRequest`."""


class AuthorizationServers:
    """Requests tokens from authorization servers, over https.

    Sends the client secret only to the *allowed* servers (host, or host:port). *insecure* allows http to loopback
    addresses. *on_request* is called after each request.
    """

    def __init__(
        self,
        session: "PortalSession",
        clock: Clock,
        client_id: str,
        client_secret: str,
        allowed: frozenset[str],
        insecure: bool,
        on_request: OnTokenRequest = ignore_request,
    ) -> None:
        self._session = session
        self._clock = clock
        self._client = {"client_id": client_id, "client_secret": client_secret}
        self._allowed = allowed
        self._insecure = insecure
        self._on_request = on_request
        self._account: str | None = None

    def of(self, account: str) -> "AuthorizationServers":
        """The same servers, whose requests are reported as those of *account*."""
        named = copy(self)
        named._account = account
        return named

    async def exchange(self, server_domain: str, code: str) -> Tokens:
        """Exchange an authorization *code* for tokens. Retries only if the request was certainly not sent.

        Raises:
            PortalError: the server refused, or its response is invalid; OutcomeUnknown if the code may have been used.
        """
        grant = {"grant_type": "authorization_code", "code": code}
        return await self._with_retries(server_domain, grant, retry_if_sent=False)

    async def refresh(self, tokens: Tokens) -> Tokens:
        """Exchange the refresh token of *tokens*, which becomes invalid, for a new pair.

        Raises:
            GrantRefused: the refresh token has been used or has expired.
            WrongPortal: the new pair is for another portal.
            PortalError: the server refused for another reason, or its response is invalid.
        """
        grant = {"grant_type": "refresh_token", "refresh_token": tokens.refresh_token}
        refreshed = await self._with_retries(tokens.server_domain, grant, retry_if_sent=True)
        if refreshed.member_id != tokens.member_id:
            raise WrongPortal
        return refreshed

    async def _with_retries(self, server_domain: str, grant: dict[str, str], *, retry_if_sent: bool) -> Tokens:
        url = self._token_url(server_domain)
        query = self._client | grant
        secrets = [value for name, value in query.items() if name not in PUBLIC_PARAMETERS]
        started, attempt = self._clock.monotonic(), 0
        while True:
            attempt += 1
            try:
                return await self._attempt(url, query, secrets, server_domain, attempt)
            except RedirectsToItself:
                raise  # retryable for a portal's call, but a code or a refresh token must not be sent again
            except PortalError as error:
                elapsed_s = self._clock.monotonic() - started
                decision = decide(error, attempt, elapsed_s, not retry_if_sent, random.random())
                if decision.wait_s is None:
                    raise decision.error from None
                await self._clock.sleep(decision.wait_s)

    async def _attempt(
        self, url: str, query: dict[str, str], secrets: Collection[str], server_domain: str, attempt: int
    ) -> Tokens:
        """Request tokens once. Report the request, also if it is cancelled."""
        requested_at, sent_at = self._clock.now(), self._clock.monotonic()
        try:
            answer = await self._session.get(url, query, secrets, max_bytes=MAX_ANSWER_BYTES)
            tokens = self._decode(answer.status, answer.body, requested_at, server_domain, secrets)
        except BaseException as error:
            self._on_request(server_domain, self._account, query, sent_at, attempt, error)
            raise
        self._on_request(server_domain, self._account, query, sent_at, attempt, None)
        return tokens

    def _token_url(self, server_domain: str) -> str:
        if server_domain not in self._allowed:
            raise AddressRefused("it is not a configured authorization server")
        plain = self._insecure and _is_loopback(server_domain)
        return f"{'http' if plain else 'https'}://{server_domain}/oauth/token/"

    def _decode(
        self, status: int, body: bytes, requested_at: float, server_domain: str, secrets: Collection[str]
    ) -> Tokens:
        answer = decode_json(body, status)
        if not isinstance(answer, dict):
            raise PortalBroken("not a JSON object", status)
        if "error" in answer:  # also with status 200, for example wrong_client
            raise portal_error(answer["error"], answer.get("error_description"), status, secrets)
        endpoint = _text(answer, "client_endpoint")
        self._session.policy.check_url(endpoint)
        return Tokens(
            access_token=_text(answer, "access_token"),
            refresh_token=_text(answer, "refresh_token"),
            expires_at=requested_at + _seconds(answer, "expires_in"),
            client_endpoint=endpoint.rstrip("/") + "/",
            member_id=_text(answer, "member_id"),
            server_domain=server_domain,
        )


def _is_loopback(server_domain: str) -> bool:
    host = URL(f"//{server_domain}").host or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _text(answer: dict[str, object], name: str) -> str:
    value = answer.get(name)
    if not isinstance(value, str) or not USABLE_TEXT.fullmatch(value):
        raise PortalBroken(f"{name} is missing, or not printable ASCII without spaces")
    return value


def _seconds(answer: dict[str, object], name: str) -> int:
    value = answer.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 < value <= MAX_LIFETIME_S:
        raise PortalBroken(f"{name} is missing, or not an integer between 1 and {MAX_LIFETIME_S}")
    return value
