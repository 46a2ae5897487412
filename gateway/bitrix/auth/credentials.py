"""What a call is authorized with: an inbound webhook's address, or the tokens of an application."""

import hashlib
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol

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

OAUTH_BUDGET = "application"


@dataclass(frozen=True)
class Access:
    """Where calls go (with a slash at the end) and the token they carry; a webhook's secret is in the address."""

    endpoint: str = field(repr=False)
    token: str | None = field(default=None, repr=False)

    @property
    def secrets(self) -> tuple[str]:
        """What the portal is shown and nobody else may see: the token, or the code that ends a webhook's address."""
        return (self.token or self.endpoint.rstrip("/").rpartition("/")[2],)


class WebhookDoubted(PortalError):
    """the portal does not accept the webhook for now"""

    code = "webhook_doubted"
    retryable = not_executed = whole_portal = True

    def __init__(self, cause: PortalError) -> None:
        message = None if cause.has_portal_message else str(cause)
        super().__init__(cause.portal_code, cause.description, cause.status, message=message)
        self.cause = cause


class Credential(Protocol):
    """One way into one portal."""

    @property
    def budget_key(self) -> str:
        """Who we are in the portal's accounting of operating time; no secret."""

    async def access(self) -> Access:
        """What the next call is sent with."""

    async def renew(self, failed: Access, /) -> bool:
        """Replace *failed*, which the portal took for expired; False where there is nothing to replace it with."""

    def judge(self, error: PortalError, /) -> PortalError:
        """*error* as it is to be taken with this credential."""


@dataclass(frozen=True)
class WebhookCredential:
    """An inbound webhook, ``https://{portal}/rest/{user}/{secret}/``; good until a person revokes it."""

    endpoint: str = field(repr=False)

    @cached_property
    def budget_key(self) -> str:
        return f"webhook:{hashlib.sha256(self._slashed.encode()).hexdigest()[:16]}"

    @property
    def _slashed(self) -> str:
        return self.endpoint.rstrip("/") + "/"

    async def access(self) -> Access:
        return Access(self._slashed)

    async def renew(self, _failed: Access, /) -> bool:
        return False

    def judge(self, error: PortalError, /) -> PortalError:
        """As `Credential.judge`: a portal that has moved must be connected by its new address.

        A webhook has no token that could expire, so what speaks of one is a passing fault of the portal, and so is a
        redirect that leads nowhere else. A revoked webhook is refused with INVALID_CREDENTIALS, by REST 3.0 with 401.
        Source: protocol.md 5, 9.2
        """
        if isinstance(error, NotAuthenticated):
            return CredentialRefused(error.portal_code, error.description, error.status)
        if isinstance(error, PortalMoved) and error.host is not None:
            error.credential_dead = True
            return error
        if isinstance(error, TokenExpired | TokenUnknown | PortalMoved | RedirectsToItself):
            return WebhookDoubted(error)
        return error


class OAuthCredential:
    """An application's tokens, and the ``client_endpoint`` that came with them; a renewal may bring another one.

    Source: protocol.md 13.2 (b24restdocs settings/oauth/index.md)
    """

    budget_key = OAUTH_BUDGET

    def __init__(self, endpoint: str, refresher: TokenRefresher) -> None:
        self._endpoint = endpoint
        self._refresher = refresher

    async def access(self) -> Access:
        return Access(self._endpoint, await self._refresher.access_token())

    async def renew(self, failed: Access, /) -> bool:
        renewed = await self._refresher.refresh(failed.token or "")
        self._endpoint = renewed.client_endpoint
        return True

    def judge(self, error: PortalError, /) -> PortalError:
        return error
