"""Stores named values about the database itself."""

from contextlib import closing
from pathlib import Path
from sqlite3 import Connection

import pysqlite3

from storage.database import Database
from storage.errors import storage_error

LOAD_FACT = "SELECT value FROM facts WHERE name = :name"
SAVE_FACT = "INSERT OR REPLACE INTO facts (name, value) VALUES (:name, :value)"
ADD_FACT = "INSERT OR IGNORE INTO facts (name, value) VALUES (:name, :value)"
DELETE_FACT = "DELETE FROM facts WHERE name = :name"
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

    async def add(self, name: str, value: bytes) -> bytes:
        """Store *value* under *name* unless it has a value already. Return the value that it has then."""
        return await self._database.write_durably(_add_fact, name, value)


def load_fact(connection: Connection, name: str) -> bytes | None:
    """Return the value of *name*, or None if it was never saved."""
    row: tuple[bytes] | None = connection.execute(LOAD_FACT, {"name": name}).fetchone()
    return row and row[0]


def save_fact(connection: Connection, name: str, value: bytes) -> None:
    """Store *value* under *name*, replacing the previous value."""
    connection.execute(SAVE_FACT, {"name": name, "value": value})


def delete_fact(connection: Connection, name: str) -> None:
    """Delete the value of *name*, if it has one."""
    connection.execute(DELETE_FACT, {"name": name})


def _add_fact(connection: Connection, name: str, value: bytes) -> bytes:
    connection.execute(ADD_FACT, {"name": name, "value": value})
    stored: tuple[bytes] = connection.execute(LOAD_FACT, {"name": name}).fetchone()
    return stored[0]


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
