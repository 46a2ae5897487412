"""What a restart must know of each portal's request counter."""

from collections.abc import Mapping
from sqlite3 import Connection

from storage.database import Database
from storage.records import Bucket

LIST_BUCKETS = "SELECT portal_id, level, marked_at FROM buckets"


class BucketStore:
    """The buckets as rows.

    A crash of the machine may lose the last writes: before it runs again, the portals have drained.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def list_all(self) -> list[Bucket]:
        """Every bucket that was ever marked."""
        return await self._database.read(_list_all)

    async def mark(self, portal_id: int, now: float) -> None:
        """Note that the portal is called at *now*, so that from here on only `save` knows the level."""
        await self._database.write(_save, {portal_id: None}, now)

    async def save(self, levels: Mapping[int, float], now: float) -> None:
        """Note the level of each portal's bucket (by our id) at a clean stop."""
        await self._database.write(_save, levels, now)


def _list_all(connection: Connection) -> list[Bucket]:
    return [Bucket(*row) for row in connection.execute(LIST_BUCKETS)]


# A portal that has been joined with another meanwhile is marked there.
SAVE_BUCKET = """
INSERT INTO buckets (portal_id, level, marked_at)
SELECT portal_id, :level, :now FROM portals WHERE portal_id = :portal_id
ON CONFLICT (portal_id) DO UPDATE SET level = excluded.level, marked_at = excluded.marked_at
"""


def _save(connection: Connection, levels: Mapping[int, float | None], now: float) -> None:
    for portal_id, level in levels.items():
        connection.execute(SAVE_BUCKET, {"portal_id": portal_id, "level": level, "now": now})
