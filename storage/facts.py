"""What the database file knows of itself."""

from sqlite3 import Connection

from storage.database import Database

LOAD_FACT = "SELECT value FROM facts WHERE name = :name"
SAVE_FACT = "INSERT OR REPLACE INTO facts (name, value) VALUES (:name, :value)"


class FactStore:
    """Named values, on disk when they are saved."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def load(self, name: str) -> bytes | None:
        """The value of *name*, if it was ever saved."""
        return await self._database.read(_load, name)

    async def save(self, name: str, value: bytes) -> None:
        """Remember *value* under *name*."""
        await self._database.write_durably(_save, name, value)


def _load(connection: Connection, name: str) -> bytes | None:
    row: tuple[bytes] | None = connection.execute(LOAD_FACT, {"name": name}).fetchone()
    return row and row[0]


def _save(connection: Connection, name: str, value: bytes) -> None:
    connection.execute(SAVE_FACT, {"name": name, "value": value})
