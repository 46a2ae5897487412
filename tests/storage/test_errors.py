"""Classification of SQLite errors: temporary, damaged or other."""

import sqlite3
from pathlib import Path
from sqlite3 import Connection

import pysqlite3
import pytest

from storage.database import Database
from storage.errors import IntegrityError, StorageDamaged, StorageError, StorageUnavailable, storage_error
from tests.storage.samples import execute
from tests.support.stored import damage


def kind_of(code: int) -> type[StorageError]:
    """Return our error for the result code *code*."""
    error = pysqlite3.OperationalError("words")
    error.sqlite_errorcode = code
    return type(storage_error(error))


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("SQLITE_FULL", StorageUnavailable),
        ("SQLITE_IOERR_WRITE", StorageUnavailable),
        ("SQLITE_IOERR_FSYNC", StorageUnavailable),
        ("SQLITE_READONLY", StorageUnavailable),
        ("SQLITE_BUSY", StorageUnavailable),
        ("SQLITE_BUSY_SNAPSHOT", StorageUnavailable),
        ("SQLITE_CANTOPEN", StorageUnavailable),
        ("SQLITE_CORRUPT", StorageDamaged),
        ("SQLITE_CORRUPT_INDEX", StorageDamaged),
        ("SQLITE_NOTADB", StorageDamaged),
        ("SQLITE_ERROR", StorageError),
        ("SQLITE_MISUSE", StorageError),
    ],
)
def test_result_codes_map_to_errors(name: str, kind: type[StorageError]) -> None:
    assert kind_of(getattr(sqlite3, name)) is kind


async def test_a_full_disk_and_a_violated_constraint_raise_different_errors(database: Database) -> None:
    def fill(connection: Connection) -> None:
        connection.execute("PRAGMA max_page_count = 1")
        connection.execute("INSERT INTO facts (name, value) VALUES ('large', zeroblob(1000000))")

    with pytest.raises(StorageUnavailable, match="full"):
        await database.write(fill)
    with pytest.raises(IntegrityError):
        await database.write(execute, "INSERT INTO facts (name, value) VALUES ('none', NULL)")
    with pytest.raises(StorageError, match="no such table") as caught:
        await database.write(execute, "DELETE FROM nowhere")
    assert caught.type is StorageError


@pytest.mark.parametrize("gathered", [True, False])
async def test_damage_is_recorded_by_every_kind_of_access(
    tmp_path: Path, gathered: bool, caplog: pytest.LogCaptureFixture
) -> None:
    def look(connection: Connection) -> None:
        connection.execute("SELECT body FROM rules").fetchall()

    path = tmp_path / "gateway.db"
    async with Database.open(path):
        pass
    damage(path, "rules")
    async with Database.open(path) as database:
        await database.check_writable(1)
        for _ in range(2):
            with pytest.raises(StorageDamaged, match="the database is damaged"):
                await (database.read_batched(look) if gathered else database.read(look))
        with pytest.raises(StorageDamaged):
            await database.check_writable(2)
    assert [record.levelname for record in caplog.records if "damaged" in record.getMessage()] == ["ERROR"]
