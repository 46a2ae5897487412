"""Stores the latest sync run of every list. A page of rows and the run's progress are saved in one transaction."""

from collections.abc import Sequence
from sqlite3 import Connection

from storage.database import Database
from storage.metadata import load_fact, save_fact
from storage.mirror import compare_rows, mark_deleted
from storage.records import MirrorRow, RunState, SublistProgress, SyncRun

MissingRow = tuple[int, int, int]
"""row_id, sublist and portal_row_id of a live row that the run has not seen."""


class SyncStore:
    """Reads and writes sync runs. Writes are not durable: after a machine crash, the run reads the last pages again."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def begin(
        self,
        account_id: int,
        portal_id: int,
        resource: str,
        sublists: Sequence[int],
        *,
        now: int,
        resumable_since: int | None,
    ) -> SyncRun:
        """Start a run of the list, or resume the previous one, and return it.

        The previous run is not resumed if it is done, has other sublists (or none, after `forget_progress`), or started
        before *resumable_since* or after *now*. If *resumable_since* is None, no run is resumed.
        """
        return await self._database.write(_begin, account_id, portal_id, resource, sublists, now, resumable_since)

    async def load(self, account_id: int, portal_id: int, resource: str) -> SyncRun | None:
        """Return the latest run of the list, or None before the first."""
        return await self._database.read(_find_run, account_id, portal_id, resource)

    async def forget_progress(self, account_id: int) -> None:
        """Discard the progress of the account's unfinished runs, so that they start over."""
        await self._database.write(_forget_progress, account_id)

    async def forget_progress_of_others(self, reader: str) -> None:
        """Discard the progress of unfinished runs if another *reader* started them. Any text identifies a reader."""
        if await self._database.read(load_fact, READER) != reader.encode():
            await self._database.write(_forget_all_progress, reader.encode())

    async def list_interrupted(self) -> list[tuple[int, int, str]]:
        """Return (account_id, list_id, resource) of each run that was running when the gateway last stopped."""
        return await self._database.read(_list_interrupted)

    async def list_orphaned(self) -> list[tuple[int, str]]:
        """Return (list_id, resource) of each run still marked running whose account has left the portal."""
        return await self._database.read(_list_orphaned)

    async def save_page(
        self,
        list_id: int,
        sublist: int,
        rows: list[MirrorRow],
        *,
        after: int | None,
        upto: int | None,
        left_out: int,
        prefix: bytes,
    ) -> int:
        """Store the rows of a proven range (see `compare_rows`) and its end. Return the list's new generation.

        *upto* is None for the last range of its sublist.
        """
        return await self._database.write(_save_page, list_id, sublist, rows, after, upto, left_out, prefix)

    async def skip_sublist(self, list_id: int, sublist: int, reason: str) -> None:
        """Record that the portal does not offer this sublist. Its stored rows stay unchanged."""
        await self._database.write(_skip_sublist, list_id, sublist, reason)

    async def set_total(self, list_id: int, total: int) -> None:
        """Store the total number of rows that the run is going to read."""
        await self._database.write(_set_total, list_id, total)

    async def load_missing(self, list_id: int, *, limit: int) -> list[MissingRow]:
        """Return up to *limit* missing rows: live rows that the run has not seen."""
        return await self._database.read(_load_missing, list_id, limit)

    async def resolve_missing(
        self,
        list_id: int,
        requested: Sequence[MissingRow],
        found: dict[int, list[MirrorRow]],
        *,
        prefix: bytes,
    ) -> int:
        """Update the rows *requested* by id and return the list's new generation.

        Rows that the portal still has (*found*, by sublist) are updated; the others are marked deleted.
        """
        return await self._database.write(_resolve_missing, list_id, requested, found, prefix)

    async def finish(self, list_id: int, state: RunState, *, error: str | None, now: int) -> int:
        """End the run and return the number of rows it has read."""
        return await self._database.write(_finish, list_id, state, error, now)


FIND_RUN = """
SELECT list_id, resource, state, rows, total, left_out, started_at, finished_at, error
FROM sync_runs JOIN mirror_lists USING (list_id)
WHERE account_id = :account_id AND portal_id = :portal_id AND resource = :resource
"""
LIST_SUBLISTS = "SELECT part, cursor, done, skipped FROM sync_parts WHERE list_id = :list_id ORDER BY part"


