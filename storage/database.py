"""One SQLite file: one writer, a few readers, migrations, and a lock that keeps a second gateway out.

The only module that knows how aiosqlite and pysqlite3 meet: a connection is aiosqlite's thread around pysqlite3's
connection, and running one plain function on that thread is aiosqlite's private `_execute` (a test pins it).
"""

import asyncio
import logging
import re
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, closing
from functools import partial
from importlib.resources import files
from pathlib import Path
from sqlite3 import Connection
from typing import Any, Concatenate, ParamSpec, TypeVar, cast

import aiosqlite
import pysqlite3

from storage.database_file import LockFile, lock_database, make_file, refuse_foreign
from storage.errors import DatabaseTooNew, StorageDamaged, StorageError, storage_error

logger = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")

READERS = 2
READS_A_HOP = 32
SAFE_SQLITE = (3, 51, 3)  # before it, a WAL reset race between connections can corrupt the file: sqlite.org/wal.html
MIGRATION_NAME = re.compile(r"(\d{4})_\w+\.sql")

WRITER_PRAGMAS = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = NORMAL",
    "PRAGMA foreign_keys = ON",
    "PRAGMA journal_size_limit = 67108864",
    "PRAGMA busy_timeout = 5000",
)
READER_PRAGMAS = ("PRAGMA query_only = ON", "PRAGMA busy_timeout = 5000")


