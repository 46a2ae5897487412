"""Stores what portals say about the fields of their lists."""

from sqlite3 import Connection

from storage.database import Database


class FieldStore:
    """Reads and writes descriptions of fields. *source* identifies the list on its portal."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def load(self, portal_id: int, source: str) -> tuple[bytes, int] | None:
        """Return the stored description, as JSON, and the Unix time at which it was read; None if there is none."""
        return await self._database.read(_load, portal_id, source)

    async def save(self, portal_id: int, source: str, body: bytes, *, now: int) -> None:
        """Store a description that was read at the Unix time *now*."""
        await self._database.write(_save, portal_id, source, body, now)


LOAD = "SELECT body, read_at FROM field_descriptors WHERE portal_id = :portal_id AND source = :source"
SAVE = """
INSERT OR REPLACE INTO field_descriptors (portal_id, source, body, read_at)
SELECT portal_id, :source, :body, :now FROM portals WHERE portal_id = :portal_id
"""


def _load(connection: Connection, portal_id: int, source: str) -> tuple[bytes, int] | None:
    row: tuple[bytes, int] | None = connection.execute(LOAD, {"portal_id": portal_id, "source": source}).fetchone()
    return row


def _save(connection: Connection, portal_id: int, source: str, body: bytes, now: int) -> None:
    """The portal may have been merged into another one meanwhile; its fields are read again there."""
    connection.execute(SAVE, {"portal_id": portal_id, "source": source, "body": body, "now": now})
