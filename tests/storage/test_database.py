"""One writer, a few readers: whole transactions, and snapshots of what they leave."""

import asyncio
import logging
import threading
from collections.abc import Callable
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
    """With a table of different words beside the gateway's own."""
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


async def test_a_transaction_returns_what_its_function_does_and_is_seen_by_every_reader(
    database: Database, write: Write
) -> None:
    def work(connection: Connection, word: str, *, twice: str) -> str:
        add(connection, word)
        return twice * 2

    assert await write(work, "one", twice="ab") == "abab"
    assert [await database.read(words) for _ in range(3)] == [["one"]] * 3
    assert await database.read_batched(words) == ["one"]


async def test_a_transaction_that_fails_leaves_nothing_behind_and_the_next_one_works(
    database: Database, write: Write
) -> None:
    with pytest.raises(IntegrityError):
        await write(add, "one", "two", "one")
    assert await database.read(words) == []
    await write(add, "three")
    assert await database.read(words) == ["three"]


class Interrupted(BaseException):
    """As a signal would interrupt a transaction."""


async def test_an_interrupted_transaction_leaves_nothing_behind(database: Database, write: Write) -> None:
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


async def test_a_full_disk_fails_the_one_transaction_whole(database: Database, write: Write) -> None:
    def with_room(connection: Connection, pages: int) -> None:
        connection.execute(f"PRAGMA max_page_count = {pages}")

    await write(with_room, 1)  # SQLite keeps to the pages that there are
    with pytest.raises(StorageError, match="full"):
        await write(add, *(f"{number}" * 200 for number in range(1000)))
    assert await database.read(words) == []
    await write(with_room, 2**31)
    await write(add, "one")
    assert await database.read(words) == ["one"]


async def test_only_what_is_answered_for_waits_for_the_disk(database: Database) -> None:
    def synchronous(connection: Connection) -> int:
        level: int = connection.execute("PRAGMA synchronous").fetchone()[0]
        return level

    normal, full = 1, 2
    assert await database.write_durably(synchronous) == full
    assert await database.write(synchronous) == normal
    assert await database.write_durably(synchronous) == full


async def test_a_writer_that_is_cancelled_has_its_work_done_and_leaves_no_transaction_open(
    database: Database, write: Write
) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def slowly(connection: Connection) -> None:
        begun.set()
        assert go_on.wait(10)
        add(connection, "under way")

    under_way = asyncio.create_task(write(slowly))
    await asyncio.to_thread(begun.wait, 10)
    waiting = asyncio.create_task(write(add, "waiting"))
    await asyncio.sleep(0)
    for task in (under_way, waiting):
        task.cancel()
    await asyncio.gather(under_way, waiting, return_exceptions=True)
    assert under_way.cancelled()
    assert waiting.cancelled()
    go_on.set()
    await write(add, "after")
    assert await database.read(words) == ["after", "under way", "waiting"]


async def test_readers_cannot_write(read: Write) -> None:
    with pytest.raises(StorageError, match="readonly"):
        await read(add, "one")
    with pytest.raises(StorageError, match="readonly"):
        await read(execute, "DELETE FROM facts")
    assert await read(words) == []


async def test_a_reader_sees_one_snapshot_whatever_is_written_meanwhile(database: Database, read: Write) -> None:
    first_seen, go_on = threading.Event(), threading.Event()

    def look_twice(connection: Connection) -> tuple[list[str], list[str]]:
        first = words(connection)
        first_seen.set()
        assert go_on.wait(10)
        return first, words(connection)

    looking = asyncio.create_task(read(look_twice))
    await asyncio.to_thread(first_seen.wait, 10)
    await database.write(add, "one")
    go_on.set()
    assert await looking == ([], [])
    assert await read(words) == ["one"]


