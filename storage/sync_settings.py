"""Stores what callers have set for the sync of each list, and how far its records are read."""

from sqlite3 import Connection

from storage.database import Database
from storage.mirror_changes import find_or_add_list
from storage.mirror_indexes import drop_indexes
from storage.records import SyncSettings

PURGED_ROWS = 2000  # rows that one transaction deletes


class SyncSettingsStore:
    """Reads and writes the settings of syncs. Settings are durable; the position of a read is not."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def load(self, account_id: int, portal_id: int, resource: str) -> SyncSettings | None:
        """Return the settings of a list; None if nothing was ever set."""
        return (await self.list_all(account_id, portal_id)).get(resource)

    async def list_all(self, account_id: int, portal_id: int) -> dict[str, SyncSettings]:
        """Return the settings of an account's lists by resource, without those for which nothing was ever set."""
        return await self._database.read(_list_all, account_id, portal_id)

    async def change(
        self,
        account_id: int,
        portal_id: int,
        resource: str,
        *,
        enabled: bool | None = None,
        paused: bool | None = None,
        interval_s: int | None = None,
        enabled_by_default: bool,
    ) -> SyncSettings:
        """Change the settings of a list and return all of them; None leaves a setting as it is."""
        return await self._database.write_durably(
            _change, account_id, portal_id, resource, enabled, paused, interval_s, enabled_by_default
        )

    async def save_position(
        self, list_id: int, *, watermark: int, zone_s: int, synced_at: int, reconciled_at: int | None
    ) -> None:
        """Store the position of a finished read; None leaves *reconciled_at* as it is."""
        await self._database.write(_save_position, list_id, watermark, zone_s, synced_at, reconciled_at)

    async def purge(self, list_id: int) -> int:
        """Empty a list: an empty one takes its name and settings. Return the generation after its last one.

        The rows are out of reach at once, and `delete_purged` deletes them.
        """
        return await self._database.write_durably(_purge, list_id)

    async def delete_purged(self) -> bool:
        """Delete some rows of purged lists. Return whether there are more."""
        return await self._database.read(_has_purged) and await self._database.write(_delete_purged)


LIST_SETTINGS = """
SELECT resource, list_id, enabled, paused, interval_s, watermark, zone_s, synced_at, reconciled_at
FROM sync_settings JOIN mirror_lists USING (list_id)
WHERE account_id = :account_id AND portal_id = :portal_id ORDER BY list_id
"""


def _list_all(connection: Connection, account_id: int, portal_id: int) -> dict[str, SyncSettings]:
    key = {"account_id": account_id, "portal_id": portal_id}
    return {
        resource: SyncSettings(list_id, bool(enabled), bool(paused), *position)
        for resource, list_id, enabled, paused, *position in connection.execute(LIST_SETTINGS, key)
    }


CHANGE = """
INSERT INTO sync_settings (list_id, enabled, paused, interval_s)
VALUES (:list_id, COALESCE(:enabled, :enabled_by_default), COALESCE(:paused, 0), :interval_s)
ON CONFLICT (list_id) DO UPDATE SET
    enabled = COALESCE(:enabled, enabled),
    paused = COALESCE(:paused, paused),
    interval_s = COALESCE(:interval_s, interval_s)
"""


def _change(
    connection: Connection,
    account_id: int,
    portal_id: int,
    resource: str,
    enabled: bool | None,
    paused: bool | None,
    interval_s: int | None,
    enabled_by_default: bool,
) -> SyncSettings:
    values = {
        "list_id": find_or_add_list(connection, account_id, portal_id, resource),
        "enabled": enabled,
        "paused": paused,
        "interval_s": interval_s,
        "enabled_by_default": enabled_by_default,
    }
    connection.execute(CHANGE, values)
    return _list_all(connection, account_id, portal_id)[resource]


SAVE_POSITION = """
UPDATE sync_settings SET watermark = :watermark, zone_s = :zone_s, synced_at = :synced_at,
    reconciled_at = COALESCE(:reconciled_at, reconciled_at)
WHERE list_id = :list_id
"""


def _save_position(
    connection: Connection, list_id: int, watermark: int, zone_s: int, synced_at: int, reconciled_at: int | None
) -> None:
    connection.execute(
        SAVE_POSITION,
        {
            "list_id": list_id,
            "watermark": watermark,
            "zone_s": zone_s,
            "synced_at": synced_at,
            "reconciled_at": reconciled_at,
        },
    )


PURGED = "purged:"  # with the list's id, the name of a list whose rows are being deleted
RENAME = """
UPDATE mirror_lists SET resource = :purged || list_id, generation = generation + 1
WHERE list_id = :list_id RETURNING generation
"""
FIND_LIST = "SELECT account_id, portal_id, resource FROM mirror_lists WHERE list_id = :list_id"
MOVE = (  # what callers have set stays; how far the list was read does not
    """
    UPDATE sync_settings SET list_id = :new_id, watermark = NULL, zone_s = NULL, synced_at = NULL, reconciled_at = NULL
    WHERE list_id = :list_id
    """,
    """
    INSERT INTO mirror_indexes (list_id, field, kind, multiple, multifield, zone_s, state)
    SELECT :new_id, field, kind, multiple, multifield, zone_s, 'building' FROM mirror_indexes
    WHERE list_id = :list_id AND state <> 'dropped' ORDER BY index_id
    """,
)
FORGET = (
    "DELETE FROM sync_missing WHERE list_id = :list_id",
    "DELETE FROM sync_parts WHERE list_id = :list_id",
    "DELETE FROM sync_runs WHERE list_id = :list_id",
    "DELETE FROM mirror_blocks WHERE list_id = :list_id",
)


def _purge(connection: Connection, list_id: int) -> int:
    """The new list has a larger id than any before: caches and entity tags know a list by it."""
    key: dict[str, object] = {"list_id": list_id}
    name = connection.execute(FIND_LIST, key).fetchone()
    row: tuple[int] = connection.execute(RENAME, {**key, "purged": PURGED}).fetchone()
    key["new_id"] = find_or_add_list(connection, *name)
    for statement in (*MOVE, *FORGET):
        connection.execute(statement, key)
    drop_indexes(connection, list_id)
    return row[0]


FIND_PURGED = "SELECT list_id FROM mirror_lists WHERE resource LIKE :purged || '%' ORDER BY list_id LIMIT 1"
DELETE_ROWS = """
DELETE FROM mirror_rows WHERE row_id IN (
    SELECT row_id FROM mirror_rows WHERE list_id = :list_id ORDER BY part, portal_row_id LIMIT :limit
)
"""
FIND_INDEX = "SELECT 1 FROM mirror_indexes WHERE list_id = :list_id LIMIT 1"
DELETE_LIST = "DELETE FROM mirror_lists WHERE list_id = :list_id"


def _has_purged(connection: Connection) -> bool:
    return connection.execute(FIND_PURGED, {"purged": PURGED}).fetchone() is not None


def _delete_purged(connection: Connection) -> bool:
    found = connection.execute(FIND_PURGED, {"purged": PURGED}).fetchone()
    if found is None:
        return False
    key = {"list_id": found[0]}
    if connection.execute(FIND_INDEX, key).fetchone() is not None:
        return False  # its indexes are deleted first
    if not connection.execute(DELETE_ROWS, {**key, "limit": PURGED_ROWS}).rowcount:
        connection.execute(DELETE_LIST, key)
    return True
