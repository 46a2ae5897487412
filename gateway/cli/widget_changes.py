"""What operators do with the catalogue of widgets, on the database itself, also beside a running gateway."""

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from gateway.cli.serve import announce_new
from gateway.cli.widget_files import read_files
from gateway.clock import Clock
from gateway.crypto.vault import Vault
from gateway.errors import StateConflict
from gateway.settings.config import Config
from gateway.settings.database_place import database_refusals, is_missing, require_database
from gateway.settings.encryption_key import check_key
from gateway.settings.secret_file import resolve_encryption_key
from gateway.widgets.catalogue import CHECK_INTERVAL_S
from gateway.widgets.loading import LoadedWidget, ManifestsRefused, find_conflicts, read_manifests, store_manifests
from gateway.widgets.manifests import decode_manifest
from gateway.widgets.sealed_settings import SettingsVault
from storage.database import Database
from storage.database_file import is_locked
from storage.widget_operators import OperatorStore


@dataclass(frozen=True)
class ListedWidget:
    """A widget of the catalogue. *account* and *user* say whose it is; a public one is nobody's."""

    id: int
    code: str
    version: str
    visibility: str
    account: str | None
    user: str | None
    installations: int


async def load_files(config: Config, paths: Iterable[Path], clock: Clock) -> list[LoadedWidget]:
    """Load the manifests in files and directories, and wait until a running gateway serves them.

    Raises:
        ManifestsRefused: it lists all mistakes; nothing was stored.
        SettingsError: the database cannot be used; the text says why.
        StateConflict: the catalogue was changed at the same time; nothing was stored.
    """
    documents, mistakes = read_files(paths)
    manifests, wrong = read_manifests(documents)
    mistakes += wrong
    if mistakes and is_missing(config.database):
        raise ManifestsRefused(mistakes)  # and do not create a database
    secrets = resolve_encryption_key(config)
    announce_new(secrets, config)
    vault = Vault(secrets.encryption_key)
    async with _changing(config, clock) as database:
        await check_key(database, vault, config)
        store = OperatorStore(database)
        stored = [widget for widget, _ in await store.list_all()]
        mistakes += find_conflicts(documents, stored)
        if mistakes:
            raise ManifestsRefused(mistakes)
        return await store_manifests(store, SettingsVault(vault), manifests, stored, now=int(clock.now()))


async def list_widgets(config: Config) -> list[ListedWidget]:
    """Return all widgets by ascending id.

    Raises:
        SettingsError: there is no database, or it cannot be used.
    """
    require_database(config.database)
    with database_refusals(config.database):
        async with Database.open_beside(config.database) as database:
            return [
                ListedWidget(
                    widget.widget_id,
                    widget.code,
                    decode_manifest(widget.manifest).version,
                    widget.owner.visibility,
                    widget.owner.account_key,
                    widget.owner.user_id,
                    installations,
                )
                for widget, installations in await OperatorStore(database).list_all()
            ]


async def remove_widgets(config: Config, codes: Sequence[str], clock: Clock, *, force: bool) -> dict[str, int]:
    """Remove widgets, with *force* also installed ones, and wait until a running gateway serves them no more.

    Returns the numbers of removed installations by code.

    Raises:
        StateConflict: a widget does not exist, or is installed, without *force*; nothing was removed.
        SettingsError: there is no database, or it cannot be used.
    """
    require_database(config.database)
    async with _changing(config, clock) as database:
        removal = await OperatorStore(database).remove(list(dict.fromkeys(codes)), uninstall=force)
        if not removal.done:
            raise StateConflict(_refusal(removal.installations), code="not_removed")
        return {code: count or 0 for code, count in removal.installations.items()}


def count_installations(number: int) -> str:
    """Return a number of installations in words."""
    return "1 installation" if number == 1 else f"{number:,} installations"


@asynccontextmanager
async def _changing(config: Config, clock: Clock) -> AsyncIterator[Database]:
    """Open the database for a change, and wait until a gateway that has it open has noticed the change.

    Raises:
        SettingsError: the database cannot be used; the text says why.
    """
    with database_refusals(config.database):
        async with Database.open_beside(config.database) as database:
            yield database
        # A gateway that has started since has the lock too. One that starts later reads the new catalogue.
        if is_locked(config.database):
            await clock.sleep(CHECK_INTERVAL_S)


def _refusal(installations: Mapping[str, int | None]) -> str:
    """Say why widgets are not removed."""
    reasons = [f"there is no widget {code}" for code, count in installations.items() if count is None]
    reasons += [f"{code} has {count_installations(count)}" for code, count in installations.items() if count]
    advice = ": --force removes installations too" if any(installations.values()) else ""
    return f"nothing was removed: {'; '.join(reasons)}{advice}"