def _find_run(connection: Connection, account_id: int, portal_id: int, resource: str) -> SyncRun | None:
    key = {"account_id": account_id, "portal_id": portal_id, "resource": resource}
    row = connection.execute(FIND_RUN, key).fetchone()
    if row is None:
        return None
    list_id, resource, state, rows, total, left_out, started_at, finished_at, error = row
    sublists = tuple(
        SublistProgress(sublist, cursor, bool(done), skipped)
        for sublist, cursor, done, skipped in connection.execute(LIST_SUBLISTS, {"list_id": list_id})
    )
    return SyncRun(list_id, resource, state, rows, total, left_out, started_at, finished_at, error, sublists)


LIST_INTERRUPTED = """
SELECT account_id, list_id, resource
FROM sync_runs JOIN mirror_lists USING (list_id) JOIN accounts USING (account_id, portal_id)
WHERE state = 'running' AND deleted = 0 AND kind <> 'pending' ORDER BY list_id
"""


def _list_interrupted(connection: Connection) -> list[tuple[int, int, str]]:
    return connection.execute(LIST_INTERRUPTED).fetchall()


LIST_RUNNING = "SELECT list_id, resource FROM sync_runs JOIN mirror_lists USING (list_id) WHERE state = 'running'"


def _list_orphaned(connection: Connection) -> list[tuple[int, str]]:
    interrupted = {list_id for _, list_id, _ in _list_interrupted(connection)}
    return [run for run in connection.execute(LIST_RUNNING).fetchall() if run[0] not in interrupted]


DELETE_PROGRESS = """
DELETE FROM sync_parts WHERE list_id IN (
    SELECT list_id FROM sync_runs JOIN mirror_lists USING (list_id) WHERE account_id = :account_id AND state <> 'done'
)
"""
DELETE_ALL_PROGRESS = "DELETE FROM sync_parts WHERE list_id IN (SELECT list_id FROM sync_runs WHERE state <> 'done')"
READER = "sync_reader"


def _forget_progress(connection: Connection, account_id: int) -> None:
    connection.execute(DELETE_PROGRESS, {"account_id": account_id})


def _forget_all_progress(connection: Connection, reader: bytes) -> None:
    connection.execute(DELETE_ALL_PROGRESS)
    save_fact(connection, READER, reader)


ADD_LIST = """
INSERT OR IGNORE INTO mirror_lists (account_id, portal_id, resource) VALUES (:account_id, :portal_id, :resource)
"""
LIST_ID = """
SELECT list_id FROM mirror_lists
WHERE account_id = :account_id AND portal_id = :portal_id AND resource = :resource
"""
RESUME = """
UPDATE sync_runs SET state = 'running', total = NULL, finished_at = NULL, error = NULL WHERE list_id = :list_id
"""
START = """
INSERT OR REPLACE INTO sync_runs (list_id, state, rows, left_out, started_at) VALUES (:list_id, 'running', 0, 0, :now)
"""
DELETE_SUBLISTS = "DELETE FROM sync_parts WHERE list_id = :list_id"
DELETE_ALL_MISSING = "DELETE FROM sync_missing WHERE list_id = :list_id"
ADD_SUBLIST = "INSERT INTO sync_parts (list_id, part, done) VALUES (:list_id, :part, 0)"


def _begin(
    connection: Connection,
    account_id: int,
    portal_id: int,
    resource: str,
    sublists: Sequence[int],
    now: int,
    resumable_since: int | None,
) -> SyncRun:
    key = {"account_id": account_id, "portal_id": portal_id, "resource": resource}
    previous = _find_run(connection, account_id, portal_id, resource)
    if previous is not None and _resumes(previous, sublists, now, resumable_since):
        connection.execute(RESUME, {"list_id": previous.list_id})
    else:
        connection.execute(ADD_LIST, key)
        (list_id,) = connection.execute(LIST_ID, key).fetchone()
        connection.execute(START, {"list_id": list_id, "now": now})
        connection.execute(DELETE_SUBLISTS, {"list_id": list_id})
        connection.execute(DELETE_ALL_MISSING, {"list_id": list_id})
        connection.executemany(ADD_SUBLIST, [{"list_id": list_id, "part": sublist} for sublist in sublists])
    run = _find_run(connection, account_id, portal_id, resource)
    assert run is not None
    return run


