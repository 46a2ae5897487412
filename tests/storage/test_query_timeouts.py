"""A query that its timeout has ended executes no further statement."""

import asyncio
from pathlib import Path
from sqlite3 import Connection
from threading import Event

import pytest

from storage.database import Database
from tests.clock import ManualClock

LIMIT_S = 2
LONG = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 3000000) SELECT count(*) FROM n"


async def test_a_timeout_between_two_statements_ends_the_next_one(tmp_path: Path, clock: ManualClock) -> None:
    between, go_on, finished = Event(), Event(), Event()

    def query(connection: Connection) -> None:
        connection.execute("SELECT 1").fetchone()
        between.set()
        go_on.wait()
        connection.execute(LONG).fetchone()
        finished.set()

    async with Database.open(tmp_path / "gateway.db") as database:
        querying = asyncio.create_task(database.query(clock.timeout(LIMIT_S), query))
        await asyncio.to_thread(between.wait)
        await clock.advance(LIMIT_S)
        go_on.set()
        with pytest.raises(TimeoutError):
            await querying
        assert not finished.is_set()
        assert await database.query(clock.timeout(LIMIT_S), lambda connection: connection.execute(LONG).fetchone()) == (
            3_000_000,
        )
