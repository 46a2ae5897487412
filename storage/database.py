"""An SQLite database with one writer, several readers, migrations and a lock against a second gateway.

Only this module combines aiosqlite and pysqlite3: a connection is an aiosqlite thread that owns a pysqlite3 connection.
Plain functions run on that thread through aiosqlite's private `_execute`, whose behaviour a test verifies.
"""

import asyncio
import logging
import re
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, closing
from functools import cache, partial
from importlib.resources import files
from pathlib import Path
from sqlite3 import Connection
from threading import Event
from typing import Any, Concatenate, ParamSpec, TypeVar, cast

import aiosqlite
import pysqlite3

from storage.database_file import LockFile, create_file, existing_version, lock_database, refuse_foreign
from storage.errors import DatabaseInUse, DatabaseTooNew, StorageDamaged, StorageError, storage_error

logger = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")

READERS = 2
QUERY_READERS = 2  # for queries that may take long
STOP_CHECK_STEPS = 200_000  # of SQLite's virtual machine, some 10 ms: each check waits for the GIL
MAX_READ_BATCH = 32
SAFE_SQLITE = (3, 51, 3)  # earlier versions can corrupt the file in a WAL reset race: sqlite.org/wal.html
MIGRATION_NAME = re.compile(r"(\d{4})_\w+\.sql")

# Each transaction of a sync changes a few rows in each of many pages of the indexes, at about the same places. Large
# pages, a cache that holds the changed ones, and rare checkpoints save more than half of the writes.
WRITER_PRAGMAS = (
    "PRAGMA page_size = 8192",  # of new files; others keep theirs
    "PRAGMA journal_mode = WAL",
    "PRAGMA cache_size = -32768",
    "PRAGMA wal_autocheckpoint = 4000",
    "PRAGMA synchronous = NORMAL",
    "PRAGMA foreign_keys = ON",
    "PRAGMA journal_size_limit = 67108864",
    "PRAGMA busy_timeout = 5000",
)
READER_PRAGMAS = ("PRAGMA query_only = ON", "PRAGMA busy_timeout = 5000")


