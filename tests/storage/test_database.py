"""Database transactions on the writer and snapshots on the readers."""

import asyncio
import logging
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from sqlite3 import Connection
from typing import Any

import aiosqlite
import pysqlite3
import pytest

from storage.database import MAX_READ_BATCH, SAFE_SQLITE, Database
from storage.errors import IntegrityError, StorageError
from tests.storage.samples import execute

Write = Callable[..., Any]


def add(connection: Connection, *words: str) -> None:
    for word in words:
        connection.execute("INSERT INTO words (word) VALUES (?)", (word,))


def words(connection: Connection) -> list[str]:
    return [word for (word,) in connection.execute("SELECT word FROM words ORDER BY word")]


def open_transaction(connection: Connection) -> bool:
    return connection.in_transaction


@pytest.fixture
async def database(database: Database) -> Database:
    """A database with an extra table of unique words."""
    await database.write(execute, "CREATE TABLE words (word TEXT PRIMARY KEY) STRICT")
    return database


@pytest.fixture(params=["write", "write_durably"])
def write(request: pytest.FixtureRequest, database: Database) -> Write:
    bound: Write = getattr(database, request.param)
    return bound


@pytest.fixture(params=["read", "read_batched"])
def read(request: pytest.FixtureRequest, database: Database) -> Write:
    bound: Write = getattr(database, request.param)
    return bound


async def test_write_returns_the_result_and_every_reader_sees_the_commit(database: Database, write: Write) -> None:
    def work(connection: Connection, word: str, *, twice: str) -> str:
        add(connection, word)
        return twice * 2

    assert await write(work, "one", twice="ab") == "abab"
    assert [await database.read(words) for _ in range(3)] == [["one"]] * 3
    assert await database.read_batched(words) == ["one"]


async def test_a_failed_transaction_is_rolled_back_and_the_next_one_works(database: Database, write: Write) -> None:
    with pytest.raises(IntegrityError):
        await write(add, "one", "two", "one")
    assert await database.read(words) == []
    await write(add, "three")
    assert await database.read(words) == ["three"]


class Interrupted(BaseException):
    """Interrupts a transaction as a signal would."""


async def test_an_interrupted_transaction_is_rolled_back(database: Database, write: Write) -> None:
    def work(connection: Connection) -> None:
        add(connection, "one")
        raise Interrupted

    with pytest.raises(Interrupted):
        await write(work)
    assert await database.read(words) == []
    await database.write(add, "two")
    assert await database.read(words) == ["two"]


async def test_a_transaction_that_ends_itself_is_reported(database: Database, write: Write) -> None:
    with pytest.raises(StorageError, match="no transaction"):
        await write(execute, "COMMIT")
    await write(add, "one")
    assert await database.read(words) == ["one"]


async def test_a_full_disk_rolls_back_the_whole_transaction(database: Database, write: Write) -> None:
    def with_room(connection: Connection, pages: int) -> None:
        connection.execute(f"PRAGMA max_page_count = {pages}")

    await write(with_room, 1)  # SQLite cannot grow the file beyond its pages
    with pytest.raises(StorageError, match="full"):
        await write(add, *(f"{number}" * 200 for number in range(1000)))
    assert await database.read(words) == []
    await write(with_room, 2**31)
    await write(add, "one")
    assert await database.read(words) == ["one"]


async def test_only_durable_writes_wait_for_the_disk(database: Database) -> None:
    def synchronous(connection: Connection) -> int:
        level: int = connection.execute("PRAGMA synchronous").fetchone()[0]
        return level

    normal, full = 1, 2
    assert await database.write_durably(synchronous) == full
    assert await database.write(synchronous) == normal
    assert await database.write_durably(synchronous) == full


