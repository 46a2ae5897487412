"""Begins the runs of syncs, and executes them: a full pass, or an incremental one from where the last read began."""

from collections.abc import Callable, Sequence

from gateway.accounts.clients import PortalClients
from gateway.accounts.directory import AccountDirectory
from gateway.bitrix.client import PortalClient
from gateway.bitrix.errors import PortalError
from gateway.bitrix.lists.page import answer_of
from gateway.bitrix.protocol.times import PortalTime
from gateway.bitrix.protocol.v2 import Answer
from gateway.bitrix.sender import OnRetry
from gateway.clock import Clock
from gateway.errors import InvalidInput, StateConflict
from gateway.fields.service import FieldService
from gateway.mirror.incremental import IncrementalPass
from gateway.mirror.links import LinkRefresher
from gateway.mirror.maintenance import MirrorMaintenance
from gateway.mirror.pages import Pages
from gateway.mirror.pipelines import pipeline_names
from gateway.mirror.query_fields import query_field
from gateway.mirror.resources import Resource, not_mirrored, record_type
from gateway.mirror.sync_pass import SyncPass
from gateway.mirror.sync_writer import SyncWriter
from storage.records import Account, SyncMode, SyncRun
from storage.sync_settings import SyncSettingsStore
from storage.syncs import SyncStore

RESUMABLE_S = 3600  # an interrupted run that is older starts from the beginning


class SyncRunner:
    """Begins and executes single runs.

    An interrupted full run continues from its cursor if it is less than RESUMABLE_S seconds old. An incremental run
    reads back *overlap_s* seconds before the position of the last read, and compares all ids if that was not done for
    *reconcile_interval_s* seconds.
    """

    def __init__(
        self,
        store: SyncStore,
        settings: SyncSettingsStore,
        maintenance: MirrorMaintenance,
        directory: AccountDirectory,
        clients: PortalClients,
        fields: FieldService,
        pages: Pages,
        links: LinkRefresher,
        clock: Clock,
        *,
        language: str,
        overlap_s: int,
        reconcile_interval_s: int,
    ) -> None:
        self._store = store
        self._settings = settings
        self._maintenance = maintenance
        self._directory = directory
        self._clients = clients
        self._fields = fields
        self._pages = pages
        self._links = links
        self._clock = clock
        self._language = language
        self._overlap_s = overlap_s
        self._reconcile_interval_s = reconcile_interval_s

    async def begin(self, account: Account, resource: Resource, mode: SyncMode | None) -> SyncRun:
        """Begin a run of *resource*, or continue the interrupted one.

        Raises:
            StateConflict: the list is not mirrored, or its sync is paused.
            InvalidInput: there was no full sync yet that an incremental one could continue.
        """
        portal_id = account.portal.portal_id
        settings = await self._settings.load(account.account_id, portal_id, resource.name)
        if resource.record is not None and (settings is None or not settings.enabled):
            raise not_mirrored(resource)
        if settings is not None and settings.paused:
            raise StateConflict(f"the sync of {resource.name} is paused: resume it first", code="sync_paused")
        has_position = settings is not None and settings.watermark is not None
        mode = mode or ("incremental" if has_position else "full")
        if mode == "incremental" and not has_position:
            raise InvalidInput.of_parameter("mode", "full_sync_needed", "must be full: no full sync has ended yet")
        now = int(self._clock.now())
        return await self._store.begin(
            account.account_id,
            portal_id,
            resource.name,
            [portal_list.sublist for portal_list in resource.lists(self._language)],
            mode=mode,
            now=now,
            resumable_since=now - RESUMABLE_S if mode == "full" and resource.resumes(self._language) else None,
        )

    async def execute(
        self, account: Account, resource: Resource, run: SyncRun, on_retry: OnRetry, on_progress: Callable[[], None]
    ) -> None:
        """Execute *run*. *on_retry* is called before a wait for another attempt, *on_progress* after each transaction.

        Raises:
            PortalError: a list cannot be read completely. What is stored already remains.
            StorageError: something could not be stored.
        """
        client = self._clients.client(account).background().reporting_retries(on_retry)

        async def keep_descriptions(outcomes: Sequence[Answer | PortalError]) -> None:
            record, (fields, *pipelines) = record_type(resource), outcomes
            await self._fields.keep(account, record.fields, answer_of(fields).result)
            for answer in pipelines:  # where the portal refuses them, records show their ids
                if record.pipelines is not None and isinstance(answer, Answer):
                    await self._fields.keep_names(account, record.pipelines, pipeline_names(answer))

        writer = SyncWriter(self._store, self._pages, self._clock, resource, run, keep_descriptions, on_progress)
        lists = resource.lists(self._language)
        try:
            async with self._directory.mark_stale_on_auth_failure(account):
                if run.mode == "full":
                    await SyncPass(self._store, client, writer, lists, run).run()
                    reconciled = True
                else:
                    reconciled = await self._read_changes(account, resource, client, writer)
        finally:  # the next run does not find them again
            self._links.refresh(account, resource, writer.deleted)
        if resource.record is not None:
            await self._save_position(account, resource, reconciled=reconciled)
        if resource.of_users:
            await self._store.save_user_sync(run.list_id, synced_at=run.started_at)
            self._pages.synced(run.list_id, run.started_at)

    async def _read_changes(
        self, account: Account, resource: Resource, client: PortalClient, writer: SyncWriter
    ) -> bool:
        """Read the changes since the position of the last read. Return whether all ids were compared."""
        settings = await self._settings.load(account.account_id, account.portal.portal_id, resource.name)
        assert settings is not None
        assert settings.watermark is not None
        assert settings.zone_s is not None
        assert resource.record is not None
        (portal_list,) = resource.lists(self._language)
        since = PortalTime(settings.watermark - self._overlap_s, settings.zone_s)
        due_at = (settings.reconciled_at or 0) + self._reconcile_interval_s
        all_ids = due_at <= self._clock.now()
        modified = resource.record.names.modified
        await IncrementalPass(self._store, client, writer, portal_list, modified, since, all_ids=all_ids).run()
        return all_ids

    async def _save_position(self, account: Account, resource: Resource, *, reconciled: bool) -> None:
        """Store the position of the read that has just ended, from which the next one continues."""
        run = await self._store.load(account.account_id, account.portal.portal_id, resource.name)
        assert run is not None
        assert run.server_time is not None
        assert run.zone_s is not None
        await self._settings.save_position(
            run.list_id,
            watermark=run.server_time,
            zone_s=run.zone_s,
            synced_at=run.started_at,
            reconciled_at=run.started_at if reconciled else None,
        )
        self._pages.synced(run.list_id, run.started_at)
        await self._refresh_indexes(account, resource, run.list_id, run.zone_s)

    async def _refresh_indexes(self, account: Account, resource: Resource, list_id: int, zone_s: int) -> None:
        """Build the indexes again whose fields have another type now, or whose times are in another zone."""
        known = await self._fields.find(account, record_type(resource).fields)
        indexed = await self._maintenance.list_indexed(list_id)
        if known is not None and indexed:
            fields = [query_field(known.fields[name], {}, {}) for name in indexed if name in known.fields]
            await self._maintenance.index(list_id, fields, zone_s, drop_others=False)
