"""What is in the gateway's database, seen from outside."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pysqlite3

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
    """How many accounts have a credential, deleted ones included."""
    return len(select(gateway, "SELECT 1 FROM accounts WHERE sealed IS NOT NULL"))


def every_byte(gateway: Gateway) -> bytes:
    """The database with its log and its neighbours."""
    path = database(gateway)
    return b"".join(file.read_bytes() for file in sorted(path.parent.glob(f"{path.name}*")))


@contextmanager
def locked(gateway: Gateway) -> Iterator[None]:
    """Nothing can be written for as long as the block lasts; the gateway waits for it."""
    connection = pysqlite3.connect(database(gateway), isolation_level=None)
    try:
        connection.execute("BEGIN IMMEDIATE")
        yield
    finally:
        connection.close()
