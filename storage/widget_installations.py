"""Widgets in accounts: their settings and their pipelines."""

from collections.abc import Callable, Sequence
from sqlite3 import Connection

from storage.database import Database
from storage.widgets import StoredWidget, changed, store_missing

MissingAfterLoss = Callable[[bytes], Sequence[str]]
"""Returns the keys whose values an installation without settings misses of a manifest."""


class InstallationStore:
    """Writes installations of widgets. Writes are durable: on disk before the method returns."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def install(self, account_key: str, widget: StoredWidget, settings: bytes, *, now: int) -> bool:
        """Install the current version of *widget* with sealed *settings*, in place of those of an earlier installation.

        Return False and change nothing if the widget has another version by now, or is gone.
        """
        return await self._database.write_durably(install, account_key, widget, settings, now)

    async def remove(self, account_key: str, widget_id: int) -> bool:
        """Remove the installation and its settings; its placements are to be unbound. Return whether there was one."""
        return await self._database.write_durably(_remove, account_key, widget_id)

    async def set_pipeline(self, account_key: str, widget_id: int, pipeline_id: int | None) -> bool:
        """Set the pipeline of an active installation. Return False if there is none."""
        return await self._database.write_durably(_set_pipeline, account_key, widget_id, pipeline_id)


HAS_VERSION = "SELECT 1 FROM widgets WHERE widget_id = :widget_id AND version_id = :version_id"
INSTALL = """
INSERT INTO widget_installations (
    account_key, widget_id, version_id, placed_version_id, settings, active, installed_at
)
VALUES (:account_key, :widget_id, :version_id, :version_id, :settings, 1, :now)
ON CONFLICT (account_key, widget_id) DO UPDATE
SET version_id = excluded.version_id, placed_version_id = excluded.version_id,
    settings = excluded.settings, missing = '[]', active = 1
"""
UNBIND = """
UPDATE widget_placements SET state = 'unbinding', installation_id = NULL
WHERE installation_id IN (
    SELECT installation_id FROM widget_installations WHERE account_key = :account_key AND widget_id = :widget_id
)
"""
REMOVE = "DELETE FROM widget_installations WHERE account_key = :account_key AND widget_id = :widget_id"
SET_PIPELINE = """
UPDATE widget_installations SET pipeline_id = :pipeline_id
WHERE account_key = :account_key AND widget_id = :widget_id AND active
"""
WITH_SETTINGS = """
SELECT i.installation_id, v.version_id, v.manifest
FROM widget_installations AS i
JOIN widgets AS w USING (widget_id)
JOIN widget_versions AS v ON v.version_id = w.version_id
WHERE i.settings IS NOT NULL
"""
ERASE_SETTINGS = "UPDATE widget_installations SET settings = NULL"


def install(connection: Connection, account_key: str, widget: StoredWidget, settings: bytes, now: int) -> bool:
    """See `InstallationStore.install`."""
    version = {"widget_id": widget.widget_id, "version_id": widget.version_id}
    if connection.execute(HAS_VERSION, version).fetchone() is None:
        return False
    connection.execute(INSTALL, version | {"account_key": account_key, "settings": settings, "now": now})
    changed(connection)
    return True


def erase_settings(connection: Connection, missing_of: MissingAfterLoss) -> None:
    """Erase the settings of all installations, which stay, and store what each misses then."""
    installations = connection.execute(WITH_SETTINGS).fetchall()
    connection.execute(ERASE_SETTINGS)
    for installation_id, version_id, manifest in installations:
        store_missing(connection, installation_id, version_id, missing_of(manifest))
    changed(connection)


def _remove(connection: Connection, account_key: str, widget_id: int) -> bool:
    found = {"account_key": account_key, "widget_id": widget_id}
    connection.execute(UNBIND, found)
    removed = connection.execute(REMOVE, found).rowcount == 1
    if removed:
        changed(connection)
    return removed


def _set_pipeline(connection: Connection, account_key: str, widget_id: int, pipeline_id: int | None) -> bool:
    found = {"account_key": account_key, "widget_id": widget_id, "pipeline_id": pipeline_id}
    updated = connection.execute(SET_PIPELINE, found).rowcount == 1
    if updated:
        changed(connection)
    return updated