class Database:
    """An open database file. All reads and writes are plain functions run on a connection's own thread."""

    def __init__(
        self,
        path: Path,
        lock: LockFile,
        writer: aiosqlite.Connection,
        pages: aiosqlite.Connection,
        readers: list[aiosqlite.Connection],
    ) -> None:
        self.path = path
        self.lock = lock
        self.damage: StorageDamaged | None = None  # the first that was met; only a person can repair it
        self._writer = writer
        self._pages = pages
        self._readers = asyncio.Queue[aiosqlite.Connection]()
        for reader in readers:
            self._readers.put_nowait(reader)
        self._waiting: deque[tuple[asyncio.Future[Any], Callable[[Connection], Any]]] = deque()
        self._hop: asyncio.Task[None] | None = None

    @classmethod
    @asynccontextmanager
    async def open(cls, path: Path) -> AsyncIterator["Database"]:
        """The database at *path*, made when absent, for its owner alone, and migrated to the newest version.

        Raises:
            DatabaseInUse: when another process holds it, under this name or through a link.
            DatabaseTooNew: when its version is above the newest migration here.
            ForeignDatabase: when another program made it; it is left as it is.
            OSError, StorageError: when it cannot be opened; StorageDamaged says what to do.
        """
        async with AsyncExitStack() as stack:
            lock = stack.enter_context(closing(lock_database(path)))
            path = make_file(path)
            refuse_foreign(path)
            if pysqlite3.sqlite_version_info < SAFE_SQLITE:
                logger.warning("SQLite %s has a known WAL defect: use 3.51.3 or later", pysqlite3.sqlite_version)
            writer = await stack.enter_async_context(_connect(path, WRITER_PRAGMAS))
            before, after = await _run(writer, _migrate)
            if before != after:
                told = {"database": str(path), "from_version": before, "to_version": after}
                logger.info("migrated the database", extra=told)
            pages = await stack.enter_async_context(_connect(path, READER_PRAGMAS))
            readers = [await stack.enter_async_context(_connect(path, READER_PRAGMAS)) for _ in range(READERS)]
            database = cls(path, lock, writer, pages, readers)
            stack.push_async_callback(database._end_hop)
            yield database

    async def write(
        self, transaction: Callable[Concatenate[Connection, P], T], /, *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """What *transaction* returns, after it ran alone under BEGIN IMMEDIATE and was committed, whole or not at all.

        It runs to its end even when the caller is cancelled meanwhile. A crash of the machine may lose it.
        """
        return await self._run(self._writer, _transact, "NORMAL", lambda con: transaction(con, *args, **kwargs))

    async def write_durably(
        self, transaction: Callable[Concatenate[Connection, P], T], /, *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """As `write`, and on disk before it returns: for what we answer for (tokens, accounts, rules)."""
        return await self._run(self._writer, _transact, "FULL", lambda con: transaction(con, *args, **kwargs))

    async def read(self, query: Callable[Concatenate[Connection, P], T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """What *query* returns, run within one snapshot on a connection that cannot write."""
        reader = await self._readers.get()
        try:
            return await self._run(reader, _snapshot, lambda con: query(con, *args, **kwargs))
        finally:
            self._readers.put_nowait(reader)

    async def read_batched(
        self, query: Callable[Concatenate[Connection, P], T], /, *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """As `read`, for short reads that come in crowds: those that wait share the next hop, one snapshot for all."""
        answer: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._waiting.append((answer, lambda con: query(con, *args, **kwargs)))
        if self._hop is None:
            self._hop = asyncio.create_task(self._serve_waiting(), name="gathered reads")
        return await answer

    async def _serve_waiting(self) -> None:
        while self._waiting:
            crowd = [self._waiting.popleft() for _ in range(min(READS_A_HOP, len(self._waiting)))]
            queries = [query for _, query in crowd]
            try:
                outcomes = await self._run(self._pages, _snapshot, partial(_each, queries))
            except StorageError as error:
                outcomes = [(None, error)] * len(crowd)
            for (answer, _), (result, failure) in zip(crowd, outcomes, strict=True):
                if isinstance(failure, StorageDamaged):
                    self._note_damage(failure)
                if answer.done():  # its caller has left
                    continue
                if failure is not None:
                    answer.set_exception(failure)
                else:
                    answer.set_result(result)
        self._hop = None

    async def _end_hop(self) -> None:
        if self._hop is not None:
            await self._hop

    async def check_writable(self, now: int) -> None:
        """Commit a mark to the file.

        Raises:
            StorageDamaged: when damage was met before, anywhere in the file.
            StorageError: when it cannot be written.
        """
        if self.damage is not None:
            raise self.damage
        await self.write(_mark, now)

    async def _run(self, connection: aiosqlite.Connection, function: Callable[..., T], *args: Any) -> T:
        try:
            return await _run(connection, function, *args)
        except StorageDamaged as error:
            self._note_damage(error)
            raise

    def _note_damage(self, error: StorageDamaged) -> None:
        """Log the first damage that is met, and remember it."""
        if self.damage is None:
            self.damage = error
            logger.error("%s", error, extra={"database": str(self.path)})


def _each(queries: list[Callable[[Connection], Any]], connection: Connection) -> list[tuple[Any, Exception | None]]:
    return [_outcome(query, connection) for query in queries]


def _outcome(query: Callable[[Connection], T], connection: Connection) -> tuple[T | None, Exception | None]:
    try:
        return query(connection), None
    except pysqlite3.Error as error:
        return None, storage_error(error)
    except Exception as error:  # noqa: BLE001  handed to the one who asked, and to nobody beside
        return None, error


@asynccontextmanager
async def _connect(path: Path, pragmas: tuple[str, ...]) -> AsyncIterator[aiosqlite.Connection]:
    connection = aiosqlite.Connection(lambda: pysqlite3.connect(str(path), isolation_level=None), 64)
    try:
        await connection
    except BaseException as error:  # aiosqlite leaves its thread to itself, and the loop may be closed next
        connection._thread.join()
        if isinstance(error, pysqlite3.Error):
            raise storage_error(error) from error
        raise
    try:
        await _run(connection, _set_up, pragmas)
        yield connection
    finally:
        await connection.close()


def _set_up(connection: Connection, pragmas: tuple[str, ...]) -> None:
    for pragma in pragmas:
        connection.execute(pragma)


async def _run(connection: aiosqlite.Connection, function: Callable[..., T], *args: Any) -> T:
    try:
        return cast("T", await connection._execute(function, connection._conn, *args))  # type: ignore[no-untyped-call]
    except pysqlite3.Error as error:
        raise storage_error(error) from error


def _transact(connection: Connection, synchronous: str, work: Callable[[Connection], T]) -> T:
    if connection.in_transaction:
        raise RuntimeError("the writer was left inside a transaction")
    connection.execute(f"PRAGMA synchronous = {synchronous}")
    connection.execute("BEGIN IMMEDIATE")
    try:
        result = work(connection)
        connection.execute("COMMIT")
    except BaseException:
        connection.rollback()  # nothing where a full disk has ended the transaction by itself
        raise
    return result


def _snapshot(connection: Connection, work: Callable[[Connection], T]) -> T:
    connection.execute("BEGIN")
    try:
        return work(connection)
    finally:
        connection.execute("ROLLBACK")


MARK_READY = "INSERT OR REPLACE INTO facts (name, value) VALUES ('ready_at', CAST(:now AS BLOB))"


def _mark(connection: Connection, now: int) -> None:
    connection.execute(MARK_READY, {"now": str(now)})


def migrations() -> list[tuple[int, str]]:
    """Number and SQL of every migration, in order."""
    return sorted(
        (int(match[1]), entry.read_text(encoding="utf-8"))
        for entry in (files("storage") / "migrations").iterdir()
        if (match := MIGRATION_NAME.fullmatch(entry.name))
    )


def _migrate(connection: Connection) -> tuple[int, int]:
    """The version that the file had, and the one that it has now."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    steps = migrations()
    if version > steps[-1][0]:
        raise DatabaseTooNew(
            f"the database has version {version}, this gateway knows up to {steps[-1][0]}: install a newer gateway"
        )
    for number, sql in steps:
        if number > version:
            try:
                connection.executescript(f"BEGIN IMMEDIATE;\n{sql}\nPRAGMA user_version = {number};\nCOMMIT;")
            except BaseException:
                connection.rollback()
                raise
    return version, steps[-1][0]
