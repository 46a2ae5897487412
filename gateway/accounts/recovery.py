"""Stale webhooks are tried again from time to time, so that their accounts work again by themselves."""

import asyncio
import logging

from gateway.accounts.account_state import retry_due_at, trouble_of
from gateway.accounts.connections import Connections
from gateway.background import end
from gateway.bitrix.errors import PortalError
from gateway.bitrix.protocol.v2 import Command
from gateway.clock import Clock
from gateway.errors import TooBusy
from storage.accounts import AccountStore
from storage.records import Account

logger = logging.getLogger(__name__)

TRY = Command("profile")  # the cheapest call that every webhook may make


class WebhookRecovery:
    """One `profile` call for a stale webhook, at most every 15 minutes, whoever asks and however many do."""

    def __init__(self, connections: Connections, store: AccountStore, clock: Clock, *, max_wait_s: float) -> None:
        self._connections = connections
        self._store = store
        self._clock = clock
        self._max_wait_s = max_wait_s
        self._trying: dict[int, asyncio.Task[None]] = {}

    async def try_again(self, account: Account) -> Account:
        """The account as it is once its webhook has been tried again, where it is stale and a try is due.

        Callers that ask at once share one try; it goes on if they leave.
        """
        due_at = retry_due_at(account, self._clock.now())
        if account.account_id not in self._trying:
            if due_at is None or due_at > self._clock.now():
                return account
            task = asyncio.create_task(self._try(account.account_id), name="stale webhook")
            self._trying[account.account_id] = task
            task.add_done_callback(lambda _: self._trying.pop(account.account_id))
        await asyncio.shield(self._trying[account.account_id])
        return await self._store.load(account.account_id)

    async def close(self) -> None:
        """End the tries under way: before the database is closed."""
        await end(list(self._trying.values()))

    async def _try(self, account_id: int) -> None:
        account = await self._store.load(account_id)
        now = self._clock.now()
        due_at = retry_due_at(account, now)
        if account.sealed is None or due_at is None or due_at > now:  # somebody has tried it, or connected it anew
            return
        await self._store.note_try(account_id, int(now))
        self._connections.forget(account)
        try:
            async with self._clock.timeout(self._max_wait_s):
                await self._connections.client(account).call_once(TRY)
        except PortalError as error:
            if (trouble := trouble_of(error)) is not None:
                await self._connections.mark_stale(account, trouble)
        except (TooBusy, TimeoutError):
            pass  # it says nothing of the webhook, which stays stale
        else:
            await self._store.restore(account_id, sealed=account.sealed, now=int(self._clock.now()))
            self._connections.forget(account)
            logger.info("a webhook works again", extra={"account": account.account_key})
