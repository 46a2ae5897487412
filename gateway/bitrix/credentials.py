"""What a call is authorized with: an inbound webhook's address, or the tokens of an application."""

import hashlib
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol

from gateway.bitrix.oauth import TokenKeeper

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


class Credential(Protocol):
    """One way into one portal."""

    @property
    def budget_key(self) -> str:
        """Who we are in the portal's accounting of operating time; no secret."""

    async def access(self) -> Access:
        """What the next call is sent with."""

    async def renew(self, failed: Access, /) -> bool:
        """Replace *failed*, which the portal took for expired; False where there is nothing to replace it with."""


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


class OAuthCredential:
    """An application's tokens, and the ``client_endpoint`` that came with them; a renewal may bring another one.

    Source: protocol.md 13.2 (b24restdocs settings/oauth/index.md)
    """

    budget_key = OAUTH_BUDGET

    def __init__(self, endpoint: str, keeper: TokenKeeper) -> None:
        self._endpoint = endpoint
        self._keeper = keeper

    async def access(self) -> Access:
        return Access(self._endpoint, await self._keeper.access_token())

    async def renew(self, failed: Access, /) -> bool:
        renewed = await self._keeper.renewed(failed.token or "")
        self._endpoint = renewed.client_endpoint
        return True
