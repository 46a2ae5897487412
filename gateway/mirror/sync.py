"""Start, join, resume and end the syncs of all accounts."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from weakref import WeakValueDictionary

from gateway import __version__
from gateway.accounts.clients import PortalClients
from gateway.accounts.directory import AccountDirectory
from gateway.accounts.service import SUSPENDED
from gateway.background import end
from gateway.bitrix.errors import PortalError
from gateway.clock import Clock
from gateway.errors import GatewayError
from gateway.mirror.pages import Pages
from gateway.mirror.resources import RESOURCES, Resource
from gateway.mirror.sync_pass import SyncPass
from storage.errors import StorageDamaged, StorageError, StorageUnavailable
from storage.records import Account, RunState, SyncRun
from storage.syncs import SyncStore

logger = logging.getLogger(__name__)

RESUMABLE_S = 3600  # an interrupted run that is older starts from the beginning
STORAGE_RETRY_S = 15  # pause while the database is unavailable
UNAUTHORIZED = "ended because the portal must be authorized again"
UNSTORED = "ended, but its result could not be stored: the database could not be written; the next sync resumes"
INTERNAL = "an internal error of the gateway: see its log"


@dataclass
class _Running:
    """A run in progress. *wait_reason* says why it waits to retry; None while it makes progress.

    Progress before *waits_until* (monotonic seconds) does not end the wait: it comes from rows that were read earlier.
    """

    list_id: int
    task: asyncio.Task[None]
    wait_reason: str | None = None
    waits_until: float = 0.0


class SyncService:
    """Runs one sync per account and resource at a time.

    An interrupted run resumes from its cursor if it is less than RESUMABLE_S seconds old and the credential, the
    version of the gateway and the language are the same. Otherwise everything is read again. Lists that the portal
    refused are always requested again.
    """

    def __init__(
        self,
        store: SyncStore,
        directory: AccountDirectory,
        clients: PortalClients,
        pages: Pages,
        clock: Clock,
        *,
        language: str,
    ) -> None:
        self._store = store
        self._directory = directory
        self._clients = clients
        self._pages = pages
        self._clock = clock
        self._language = language
        self._running: dict[tuple[int, str], _Running] = {}
        self._changing: WeakValueDictionary[int, asyncio.Lock] = WeakValueDictionary()
        # Ended runs that are still stored as running, by list_id: when they ended, and their error.
        self._unstored: dict[int, tuple[int, str]] = {}

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Resume interrupted runs. When the block ends, cancel all runs so that the next start can resume them."""
        try:
            await self._store.forget_progress_of_others(f"{__version__} {self._language}")
            await self._resume()
            yield
        finally:
            await end(running.task for running in list(self._running.values()))

    async def _resume(self) -> None:
        """Start the interrupted runs of authorized accounts again, and mark all others as failed."""
        accounts = {account.account_id: account for account in await self._directory.list_authorized()}
        for account_id, list_id, name in await self._store.list_interrupted():
            if account_id in accounts:
                self._launch(accounts[account_id], RESOURCES[name], list_id, None)
            else:
                await self._end(list_id, name, "failed", UNAUTHORIZED)
        for list_id, name in await self._store.list_orphaned():
            await self._end(list_id, name, "failed", SUSPENDED)

    async def start(self, account: Account, resource: Resource) -> None:
        """Start a full sync of *resource* unless one is running. Return once its start is stored.

        Do nothing if the account has changed since *account* was loaded.
        """
        async with self._lock(account.account_id):
            current = await self._current(account)
            if (account.account_id, resource.name) in self._running or current is None:
                return
            run = await self._begin(current, resource)
            self._launch(current, resource, run.list_id, run)

    async def _current(self, account: Account) -> Account | None:
        """The current state of *account*; None if its portal has changed, or it is stale or no longer connected."""
        current = await self._directory.find(account.account_key)
        usable = current is not None and not current.stale and current.portal == account.portal
        return current if usable else None

    async def _begin(self, account: Account, resource: Resource) -> SyncRun:
        now = int(self._clock.now())
        run = await self._store.begin(
            account.account_id,
            account.portal.portal_id,
            resource.name,
            [portal_list.sublist for portal_list in resource.lists(self._language)],
            now=now,
            resumable_since=now - RESUMABLE_S if resource.resumes(self._language) else None,
        )
        self._unstored.pop(run.list_id, None)
        return run

    def _launch(self, account: Account, resource: Resource, list_id: int, run: SyncRun | None) -> None:
        """Start the task of *run*; None for a run that the task begins itself."""
        key = (account.account_id, resource.name)
        task = asyncio.create_task(self._run(account, resource, list_id, run), name=f"sync {resource.name}")
        self._running[key] = _Running(list_id, task)
        task.add_done_callback(lambda _: self._running.pop(key, None))

    async def connected(self, account: Account) -> None:
        """Start a sync of every mirrored resource of *account*."""
        for resource in RESOURCES.values():
            await self.start(account, resource)

    @asynccontextmanager
    async def suspended(self, account: Account, reason: str) -> AsyncIterator[None]:
        """End the runs of *account* with the error *reason*, and start none until the block ends.

        The progress of its runs is discarded: another credential may see other rows.
        """
        async with self._lock(account.account_id):
            ended = {key: running for key, running in self._running.items() if key[0] == account.account_id}
            await end(running.task for running in ended.values())
            for (_, name), running in ended.items():
                await self._end(running.list_id, name, "failed", reason)
            await self._store.forget_progress(account.account_id)
            yield

    async def load(self, account: Account, resource: Resource) -> SyncRun | None:
        """The latest run of *resource*; None before the first one."""
        run = await self._store.load(account.account_id, account.portal.portal_id, resource.name)
        if run is None:
            return None
        if run.list_id in self._unstored:
            ended_at, error = self._unstored[run.list_id]
            return replace(run, state="failed", error=error, finished_at=ended_at)
        running = self._running.get((account.account_id, resource.name))
        if running is not None and run.state == "running":
            return replace(run, error=running.wait_reason)
        return run

    def _lock(self, account_id: int) -> asyncio.Lock:
        return self._changing.setdefault(account_id, asyncio.Lock())

    async def _run(self, account: Account, resource: Resource, list_id: int, run: SyncRun | None) -> None:
        """Run to the end, and store how it ended. While the database is unavailable, wait and start again."""
        started_at = self._clock.monotonic()
        while True:
            try:
                error = await self._outcome(account, resource, run)
                state: RunState = "done" if error is None else "failed"
                rows = await self._store.finish(list_id, state, error=error, now=int(self._clock.now()))
            except StorageUnavailable as failure:
                run = None
                reason = f"the database is unavailable ({failure}): the sync will resume automatically"
                self._note_wait(account, resource, reason, STORAGE_RETRY_S)
                await self._clock.sleep(STORAGE_RETRY_S)
            except StorageError as failure:
                self._note_unstored(list_id, resource.name, failure)
                return
            else:
                if error is None:
                    seconds = round(self._clock.monotonic() - started_at, 3)
                    logger.info("sync finished", extra={**_names(account, resource), "rows": rows, "seconds": seconds})
                return

    def _note_wait(self, account: Account, resource: Resource, reason: str, wait_s: float) -> None:
        """Show why a run waits: in its status until it makes progress, and once in the log."""
        running = self._running[account.account_id, resource.name]
        if running.wait_reason != reason:
            context = {**_names(account, resource), "reason": reason, "wait_s": round(wait_s, 1)}
            logger.warning("sync is retrying", extra=context)
        running.wait_reason, running.waits_until = reason, self._clock.monotonic() + wait_s

    def _note_progress(self, account: Account, resource: Resource) -> None:
        running = self._running[account.account_id, resource.name]
        if self._clock.monotonic() >= running.waits_until:
            running.wait_reason = None

    async def _end(self, list_id: int, name: str, state: RunState, error: str) -> None:
        """Store how a run ended. If that fails, `load` reports the end until the next run begins."""
        try:
            await self._store.finish(list_id, state, error=error, now=int(self._clock.now()))
        except StorageError as failure:
            self._note_unstored(list_id, name, failure)

    def _note_unstored(self, list_id: int, name: str, failure: StorageError) -> None:
        damaged = isinstance(failure, StorageDamaged)
        logger.warning("the end of a sync could not be stored", extra={"resource": name, "reason": str(failure)})
        self._unstored[list_id] = int(self._clock.now()), str(failure) if damaged else UNSTORED

    async def _outcome(self, account: Account, resource: Resource, run: SyncRun | None) -> str | None:
        """Begin the run if *run* is None, and execute it. Return the error as a sentence; None after a success.

        Raises:
            StorageUnavailable: the run must be started again.
        """
        try:
            if run is None:
                current = await self._current(account)
                if current is None:
                    return UNAUTHORIZED
                run = await self._begin(current, resource)
                self._note_progress(account, resource)
            await self._pass(account, resource, run)
        except (GatewayError, StorageDamaged) as error:
            reason = error.detail if isinstance(error, GatewayError) else error.message
            logger.warning("sync failed", extra={**_names(account, resource), "reason": reason})
            return reason
        except StorageUnavailable:
            raise
        except Exception:
            logger.exception("sync failed", extra=_names(account, resource))
            return INTERNAL
        return None

    async def _pass(self, account: Account, resource: Resource, run: SyncRun) -> None:
        def note_retry(error: PortalError, wait_s: float) -> None:
            self._note_wait(account, resource, f"retrying: {error.detail}", wait_s)

        client = self._clients.client(account).background().reporting_retries(note_retry)
        on_progress = partial(self._note_progress, account, resource)
        lists = resource.lists(self._language)
        async with self._directory.mark_stale_on_auth_failure(account):
            await SyncPass(self._store, client, self._pages, self._clock, resource, lists, run, on_progress).run()


def _names(account: Account, resource: Resource) -> dict[str, object]:
    return {"account": account.account_key, "resource": resource.name}
