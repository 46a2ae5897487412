"""Stores the latest sync run of every list. A page of rows and the run's progress are saved in one transaction."""

from array import array
from collections.abc import Sequence
from sqlite3 import Connection

import orjson

from storage.database import Database
from storage.metadata import load_fact, save_fact
from storage.mirror_changes import bury_records, compare_rows, find_or_add_list, mark_deleted, update_rows
from storage.records import RowPage, RunState, SublistProgress, SyncMode, SyncRun
from storage.user_rows import delete_user_rows, save_user_rows, save_user_sync, user_generation

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
        mode: SyncMode = "full",
        now: int,
        resumable_since: int | None,
    ) -> SyncRun:
        """Start a run of the list, or resume the previous one, and return it.

        The previous run is not resumed if it is done, has another mode or other sublists (or none, after
        `forget_progress`), or started before *resumable_since* or after *now*. If *resumable_since* is None, no run is
        resumed.
        """
        return await self._database.write(_begin, account_id, portal_id, resource, sublists, mode, now, resumable_since)

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

    async def list_interrupted(self) -> list[tuple[int, int, str, SyncMode]]:
        """Return (account_id, list_id, resource, mode) of each run that was running when the gateway last stopped."""
        return await self._database.read(_list_interrupted)

    async def list_orphaned(self) -> list[tuple[int, str]]:
        """Return (list_id, resource) of each run still marked running whose account has left the portal."""
        return await self._database.read(_list_orphaned)

    async def save_page(self, list_id: int, page: RowPage, *, left_out: int = 0) -> int:
        """Store a complete page (see `compare_rows`) and the end of its range. Return the list's new generation.

        *left_out* counts rows of the range that are not in the page. Its *upto* is None for the last range of its
        sublist.
        """
        return await self._database.write(_save_page, list_id, page, left_out)

    async def save_changes(self, list_id: int, page: RowPage) -> int:
        """Store a page that is not complete (see `update_rows`). Return the list's new generation."""
        return await self._database.write(_save_changes, list_id, page)

    async def save_opening(self, list_id: int, *, server_time: int, zone_s: int, largest: int) -> None:
        """Store what the first answer of a run says, unless an earlier start of the run has stored it."""
        await self._database.write(_save_opening, list_id, server_time, zone_s, largest)

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
        self, list_id: int, requested: Sequence[MissingRow], found: Sequence[RowPage], *, tombstone: bytes | None
    ) -> int:
        """Update the rows *requested* by id and return the list's new generation.

        Rows that the portal still has (*found*, one page per sublist) are updated; the others are marked deleted.
        *tombstone* is the JSON that we then add to records, which have a single sublist; None in dictionaries.
        """
        return await self._database.write(_resolve_missing, list_id, requested, found, tombstone)

    async def user_generation(self, list_id: int) -> int:
        """Return the generation of the whole users of a list."""
        return await self._database.read(user_generation, list_id)

    async def save_user_sync(self, list_id: int, *, synced_at: int) -> None:
        """Store when the last finished read of all users began."""
        await self._database.write(save_user_sync, list_id, synced_at)

    async def count_live(self, list_id: int) -> int:
        """Return the number of live rows."""
        return await self._database.read(_count_live, list_id)

    async def load_live_ids(self, list_id: int) -> "array[int]":
        """Return the portal's ids of all live records, ascending: eight bytes each."""
        ids = array("q")
        while part := await self._database.read(_load_ids, list_id, ids[-1] if ids else -1):
            ids.extend(part)
        gone = await self._database.read(_load_deleted_ids, list_id)
        return array("q", [row_id for row_id in ids if row_id not in gone]) if gone else ids

    async def find_rows(self, list_id: int, sublist: int, portal_row_ids: Sequence[int]) -> list[MissingRow]:
        """Return the live rows with these ids on the portal, as if they were missing."""
        return await self._database.read(_find_rows, list_id, sublist, portal_row_ids)

    async def finish(self, list_id: int, state: RunState, *, error: str | None, now: int) -> int:
        """End the run and return the number of rows it has read."""
        return await self._database.write(_finish, list_id, state, error, now)


