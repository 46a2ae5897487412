"""Start, join, resume and end the syncs of all accounts."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from weakref import WeakValueDictionary

from gateway import __version__
from gateway.accounts.directory import AccountDirectory
from gateway.accounts.service import SUSPENDED
from gateway.background import detached, end
from gateway.bitrix.errors import PortalError
from gateway.clock import Clock
from gateway.errors import GatewayError
from gateway.mirror.resources import DICTIONARIES, Resource, find_resource
from gateway.mirror.sync_runner import SyncRunner
from storage.errors import StorageDamaged, StorageError, StorageUnavailable
from storage.records import Account, RunState, SyncMode, SyncRun, SyncSettings
from storage.sync_settings import SyncSettingsStore
from storage.syncs import SyncStore

logger = logging.getLogger(__name__)

STORAGE_RETRY_S = 15  # pause while the database is unavailable
UNAUTHORIZED = "ended because the portal must be authorized again"
UNSTORED = "ended, but its result could not be stored: the database could not be written; the next sync resumes"
INTERNAL = "an internal error of the gateway: see its log"


@dataclass
class _Running:
    """A run in progress. *wait_reason* says why it waits to retry; None while it makes progress.

    Progress before *waits_until* (monotonic seconds) does not end the wait: it comes from rows that were read earlier.
    *since*, *rows* and *cursor* tell where it was when this process started it, at that monotonic time.
    """

    list_id: int
    task: asyncio.Task[None]
    since: float
    rows: int = 0
    cursor: int = 0
    wait_reason: str | None = None
    waits_until: float = 0.0


@dataclass(frozen=True)
class SyncStatus:
    """The sync of one list: its settings, its latest run, and how fast that run is.

    *run* is None before the first run, *settings* if nothing was ever set. *rate_per_s* and *seconds_left* are None
    unless a run makes progress; *seconds_left* assumes that the remaining ids are as dense as those already read.
    """

    resource: Resource
    settings: SyncSettings | None
    run: SyncRun | None
    rate_per_s: float | None = None
    seconds_left: float | None = None

    @property
    def enabled(self) -> bool:
        """Whether the list is mirrored: dictionaries always are, records once a caller enables them."""
        return self.resource.record is None if self.settings is None else self.settings.enabled

    @property
    def paused(self) -> bool:
        """Whether a caller has paused the sync."""
        return self.settings is not None and self.settings.paused


class SyncService:
    """Runs one sync per account and resource at a time.

    An interrupted run resumes from its cursor if it is less than an hour old and the credential, the
    version of the gateway and the language are the same. Otherwise everything is read again. Lists that the portal
    refused are always requested again.
    """

    def __init__(
        self,
        store: SyncStore,
        settings: SyncSettingsStore,
        runner: SyncRunner,
        directory: AccountDirectory,
        clock: Clock,
        *,
        language: str,
    ) -> None:
        self._store = store
        self._settings = settings
        self._runner = runner
        self._directory = directory
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
        """Start the interrupted runs of authorized accounts again, and mark all others as failed.

        Runs that a caller has paused stay interrupted.
        """
        accounts = {account.account_id: account for account in await self._directory.list_authorized()}
        for account_id, list_id, name, mode in await self._store.list_interrupted():
            account = accounts.get(account_id)
            if account is None:
                await self._end(list_id, name, "failed", UNAUTHORIZED)
                continue
            settings = await self._settings.load(account_id, account.portal.portal_id, name)
            if settings is None or not settings.paused:
                self._launch(account, find_resource(name), list_id, None, mode)
        for list_id, name in await self._store.list_orphaned():
            await self._end(list_id, name, "failed", SUSPENDED)

    async def start(self, account: Account, resource: Resource, mode: SyncMode | None = None) -> None:
        """Start a sync of *resource*; if one is running, in whatever mode, that is it. Return once its start is stored.

        Without *mode*, records are read incrementally once a full sync of them has ended; anything else is read in
        full. Do nothing if the account has changed since *account* was loaded.

        Raises:
            StateConflict: the list is not mirrored, or its sync is paused.
            InvalidInput: there was no full sync yet that an incremental one could continue.
        """
        async with self._lock(account.account_id):
            current = await self._directory.find_current(account)
            if (account.account_id, resource.name) in self._running or current is None:
                return
            run = await self._runner.begin(current, resource, mode)
            self._unstored.pop(run.list_id, None)
            self._launch(current, resource, run.list_id, run, run.mode)

    async def resume(self, account: Account, resource: Resource) -> None:
        """Continue the interrupted run of *resource*, if there is one."""
        run = await self._store.load(account.account_id, account.portal.portal_id, resource.name)
        if run is not None and run.state == "running":
            await self.start(account, resource, run.mode)

    async def interrupt(self, account: Account, resource: Resource) -> None:
        """Stop the run of *resource*, if there is one, so that it can continue later."""
        async with self._lock(account.account_id):
            running = self._running.get((account.account_id, resource.name))
            if running is not None:
                await end([running.task])

    async def cancel(self, account: Account, resource: Resource, reason: str) -> None:
        """End the run of *resource* as failed with the error *reason*, if it runs or is interrupted."""
        await self.interrupt(account, resource)
        run = await self._store.load(account.account_id, account.portal.portal_id, resource.name)
        if run is not None and run.state == "running":
            await self._end(run.list_id, resource.name, "failed", reason)

    def _launch(self, account: Account, resource: Resource, list_id: int, run: SyncRun | None, mode: SyncMode) -> None:
        """Start the task of *run*; None for a run in this *mode* that the task begins itself."""
        key = (account.account_id, resource.name)
        task = detached(self._run(account, resource, list_id, run, mode), name=f"sync {resource.name}")
        self._running[key] = _Running(list_id, task, self._clock.monotonic())
        if run is not None:
            self._note_position(key, run)
        task.add_done_callback(lambda _: self._running.pop(key, None))

    async def connected(self, account: Account) -> None:
        """Start a sync of every mirrored resource of *account*."""
        for resource, settings in await self.list_mirrored(account):
            if settings is None or not settings.paused:
                await self.start(account, resource)

    async def list_mirrored(self, account: Account) -> list[tuple[Resource, SyncSettings | None]]:
        """What *account* mirrors: all dictionaries, and the records that it has enabled; with their settings."""
        settings = await self._settings.list_all(account.account_id, account.portal.portal_id)
        names = [*DICTIONARIES, *(name for name, item in settings.items() if item.enabled and name not in DICTIONARIES)]
        return [(find_resource(name), settings.get(name)) for name in names]

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

    async def load(self, account: Account, resource: Resource) -> SyncStatus:
        """The state of the sync of *resource*."""
        portal_id = account.portal.portal_id
        settings = await self._settings.load(account.account_id, portal_id, resource.name)
        run = await self._store.load(account.account_id, portal_id, resource.name)
        if run is None:
            return SyncStatus(resource, settings, None)
        if run.list_id in self._unstored:
            ended_at, error = self._unstored[run.list_id]
            return SyncStatus(resource, settings, replace(run, state="failed", error=error, finished_at=ended_at))
        running = self._running.get((account.account_id, resource.name))
        if running is None or run.state != "running":
            return SyncStatus(resource, settings, run)
        return SyncStatus(resource, settings, replace(run, error=running.wait_reason), *self._speed(running, run))

    def _speed(self, running: _Running, run: SyncRun) -> tuple[float | None, float | None]:
        """How many rows a second the run reads, and how many seconds it has left; None if unknown."""
        elapsed_s = self._clock.monotonic() - running.since
        rows = run.rows - running.rows
        if elapsed_s <= 0 or rows <= 0:
            return None, None
        ids = (run.cursor or 0) - running.cursor
        if ids <= 0 or run.largest is None or run.mode != "full":
            return rows / elapsed_s, None
        return rows / elapsed_s, max(run.largest - running.cursor - ids, 0) / ids * elapsed_s

    def _note_position(self, key: tuple[int, str], run: SyncRun) -> None:
        """Remember where *run* was when this process started it."""
        running = self._running[key]
        running.since, running.rows, running.cursor = self._clock.monotonic(), run.rows, run.cursor or 0

    def _lock(self, account_id: int) -> asyncio.Lock:
        return self._changing.setdefault(account_id, asyncio.Lock())

    async def _run(
        self, account: Account, resource: Resource, list_id: int, run: SyncRun | None, mode: SyncMode
    ) -> None:
        """Run to the end, and store how it ended. While the database is unavailable, wait and start again."""
        started_at = self._clock.monotonic()
        while True:
            try:
                error = await self._outcome(account, resource, run, mode)
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

    async def _outcome(self, account: Account, resource: Resource, run: SyncRun | None, mode: SyncMode) -> str | None:
        """Begin the run if *run* is None, and execute it. Return the error as a sentence; None after a success.

        Raises:
            StorageUnavailable: the run must be started again.
        """
        try:
            if run is None:
                current = await self._directory.find_current(account)
                if current is None:
                    return UNAUTHORIZED
                run = await self._runner.begin(current, resource, mode)
                self._unstored.pop(run.list_id, None)
                self._note_position((account.account_id, resource.name), run)
                self._note_progress(account, resource)
            await self._execute(account, resource, run)
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

    async def _execute(self, account: Account, resource: Resource, run: SyncRun) -> None:
        def note_retry(error: PortalError, wait_s: float) -> None:
            self._note_wait(account, resource, f"retrying: {error.detail}", wait_s)

        await self._runner.execute(account, resource, run, note_retry, partial(self._note_progress, account, resource))


def _names(account: Account, resource: Resource) -> dict[str, object]:
    return {"account": account.account_key, "resource": resource.name}
