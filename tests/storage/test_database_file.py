"""The database file: lock, permissions, foreign files and migrations."""

import os
import stat
from pathlib import Path
from sqlite3 import Connection
from typing import Any

import pysqlite3
import pytest

from storage.database import Database, migrations
from storage.errors import DatabaseInUse, DatabaseTooNew, ForeignDatabase, StorageError
from tests.storage.samples import execute

SCHEMA_SQL = Path(__file__).parents[2] / "storage" / "schema.sql"
NEWEST = migrations()[-1][0]


async def test_a_second_database_on_the_same_file_is_refused_until_the_first_closes(tmp_path: Path) -> None:
    path = tmp_path / "gateway.db"
    async with Database.open(path):
        with pytest.raises(DatabaseInUse, match=r"gateway\.db is in use"):
            async with Database.open(path):
                pass
        with pytest.raises(DatabaseInUse):  # the refused attempt did not release the lock
            async with Database.open(path):
                pass
    async with Database.open(path) as database:
        await database.check_writable(1)


async def test_a_second_gateway_is_refused_through_a_link_too(tmp_path: Path) -> None:
    path, link = tmp_path / "gateway.db", tmp_path / "alias.db"
    link.symlink_to(path)
    for first, second in ((path, link), (link, path)):
        async with Database.open(first):
            with pytest.raises(DatabaseInUse, match=rf"{second.name} is in use"):
                async with Database.open(second):
                    pass


@pytest.mark.parametrize("umask", [0, 0o22])
async def test_only_the_owner_can_read_a_new_database(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        async with Database.open(tmp_path / "gateway.db") as database:
            await database.check_writable(1)
            made = modes(tmp_path)
    finally:
        os.umask(before)
    assert made == {f"gateway.db{end}": 0o600 for end in ("", "-wal", "-shm", ".lock")}


def modes(directory: Path) -> dict[str, int]:
    return {file.name: stat.S_IMODE(file.stat().st_mode) for file in directory.iterdir()}


@pytest.mark.parametrize(
    "made",
    ["CREATE TABLE songs (name TEXT)", "PRAGMA application_id = 7", "CREATE TABLE rules (a); PRAGMA user_version = 1"],
)
async def test_a_database_of_another_program_is_refused_and_not_changed(tmp_path: Path, made: str) -> None:
    path = tmp_path / "music.db"
    connection = connect(path)
    connection.executescript(made)
    connection.close()
    before = path.read_bytes()
    with pytest.raises(ForeignDatabase, match=r"music\.db is the database of another program: use another file"):
        async with Database.open(path):
            pass
    assert path.read_bytes() == before


async def test_a_database_of_a_newer_gateway_is_refused_and_not_changed(tmp_path: Path) -> None:
    path = tmp_path / "gateway.db"
    async with Database.open(path) as database:
        await database.write(execute, f"PRAGMA user_version = {NEWEST + 1}")
    before = shapes(path)
    with pytest.raises(DatabaseTooNew, match=f"version {NEWEST + 1}.*up to {NEWEST}: install a newer gateway"):
        async with Database.open(path):
            pass
    assert (version(path), shapes(path)) == (NEWEST + 1, before)
    with connect(path) as connection:  # the refused attempt released the lock
        connection.execute(f"PRAGMA user_version = {NEWEST}")
    connection.close()
    async with Database.open(path):
        pass


def connect(path: Path) -> Connection:
    connection: Connection = pysqlite3.connect(str(path), isolation_level=None)
    return connection


def version(path: Path) -> int:
    connection = connect(path)
    number: int = connection.execute("PRAGMA user_version").fetchone()[0]
    connection.close()
    return number


def shapes(path: Path) -> dict[str, Any]:
    """Return every table of the file as reported by PRAGMAs; SQL texts differ after ALTER TABLE."""
    connection = connect(path)
    tables = {name: rest for _, name, *rest in connection.execute("PRAGMA main.table_list") if "sqlite_" not in name}
    found = {
        name: (
            kind,
            connection.execute(f"PRAGMA table_xinfo({name})").fetchall(),
            sorted(row[2:] for row in connection.execute(f"PRAGMA foreign_key_list({name})")),
            {
                index: (rest, connection.execute(f"PRAGMA index_xinfo({index})").fetchall())
                for _, index, *rest in connection.execute(f"PRAGMA index_list({name})")
            },
        )
        for name, kind in tables.items()
    }
    connection.close()
    return found


async def test_migrations_and_schema_sql_build_the_same_tables(tmp_path: Path) -> None:
    migrated, declared = tmp_path / "migrated.db", tmp_path / "declared.db"
    async with Database.open(migrated):
        pass
    connection = connect(declared)
    connection.executescript(SCHEMA_SQL.read_text(encoding="utf-8"))
    connection.close()
    assert shapes(migrated) == shapes(declared)
    assert len(shapes(migrated)) > 5


def test_migration_numbers_have_no_gaps() -> None:
    assert [number for number, _ in migrations()] == list(range(1, NEWEST + 1))


@pytest.mark.parametrize("earlier", range(NEWEST + 1))
async def test_a_database_of_an_earlier_version_is_migrated_at_start(tmp_path: Path, earlier: int) -> None:
    path, fresh = tmp_path / "earlier.db", tmp_path / "fresh.db"
    connection = connect(path)
    for number, sql in migrations()[:earlier]:
        connection.executescript(f"{sql}; PRAGMA user_version = {number};")
    connection.close()
    for start in (path, path, fresh):  # the second start finds nothing to do
        async with Database.open(start) as database:
            await database.check_writable(1)
    assert version(path) == NEWEST
    assert shapes(path) == shapes(fresh)


async def test_a_failed_migration_is_rolled_back(tmp_path: Path) -> None:
    path = tmp_path / "gateway.db"
    connection = connect(path)
    connection.execute("CREATE VIEW rules AS SELECT 1")  # the first migration creates a table of that name, last
    connection.close()
    with pytest.raises(StorageError, match="already exists"):
        async with Database.open(path):
            pass
    assert (version(path), list(shapes(path))) == (0, ["rules"])
    connection = connect(path)
    connection.execute("DROP VIEW rules")
    connection.close()
    async with Database.open(path) as database:
        await database.check_writable(1)


async def test_a_file_that_is_not_a_database_is_refused_and_not_changed(tmp_path: Path) -> None:
    path = tmp_path / "letter.txt"
    path.write_text("Dear Sir or Madam" * 100)
    with pytest.raises(StorageError, match="not a database"):
        async with Database.open(path):
            pass
    assert path.read_text() == "Dear Sir or Madam" * 100


async def test_files_readable_by_others_are_restricted_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "gateway.db"
    async with Database.open(path):
        pass
    path.chmod(0o640)
    os.close(os.open(f"{path}-wal", os.O_CREAT, 0o604))
    async with Database.open(path):
        assert set(modes(tmp_path).values()) == {0o600}
    warnings = {
        vars(record)["file"]: vars(record)["mode"] for record in caplog.records if record.levelname == "WARNING"
    }
    assert warnings == {str(path): "0640", f"{path}-wal": "0604"}
    caplog.clear()
    async with Database.open(path):
        pass
    assert not caplog.records


async def test_a_migration_is_logged_with_both_versions(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    for _ in range(2):
        async with Database.open(tmp_path / "gateway.db"):
            pass
    (line,) = [vars(record) for record in caplog.records if record.getMessage() == "migrated the database"]
    assert (line["from_version"], line["to_version"]) == (0, NEWEST)
