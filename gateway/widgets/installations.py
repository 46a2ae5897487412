"""Installs widgets in accounts, removes them, and chooses the pipeline of sources of leads."""

from collections.abc import Iterable, Mapping

import orjson

from gateway.accounts.directory import AccountDirectory
from gateway.accounts.service import AccountService
from gateway.auth.caller import Caller
from gateway.clock import Clock
from gateway.errors import Forbidden, InvalidInput, StateConflict
from gateway.widgets.catalogue import Catalogue
from gateway.widgets.manifests import decode_manifest
from gateway.widgets.placements import CHANGED, PlacementService
from gateway.widgets.sealed_settings import SettingsVault
from gateway.widgets.templates import check_settings
from storage.mirror_dictionaries import DictionaryStore
from storage.widget_installations import InstallationStore
from storage.widgets import FoundWidget

DEAL_TYPE = 2  # entityTypeId of deals. Source: methods.md, section 0.2
ADMINISTRATORS_ONLY = "only an administrator of the account installs, removes and configures widgets"
UNKNOWN_PIPELINE = "must be the portal's number of a mirrored pipeline of deals, or null"


class InstallationService:
    """Changes the installations of widgets, for administrators of accounts."""

    def __init__(
        self,
        store: InstallationStore,
        catalogue: Catalogue,
        vault: SettingsVault,
        dictionaries: DictionaryStore,
        directory: AccountDirectory,
        accounts: AccountService,
        placements: PlacementService,
        clock: Clock,
    ) -> None:
        self._store = store
        self._catalogue = catalogue
        self._vault = vault
        self._dictionaries = dictionaries
        self._directory = directory
        self._accounts = accounts
        self._placements = placements
        self._clock = clock

    async def find(self, caller: Caller, code: str) -> FoundWidget:
        """Return the widget *code*, which *caller* may install.

        Raises:
            Forbidden: the caller is no administrator.
            NotFound: there is no such widget that the caller may see.
        """
        if not caller.is_admin:
            raise Forbidden(ADMINISTRATORS_ONLY)
        return await self._catalogue.find(caller, code)

    async def install(self, caller: Caller, found: FoundWidget, settings: Mapping[str, object]) -> None:
        """Install a widget with *settings*, which replace those of an earlier installation, and bind its placements.

        Raises:
            InvalidInput: names every broken rule of the settings.
            StateConflict: the widget was changed at the same time, or the account has no portal for its placements.
            AuthorizationRequired: a person must authorize the portal first.
            PortalError: the portal refuses a placement, or does not answer.
            TooBusy: the portal's limits would delay it for too long.
        """
        widget, account_key = found.widget, caller.account_key
        manifest = decode_manifest(widget.manifest)
        check_settings(manifest.settings_template, settings)
        sealed = self._vault.seal(account_key, widget.widget_id, settings)
        now = int(self._clock.now())
        if manifest.placements:
            account = await self._placements.portal_account(account_key)
            await self._accounts.ensure_authorized(account)
            async with self._placements.changing(account_key):
                await self._placements.install(account, widget, manifest, sealed, now=now)
        else:
            async with self._placements.changing(account_key):
                if not await self._store.install(account_key, widget, sealed, now=now):
                    raise StateConflict(CHANGED, code="widget_changed")
                await self._placements.unbind(account_key)
        await self._catalogue.refresh()

    async def remove(self, caller: Caller, found: FoundWidget) -> None:
        """Remove the installation of a widget, if there is one, and erase its settings.

        Its placements are unbound; if the portal cannot be reached, later.
        """
        async with self._placements.changing(caller.account_key):
            if await self._store.remove(caller.account_key, found.widget.widget_id):
                await self._catalogue.refresh()
                await self._placements.unbind(caller.account_key)

    async def set_source(self, caller: Caller, found: FoundWidget, pipeline_id: int | None) -> None:
        """Set the pipeline in which an installed widget is a source of leads.

        Raises:
            StateConflict: the widget is no source of leads, or not installed.
            InvalidInput: the account has no mirrored pipeline of deals with this number.
        """
        if not decode_manifest(found.widget.manifest).is_lead_source:
            raise StateConflict("the widget is no source of leads", code="no_lead_source")
        if found.installation is None or not found.installation.active:
            raise not_installed()
        if pipeline_id is not None and pipeline_id not in await self._deal_pipelines(caller.account_key):
            raise InvalidInput.of_field("/pipeline_id", "unknown_pipeline", UNKNOWN_PIPELINE)
        if not await self._store.set_pipeline(caller.account_key, found.widget.widget_id, pipeline_id):
            raise not_installed()
        await self._catalogue.refresh()

    async def _deal_pipelines(self, account_key: str) -> frozenset[int]:
        account = await self._directory.find(account_key)
        if account is None:
            return frozenset()
        found = await self._dictionaries.load(account.account_id, account.portal, "pipelines", _deal_pipelines)
        return frozenset() if found is None else found.content


def not_installed() -> StateConflict:
    """Return the error for a widget that is not installed in the account."""
    return StateConflict("the widget is not installed in the account", code="not_installed")


def _deal_pipelines(rows: Iterable[bytes]) -> frozenset[int]:
    """The portal's numbers of the pipelines of deals."""
    return frozenset(row["bitrixID"] for row in map(orjson.loads, rows) if row["entityTypeId"] == DEAL_TYPE)