async def test_a_cancelled_write_still_commits_and_closes_its_transaction(database: Database, write: Write) -> None:
    started, resume = threading.Event(), threading.Event()

    def slowly(connection: Connection) -> None:
        started.set()
        assert resume.wait(10)
        add(connection, "under way")

    under_way = asyncio.create_task(write(slowly))
    await asyncio.to_thread(started.wait, 10)
    waiting = asyncio.create_task(write(add, "waiting"))
    await asyncio.sleep(0)
    for task in (under_way, waiting):
        task.cancel()
    await asyncio.gather(under_way, waiting, return_exceptions=True)
    assert under_way.cancelled()
    assert waiting.cancelled()
    resume.set()
    await write(add, "after")
    assert await database.read(words) == ["after", "under way", "waiting"]


async def test_readers_cannot_write(read: Write) -> None:
    with pytest.raises(StorageError, match="readonly"):
        await read(add, "one")
    with pytest.raises(StorageError, match="readonly"):
        await read(execute, "DELETE FROM facts")
    assert await read(words) == []


async def test_a_read_sees_one_snapshot_during_writes(database: Database, read: Write) -> None:
    first_seen, resume = threading.Event(), threading.Event()

    def look_twice(connection: Connection) -> tuple[list[str], list[str]]:
        first = words(connection)
        first_seen.set()
        assert resume.wait(10)
        return first, words(connection)

    looking = asyncio.create_task(read(look_twice))
    await asyncio.to_thread(first_seen.wait, 10)
    await database.write(add, "one")
    resume.set()
    assert await looking == ([], [])
    assert await read(words) == ["one"]


async def test_a_cancelled_read_frees_its_reader(database: Database, read: Write) -> None:
    for _ in range(10):
        leaving = asyncio.create_task(read(words))
        await asyncio.sleep(0)
        leaving.cancel()
        await asyncio.gather(leaving, return_exceptions=True)
    await database.write(add, "one")
    assert await asyncio.gather(*(read(words) for _ in range(10))) == [["one"]] * 10


async def crowd_behind(database: Database, *queries: Callable[[Connection], Any]) -> list[Any]:
    """Return the outcomes of *queries* submitted while an earlier read blocks the batch reader."""
    held, resume = threading.Event(), threading.Event()

    def hold(_: Connection) -> None:
        held.set()
        assert resume.wait(10)

    holding = asyncio.create_task(database.read_batched(hold))
    await asyncio.to_thread(held.wait, 10)
    gathered = asyncio.gather(*(database.read_batched(query) for query in queries), return_exceptions=True)
    await asyncio.sleep(0)
    resume.set()
    await holding
    return await gathered


async def test_pending_batched_reads_share_one_snapshot(database: Database) -> None:
    seen, resume = threading.Event(), threading.Event()

    def first(connection: Connection) -> list[str]:
        found = words(connection)
        seen.set()
        assert resume.wait(10)
        return found

    gathered = asyncio.create_task(crowd_behind(database, first, words))
    await asyncio.to_thread(seen.wait, 10)
    await database.write(add, "one")
    resume.set()
    assert await gathered == [[], []]
    assert await database.read_batched(words) == ["one"]


async def test_a_failed_read_does_not_fail_others_in_its_batch(database: Database) -> None:
    await database.write(add, "one")

    def broken(connection: Connection) -> Any:
        return connection.execute("SELECT nothing FROM nowhere")

    def missing(_: Connection) -> Any:
        raise LookupError("not there")

    before, no_table, not_there, after = await crowd_behind(database, words, broken, missing, words)
    assert (before, after) == (["one"], ["one"])
    assert isinstance(no_table, StorageError)
    assert isinstance(not_there, LookupError)
    assert await database.read_batched(words) == ["one"]


async def test_more_reads_than_a_batch_holds_each_get_their_own_result(database: Database) -> None:
    def answer(connection: Connection, number: int) -> int:
        doubled: int = connection.execute("SELECT 2 * ?", (number,)).fetchone()[0]
        return doubled

    numbers = range(3 * MAX_READ_BATCH + 1)
    assert await asyncio.gather(*(database.read_batched(answer, n) for n in numbers)) == [2 * n for n in numbers]


async def test_everything_runs_inside_a_transaction(database: Database) -> None:
    assert await database.read_batched(open_transaction)
    assert await database.read(open_transaction)
    assert await database.write(open_transaction)


