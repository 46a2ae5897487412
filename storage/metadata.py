"""Stores named values about the database itself."""

from contextlib import closing
from pathlib import Path
from sqlite3 import Connection

import pysqlite3

from storage.database import Database
from storage.errors import storage_error

LOAD_FACT = "SELECT value FROM facts WHERE name = :name"
SAVE_FACT = "INSERT OR REPLACE INTO facts (name, value) VALUES (:name, :value)"
FIND_TABLE = "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'facts'"


class MetadataStore:
    """Reads and writes named values. Writes are durable: on disk before the method returns."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def load(self, name: str) -> bytes | None:
        """Return the value of *name*, or None if it was never saved."""
        return await self._database.read(load_fact, name)

    async def save(self, name: str, value: bytes) -> None:
        """Store *value* under *name*, replacing the previous value."""
        await self._database.write_durably(save_fact, name, value)


def load_fact(connection: Connection, name: str) -> bytes | None:
    """Return the value of *name*, or None if it was never saved."""
    row: tuple[bytes] | None = connection.execute(LOAD_FACT, {"name": name}).fetchone()
    return row and row[0]


def save_fact(connection: Connection, name: str, value: bytes) -> None:
    """Store *value* under *name*, replacing the previous value."""
    connection.execute(SAVE_FACT, {"name": name, "value": value})


def read_fact(path: Path, name: str) -> bytes | None:
    """Return the value of *name* from the database file at *path*, or None if it has none. Opens and closes the file.

    Raises:
        StorageError: the file cannot be read.
    """
    try:
        with closing(pysqlite3.connect(str(path))) as connection:
            has_facts = connection.execute(FIND_TABLE).fetchone() is not None
            return load_fact(connection, name) if has_facts else None
    except pysqlite3.Error as error:
        raise storage_error(error) from error