async def test_a_reader_that_is_cancelled_leaves_its_place_to_the_next(database: Database, read: Write) -> None:
    for _ in range(10):
        leaving = asyncio.create_task(read(words))
        await asyncio.sleep(0)
        leaving.cancel()
        await asyncio.gather(leaving, return_exceptions=True)
    await database.write(add, "one")
    assert await asyncio.gather(*(read(words) for _ in range(10))) == [["one"]] * 10


async def crowd_behind(database: Database, *queries: Callable[[Connection], Any]) -> list[Any]:
    """The outcomes of *queries*, gathered while an earlier read held the reader, in whichever hops they go."""
    held, go_on = threading.Event(), threading.Event()

    def hold(_: Connection) -> None:
        held.set()
        assert go_on.wait(10)

    holding = asyncio.create_task(database.read_batched(hold))
    await asyncio.to_thread(held.wait, 10)
    gathered = asyncio.gather(*(database.read_batched(query) for query in queries), return_exceptions=True)
    await asyncio.sleep(0)
    go_on.set()
    await holding
    return await gathered


async def test_reads_that_wait_share_one_snapshot(database: Database) -> None:
    seen, go_on = threading.Event(), threading.Event()

    def first(connection: Connection) -> list[str]:
        found = words(connection)
        seen.set()
        assert go_on.wait(10)
        return found

    gathered = asyncio.create_task(crowd_behind(database, first, words))
    await asyncio.to_thread(seen.wait, 10)
    await database.write(add, "one")
    go_on.set()
    assert await gathered == [[], []]
    assert await database.read_batched(words) == ["one"]


async def test_one_read_that_fails_fails_for_nobody_beside_it(database: Database) -> None:
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


async def test_each_of_a_crowd_larger_than_a_hop_gets_its_own_answer(database: Database) -> None:
    def answer(connection: Connection, number: int) -> int:
        doubled: int = connection.execute("SELECT 2 * ?", (number,)).fetchone()[0]
        return doubled

    numbers = range(3 * MAX_READ_BATCH + 1)
    assert await asyncio.gather(*(database.read_batched(answer, n) for n in numbers)) == [2 * n for n in numbers]


async def test_everything_runs_inside_a_transaction(database: Database) -> None:
    assert await database.read_batched(open_transaction)
    assert await database.read(open_transaction)
    assert await database.write(open_transaction)


async def test_reads_under_way_are_answered_before_the_database_closes(tmp_path: Path) -> None:
    async with Database.open(tmp_path / "closing.db") as database:
        asked = [asyncio.create_task(database.read_batched(lambda _: 1)) for _ in range(100)]
        await asyncio.sleep(0)
    assert await asyncio.gather(*asked) == [1] * 100


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
async def test_what_no_row_may_say_is_refused(database: Database, statement: str) -> None:
    def prepare(connection: Connection) -> None:
        connection.execute("INSERT INTO portals (portal_id, host, created_at) VALUES (1, 'p', 0), (2, 'q', 0)")
        connection.execute(ACCOUNT + "('b', 2, 'https://q', 'pending', NULL, 1, 0, 0)")

    await database.write(prepare)
    with pytest.raises(IntegrityError):
        await database.write(execute, statement)


@pytest.mark.parametrize(("found", "warned"), [((3, 51, 2), True), (SAFE_SQLITE, False), ((4, 0, 0), False)])
async def test_an_sqlite_with_a_known_defect_is_warned_of(
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


async def test_aiosqlite_still_runs_a_function_on_its_own_thread_with_the_connection_it_was_given() -> None:
    def where(connection: Connection, word: str) -> tuple[type, str, threading.Thread]:
        return type(connection), word, threading.current_thread()

    async with aiosqlite.Connection(lambda: pysqlite3.connect(":memory:"), 64) as connection:
        kind, word, thread = await connection._execute(where, connection._conn, "one")  # type: ignore[no-untyped-call]
    assert (kind, word) == (pysqlite3.Connection, "one")
    assert thread is not threading.current_thread()
