"""What a restart must know of each portal's request counter."""

import logging
from collections.abc import Mapping
from sqlite3 import Connection

from storage.database import Database
from storage.errors import StorageError, StorageUnusable
from storage.records import Bucket

logger = logging.getLogger(__name__)

LIST_BUCKETS = "SELECT portal_id, level, marked_at FROM portals LEFT JOIN buckets USING (portal_id)"


class BucketStore:
    """The buckets as rows.

    A crash of the machine may lose the last writes: before it runs again, the portals have drained.

    Where no row can be written (the disk is full, say), the time of the lock file is the mark of all portals: setting
    it needs no room. It says that any of them may have been called until then, and none of their levels is known, so
    after a crash every bucket whose row is older counts as full at that time. Where even that cannot be set, calls go
    on all the same; after a crash the portals may then refuse some, which the client waits out.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._failing = False

    async def list_all(self) -> list[Bucket]:
        """Every bucket that was ever marked."""
        return await self._database.read(_list_all, self._database.lock.touched_at)

    async def mark(self, portal_id: int, now: float) -> None:
        """Note that the portal is called at *now*, so that from here on only `save` knows the level."""
        try:
            await self._database.write(_save, {portal_id: None}, now)
        except StorageUnusable as error:
            self._touch(now)
            if not self._failing:
                logger.warning("request counters cannot be stored; calls go on", extra={"reason": str(error)})
            self._failing = True
        else:
            if self._failing:
                logger.info("request counters can be stored again")
            self._failing = False

    async def save(self, levels: Mapping[int, float], now: float) -> None:
        """Note the level of each portal's bucket (by our id) at a clean stop."""
        try:
            await self._database.write(_save, levels, now)
        except StorageError:
            self._touch(now)
            raise
        self._touch(0)  # all levels are known

    def _touch(self, at: float) -> None:
        try:
            self._database.lock.touch(at)
        except OSError as error:
            if not self._failing:
                logger.warning("the lock file cannot be marked", extra={"reason": error.strerror})


def _list_all(connection: Connection, touched_at: float) -> list[Bucket]:
    buckets = []
    for portal_id, level, marked_at in connection.execute(LIST_BUCKETS):
        if marked_at is not None and marked_at >= touched_at:
            buckets.append(Bucket(portal_id, level, marked_at))
        elif touched_at > 0:
            buckets.append(Bucket(portal_id, None, touched_at))
    return buckets


# A portal that has been joined with another meanwhile is marked there.
SAVE_BUCKET = """
INSERT INTO buckets (portal_id, level, marked_at)
SELECT portal_id, :level, :now FROM portals WHERE portal_id = :portal_id
ON CONFLICT (portal_id) DO UPDATE SET level = excluded.level, marked_at = excluded.marked_at
"""


def _save(connection: Connection, levels: Mapping[int, float | None], now: float) -> None:
    for portal_id, level in levels.items():
        connection.execute(SAVE_BUCKET, {"portal_id": portal_id, "level": level, "now": now})
