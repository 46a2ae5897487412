"""Stores the level of each portal's leaky bucket across restarts."""

import logging
from collections.abc import Mapping
from sqlite3 import Connection

from storage.database import Database
from storage.database_file import LockFile
from storage.errors import StorageError, StorageUnusable
from storage.records import Bucket

logger = logging.getLogger(__name__)

LIST_BUCKETS = "SELECT portal_id, level, marked_at FROM portals LEFT JOIN buckets USING (portal_id)"


class BucketStore:
    """Reads and writes bucket levels.

    Writes are not durable: a machine crash may lose the last ones, but the portals' buckets drain before it restarts.

    If a row cannot be written (for example, on a full disk), the modification time of the lock file becomes the mark
    for all portals, because setting it needs no disk space. It means that any portal may have been called until then
    and that no level is known. After a crash, every bucket with an older row is assumed to be full at that time. If
    the lock file cannot be marked either, calls continue; after a crash, portals may refuse some of them and the
    client waits and retries.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._failing = False

    @property
    def _lock(self) -> LockFile:
        assert self._database.lock is not None, "only a gateway, which holds the lock, calls portals"
        return self._database.lock

    async def list_all(self) -> list[Bucket]:
        """Return all buckets that have a mark."""
        return await self._database.read(_list_all, self._lock.touched_at)

    async def mark(self, portal_id: int, now: float) -> None:
        """Record that the portal is called at *now*. Its level is unknown until the next `save`."""
        try:
            await self._database.write(_save, {portal_id: None}, now)
        except StorageUnusable as error:
            self._touch(now)
            if not self._failing:
                logger.warning("cannot store request counters; calls continue", extra={"reason": str(error)})
            self._failing = True
        else:
            if self._failing:
                logger.info("request counters can be stored again")
            self._failing = False

    async def save(self, levels: Mapping[int, float], now: float) -> None:
        """Store the level of each portal's bucket, by our portal id, at a clean shutdown."""
        try:
            await self._database.write(_save, levels, now)
        except StorageError:
            self._touch(now)
            raise
        self._touch(0)  # all levels are known

    def _touch(self, at: float) -> None:
        try:
            self._lock.touch(at)
        except OSError as error:
            if not self._failing:
                logger.warning("cannot mark the lock file", extra={"reason": error.strerror})


def _list_all(connection: Connection, touched_at: float) -> list[Bucket]:
    buckets = []
    for portal_id, level, marked_at in connection.execute(LIST_BUCKETS):
        if marked_at is not None and marked_at >= touched_at:
            buckets.append(Bucket(portal_id, level, marked_at))
        elif touched_at > 0:
            buckets.append(Bucket(portal_id, None, touched_at))
    return buckets


# A portal row that no longer exists, because it was merged into another, is skipped.
SAVE_BUCKET = """
INSERT INTO buckets (portal_id, level, marked_at)
SELECT portal_id, :level, :now FROM portals WHERE portal_id = :portal_id
ON CONFLICT (portal_id) DO UPDATE SET level = excluded.level, marked_at = excluded.marked_at
"""


def _save(connection: Connection, levels: Mapping[int, float | None], now: float) -> None:
    for portal_id, level in levels.items():
        connection.execute(SAVE_BUCKET, {"portal_id": portal_id, "level": level, "now": now})
