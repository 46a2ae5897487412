"""Clients of portals, for accounts and for webhooks that are not stored yet."""

from gateway.accounts.credentials import AccountCredentials
from gateway.accounts.limiters import PortalLimiters
from gateway.bitrix.auth.credentials import Credential, WebhookCredential
from gateway.bitrix.client import PortalClient
from gateway.bitrix.limits.limiter import PortalLimiter
from gateway.bitrix.monitoring.call_log import CallLog
from gateway.bitrix.monitoring.counters import CallCounters
from gateway.bitrix.monitoring.monitor import PortalCallMonitor
from gateway.bitrix.transport.session import PortalSession
from gateway.clock import Clock
from storage.records import Account


class PortalClients:
    """Makes clients that wait for a portal's limits at most *max_wait_s*. All clients of a portal share its limiter.

    All their calls are counted and logged.
    """

    def __init__(
        self,
        credentials: AccountCredentials,
        limiters: PortalLimiters,
        session: PortalSession,
        counters: CallCounters,
        log: CallLog,
        clock: Clock,
        *,
        max_wait_s: float,
    ) -> None:
        self._credentials = credentials
        self._limiters = limiters
        self._session = session
        self._counters = counters
        self._log = log
        self._clock = clock
        self._max_wait_s = max_wait_s

    def client(self, account: Account) -> PortalClient:
        """Return a client that calls the portal of *account* with its credential, which it must have."""
        return self._client_of(account, self._credentials.open(account))

    def client_of_person(self, account: Account, access_token: str) -> PortalClient:
        """Return a client that calls the portal of *account* with the token of a person who opened the application.

        *account* must be connected by OAuth.
        """
        return self._client_of(account, self._credentials.posted_token(account, access_token))

    async def webhook_client(self, host: str, endpoint: str) -> PortalClient:
        """Return a client that calls the portal at *host* with the inbound webhook at *endpoint*."""
        limiter = await self._limiters.limiter_at(host)
        return self._client(WebhookCredential(endpoint), limiter, self._monitor(host, None))

    def _client_of(self, account: Account, credential: Credential) -> PortalClient:
        monitor = self._monitor(account.host, account.account_key)
        return self._client(credential, self._limiters.of(account.portal), monitor)

    def _client(self, credential: Credential, limiter: PortalLimiter, monitor: PortalCallMonitor) -> PortalClient:
        return PortalClient(
            self._session, limiter, credential, self._clock, max_wait_s=self._max_wait_s, monitor=monitor
        )

    def _monitor(self, host: str, account_key: str | None) -> PortalCallMonitor:
        return PortalCallMonitor(self._counters, self._log, self._clock, host, account_key)
