"""The rate at which a portal's rows are stored in the mirror, compared with a bare executemany.

    python -m tests.load.ingest [--rows N] [--rounds N]

Rows of a portal are rendered, compared and stored in transactions of the size that a sync uses; then the same rows are
synced again. The baselines insert the finished values into a table with the same columns, in transactions of the same
size, once without and once with the indexes of the mirror.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from sqlite3 import Connection

import orjson
import pysqlite3

from gateway.cli.process import run
from gateway.mirror.sync_pass import ROWS_A_TRANSACTION
from storage.database import WRITER_PRAGMAS, Database
from storage.records import MirrorRow, RowPage
from storage.syncs import SyncStore
from tests.load.fill import NOW, USERS, connect_account, ranges, render_users, user

COLUMNS = """
CREATE TABLE bare (
    row_id INTEGER PRIMARY KEY, list_id INTEGER NOT NULL, part INTEGER NOT NULL, portal_row_id INTEGER NOT NULL,
    block INTEGER NOT NULL, deleted INTEGER NOT NULL, head BLOB NOT NULL, tail BLOB NOT NULL
) STRICT
"""
INDEXES = (
    "CREATE UNIQUE INDEX bare_by_portal_row ON bare (list_id, part, portal_row_id)",
    "CREATE INDEX bare_listed ON bare (list_id, row_id) WHERE deleted = 0",
)
INSERT = "INSERT INTO bare VALUES (?, ?, ?, ?, ?, ?, ?, ?)"


def time_bare(path: Path, rows: Sequence[MirrorRow], indexes: Sequence[str]) -> float:
    """Return the seconds of the baseline."""
    connection: Connection = pysqlite3.connect(str(path), isolation_level=None)
    for statement in (*WRITER_PRAGMAS, COLUMNS, *indexes):
        connection.execute(statement)
    columns = [
        (number, 1, 0, portal_row_id, number // 256, 0, USERS.prefix(NOW) % number, suffix)
        for number, (portal_row_id, suffix) in enumerate(rows, start=1)
    ]
    started = time.perf_counter()
    for at in range(0, len(columns), ROWS_A_TRANSACTION):
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany(INSERT, columns[at : at + ROWS_A_TRANSACTION])
        connection.execute("COMMIT")
    seconds = time.perf_counter() - started
    connection.close()
    return seconds


async def time_mirror(path: Path, pages: Sequence[bytes]) -> tuple[float, float]:
    """Return the seconds of the first and the second sync of *pages*, JSON lists of rows; without decoding."""
    async with Database.open(path) as database:
        account = await connect_account(database)
        syncs = SyncStore(database)
        seconds = []
        for _ in range(2):
            started = time.perf_counter()
            decoding_s = 0.0
            sync_run = await syncs.begin(
                account.account_id, account.portal.portal_id, "users", [0], now=NOW, resumable_since=NOW
            )
            after = 0
            for number, page in enumerate(pages, start=1):
                decoding = time.perf_counter()
                rows = orjson.loads(page)
                decoding_s += time.perf_counter() - decoding
                rendered = render_users(rows)
                await syncs.save_page(
                    sync_run.list_id,
                    RowPage(
                        0,
                        rendered,
                        after,
                        None if number == len(pages) else after + ROWS_A_TRANSACTION,
                        USERS.prefix(NOW),
                    ),
                )
                after += ROWS_A_TRANSACTION
            await syncs.finish(sync_run.list_id, "done", error=None, now=NOW)
            seconds.append(time.perf_counter() - started - decoding_s)
    return seconds[0], seconds[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=50_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    rows = [user(number) for number in range(1, options.rows + 1)]
    finished = render_users(rows)
    pages = [orjson.dumps(rows[first - 1 : last]) for first, last in ranges(len(rows), ROWS_A_TRANSACTION)]
    del rows
    times: dict[str, list[float]] = {name: [] for name in ("bare", "bare with indexes", "first sync", "second sync")}
    for _ in range(options.rounds):
        with tempfile.TemporaryDirectory(prefix="load-") as directory:
            scratch = Path(directory)
            times["bare"].append(time_bare(scratch / "bare.db", finished, ()))
            times["bare with indexes"].append(time_bare(scratch / "indexed.db", finished, INDEXES))
            first, second = run(time_mirror(scratch / "ours.db", pages))
            times["first sync"].append(first)
            times["second sync"].append(second)
    medians = {name: statistics.median(seconds) for name, seconds in times.items()}
    print(f"{options.rows:,} rows, {ROWS_A_TRANSACTION} a transaction, median of {options.rounds}")
    for name, seconds in medians.items():
        print(
            f"{name:20}{seconds:7.2f} s{options.rows / seconds:11,.0f} rows/s"
            f"{seconds / options.rows * 1e6:7.1f} µs a row"
        )
    print(f"rate of the first sync to bare: {medians['bare'] / medians['first sync']:.2f}")
    print(f"rate of the first sync to bare with indexes: {medians['bare with indexes'] / medians['first sync']:.2f}")
    print(f"second sync to first: {medians['second sync'] / medians['first sync']:.2f}")


if __name__ == "__main__":
    main()