class Database:
    """An open database file. Reads and writes are plain functions that run on the thread of a connection."""

    def __init__(
        self,
        path: Path,
        lock: LockFile | None,
        writer: aiosqlite.Connection,
        batch_reader: aiosqlite.Connection,
        readers: list[aiosqlite.Connection],
        query_readers: list[aiosqlite.Connection],
    ) -> None:
        self.path = path
        self.lock = lock  # None beside a gateway
        self.damage: StorageDamaged | None = None  # the first damage found; repairing it needs an operator
        self._writer = writer
        self._batch_reader = batch_reader
        self._readers = asyncio.Queue[aiosqlite.Connection]()
        self._query_readers = asyncio.Queue[aiosqlite.Connection]()
        for reader in readers:
            self._readers.put_nowait(reader)
        for reader in query_readers:
            self._query_readers.put_nowait(reader)
        self._pending: deque[tuple[asyncio.Future[Any], Callable[[Connection], Any]]] = deque()
        self._batches: asyncio.Task[None] | None = None

    @classmethod
    @asynccontextmanager
    async def open(cls, path: Path) -> AsyncIterator["Database"]:
        """Open the database at *path* and migrate it to the newest version.

        Creates the file, readable by its owner only, if it does not exist.

        Raises:
            DatabaseInUse: another process has it open, under this name or through a link.
            DatabaseTooNew: its version is newer than the newest migration.
            ForeignDatabase: another program created it; the file is not changed.
            OSError, StorageError: it cannot be opened; the message of StorageDamaged says what to do.
        """
        async with AsyncExitStack() as stack:
            lock = stack.enter_context(closing(lock_database(path)))
            path = create_file(path)
            refuse_foreign(path)
            writer = await stack.enter_async_context(_connect_writer(path))
            before, after = await _run(writer, _migrate)
            if before != after:
                versions = {"from_version": before, "to_version": after}
                logger.info("migrated the database", extra={"database": str(path), **versions})
            yield await stack.enter_async_context(cls._with_readers(path, lock, writer))

    @classmethod
    @asynccontextmanager
    async def open_beside(cls, path: Path) -> AsyncIterator["Database"]:
        """Open the database at *path* without its lock, so that a gateway may have it open, or start meanwhile.

        SQLite makes the transactions of both wait for each other. A transaction that writes calls `require_known`. A
        file that is missing or must be migrated is opened as by `open`.

        Raises:
            DatabaseInUse: it must be migrated, and a gateway has it open.
            DatabaseTooNew, ForeignDatabase, OSError, StorageError: as `open`.
        """
        version = existing_version(path)
        _refuse_newer(version)
        async with AsyncExitStack() as stack:
            if version == newest_version():
                path = create_file(path)
                writer = await stack.enter_async_context(_connect_writer(path))
                yield await stack.enter_async_context(cls._with_readers(path, None, writer))
                return
            try:
                database = await stack.enter_async_context(cls.open(path))
            except DatabaseInUse as error:
                raise DatabaseInUse(
                    f"{path} has version {version}, this bitrix-gateway needs {newest_version()}, and a running "
                    "gateway has it open: use the bitrix-gateway that runs, or restart the gateway with this one. If "
                    "the gateway is just starting, try again"
                ) from error
            yield database

    @classmethod
    @asynccontextmanager
    async def _with_readers(
        cls, path: Path, lock: LockFile | None, writer: aiosqlite.Connection
    ) -> AsyncIterator["Database"]:
        async with AsyncExitStack() as stack:
            batch_reader = await stack.enter_async_context(_connect(path, READER_PRAGMAS))
            readers, query_readers = [
                [await stack.enter_async_context(_connect(path, READER_PRAGMAS)) for _ in range(count)]
                for count in (READERS, QUERY_READERS)
            ]
            database = cls(path, lock, writer, batch_reader, readers, query_readers)
            stack.push_async_callback(database._finish_batches)
            yield database

    async def write(
        self, transaction: Callable[Concatenate[Connection, P], T], /, *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Run *transaction* under BEGIN IMMEDIATE, commit it and return its result. On an exception, roll it back.

        It runs to completion even if the caller is cancelled. A crash of the machine may lose it.
        """
        return await self._run(self._writer, _transact, "NORMAL", lambda con: transaction(con, *args, **kwargs))

    async def write_durably(
        self, transaction: Callable[Concatenate[Connection, P], T], /, *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Like `write`, but on disk before it returns: for data we must not lose (tokens, accounts, rules)."""
        return await self._run(self._writer, _transact, "FULL", lambda con: transaction(con, *args, **kwargs))

    async def read(self, query: Callable[Concatenate[Connection, P], T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Run *query* in one snapshot on a read-only connection and return its result."""
        reader = await self._readers.get()
        try:
            return await self._run(reader, _snapshot, lambda con: query(con, *args, **kwargs))
        finally:
            self._readers.put_nowait(reader)

    async def query(
        self,
        timeout: AbstractAsyncContextManager[object],
        query: Callable[Concatenate[Connection, P], T],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """As `read`, on connections for queries that may take long. *timeout* begins once a connection is free.

        Raises:
            TimeoutError: *timeout* ended, and the query was interrupted.
        """
        reader = await self._query_readers.get()
        stopped = Event()
        work = partial(_stoppable, stopped, lambda con: query(con, *args, **kwargs))
        running = asyncio.ensure_future(self._run(reader, _snapshot, work))
        try:
            async with timeout:
                return await asyncio.shield(running)
        finally:
            if not running.done():
                stopped.set()
                await asyncio.wait([running])
                running.exception()  # the interruption
            self._query_readers.put_nowait(reader)

    async def read_batched(
        self, query: Callable[Concatenate[Connection, P], T], /, *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Like `read`, for many short concurrent queries: pending ones run as one batch in a shared snapshot."""
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._pending.append((future, lambda con: query(con, *args, **kwargs)))
        if self._batches is None:
            self._batches = asyncio.create_task(self._run_batches(), name="batched reads")
        return await future

    async def _run_batches(self) -> None:
        while self._pending:
            batch = [self._pending.popleft() for _ in range(min(MAX_READ_BATCH, len(self._pending)))]
            queries = [query for _, query in batch]
            try:
                outcomes = await self._run(self._batch_reader, _snapshot, partial(_run_all, queries))
            except StorageError as error:
                outcomes = [(None, error)] * len(batch)
            for (future, _), (result, failure) in zip(batch, outcomes, strict=True):
                if isinstance(failure, StorageDamaged):
                    self._record_damage(failure)
                if future.done():  # its caller was cancelled
                    continue
                if failure is not None:
                    future.set_exception(failure)
                else:
                    future.set_result(result)
        self._batches = None

    async def _finish_batches(self) -> None:
        if self._batches is not None:
            await self._batches

    async def check_writable(self, now: int) -> None:
        """Verify that the file can be written by committing the time *now* to it.

        Raises:
            StorageDamaged: damage was found earlier, anywhere in the file.
            StorageError: the file cannot be written.
        """
        if self.damage is not None:
            raise self.damage
        await self.write(_mark, now)

    async def _run(self, connection: aiosqlite.Connection, function: Callable[..., T], *args: Any) -> T:
        try:
            return await _run(connection, function, *args)
        except StorageDamaged as error:
            self._record_damage(error)
            raise

    def _record_damage(self, error: StorageDamaged) -> None:
        """Log and keep the first damage found."""
        if self.damage is None:
            self.damage = error
            logger.error("%s", error, extra={"database": str(self.path)})


def _run_all(queries: list[Callable[[Connection], Any]], connection: Connection) -> list[tuple[Any, Exception | None]]:
    return [_outcome(query, connection) for query in queries]


def _outcome(query: Callable[[Connection], T], connection: Connection) -> tuple[T | None, Exception | None]:
    try:
        return query(connection), None
    except pysqlite3.Error as error:
        return None, storage_error(error)
    except Exception as error:  # noqa: BLE001  raised to the caller of this query only
        return None, error


def _connect_writer(path: Path) -> AbstractAsyncContextManager[aiosqlite.Connection]:
    if pysqlite3.sqlite_version_info < SAFE_SQLITE:
        logger.warning("SQLite %s has a known WAL defect: use 3.51.3 or later", pysqlite3.sqlite_version)
    return _connect(path, WRITER_PRAGMAS)


@asynccontextmanager
async def _connect(path: Path, pragmas: tuple[str, ...]) -> AsyncIterator[aiosqlite.Connection]:
    connection = aiosqlite.Connection(lambda: pysqlite3.connect(str(path), isolation_level=None), 64)
    try:
        await connection
    except BaseException as error:  # aiosqlite does not join its thread, and the loop may close next
        connection.stop()  # a signal may have interrupted aiosqlite before it could
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
        raise RuntimeError("the writer is still inside a transaction")
    connection.execute(f"PRAGMA synchronous = {synchronous}")
    connection.execute("BEGIN IMMEDIATE")
    try:
        result = work(connection)
        connection.execute("COMMIT")
    except BaseException:
        connection.rollback()  # no effect if SQLite has already rolled back, as on a full disk
        raise
    return result


def _snapshot(connection: Connection, work: Callable[[Connection], T]) -> T:
    connection.execute("BEGIN")
    try:
        return work(connection)
    finally:
        connection.execute("ROLLBACK")


def _stoppable(stopped: Event, query: Callable[[Connection], T], connection: Connection) -> T:
    """Run *query*; end its current statement, or a later one, once *stopped* is set."""
    connection.set_progress_handler(stopped.is_set, STOP_CHECK_STEPS)
    try:
        return query(connection)
    finally:
        connection.set_progress_handler(None, 0)


MARK_READY = "INSERT OR REPLACE INTO facts (name, value) VALUES ('ready_at', CAST(:now AS BLOB))"


def _mark(connection: Connection, now: int) -> None:
    connection.execute(MARK_READY, {"now": str(now)})


@cache
def migrations() -> tuple[tuple[int, str], ...]:
    """Return the number and SQL of every migration, in order."""
    steps = (
        (int(match[1]), entry.read_text(encoding="utf-8"))
        for entry in (files("storage") / "migrations").iterdir()
        if (match := MIGRATION_NAME.fullmatch(entry.name))
    )
    return tuple(sorted(steps))


def newest_version() -> int:
    """Return the number of the newest migration."""
    return migrations()[-1][0]


def require_known(connection: Connection) -> None:
    """Verify that no newer gateway has migrated the database. Part of every transaction that writes beside a gateway.

    Raises:
        DatabaseTooNew: one has.
    """
    _refuse_newer(_version(connection))


def _version(connection: Connection) -> int:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    return int(version)


def _refuse_newer(version: int) -> None:
    if version > newest_version():
        raise DatabaseTooNew(
            f"the database has version {version}, this gateway knows up to {newest_version()}: install a newer gateway"
        )


def _migrate(connection: Connection) -> tuple[int, int]:
    """Apply all missing migrations, or none. Return the version before and after."""
    version, newest = _version(connection), newest_version()
    _refuse_newer(version)
    if version < newest:
        missing = "\n".join(sql for number, sql in migrations() if number > version)
        try:
            connection.executescript(f"BEGIN IMMEDIATE;\n{missing}\nPRAGMA user_version = {newest};\nCOMMIT;")
        except BaseException:
            connection.rollback()
            raise
    return version, newest
