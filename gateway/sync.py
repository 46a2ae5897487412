"""Starts, joins, resumes, schedules and stops the syncs of all accounts."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from dataclasses import replace
from weakref import WeakValueDictionary

from gateway.account_state import RETRY_S, retry_due_at
from gateway.background import end, running
from gateway.clock import Clock
from gateway.connections import Connections
from gateway.errors import GatewayError
from gateway.pages import Pages
from gateway.recovery import WebhookRecovery
from gateway.resources import RESOURCES, Resource
from gateway.sync_pass import SyncPass
from storage.errors import StorageError
from storage.records import Account, RunState, SyncRun
from storage.syncs import SyncStore

logger = logging.getLogger(__name__)

RESUMABLE_S = 3600  # an older interrupted run starts over
SCHEDULE_RETRY_S = 60  # after the schedule could not be read
RECOVERIES = 8  # stale webhooks that are tried side by side: each may wait for a portal that does not answer
HALTED = "ended because the account was connected anew, moved or deleted"
UNAUTHORIZED = "ended because the portal has to be authorized again"
UNSTORED = "ended without a note of how, because the database could not be written: the next sync goes on from there"


class SyncService:
    """One run per account and resource at a time."""

    def __init__(
        self,
        store: SyncStore,
        connections: Connections,
        recovery: WebhookRecovery,
        pages: Pages,
        clock: Clock,
        *,
        interval_s: int,
        language: str,
    ) -> None:
        self._store = store
        self._connections = connections
        self._recovery = recovery
        self._recovering: dict[int, asyncio.Task[None]] = {}
        self._recoveries = asyncio.Semaphore(RECOVERIES)
        self._pages = pages
        self._clock = clock
        self._interval_s = interval_s
        self._language = language
        self._running: dict[tuple[int, str], tuple[asyncio.Task[None], SyncRun]] = {}
        self._changing: WeakValueDictionary[int, asyncio.Lock] = WeakValueDictionary()
        self._unstored: dict[int, int] = {}  # runs by list_id that the file takes to be running, and when they ended

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Go on with what was interrupted and keep the schedule; at the end every run is left where it can go on."""
        try:
            await self._go_on()
            async with running(self._keep_schedule(), name="sync schedule") if self._interval_s else nullcontext():
                yield
        finally:
            await end(list(self._recovering.values()))
            await end(task for task, _ in list(self._running.values()))

    async def _go_on(self) -> None:
        accounts = {account.account_id: account for account in await self._connections.list_authorized()}
        for account_id, list_id, name in await self._store.list_interrupted():
            if account_id in accounts:
                await self.start(accounts[account_id], RESOURCES[name])
            else:
                await self._store.finish(list_id, "failed", error=UNAUTHORIZED, now=int(self._clock.now()))

    async def start(self, account: Account, resource: Resource) -> None:
        """Start a full sync of *resource*, or join the one that runs; returns once it is under way and noted down.

        Nothing starts where the account has changed since *account* was read.
        """
        key = (account.account_id, resource.name)
        async with self._lock(account.account_id):
            current = await self._connections.find(account.account_key)
            if key in self._running or current is None or current.stale or current.portal != account.portal:
                return
            now = int(self._clock.now())
            run = await self._store.begin(
                current.account_id,
                current.portal.portal_id,
                resource.name,
                [one.part for one in resource.lists(self._language)],
                now=now,
                resumable_since=now - RESUMABLE_S,
            )
            self._unstored.pop(run.list_id, None)
            task = asyncio.create_task(self._run(current, resource, run), name=f"sync {resource.name}")
            self._running[key] = (task, run)
            task.add_done_callback(lambda _: self._running.pop(key, None))

    async def start_all(self, account: Account) -> None:
        """Start a sync of everything that is mirrored."""
        for resource in RESOURCES.values():
            await self.start(account, resource)

    @asynccontextmanager
    async def halted(self, account: Account) -> AsyncIterator[None]:
        """End the account's runs, and let none start before the block ends."""
        async with self._lock(account.account_id):
            ended = [one for (account_id, _), one in self._running.items() if account_id == account.account_id]
            await end(task for task, _ in ended)
            for _, run in ended:
                await self._end(run, "failed", HALTED)
            yield

    async def load(self, account: Account, resource: Resource) -> SyncRun | None:
        """The latest run of *resource*, None before the first."""
        run = await self._store.load(account.account_id, account.portal.portal_id, resource.name)
        if run is None or run.list_id not in self._unstored:
            return run
        return replace(run, state="failed", error=UNSTORED, finished_at=self._unstored[run.list_id])

    def _lock(self, account_id: int) -> asyncio.Lock:
        return self._changing.setdefault(account_id, asyncio.Lock())

    async def _keep_schedule(self) -> None:
        while True:
            try:
                next_due = await self._start_due()
            except Exception:
                logger.exception("the sync schedule could not be kept")
                next_due = self._clock.now() + SCHEDULE_RETRY_S
            await self._clock.sleep(max(next_due - self._clock.now(), 1))

    async def _start_due(self) -> float:
        """Start each sync that is due, and try each stale webhook that is; the wall time to look again."""
        next_due = self._clock.now() + min(self._interval_s, RETRY_S)  # an account may become stale meanwhile
        for account in await self._connections.list_authorized():
            next_due = min(next_due, await self._start_due_of(account))
        for account in await self._connections.list_stale_webhooks():
            next_due = min(next_due, self._recover_due(account))
        return next_due

    async def _start_due_of(self, account: Account) -> float:
        """Start each sync of *account* whose interval has passed since the end of its last run."""
        next_due = self._clock.now() + self._interval_s
        for resource in RESOURCES.values():
            run = await self.load(account, resource)
            now = self._clock.now()
            ended = 0 if run is None else run.finished_at or now
            due = ended + self._interval_s
            if due <= now or ended > now:  # an end that lies ahead was noted by a clock that has been set back
                await self.start(account, resource)
            else:
                next_due = min(next_due, due)
        return next_due

    def _recover_due(self, account: Account) -> float:
        """Try the stale webhook of *account* beside the schedule where that is due; when it may be tried next."""
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
        """Try a stale webhook again, and go on with its syncs where it works."""
        try:
            async with self._recoveries:
                account = await self._recovery.try_again(account)
            if not account.stale:
                await self._start_due_of(account)
        except Exception:
            logger.exception("a stale webhook could not be tried again")

    async def _run(self, account: Account, resource: Resource, run: SyncRun) -> None:
        error = await self._outcome(account, resource, run)
        await self._end(run, "done" if error is None else "failed", error)

    async def _end(self, run: SyncRun, state: RunState, error: str | None) -> None:
        """Store how *run* ended; where that fails, `load` tells so until the next run begins."""
        now = int(self._clock.now())
        try:
            await self._store.finish(run.list_id, state, error=error, now=now)
        except StorageError:
            logger.exception("the end of a sync could not be stored", extra={"resource": run.resource})
            self._unstored[run.list_id] = now

    async def _outcome(self, account: Account, resource: Resource, run: SyncRun) -> str | None:
        """Run it, and say what went wrong in a sentence; None when nothing did."""
        try:
            return await self._refusal(account, resource, run)
        except Exception:
            logger.exception("sync failed", extra={"resource": resource.name})
            return "an error inside the gateway: its log says which"

    async def _refusal(self, account: Account, resource: Resource, run: SyncRun) -> str | None:
        """Run it; what the portal or its credential is to blame for, None when nothing."""
        try:
            client = self._connections.client(account).background()
            async with self._connections.telling_stale(account):
                await SyncPass(
                    self._store, client, self._pages, self._clock, resource, resource.lists(self._language), run
                ).run()
        except GatewayError as error:
            logger.warning("sync failed", extra={"resource": resource.name, "reason": error.detail})
            return error.detail
        return None
