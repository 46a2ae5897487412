"""The gateway's database, accessed from outside the gateway."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from pathlib import Path
from sqlite3 import Connection
from typing import Any

import pysqlite3

from handlers.app_keys import DATABASE
from tests.gateway import Gateway


def database(gateway: Gateway) -> Path:
    """The file of the running or stopped *gateway*."""
    return Path(gateway.environ["GATEWAY_DATABASE"])


def select(gateway: Gateway, query: str) -> list[Any]:
    """The rows of *query*."""
    connection = pysqlite3.connect(f"file:{database(gateway)}?mode=ro", uri=True)
    try:
        rows: list[Any] = connection.execute(query).fetchall()
        return rows
    finally:
        connection.close()


def credentials(gateway: Gateway) -> int:
    """The number of accounts with a credential, including deleted ones."""
    return len(select(gateway, "SELECT 1 FROM accounts WHERE sealed IS NOT NULL"))


def every_byte(gateway: Gateway) -> bytes:
    """The bytes of the database and of all files beside it that share its name."""
    path = database(gateway)
    return b"".join(file.read_bytes() for file in sorted(path.parent.glob(f"{path.name}*")))


@contextmanager
def locked(gateway: Gateway) -> Iterator[None]:
    """Hold the write lock within the block; the gateway waits for it."""
    connection = pysqlite3.connect(database(gateway), isolation_level=None)
    try:
        connection.execute("BEGIN IMMEDIATE")
        yield
    finally:
        connection.close()


@asynccontextmanager
async def unwritable(gateway: Gateway) -> AsyncIterator[None]:
    """Hold the write lock within the block; the gateway's writes fail immediately."""
    await gateway.app[DATABASE].write(set_busy_timeout, 0)
    with locked(gateway):
        yield
    await gateway.app[DATABASE].write(set_busy_timeout, 5000)


def set_busy_timeout(connection: Connection, timeout_ms: int) -> None:
    connection.execute(f"PRAGMA busy_timeout = {timeout_ms}")


def damage(path: Path, table: str) -> None:
    """Overwrite the first page of *table* in the database at *path*, which no process may have open."""
    with closing(pysqlite3.connect(path, isolation_level=None)) as connection:
        (root,) = connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = ?", (table,)).fetchone()
        (page_bytes,) = connection.execute("PRAGMA page_size").fetchone()
    with path.open("r+b") as file:
        file.seek((root - 1) * page_bytes)
        file.write(b"\xa5" * page_bytes)


def run_sql(gateway: Gateway, sql: str) -> None:
    """Run the statements *sql* on the database, bypassing the gateway."""
    with closing(pysqlite3.connect(gateway.environ["GATEWAY_DATABASE"], isolation_level=None)) as connection:
        connection.executescript(sql)


@contextmanager
def without_table(gateway: Gateway, table: str) -> Iterator[None]:
    """The gateway cannot use a table of its database."""
    with closing(pysqlite3.connect(gateway.environ["GATEWAY_DATABASE"], isolation_level=None)) as connection:
        connection.execute(f"ALTER TABLE {table} RENAME TO gone")
        yield
        connection.execute(f"ALTER TABLE gone RENAME TO {table}")
