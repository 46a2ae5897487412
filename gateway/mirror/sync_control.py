"""What callers decide about syncs: which records are mirrored, how often, and whether a sync is paused."""

from collections.abc import Callable
from dataclasses import dataclass

from gateway.accounts.clients import PortalClients
from gateway.accounts.directory import AccountDirectory
from gateway.bitrix.errors import PortalError
from gateway.bitrix.protocol.v2 import Command
from gateway.errors import FieldError, InvalidInput
from gateway.mirror.field_access import LoadFields
from gateway.mirror.maintenance import MirrorMaintenance
from gateway.mirror.pages import Pages
from gateway.mirror.query_fields import QueryFields
from gateway.mirror.resources import Resource, list_fields, not_mirrored
from gateway.mirror.sync import SyncService
from storage.json_values import QueryField
from storage.records import Account, SyncSettings
from storage.sync_settings import SyncSettingsStore

DISABLED = "ended because the list is no longer mirrored"
CANCELLED = "cancelled by a caller"
MAX_INDEXED = 20  # fields of one list


@dataclass(frozen=True)
class SettingsChange:
    """New settings of a sync; None leaves one as it is.

    *indexed* are the names of all fields whose values are indexed. *purge* deletes the rows of a list that is disabled.
    """

    enabled: bool | None = None
    interval_s: int | None = None
    indexed: tuple[str, ...] | None = None
    purge: bool = False


class SyncControl:
    """Changes the settings of syncs. *on_change* is called after each change."""

    def __init__(
        self,
        settings: SyncSettingsStore,
        maintenance: MirrorMaintenance,
        syncs: SyncService,
        directory: AccountDirectory,
        clients: PortalClients,
        pages: Pages,
        on_change: Callable[[], None],
    ) -> None:
        self._settings = settings
        self._maintenance = maintenance
        self._syncs = syncs
        self._directory = directory
        self._clients = clients
        self._pages = pages
        self._on_change = on_change

    async def change(
        self, account: Account, resource: Resource, change: SettingsChange, load_fields: LoadFields
    ) -> None:
        """Change the settings of the sync of *resource*. Enabling it starts a full sync.

        Raises:
            InvalidInput: a dictionary cannot be disabled, nor rows deleted that stay mirrored; or a field to index is
                unknown.
            StateConflict: fields of a list that is not mirrored cannot be indexed.
            PortalError: the portal does not have the records, or this authorization may not read them. Nothing is
                changed then.
        """
        status = await self._syncs.load(account, resource)
        if resource.record is None and change.enabled is False:
            rule = f"must be true: {resource.name} are always mirrored"
            raise InvalidInput.of_field("/enabled", "always_mirrored", rule)
        if change.purge and change.enabled is not False:
            raise InvalidInput.of_field("/purge", "not_disabled", 'must come with "enabled": false')
        enabling = change.enabled is True and not status.enabled
        if enabling:
            await self._check_readable(account, resource)
        fields = [] if change.indexed is None else await self._check_indexed(resource, change.indexed, load_fields)
        if fields and not (status.enabled if change.enabled is None else change.enabled):
            raise not_mirrored(resource)
        settings = await self._change(account, resource, enabled=change.enabled, interval_s=change.interval_s)
        if change.indexed is not None:
            await self._maintenance.index(settings.list_id, fields, settings.zone_s or 0, drop_others=True)
        if change.enabled is False:
            await self._syncs.cancel(account, resource, DISABLED)
            self._pages.forget()
        if change.purge:
            self._pages.changed(settings.list_id, await self._maintenance.purge(settings.list_id))
        if enabling and not settings.paused:
            await self._syncs.start(account, resource, "full")
        self._on_change()

    async def list_indexed(self, settings: SyncSettings | None) -> list[str]:
        """The names of the indexed fields of a list."""
        return [] if settings is None else await self._maintenance.list_indexed(settings.list_id)

    async def _check_indexed(
        self, resource: Resource, names: tuple[str, ...], load_fields: LoadFields
    ) -> list[QueryField]:
        """The fields to index.

        Raises:
            InvalidInput: with one error for each that is unknown or cannot be indexed.
        """
        if resource.record is None:
            if names:
                raise InvalidInput.of_field("/indexed", "not_records", "must be empty: only records are queried")
            return []
        if len(names) > MAX_INDEXED:
            raise InvalidInput.of_field("/indexed", "too_many", f"must have at most {MAX_INDEXED} fields")
        fields = QueryFields(list_fields(resource, (await load_fields()).known.fields), {}, {}, 0)
        found = {name: fields.find(name) for name in names}
        errors = [
            FieldError("unknown_field", fields.unknown(name, suggest=True), pointer=f"/indexed/{number}")
            for number, name in enumerate(names)
            if found[name] is None
        ]
        if errors:
            raise InvalidInput.of_errors(errors)
        return [field for field in found.values() if field is not None]

    async def pause(self, account: Account, resource: Resource) -> None:
        """Interrupt the sync of *resource*, and start none until it is resumed.

        Raises:
            StateConflict: the list is not mirrored.
        """
        await self._require_mirrored(account, resource)
        await self._change(account, resource, paused=True)
        await self._syncs.interrupt(account, resource)
        self._on_change()

    async def resume(self, account: Account, resource: Resource) -> None:
        """Continue the interrupted sync of *resource*, and start others when they are due.

        Raises:
            StateConflict: the list is not mirrored.
        """
        await self._require_mirrored(account, resource)
        await self._change(account, resource, paused=False)
        await self._syncs.resume(account, resource)
        self._on_change()

    async def cancel(self, account: Account, resource: Resource) -> None:
        """End the running or interrupted sync of *resource*, if there is one.

        Raises:
            StateConflict: the list is not mirrored.
        """
        await self._require_mirrored(account, resource)
        await self._syncs.cancel(account, resource, CANCELLED)

    async def _require_mirrored(self, account: Account, resource: Resource) -> None:
        if not (await self._syncs.load(account, resource)).enabled:
            raise not_mirrored(resource)

    async def _change(
        self,
        account: Account,
        resource: Resource,
        *,
        enabled: bool | None = None,
        paused: bool | None = None,
        interval_s: int | None = None,
    ) -> SyncSettings:
        return await self._settings.change(
            account.account_id,
            account.portal.portal_id,
            resource.name,
            enabled=enabled,
            paused=paused,
            interval_s=interval_s,
            enabled_by_default=resource.record is None,
        )

    async def _check_readable(self, account: Account, resource: Resource) -> None:
        """Check that the portal has the records of *resource*, and that this authorization may list them.

        Raises:
            PortalError: with the portal's words.
        """
        assert resource.record is not None
        (portal_list,) = resource.lists("")
        first_page = Command(portal_list.call.method, {**portal_list.call.params, "start": -1})
        async with self._directory.mark_stale_on_auth_failure(account):
            outcomes = await self._clients.client(account).batch([resource.record.fields, first_page])
        for outcome in outcomes:
            if isinstance(outcome, PortalError):
                raise outcome