FIND_RUN = """
SELECT list_id, resource, state, rows, total, left_out, started_at, finished_at, error,
    mode, server_time, zone_s, largest, generation
FROM sync_runs JOIN mirror_lists USING (list_id)
WHERE account_id = :account_id AND portal_id = :portal_id AND resource = :resource
"""
LIST_SUBLISTS = "SELECT part, cursor, done, skipped FROM sync_parts WHERE list_id = :list_id ORDER BY part"


def _find_run(connection: Connection, account_id: int, portal_id: int, resource: str) -> SyncRun | None:
    key = {"account_id": account_id, "portal_id": portal_id, "resource": resource}
    row = connection.execute(FIND_RUN, key).fetchone()
    if row is None:
        return None
    sublists = tuple(
        SublistProgress(sublist, cursor, bool(done), skipped)
        for sublist, cursor, done, skipped in connection.execute(LIST_SUBLISTS, {"list_id": row[0]})
    )
    return SyncRun(*(*row, sublists))


LIST_INTERRUPTED = """
SELECT account_id, list_id, resource, mode
FROM sync_runs JOIN mirror_lists USING (list_id) JOIN accounts USING (account_id, portal_id)
WHERE state = 'running' AND deleted = 0 AND kind <> 'pending' ORDER BY list_id
"""


def _list_interrupted(connection: Connection) -> list[tuple[int, int, str, SyncMode]]:
    return connection.execute(LIST_INTERRUPTED).fetchall()


LIST_RUNNING = "SELECT list_id, resource FROM sync_runs JOIN mirror_lists USING (list_id) WHERE state = 'running'"


def _list_orphaned(connection: Connection) -> list[tuple[int, str]]:
    interrupted = {list_id for _, list_id, *_ in _list_interrupted(connection)}
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


