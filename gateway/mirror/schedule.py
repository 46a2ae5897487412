"""Start syncs on schedule, and retry stale webhooks so that their syncs can resume."""

import asyncio
import logging
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from gateway.accounts.account_state import RETRY_S, retry_due_at
from gateway.accounts.directory import AccountDirectory
from gateway.accounts.recovery import WebhookRecovery
from gateway.background import end, running
from gateway.clock import Clock
from gateway.mirror.sync import SyncService
from storage.errors import StorageUnusable
from storage.records import Account

logger = logging.getLogger(__name__)

SCHEDULE_RETRY_S = 60  # pause after the schedule could not be read
MAX_RECOVERIES = 8  # stale webhooks retried at the same time; each may wait for a portal that does not answer


class SyncSchedule:
    """Starts each sync some seconds after the end of its last run: its own interval, or *interval_s*; zero starts none.

    If *interval_s* is zero, stale webhooks are not retried either.
    """

    def __init__(
        self,
        syncs: SyncService,
        directory: AccountDirectory,
        recovery: WebhookRecovery,
        clock: Clock,
        *,
        interval_s: int,
    ) -> None:
        self._syncs = syncs
        self._directory = directory
        self._recovery = recovery
        self._clock = clock
        self._interval_s = interval_s
        self._recovering: dict[int, asyncio.Task[None]] = {}
        self._recoveries = asyncio.Semaphore(MAX_RECOVERIES)
        self._failure: str | None = None  # the last one logged
        self._changed = asyncio.Event()  # settings have changed: something may be due earlier

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Keep the schedule until the block ends."""
        try:
            async with running(self._keep(), name="sync schedule"):
                yield
        finally:
            await end(list(self._recovering.values()))

    def settings_changed(self) -> None:
        """Look again what is due."""
        self._changed.set()

    async def _keep(self) -> None:
        while True:
            self._changed.clear()
            try:
                next_due = await self._start_due()
                self._failure = None
            except StorageUnusable as error:
                if str(error) != self._failure:
                    logger.warning("the sync schedule could not be kept", extra={"reason": str(error)})
                self._failure = str(error)
                next_due = self._clock.now() + SCHEDULE_RETRY_S
            except Exception:
                logger.exception("the sync schedule could not be kept")
                next_due = self._clock.now() + SCHEDULE_RETRY_S
            with suppress(TimeoutError):
                async with self._clock.timeout(max(next_due - self._clock.now(), 1)):
                    await self._changed.wait()

    async def _start_due(self) -> float:
        """Start every due sync and retry every due webhook. Return the wall time of the next check."""
        next_due = self._clock.now() + min(
            self._interval_s or RETRY_S, RETRY_S
        )  # an account may become stale meanwhile
        for account in await self._directory.list_authorized():
            next_due = min(next_due, await self._start_due_of(account))
        if not self._interval_s:
            return next_due
        for account in await self._directory.list_stale_webhooks():
            next_due = min(next_due, self._recover_due(account))
        return next_due

    async def _start_due_of(self, account: Account) -> float:
        """Start every due sync of *account*. Return the wall time at which the next one is due."""
        next_due = math.inf
        for resource, settings in await self._syncs.list_mirrored(account):
            own = None if settings is None else settings.interval_s
            interval_s = self._interval_s if own is None else own
            if not interval_s or (settings is not None and settings.paused):
                continue
            run = (await self._syncs.load(account, resource)).run
            now = self._clock.now()
            ended = 0 if run is None else run.finished_at or now
            due = ended + interval_s
            if due <= now or ended > now:  # an end in the future was stored before the clock was set back
                await self._syncs.start(account, resource)
                due = now + interval_s
            next_due = min(next_due, due)
        return next_due

    def _recover_due(self, account: Account) -> float:
        """Retry the stale webhook of *account* in the background if it is due. Return when it is due next."""
        now = self._clock.now()
        due_at = retry_due_at(account, now)
        if due_at is not None and due_at > now:
            return due_at
        if account.account_id not in self._recovering:
            task = asyncio.create_task(self._recover(account), name="stale webhook")
            self._recovering[account.account_id] = task
            task.add_done_callback(lambda _: self._recovering.pop(account.account_id))
        return now + RETRY_S

    async def _recover(self, account: Account) -> None:
        """Retry a stale webhook; if it works, start the account's due syncs."""
        try:
            async with self._recoveries:
                account = await self._recovery.retry(account)
            if not account.stale:
                await self._start_due_of(account)
        except StorageUnusable as error:
            context = {"account": account.account_key, "reason": str(error)}
            logger.warning("a stale webhook could not be tried again", extra=context)
        except Exception:
            logger.exception("a stale webhook could not be tried again")
