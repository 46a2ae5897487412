"""The rate at which a portal's rows are stored in the mirror, compared with a bare executemany.

    python -m tests.load.ingest [--crm] [--rows N] [--rounds N]

Rows of a portal are rendered, compared and stored in transactions of the size that a sync uses; then the same rows are
synced again. They are users, or with --crm deals of 25 and of 100 fields. The baselines insert the same finished rows
into the same table, in transactions of the same size, once without and once with the indexes of the mirror.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from sqlite3 import Connection

import orjson
import pysqlite3

from gateway.bitrix.lists.list_specs import Row
from gateway.bitrix.lists.page import Page
from gateway.cli.process import run
from gateway.mirror.resources import RECORDS, Resource
from gateway.mirror.sync_pass import ROWS_A_TRANSACTION
from storage.database import WRITER_PRAGMAS, Database
from storage.syncs import SyncStore
from tests.load.fill import NOW, USERS, connect_account, deal, ranges, user
from tests.load.read import show_goal

SCHEMA = "SELECT sql FROM sqlite_schema WHERE tbl_name = 'mirror_rows' AND sql IS NOT NULL ORDER BY type = 'index'"
CRM_GOAL = 0.35  # of the rate of a bare executemany with indexes


@dataclass(frozen=True)
class Rows:
    """Rows to store: those of a resource, made by their number."""

    name: str
    resource: Resource
    make: Callable[[int], Row]


USER_ROWS = Rows("users", USERS, user)
DEAL_ROWS = [Rows(f"deals of {fields} fields", RECORDS["deals"], partial(deal, fields=fields)) for fields in (25, 100)]


def time_bare(path: Path, stored: Path, *, indexed: bool) -> float:
    """Return the seconds of the baseline, which inserts the rows of the database *stored*."""
    with closing(pysqlite3.connect(str(stored))) as source:
        table, *indexes = [sql for (sql,) in source.execute(SCHEMA)]
        rows = source.execute("SELECT * FROM mirror_rows ORDER BY row_id").fetchall()
    with closing(pysqlite3.connect(str(path), isolation_level=None)) as connection:
        for statement in (*WRITER_PRAGMAS, "PRAGMA foreign_keys = OFF", table, *(indexes if indexed else ())):
            connection.execute(statement)
        return insert(connection, rows)


def insert(connection: Connection, rows: Sequence[tuple[object, ...]]) -> float:
    """Insert *rows* and return the seconds."""
    statement = f"INSERT INTO mirror_rows VALUES ({', '.join('?' * len(rows[0]))})"
    started = time.perf_counter()
    for at in range(0, len(rows), ROWS_A_TRANSACTION):
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany(statement, rows[at : at + ROWS_A_TRANSACTION])
        connection.execute("COMMIT")
    return time.perf_counter() - started


async def time_mirror(path: Path, resource: Resource, pages: Sequence[bytes]) -> tuple[float, float]:
    """Return the seconds of the first and the second sync of *pages*, JSON lists of rows; without decoding."""
    portal_list = resource.lists("ru")[0]
    async with Database.open(path) as database:
        account = await connect_account(database)
        syncs = SyncStore(database)
        seconds = []
        for _ in range(2):
            started = time.perf_counter()
            decoding_s = 0.0
            sync_run = await syncs.begin(
                account.account_id,
                account.portal.portal_id,
                resource.name,
                [portal_list.sublist],
                now=NOW,
                resumable_since=NOW,
            )
            after = mark = 0
            for number, page in enumerate(pages, start=1):
                decoding = time.perf_counter()
                rows = orjson.loads(page)
                decoding_s += time.perf_counter() - decoding
                upto = None if number == len(pages) else after + ROWS_A_TRANSACTION
                read = Page(rows, [int(row["ID"]) for row in rows], after, upto, mark)
                mark = await syncs.save_page(sync_run.list_id, resource.render(portal_list, read, NOW))
                after += ROWS_A_TRANSACTION
            await syncs.finish(sync_run.list_id, "done", error=None, now=NOW)
            seconds.append(time.perf_counter() - started - decoding_s)
    return seconds[0], seconds[1]


def measure(kind: Rows, rows: int, rounds: int) -> float:
    """Measure one kind of rows and print the figures. Return the rate of the first sync to bare with indexes."""
    pages = [
        orjson.dumps([kind.make(number) for number in range(first, last + 1)])
        for first, last in ranges(rows, ROWS_A_TRANSACTION)
    ]
    times: dict[str, list[float]] = {name: [] for name in ("bare", "bare with indexes", "first sync", "second sync")}
    for _ in range(rounds):
        with tempfile.TemporaryDirectory(prefix="load-") as directory:
            scratch = Path(directory)
            first, second = run(time_mirror(scratch / "ours.db", kind.resource, pages))
            times["first sync"].append(first)
            times["second sync"].append(second)
            times["bare"].append(time_bare(scratch / "bare.db", scratch / "ours.db", indexed=False))
            times["bare with indexes"].append(time_bare(scratch / "indexed.db", scratch / "ours.db", indexed=True))
    medians = {name: statistics.median(seconds) for name, seconds in times.items()}
    print(f"{rows:,} {kind.name}, {ROWS_A_TRANSACTION} a transaction, median of {rounds}")
    for name, seconds in medians.items():
        print(f"{name:20}{seconds:7.2f} s{rows / seconds:11,.0f} rows/s{seconds / rows * 1e6:7.1f} µs a row")
    print(f"rate of the first sync to bare: {medians['bare'] / medians['first sync']:.2f}")
    print(f"second sync to first: {medians['second sync'] / medians['first sync']:.2f}")
    return medians["bare with indexes"] / medians["first sync"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--crm", action="store_true", help="deals of 25 and of 100 fields instead of users")
    parser.add_argument("--rows", type=int, default=50_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    for kind in DEAL_ROWS if options.crm else [USER_ROWS]:
        rate = measure(kind, options.rows, options.rounds)
        if options.crm:
            show_goal("rate of the first sync to bare with indexes, at least", CRM_GOAL, rate)
        else:
            print(f"rate of the first sync to bare with indexes: {rate:.2f}")


if __name__ == "__main__":
    main()
