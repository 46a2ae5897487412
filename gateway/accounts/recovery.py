"""Retries stale webhooks, so that their accounts recover when the portal accepts the webhook again."""

import asyncio
import logging

from gateway.accounts.account_state import retry_due_at, trouble_of
from gateway.accounts.clients import PortalClients
from gateway.accounts.directory import AccountDirectory
from gateway.background import end
from gateway.bitrix.errors import PortalError
from gateway.bitrix.protocol.v2 import Command
from gateway.clock import Clock
from gateway.errors import TooBusy
from storage.accounts import AccountStore
from storage.records import Account

logger = logging.getLogger(__name__)

PROFILE = Command("profile")  # the cheapest call that every webhook may make


class WebhookRecovery:
    """Retries a stale webhook with one `profile` call, at most every 15 minutes. Concurrent callers share a retry."""

    def __init__(
        self,
        directory: AccountDirectory,
        clients: PortalClients,
        store: AccountStore,
        clock: Clock,
        *,
        max_wait_s: float,
    ) -> None:
        self._directory = directory
        self._clients = clients
        self._store = store
        self._clock = clock
        self._max_wait_s = max_wait_s
        self._retries: dict[int, asyncio.Task[None]] = {}

    async def retry(self, account: Account) -> Account:
        """Retry the webhook of *account* if it is stale and a retry is due. Return the account as it is afterwards.

        A retry that has started finishes even if its callers are cancelled.
        """
        due_at = retry_due_at(account, self._clock.now())
        if account.account_id not in self._retries:
            if due_at is None or due_at > self._clock.now():
                return account
            task = asyncio.create_task(self._retry(account.account_id), name="stale webhook")
            self._retries[account.account_id] = task
            task.add_done_callback(lambda _: self._retries.pop(account.account_id))
        await asyncio.shield(self._retries[account.account_id])
        return await self._store.load(account.account_id)

    async def close(self) -> None:
        """Cancel all retries. Call this before closing the database."""
        await end(list(self._retries.values()))

    async def _retry(self, account_id: int) -> None:
        account = await self._store.load(account_id)
        now = self._clock.now()
        due_at = retry_due_at(account, now)
        if account.sealed is None or due_at is None or due_at > now:  # retried or connected again meanwhile
            return
        await self._store.record_attempt(account_id, int(now))
        self._directory.forget(account)
        try:
            async with self._clock.timeout(self._max_wait_s):
                await self._clients.client(account).call_once(PROFILE)
        except PortalError as error:
            if (trouble := trouble_of(error)) is not None:
                await self._directory.mark_stale(account, trouble)
        except (TooBusy, TimeoutError):
            pass  # the webhook itself may be fine: it stays stale until the next retry
        else:
            await self._store.restore(account_id, sealed=account.sealed, now=int(self._clock.now()))
            self._directory.forget(account)
            logger.info("a webhook works again", extra={"account": account.account_key})