def _resumes(previous: SyncRun, sublists: Sequence[int], now: int, resumable_since: int | None) -> bool:
    return (
        resumable_since is not None
        and previous.state != "done"
        and resumable_since <= previous.started_at <= now  # a later start means that the clock was set back
        and {progress.sublist for progress in previous.sublists} == set(sublists)
    )


MOVE_CURSOR = """
UPDATE sync_parts SET cursor = COALESCE(:cursor, cursor), done = :done WHERE list_id = :list_id AND part = :part
"""
COUNT_ROWS = "UPDATE sync_runs SET rows = rows + :rows, left_out = left_out + :left_out WHERE list_id = :list_id"
GENERATION = "SELECT generation FROM mirror_lists WHERE list_id = :list_id"


def _save_page(
    connection: Connection,
    list_id: int,
    sublist: int,
    rows: list[MirrorRow],
    after: int | None,
    upto: int | None,
    left_out: int,
    prefix: bytes,
) -> int:
    compare_rows(connection, list_id, sublist, rows, after=after, upto=upto, prefix=prefix)
    proven = rows[-1][0] if upto is None and rows else upto
    connection.execute(MOVE_CURSOR, {"list_id": list_id, "part": sublist, "cursor": proven, "done": upto is None})
    connection.execute(COUNT_ROWS, {"list_id": list_id, "rows": len(rows) + left_out, "left_out": left_out})
    return _generation(connection, list_id)


def _generation(connection: Connection, list_id: int) -> int:
    row: tuple[int] = connection.execute(GENERATION, {"list_id": list_id}).fetchone()
    return row[0]


SKIP_SUBLIST = "UPDATE sync_parts SET done = 1, skipped = :reason WHERE list_id = :list_id AND part = :part"


def _skip_sublist(connection: Connection, list_id: int, sublist: int, reason: str) -> None:
    connection.execute(SKIP_SUBLIST, {"list_id": list_id, "part": sublist, "reason": reason})


SET_TOTAL = "UPDATE sync_runs SET total = :total WHERE list_id = :list_id"


def _set_total(connection: Connection, list_id: int, total: int) -> None:
    connection.execute(SET_TOTAL, {"list_id": list_id, "total": total})


LOAD_MISSING = """
SELECT row_id, part, portal_row_id FROM sync_missing JOIN mirror_rows USING (list_id, row_id)
WHERE list_id = :list_id ORDER BY row_id LIMIT :limit
"""


def _load_missing(connection: Connection, list_id: int, limit: int) -> list[MissingRow]:
    return connection.execute(LOAD_MISSING, {"list_id": list_id, "limit": limit}).fetchall()


DELETE_MISSING = "DELETE FROM sync_missing WHERE list_id = :list_id AND row_id = :row_id"


def _resolve_missing(
    connection: Connection,
    list_id: int,
    requested: Sequence[MissingRow],
    found: dict[int, list[MirrorRow]],
    prefix: bytes,
) -> int:
    present = {(sublist, portal_row_id) for sublist, rows in found.items() for portal_row_id, _ in rows}
    mark_deleted(connection, list_id, [row_id for row_id, *portal_key in requested if tuple(portal_key) not in present])
    for sublist, rows in found.items():
        for row in rows:
            portal_row_id, _ = row
            compare_rows(
                connection, list_id, sublist, [row], after=portal_row_id - 1, upto=portal_row_id, prefix=prefix
            )
    connection.executemany(DELETE_MISSING, [{"list_id": list_id, "row_id": row_id} for row_id, *_ in requested])
    return _generation(connection, list_id)


FINISH = """
UPDATE sync_runs SET state = :state, error = :error, finished_at = :now WHERE list_id = :list_id RETURNING rows
"""


def _finish(connection: Connection, list_id: int, state: RunState, error: str | None, now: int) -> int:
    row: tuple[int] = connection.execute(
        FINISH, {"list_id": list_id, "state": state, "error": error, "now": now}
    ).fetchone()
    if state == "done":
        connection.execute(DELETE_ALL_MISSING, {"list_id": list_id})
    return row[0]
