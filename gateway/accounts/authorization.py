"""Where people authorize a portal: the page they are sent to, whether a portal has it, and where they return."""

from urllib.parse import urlencode, urlsplit

from yarl import URL

from gateway.accounts.addresses import FIELD, PortalAddress
from gateway.accounts.states import State, StateSigner
from gateway.bitrix.errors import PortalError, PortalFailing, PortalMoved
from gateway.bitrix.transport.session import PortalSession, ResponseHead, redirect_host
from gateway.errors import InvalidInput
from gateway.origins import origin_of
from gateway.settings.config import Config
from storage.accounts import AccountStore
from storage.records import Account

MAX_REDIRECT_CHARACTERS = 2048  # characters; it travels inside the state
LOOK_S = 10  # for the answer of a portal's authorize page
AUTHORIZE_PATH = "/oauth/authorize/"  # Source: protocol.md 13.1 (b24restdocs settings/oauth/index.md)
NO_APPLICATION = (
    "no Bitrix24 application is configured (GATEWAY_BITRIX_CLIENT_ID): give the address of an inbound webhook instead"
)


class Authorizations:
    """Sends people to a portal's authorize page, with a state that ties what they allow to an account."""

    def __init__(self, config: Config, store: AccountStore, states: StateSigner, session: PortalSession) -> None:
        self._config = config
        self._store = store
        self._states = states
        self._session = session

    async def begin(self, account: Account, origin: str, redirect_url: str | None, now: float) -> tuple[str, State]:
        """The authorize page of the portal at *origin* for *account*, good for ten minutes, and the state in it."""
        text, state = self._states.issue(account.account_key, urlsplit(origin).netloc, redirect_url)
        await self._store.save_state(state.nonce, account.account_id, expires_at=state.expires_at, now=int(now))
        query = urlencode({"client_id": self._config.bitrix_client_id, "state": text})
        return f"{origin}{AUTHORIZE_PATH}?{query}", state

    def check_application(self) -> None:
        """Pass when there is an application that a portal can be authorized for.

        Raises:
            InvalidInput: there is none.
        """
        if self._config.bitrix_client_id is None:
            raise InvalidInput.of_field(FIELD, "no_application", NO_APPLICATION)

    def check_redirect(self, redirect_url: str) -> None:
        """Pass when people may be sent to *redirect_url* in the end.

        Raises:
            InvalidInput: they may not.
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
        """Pass when the authorize page at *address* answers as that of a Bitrix24 does: see `refusal_of`.

        Raises:
            InvalidInput: something else answers, or the portal has moved.
            PortalError: nothing answers in time, or a server error.
        """
        page = f"{address.origin}{AUTHORIZE_PATH}"
        query = {"client_id": self._config.bitrix_client_id or ""}
        try:
            head = await self._session.fetch_head(page, query, min(LOOK_S, self._config.max_wait_s))
        except PortalError as error:
            if error.retryable:
                raise
            raise InvalidInput.of_field(FIELD, error.code, error.detail) from error
        if head.status >= 500:
            raise PortalFailing("", status=head.status, message=f"{page} answers {head.status}")
        asked = URL(page).with_query(query)
        if (moved := _moved_to(self._session, asked, head)) is not None:
            raise InvalidInput.of_field(FIELD, PortalMoved.code, f"the portal has moved to {moved}: give that address")
        if (refusal := refusal_of(asked, head)) is not None:
            raise InvalidInput.of_field(
                FIELD, "not_a_portal", f"must be the address of a Bitrix24, but its page {AUTHORIZE_PATH} {refusal}"
            )


def _moved_to(session: PortalSession, asked: URL, head: ResponseHead) -> str | None:
    """The host that a renamed portal sends to: the same page elsewhere. Source: protocol.md 1"""
    host = redirect_host(session.policy, asked, head.location) if 300 <= head.status < 400 else None
    if host is None or head.location is None:
        return None
    target = asked.join(URL(head.location))
    return host if target.origin() != asked.origin() and target.raw_path_qs == asked.raw_path_qs else None


def refusal_of(asked: URL, head: ResponseHead) -> str | None:
    """Why the answer *head* to *asked* is not that of a Bitrix24's authorize page; None when it may well be.

    Whoever has not logged in yet, as we have not, is shown a page of HTML (200, 401 or 403), or is redirected to log in
    with the way back in the query. Other pages, and redirects that lead nowhere in particular, are of other sites.
    """
    if 300 <= head.status < 400:
        try:
            target = asked.join(URL(head.location or ""))
        except ValueError:
            return "redirects to no address"
        if target == asked or not target.raw_query_string:
            return "redirects elsewhere without the way back"
        return None
    if head.status not in (200, 401, 403):
        return f"answers {head.status}"
    return None if head.content_type == "text/html" else "is not a page of HTML"
