"""The credentials of calls: the address of an inbound webhook, or the tokens of an application."""

import hashlib
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol

from gateway.bitrix.auth.oauth import Tokens
from gateway.bitrix.auth.token_refresher import TokenRefresher
from gateway.bitrix.errors import (
    CredentialRefused,
    PortalError,
    PortalMoved,
    RedirectsToItself,
    TokenExpired,
    TokenUnknown,
)
from gateway.bitrix.protocol.v3 import NotAuthenticated
from gateway.errors import AuthorizationRequired

OAUTH_BUDGET = "application"


@dataclass(frozen=True)
class Access:
    """The base address of calls, with a trailing slash, and their token. A webhook has its secret in the address."""

    endpoint: str = field(repr=False)
    token: str | None = field(default=None, repr=False)

    @property
    def secrets(self) -> tuple[str]:
        """The secret part: the token, or the code at the end of a webhook's address."""
        return (self.token or self.endpoint.rstrip("/").rpartition("/")[2],)


class WebhookTemporarilyRefused(PortalError):
    """the portal temporarily does not accept the webhook"""

    code = "webhook_doubted"
    retryable = not_executed = whole_portal = True

    def __init__(self, cause: PortalError) -> None:
        message = None if cause.has_portal_message else str(cause)
        super().__init__(cause.portal_code, cause.description, cause.status, message=message)
        self.cause = cause


class Credential(Protocol):
    """Authorizes calls to one portal."""

    @property
    def budget_key(self) -> str:
        """Names the budget of operating time that calls use; not secret."""

    async def access(self) -> Access:
        """Return the address and token of the next call."""

    async def refresh(self, failed: Access, /) -> bool:
        """Replace *failed*, which the portal considers expired. Return False if it cannot be replaced."""

    def interpret(self, error: PortalError, /) -> PortalError:
        """Return what *error* means for this credential."""


@dataclass(frozen=True)
class WebhookCredential:
    """An inbound webhook, ``https://{portal}/rest/{user}/{secret}/``; valid until a person revokes it."""

    endpoint: str = field(repr=False)

    @cached_property
    def budget_key(self) -> str:
        return f"webhook:{hashlib.sha256(self._slashed.encode()).hexdigest()[:16]}"

    @property
    def _slashed(self) -> str:
        return self.endpoint.rstrip("/") + "/"

    async def access(self) -> Access:
        return Access(self._slashed)

    async def refresh(self, _failed: Access, /) -> bool:
        return False

    def interpret(self, error: PortalError, /) -> PortalError:
        """Return what *error* means for a webhook.

        If the portal has moved, a person must connect the webhook again at the new address. A webhook has no token that
        can expire: an error about a token is a temporary fault of the portal, and so is a redirect to its own address.
        A revoked webhook is refused with INVALID_CREDENTIALS, or by REST 3.0 with 401.
        Source: protocol.md 5, 9.2
        """
        if isinstance(error, NotAuthenticated):
            return CredentialRefused(error.portal_code, error.description, error.status)
        if isinstance(error, PortalMoved) and error.host is not None:
            error.credential_dead = True
            return error
        if isinstance(error, TokenExpired | TokenUnknown | PortalMoved | RedirectsToItself):
            return WebhookTemporarilyRefused(error)
        return error


@dataclass(frozen=True)
class PostedToken:
    """The access token that a portal has posted to an application, for a call at *endpoint*; it is not renewed.

    Source: methods.md 10.3
    """

    endpoint: str
    token: str = field(repr=False)
    budget_key = OAUTH_BUDGET

    async def access(self) -> Access:
        return Access(self.endpoint, self.token)

    async def refresh(self, _failed: Access, /) -> bool:
        return False

    def interpret(self, error: PortalError, /) -> PortalError:
        """Return what *error* means for such a token: one that has expired stays so."""
        if isinstance(error, TokenExpired):
            return CredentialRefused(error.portal_code, error.description, error.status)
        return error


class OAuthCredential:
    """The tokens of an application, and their ``client_endpoint``, which a refresh may change.

    The account may move to another portal while a call waits. Such a call ends: it neither shows the new token to the
    old portal nor goes to the new one.
    Source: protocol.md 13.2 (b24restdocs settings/oauth/index.md)
    """

    budget_key = OAUTH_BUDGET

    def __init__(self, tokens: Tokens, refresher: TokenRefresher) -> None:
        self._endpoint = tokens.client_endpoint
        self._member_id = tokens.member_id
        self._refresher = refresher

    async def access(self) -> Access:
        """As `Credential.access`.

        Raises:
            AuthorizationRequired: the account is on another portal now.
        """
        return Access(self._endpoint, self._of_portal(await self._refresher.tokens()).access_token)

    async def refresh(self, failed: Access, /) -> bool:
        """As `Credential.refresh`.

        Raises:
            AuthorizationRequired: the account is on another portal now.
        """
        self._endpoint = self._of_portal(await self._refresher.refresh(failed.token or "")).client_endpoint
        return True

    def _of_portal(self, tokens: Tokens) -> Tokens:
        if tokens.member_id != self._member_id:
            raise AuthorizationRequired("the account has moved to another portal meanwhile")
        return tokens

    def interpret(self, error: PortalError, /) -> PortalError:
        return error