async def test_closing_the_database_waits_for_batched_reads(tmp_path: Path) -> None:
    async with Database.open(tmp_path / "closing.db") as database:
        reads = [asyncio.create_task(database.read_batched(lambda _: 1)) for _ in range(100)]
        await asyncio.sleep(0)
    assert await asyncio.gather(*reads) == [1] * 100


@pytest.mark.parametrize(("existing", "page_bytes"), [(None, 8192), (4096, 4096)])
async def test_new_files_have_large_pages_and_others_keep_theirs(
    tmp_path: Path, existing: int | None, page_bytes: int
) -> None:
    path = tmp_path / "gateway.db"
    if existing is not None:
        with closing(pysqlite3.connect(path)) as connection:
            connection.executescript(f"PRAGMA page_size = {existing}; PRAGMA journal_mode = WAL; VACUUM")
    async with Database.open(path) as database:
        await database.check_writable(1)
        assert await database.read(lambda connection: connection.execute("PRAGMA page_size").fetchone()) == (
            page_bytes,
        )


async def test_a_database_that_cannot_be_written_is_not_writable(database: Database) -> None:
    await database.check_writable(1)
    await database.write(execute, "ALTER TABLE facts RENAME TO elsewhere")
    with pytest.raises(StorageError):
        await database.check_writable(2)


ACCOUNT = "INSERT INTO accounts (account_key, portal_id, origin, kind, sealed, stale, deleted, created_at) VALUES "


@pytest.mark.parametrize(
    "statement",
    [
        ACCOUNT + "('a', 99, 'https://p', 'pending', NULL, 1, 0, 0)",
        ACCOUNT + "('a', 1, 'https://p', 'oauth', NULL, 0, 0, 0)",
        ACCOUNT + "('a', 1, 'https://p', 'pending', x'00', 1, 0, 0)",
        ACCOUNT + "('a', 1, 'https://p', 'password', x'00', 1, 0, 0)",
        ACCOUNT + "('a', 1, 'https://p', 'pending', NULL, 2, 0, 0)",
        ACCOUNT + "('a', 1, 'https://p', 'pending', NULL, 1, 0, 'today')",
        "INSERT INTO portals (host, member_id, created_at) VALUES (NULL, NULL, 0)",
        "INSERT INTO portals (host, member_id, created_at) VALUES ('p', 'm', 0)",
        "DELETE FROM portals WHERE portal_id = 2",
    ],
)
async def test_constraints_reject_invalid_rows(database: Database, statement: str) -> None:
    def prepare(connection: Connection) -> None:
        connection.execute("INSERT INTO portals (portal_id, host, created_at) VALUES (1, 'p', 0), (2, 'q', 0)")
        connection.execute(ACCOUNT + "('b', 2, 'https://q', 'pending', NULL, 1, 0, 0)")

    await database.write(prepare)
    with pytest.raises(IntegrityError):
        await database.write(execute, statement)


@pytest.mark.parametrize(("found", "warned"), [((3, 51, 2), True), (SAFE_SQLITE, False), ((4, 0, 0), False)])
async def test_a_defective_sqlite_version_logs_a_warning(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    found: tuple[int, int, int],
    warned: bool,
) -> None:
    monkeypatch.setattr(pysqlite3, "sqlite_version_info", found)
    with caplog.at_level(logging.WARNING):
        async with Database.open(tmp_path / "gateway.db"):
            pass
    assert ("use 3.51.3 or later" in caplog.text) is warned


async def test_aiosqlite_runs_a_function_on_its_thread_with_the_given_connection() -> None:
    def where(connection: Connection, word: str) -> tuple[type, str, threading.Thread]:
        return type(connection), word, threading.current_thread()

    async with aiosqlite.Connection(lambda: pysqlite3.connect(":memory:"), 64) as connection:
        kind, word, thread = await connection._execute(where, connection._conn, "one")  # type: ignore[no-untyped-call]
    assert (kind, word) == (pysqlite3.Connection, "one")
    assert thread is not threading.current_thread()
