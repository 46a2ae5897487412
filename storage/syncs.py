"""The latest sync run of every list: its rows and its place in the portal's lists move in one transaction."""

from collections.abc import Sequence
from sqlite3 import Connection

from storage.database import Database
from storage.metadata import load_fact, save_fact
from storage.mirror import compare_rows, mark_deleted
from storage.records import MirrorRow, RunState, SublistProgress, SyncRun

MissingRow = tuple[int, int, int]
"""Our row id, the part and the portal's id of a live row that the run did not meet."""


class SyncStore:
    """Sync runs as rows. A crash of the machine may cost the last moments of a run, which are then read again."""

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
        """The list's run, now running.

        The one before goes on where it was, unless it is done, has other parts (or none any more, after
        `forget_progress`), or began before *resumable_since* or after *now*; None lets every run start over.
        """
        return await self._database.write(_begin, account_id, portal_id, resource, sublists, now, resumable_since)

    async def load(self, account_id: int, portal_id: int, resource: str) -> SyncRun | None:
        """The latest run, or None before the first."""
        return await self._database.read(_find_run, account_id, portal_id, resource)

    async def forget_progress(self, account_id: int) -> None:
        """Let every run of the account that is not done start over: what it has read does not count any more."""
        await self._database.write(_forget_progress, account_id)

    async def forget_progress_of_others(self, reader: str) -> None:
        """Let every run start over that is not done and was begun by another *reader* (any text that names it)."""
        if await self._database.read(load_fact, READER) != reader.encode():
            await self._database.write(_forget_all_progress, reader.encode())

    async def list_interrupted(self) -> list[tuple[int, int, str]]:
        """(account_id, list_id, resource) of every run that was under way when the gateway last ended."""
        return await self._database.read(_list_interrupted)

    async def list_left_behind(self) -> list[tuple[int, str]]:
        """(list_id, resource) of every run that nobody ended and whose account has left the portal since."""
        return await self._database.read(_list_left_behind)

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
        """The list's generation after a range's proven rows (see `compare_rows`) and its end were stored.

        *upto* None: the range is the last of its part.
        """
        return await self._database.write(_save_page, list_id, sublist, rows, after, upto, left_out, prefix)

    async def skip_sublist(self, list_id: int, sublist: int, reason: str) -> None:
        """Note that the portal does not offer this part; its rows stay as they are."""
        await self._database.write(_skip_sublist, list_id, sublist, reason)

    async def set_total(self, list_id: int, total: int) -> None:
        """Note how many rows the run will have read in the end."""
        await self._database.write(_set_total, list_id, total)

    async def load_missing(self, list_id: int, *, limit: int) -> list[MissingRow]:
        """Up to *limit* rows that were not met."""
        return await self._database.read(_load_missing, list_id, limit)

    async def resolve_missing(
        self,
        list_id: int,
        asked: Sequence[MissingRow],
        found: dict[int, list[MirrorRow]],
        *,
        prefix: bytes,
    ) -> int:
        """The list's generation after the rows *asked* for by id were settled.

        Those that the portal still has (*found*, by part) are brought up to date, the others marked deleted.
        """
        return await self._database.write(_settle_missing, list_id, asked, found, prefix)

    async def finish(self, list_id: int, state: RunState, *, error: str | None, now: int) -> int:
        """End the run; the rows that it has read."""
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


def _list_left_behind(connection: Connection) -> list[tuple[int, str]]:
    interrupted = {list_id for _, list_id, _ in _list_interrupted(connection)}
    return [one for one in connection.execute(LIST_RUNNING).fetchall() if one[0] not in interrupted]


FORGET_PROGRESS = """
DELETE FROM sync_parts WHERE list_id IN (
    SELECT list_id FROM sync_runs JOIN mirror_lists USING (list_id) WHERE account_id = :account_id AND state <> 'done'
)
"""
FORGET_ALL_PROGRESS = "DELETE FROM sync_parts WHERE list_id IN (SELECT list_id FROM sync_runs WHERE state <> 'done')"
READER = "sync_reader"


def _forget_progress(connection: Connection, account_id: int) -> None:
    connection.execute(FORGET_PROGRESS, {"account_id": account_id})


def _forget_all_progress(connection: Connection, reader: bytes) -> None:
    connection.execute(FORGET_ALL_PROGRESS)
    save_fact(connection, READER, reader)


ADD_LIST = """
INSERT OR IGNORE INTO mirror_lists (account_id, portal_id, resource) VALUES (:account_id, :portal_id, :resource)
"""
LIST_ID = """
SELECT list_id FROM mirror_lists
WHERE account_id = :account_id AND portal_id = :portal_id AND resource = :resource
"""
GO_ON = """
UPDATE sync_runs SET state = 'running', total = NULL, finished_at = NULL, error = NULL WHERE list_id = :list_id
"""
START_OVER = """
INSERT OR REPLACE INTO sync_runs (list_id, state, rows, left_out, started_at) VALUES (:list_id, 'running', 0, 0, :now)
"""
FORGET_PARTS = "DELETE FROM sync_parts WHERE list_id = :list_id"
FORGET_ALL_MISSING = "DELETE FROM sync_missing WHERE list_id = :list_id"
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
    before = _find_run(connection, account_id, portal_id, resource)
    if before is not None and _resumes(before, sublists, now, resumable_since):
        connection.execute(GO_ON, {"list_id": before.list_id})
    else:
        connection.execute(ADD_LIST, key)
        (list_id,) = connection.execute(LIST_ID, key).fetchone()
        connection.execute(START_OVER, {"list_id": list_id, "now": now})
        connection.execute(FORGET_PARTS, {"list_id": list_id})
        connection.execute(FORGET_ALL_MISSING, {"list_id": list_id})
        connection.executemany(ADD_SUBLIST, [{"list_id": list_id, "part": sublist} for sublist in sublists])
    run = _find_run(connection, account_id, portal_id, resource)
    assert run is not None
    return run


def _resumes(before: SyncRun, sublists: Sequence[int], now: int, resumable_since: int | None) -> bool:
    return (
        resumable_since is not None
        and before.state != "done"
        and resumable_since <= before.started_at <= now  # later: the clock has been set back since
        and {one.sublist for one in before.sublists} == set(sublists)
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


FORGET_MISSING = "DELETE FROM sync_missing WHERE list_id = :list_id AND row_id = :row_id"


def _settle_missing(
    connection: Connection,
    list_id: int,
    asked: Sequence[MissingRow],
    found: dict[int, list[MirrorRow]],
    prefix: bytes,
) -> int:
    present = {(sublist, portal_row_id) for sublist, rows in found.items() for portal_row_id, _ in rows}
    mark_deleted(connection, list_id, [row_id for row_id, *place in asked if tuple(place) not in present])
    for sublist, rows in found.items():
        for row in rows:
            portal_row_id, _ = row
            compare_rows(
                connection, list_id, sublist, [row], after=portal_row_id - 1, upto=portal_row_id, prefix=prefix
            )
    connection.executemany(FORGET_MISSING, [{"list_id": list_id, "row_id": row_id} for row_id, *_ in asked])
    return _generation(connection, list_id)


FINISH = """
UPDATE sync_runs SET state = :state, error = :error, finished_at = :now WHERE list_id = :list_id RETURNING rows
"""


def _finish(connection: Connection, list_id: int, state: RunState, error: str | None, now: int) -> int:
    row: tuple[int] = connection.execute(
        FINISH, {"list_id": list_id, "state": state, "error": error, "now": now}
    ).fetchone()
    if state == "done":
        connection.execute(FORGET_ALL_MISSING, {"list_id": list_id})
    return row[0]
