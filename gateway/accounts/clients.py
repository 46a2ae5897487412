"""Clients of portals, for accounts and for webhooks that are not stored yet."""

from gateway.accounts.credentials import AccountCredentials
from gateway.accounts.limiters import PortalLimiters
from gateway.bitrix.auth.credentials import Credential, WebhookCredential
from gateway.bitrix.client import PortalClient
from gateway.bitrix.limits.limiter import PortalLimiter
from gateway.bitrix.transport.session import PortalSession
from gateway.clock import Clock
from storage.records import Account


class PortalClients:
    """Makes clients that wait for a portal's limits at most *max_wait_s*. All clients of a portal share its limiter."""

    def __init__(
        self,
        credentials: AccountCredentials,
        limiters: PortalLimiters,
        session: PortalSession,
        clock: Clock,
        *,
        max_wait_s: float,
    ) -> None:
        self._credentials = credentials
        self._limiters = limiters
        self._session = session
        self._clock = clock
        self._max_wait_s = max_wait_s

    def client(self, account: Account) -> PortalClient:
        """Return a client that calls the portal of *account* with its credential, which it must have."""
        return self._client(self._credentials.open(account), self._limiters.of(account.portal))

    async def webhook_client(self, host: str, endpoint: str) -> PortalClient:
        """Return a client that calls the portal at *host* with the inbound webhook at *endpoint*."""
        return self._client(WebhookCredential(endpoint), await self._limiters.limiter_at(host))

    def _client(self, credential: Credential, limiter: PortalLimiter) -> PortalClient:
        return PortalClient(self._session, limiter, credential, self._clock, max_wait_s=self._max_wait_s)