RESUME = """
UPDATE sync_runs SET state = 'running', total = NULL, finished_at = NULL, error = NULL WHERE list_id = :list_id
"""
START = """
INSERT OR REPLACE INTO sync_runs (list_id, state, rows, left_out, started_at, mode)
VALUES (:list_id, 'running', 0, 0, :now, :mode)
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
    mode: SyncMode,
    now: int,
    resumable_since: int | None,
) -> SyncRun:
    previous = _find_run(connection, account_id, portal_id, resource)
    if previous is not None and _resumes(previous, sublists, mode, now, resumable_since):
        connection.execute(RESUME, {"list_id": previous.list_id})
    else:
        list_id = find_or_add_list(connection, account_id, portal_id, resource)
        connection.execute(START, {"list_id": list_id, "now": now, "mode": mode})
        connection.execute(DELETE_SUBLISTS, {"list_id": list_id})
        connection.execute(DELETE_ALL_MISSING, {"list_id": list_id})
        connection.executemany(ADD_SUBLIST, [{"list_id": list_id, "part": sublist} for sublist in sublists])
    run = _find_run(connection, account_id, portal_id, resource)
    assert run is not None
    return run


def _resumes(previous: SyncRun, sublists: Sequence[int], mode: SyncMode, now: int, resumable_since: int | None) -> bool:
    return (
        resumable_since is not None
        and previous.mode == mode
        and previous.state != "done"
        and resumable_since <= previous.started_at <= now  # a later start means that the clock was set back
        and {progress.sublist for progress in previous.sublists} == set(sublists)
    )


MOVE_CURSOR = """
UPDATE sync_parts SET cursor = COALESCE(:cursor, cursor), done = :done WHERE list_id = :list_id AND part = :part
"""
COUNT_ROWS = "UPDATE sync_runs SET rows = rows + :rows, left_out = left_out + :left_out WHERE list_id = :list_id"
GENERATION = "SELECT generation FROM mirror_lists WHERE list_id = :list_id"


def _save_page(connection: Connection, list_id: int, page: RowPage, left_out: int) -> int:
    compare_rows(connection, list_id, page)
    save_user_rows(connection, list_id, page.users)
    proven = page.rows[-1][0] if page.upto is None and page.rows else page.upto
    done = page.upto is None
    connection.execute(MOVE_CURSOR, {"list_id": list_id, "part": page.sublist, "cursor": proven, "done": done})
    _count_rows(connection, list_id, len(page.rows) + left_out, left_out)
    return _generation(connection, list_id)


def _save_changes(connection: Connection, list_id: int, page: RowPage) -> int:
    update_rows(connection, list_id, page)
    _count_rows(connection, list_id, len(page.rows), 0)
    return _generation(connection, list_id)


def _count_rows(connection: Connection, list_id: int, rows: int, left_out: int) -> None:
    connection.execute(COUNT_ROWS, {"list_id": list_id, "rows": rows, "left_out": left_out})


SAVE_OPENING = """
UPDATE sync_runs SET server_time = :server_time, zone_s = :zone_s, largest = :largest
WHERE list_id = :list_id AND server_time IS NULL
"""


def _save_opening(connection: Connection, list_id: int, server_time: int, zone_s: int, largest: int) -> None:
    values = {"list_id": list_id, "server_time": server_time, "zone_s": zone_s, "largest": largest}
    connection.execute(SAVE_OPENING, values)


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


COUNT_LIVE = "SELECT live FROM mirror_lists WHERE list_id = :list_id"
# The index holds no `deleted`: to look it up would read every row. Deleted rows have an index of their own.
LOAD_IDS = """
SELECT portal_row_id FROM mirror_rows INDEXED BY mirror_rows_by_portal_row
WHERE list_id = :list_id AND part = 0 AND portal_row_id > :after ORDER BY portal_row_id LIMIT :limit
"""
LOAD_DELETED_IDS = "SELECT portal_row_id FROM mirror_rows WHERE list_id = :list_id AND deleted = 1"
IDS_A_READ = 50_000
FIND_ROWS = """
SELECT row_id, part, portal_row_id FROM mirror_rows
WHERE list_id = :list_id AND part = :part AND deleted = 0
AND portal_row_id IN (SELECT value FROM json_each(:ids))
"""


def _count_live(connection: Connection, list_id: int) -> int:
    row: tuple[int] = connection.execute(COUNT_LIVE, {"list_id": list_id}).fetchone()
    return row[0]


def _load_ids(connection: Connection, list_id: int, after: int) -> list[int]:
    key = {"list_id": list_id, "after": after, "limit": IDS_A_READ}
    return [portal_row_id for (portal_row_id,) in connection.execute(LOAD_IDS, key)]


def _load_deleted_ids(connection: Connection, list_id: int) -> set[int]:
    return {portal_row_id for (portal_row_id,) in connection.execute(LOAD_DELETED_IDS, {"list_id": list_id})}


def _find_rows(connection: Connection, list_id: int, sublist: int, portal_row_ids: Sequence[int]) -> list[MissingRow]:
    ids = orjson.dumps(list(portal_row_ids)).decode()
    return connection.execute(FIND_ROWS, {"list_id": list_id, "part": sublist, "ids": ids}).fetchall()


DELETE_MISSING = "DELETE FROM sync_missing WHERE list_id = :list_id AND row_id = :row_id"


def _resolve_missing(
    connection: Connection,
    list_id: int,
    requested: Sequence[MissingRow],
    found: Sequence[RowPage],
    tombstone: bytes | None,
) -> int:
    present = {(page.sublist, portal_row_id) for page in found for portal_row_id, _ in page.rows}
    gone = [row_id for row_id, *portal_key in requested if tuple(portal_key) not in present]
    if tombstone is None:
        mark_deleted(connection, list_id, gone)
        delete_user_rows(connection, list_id, gone)
    else:
        (page,) = found
        bury_records(connection, list_id, gone, head=tombstone, mark=page.mark)
    for page in found:
        update_rows(connection, list_id, page)
        save_user_rows(connection, list_id, page.users)
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
