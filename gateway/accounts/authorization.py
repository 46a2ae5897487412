"""The authorization of a portal by a person: the portal's authorize page, and the callback it redirects to."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from urllib.parse import urlencode, urlsplit

from yarl import URL

from gateway.accounts.addresses import FIELD, PortalAddress
from gateway.accounts.states import State, StateSigner
from gateway.bitrix.auth.oauth import AuthorizationServers, Tokens
from gateway.bitrix.errors import PortalError, PortalFailing, PortalMoved, PortalUnreachable
from gateway.bitrix.transport.session import PortalSession, ResponseHead, redirect_host
from gateway.clock import Clock
from gateway.errors import GatewayError, InvalidInput
from gateway.origins import origin_of
from gateway.settings.config import Config
from storage.accounts import AccountStore
from storage.records import Account

CALLBACK_FIELDS = ("code", "domain", "state", "member_id", "server_domain")
MAX_REDIRECT_CHARACTERS = 2048  # the state contains the address
PAGE_TIMEOUT_S = 10  # for a portal's authorize page
AUTHORIZE_PATH = "/oauth/authorize/"  # Source: protocol.md 13.1 (b24restdocs settings/oauth/index.md)
NO_APPLICATION = (
    "no Bitrix24 application is configured (GATEWAY_BITRIX_CLIENT_ID): use the address of an inbound webhook instead"
)


class ExchangeFailed(GatewayError):
    """an authorization code could not be exchanged"""

    code = "exchange_failed"


class Authorizations:
    """Starts authorizations and checks their callbacks. A signed state ties each authorization to an account."""

    def __init__(
        self,
        config: Config,
        store: AccountStore,
        states: StateSigner,
        servers: AuthorizationServers,
        session: PortalSession,
        clock: Clock,
    ) -> None:
        self._config = config
        self._store = store
        self._states = states
        self._servers = servers
        self._session = session
        self._clock = clock

    async def begin(self, account: Account, origin: str, redirect_url: str | None = None) -> tuple[str, State]:
        """Return the authorize page of the portal at *origin* for *account*, and the state in its address.

        The state expires after ten minutes. The person returns to *redirect_url* after the authorization.
        """
        text, state = self._states.issue(account.account_key, urlsplit(origin).netloc, redirect_url)
        await self._store.save_state(state.nonce, account.account_id, expires_at=state.expires_at, now=self._now())
        query = urlencode({"client_id": self._config.bitrix_client_id, "state": text})
        return f"{origin}{AUTHORIZE_PATH}?{query}", state

    def check_application(self) -> None:
        """Check that an application is configured.

        Raises:
            InvalidInput: no application is configured.
        """
        if self._config.bitrix_client_id is None:
            raise InvalidInput.of_field(FIELD, "no_application", NO_APPLICATION)

    def check_redirect(self, redirect_url: str) -> None:
        """Check that *redirect_url* is at an allowed origin.

        Raises:
            InvalidInput: it is too long, malformed, or at another origin.
        """
        if len(redirect_url) > MAX_REDIRECT_CHARACTERS:
            raise InvalidInput.of_field(
                "/redirectURL", "too_long", f"must have at most {MAX_REDIRECT_CHARACTERS} characters"
            )
        try:
            origin = origin_of(redirect_url)
        except ValueError as error:
            raise InvalidInput.of_field("/redirectURL", "invalid_address", str(error)) from error
        if origin not in self._config.allowed_origins:
            raise InvalidInput.of_field(
                "/redirectURL", "origin_not_allowed", "must be at an origin of GATEWAY_RETURN_ORIGINS"
            )

    async def check_portal(self, address: PortalAddress) -> None:
        """Check that *address* has the authorize page of a Bitrix24; see `refusal_of`.

        Raises:
            InvalidInput: it is not a Bitrix24, or the portal has moved.
            PortalError: the server does not answer in time, or answers with a server error.
        """
        page = f"{address.origin}{AUTHORIZE_PATH}"
        query = {"client_id": self._config.bitrix_client_id or ""}
        try:
            head = await self._session.fetch_head(page, query, min(PAGE_TIMEOUT_S, self._config.max_wait_s))
        except PortalError as error:
            if error.retryable:
                raise
            raise InvalidInput.of_field(FIELD, error.code, error.detail) from error
        if head.status >= 500:
            raise PortalFailing("", status=head.status, message=f"{page} answers {head.status}")
        requested = URL(page).with_query(query)
        if (moved := _moved_to(self._session, requested, head)) is not None:
            raise InvalidInput.of_field(FIELD, PortalMoved.code, f"the portal has moved to {moved}: use that address")
        if (refusal := refusal_of(requested, head)) is not None:
            raise InvalidInput.of_field(
                FIELD, "not_a_portal", f"must be the address of a Bitrix24, but its page {AUTHORIZE_PATH} {refusal}"
            )

    def read_callback(self, query: Mapping[str, str]) -> State:
        """Check the *query* of a portal's redirect and return its state.

        Raises:
            InvalidInput: a parameter is missing, or not what the state or the configuration allows.
        """
        for name in CALLBACK_FIELDS:
            if not query.get(name):
                raise InvalidInput.of_parameter(name, "required", "is required")
        state = self._states.read(query["state"])
        if query["server_domain"] not in self._config.oauth_servers:
            raise InvalidInput.of_parameter(
                "server_domain", "server_not_allowed", "must be an authorization server of GATEWAY_OAUTH_SERVERS"
            )
        if query["domain"].lower() != state.portal:
            raise InvalidInput.of_parameter("domain", "wrong_portal", "must be the portal that is being authorized")
        if state.redirect_url is not None:
            self.check_redirect(state.redirect_url)
        return state

    async def use_state(self, state: State, account: Account) -> None:
        """Mark *state* as used.

        Raises:
            InvalidInput: it was used before, has expired, or belongs to an earlier connection of *account*.
        """
        if not await self._store.use_state(state.nonce, account.account_id, now=self._now()):
            raise InvalidInput.of_parameter("state", "state_used", "has already been used, or has expired")

    async def exchange(self, account: Account, query: Mapping[str, str]) -> Tokens:
        """Exchange the code of a checked callback for the tokens of *account*.

        Raises:
            ExchangeFailed: the authorization server refuses the code, or does not answer in time.
            InvalidInput: the tokens are for another portal than the callback says.
        """
        servers = self._servers.of(account.account_key)
        try:
            async with response_deadline(self._clock, self._config.max_wait_s):
                tokens = await servers.exchange(query["server_domain"], query["code"])
        except PortalError as error:
            raise ExchangeFailed(error.detail) from error
        if tokens.member_id != query["member_id"]:
            raise InvalidInput.of_parameter(
                "member_id", "wrong_member_id", "must be the portal that the authorization server names"
            )
        return tokens

    def _now(self) -> int:
        return int(self._clock.now())


@asynccontextmanager
async def response_deadline(clock: Clock, seconds: float) -> AsyncIterator[None]:
    """Cancel the block after *seconds*.

    Raises:
        PortalUnreachable: the block was cancelled.
    """
    try:
        async with clock.timeout(seconds):
            yield
    except TimeoutError:
        raise PortalUnreachable(f"no response within {seconds} s", sent=True) from None


def _moved_to(session: PortalSession, requested: URL, head: ResponseHead) -> str | None:
    """Return the host that a renamed portal redirects to. It has the same path and query. Source: protocol.md 1"""
    host = redirect_host(session.policy, requested, head.location) if 300 <= head.status < 400 else None
    if host is None or head.location is None:
        return None
    target = requested.join(URL(head.location))
    return host if target.origin() != requested.origin() and target.raw_path_qs == requested.raw_path_qs else None


def refusal_of(requested: URL, head: ResponseHead) -> str | None:
    """Return why the response *head* to *requested* is not from a Bitrix24's authorize page; None if it may be.

    Without a login, a Bitrix24 answers with an HTML page (200, 401 or 403), or redirects to its login page with the
    return address in the query.
    """
    if 300 <= head.status < 400:
        try:
            target = requested.join(URL(head.location or ""))
        except ValueError:
            return "redirects to an invalid address"
        if target == requested or not target.raw_query_string:
            return "redirects without a return address"
        return None
    if head.status not in (200, 401, 403):
        return f"answers {head.status}"
    return None if head.content_type == "text/html" else "is not an HTML page"
