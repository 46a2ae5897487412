"""Sync runs: rows and progress are stored together, and interrupted runs resume."""

from sqlite3 import Connection

import pytest

from storage.accounts import AccountStore
from storage.database import Database
from storage.errors import StorageError
from storage.mirror import MirrorStore
from storage.records import Account, RowPage, SublistProgress, SyncRun
from storage.syncs import SyncStore
from tests.storage.samples import NOW, listed, prefix, row, rows

HOUR = 3600


@pytest.fixture
def syncs(database: Database) -> SyncStore:
    return SyncStore(database)


@pytest.fixture
def mirror(database: Database) -> MirrorStore:
    return MirrorStore(database)


async def begin(syncs: SyncStore, account: Account, *sublists: int, now: int = NOW, resource: str = "users") -> SyncRun:
    return await syncs.begin(
        account.account_id, account.portal.portal_id, resource, sublists or (0,), now=now, resumable_since=now - HOUR
    )


async def latest(syncs: SyncStore, account: Account, resource: str = "users") -> SyncRun:
    run = await syncs.load(account.account_id, account.portal.portal_id, resource)
    assert run is not None
    return run


async def save(
    syncs: SyncStore, run: SyncRun, ids: range, *, after: int = 0, upto: int | None = None, sublist: int = 0
) -> int:
    return await syncs.save_page(run.list_id, RowPage(sublist, rows(ids), after, upto, prefix(NOW)))


async def live_ids(mirror: MirrorStore, account: Account) -> list[bytes]:
    found = await mirror.page(account.account_id, account.portal, "users", page=1, size=10_000)
    return [] if found is None else [suffix for _, suffix in listed(found)]


def suffixes(ids: range) -> list[bytes]:
    return [suffix for _, suffix in rows(ids)]


async def test_there_is_no_run_before_the_first(syncs: SyncStore, acme: Account) -> None:
    assert await syncs.load(acme.account_id, acme.portal.portal_id, "users") is None
    assert await syncs.list_interrupted() == []


async def test_a_run_starts_at_the_beginning_of_every_sublist(syncs: SyncStore, acme: Account) -> None:
    run = await begin(syncs, acme, 3, 1, 2)
    assert run == await latest(syncs, acme)
    assert (run.state, run.rows, run.total, run.left_out, run.started_at) == ("running", 0, None, 0, NOW)
    assert (run.finished_at, run.error, run.cursor) == (None, None, None)
    assert run.sublists == tuple(SublistProgress(sublist, None, False, None) for sublist in (1, 2, 3))


async def test_rows_of_a_page_and_the_cursor_are_stored_in_one_transaction(
    database: Database, syncs: SyncStore, mirror: MirrorStore, acme: Account
) -> None:
    run = await begin(syncs, acme)
    await save(syncs, run, range(1, 51), upto=60)
    assert (await latest(syncs, acme)).cursor == 60

    def hide(connection: Connection) -> None:
        connection.execute("ALTER TABLE sync_runs RENAME TO hidden")

    def show(connection: Connection) -> None:
        connection.execute("ALTER TABLE hidden RENAME TO sync_runs")

    await database.write(hide)
    with pytest.raises(StorageError):
        await save(syncs, run, range(61, 111), after=60, upto=120)
    await database.write(show)
    assert await live_ids(mirror, acme) == suffixes(range(1, 51))
    assert (await latest(syncs, acme)).cursor == 60
    await save(syncs, run, range(61, 111), after=60)
    found = await latest(syncs, acme)
    assert (found.rows, found.sublists) == (100, (SublistProgress(0, 110, True, None),))


async def test_the_last_page_ends_a_sublist_and_an_empty_one_keeps_its_cursor(syncs: SyncStore, acme: Account) -> None:
    run = await begin(syncs, acme, 1, 2)
    await save(syncs, run, range(1, 11), upto=20, sublist=1)
    await save(syncs, run, range(0), after=20, sublist=1)
    assert (await latest(syncs, acme)).sublists == (
        SublistProgress(1, 20, True, None),
        SublistProgress(2, None, False, None),
    )


async def test_left_out_rows_count_as_read(syncs: SyncStore, acme: Account) -> None:
    run = await begin(syncs, acme)
    await syncs.set_total(run.list_id, 12)
    await syncs.save_page(run.list_id, RowPage(0, rows(range(10)), -1, None, prefix(NOW)), left_out=2)
    found = await latest(syncs, acme)
    assert (found.rows, found.left_out, found.total) == (12, 2, 12)


async def test_a_skipped_sublist_is_done_with_its_reason_and_keeps_its_rows(
    syncs: SyncStore, mirror: MirrorStore, acme: Account
) -> None:
    run = await begin(syncs, acme, 1, 2)
    await save(syncs, run, range(1, 4), sublist=2)
    await syncs.finish(run.list_id, "done", error=None, now=NOW)
    run = await begin(syncs, acme, 1, 2)
    await syncs.skip_sublist(run.list_id, 2, "no such entity")
    assert (await latest(syncs, acme)).sublists[1] == SublistProgress(2, None, True, "no such entity")
    assert await syncs.load_missing(run.list_id, limit=10) == []
    assert await live_ids(mirror, acme) == suffixes(range(1, 4))


@pytest.mark.parametrize("end", [None, "failed"])
async def test_an_interrupted_or_failed_run_resumes_at_its_cursor(
    syncs: SyncStore, acme: Account, end: str | None
) -> None:
    run = await begin(syncs, acme)
    await save(syncs, run, range(1, 51), upto=60)
    if end is not None:
        await syncs.finish(run.list_id, "failed", error="the portal is away", now=NOW + 10)
        failed = await latest(syncs, acme)
        assert (failed.state, failed.error, failed.finished_at) == ("failed", "the portal is away", NOW + 10)
    again = await begin(syncs, acme, now=NOW + HOUR)
    assert (again.state, again.error, again.finished_at) == ("running", None, None)
    assert (again.cursor, again.rows, again.started_at) == (60, 50, NOW)


@pytest.mark.parametrize("state", ["running", "failed", "done"])
async def test_an_old_or_finished_run_starts_over(syncs: SyncStore, acme: Account, state: str) -> None:
    run = await begin(syncs, acme, 0, 5)
    await save(syncs, run, range(1, 51), upto=60)
    await syncs.set_total(run.list_id, 99)
    await syncs.skip_sublist(run.list_id, 5, "no such entity")
    if state == "failed":
        await syncs.finish(run.list_id, "failed", error="the portal is away", now=NOW)
    if state == "done":
        await syncs.finish(run.list_id, "done", error=None, now=NOW)
    again = await begin(syncs, acme, now=NOW + (1 if state == "done" else HOUR + 1))
    assert (again.list_id, again.state, again.rows, again.total) == (run.list_id, "running", 0, None)
    assert again.sublists == (SublistProgress(0, None, False, None),)


async def test_only_interrupted_runs_of_connected_accounts_are_listed(
    accounts: AccountStore, syncs: SyncStore, acme: Account
) -> None:
    async def connect(key: str, host: str = "acme.bitrix24.ru") -> Account:
        return await accounts.connect(key, host=host, origin=f"https://{host}", sealed_webhook=b"x", now=NOW)

    deleted, moved, halted = await connect("deleted"), await connect("moved"), await connect("halted")
    for account in (acme, deleted, moved, halted):
        await begin(syncs, account)
    await begin(syncs, acme, resource="steps")
    done = await begin(syncs, acme, resource="fields")
    await syncs.finish(done.list_id, "done", error=None, now=NOW)
    await accounts.delete(deleted.account_id, now=NOW)
    await connect("moved", "elsewhere.bitrix24.ru")
    await syncs.finish((await latest(syncs, halted)).list_id, "failed", error="halted", now=NOW)
    assert await syncs.list_interrupted() == [
        (acme.account_id, (await latest(syncs, acme, resource)).list_id, resource, "full")
        for resource in ("users", "steps")
    ]


async def synced(syncs: SyncStore, account: Account, ids: range) -> SyncRun:
    """Start a new run after a finished one that stored *ids*."""
    run = await begin(syncs, account)
    await save(syncs, run, ids)
    await syncs.finish(run.list_id, "done", error=None, now=NOW)
    return await begin(syncs, account)


async def test_a_missing_row_stays_live_until_it_is_resolved(
    syncs: SyncStore, mirror: MirrorStore, acme: Account
) -> None:
    run = await synced(syncs, acme, range(1, 6))
    await save(syncs, run, range(1, 3))
    missing = await syncs.load_missing(run.list_id, limit=10)
    assert [portal_row_id for _, _, portal_row_id in missing] == [3, 4, 5]
    assert await live_ids(mirror, acme) == suffixes(range(1, 6))
    pages = [RowPage(0, [row(4, "was only slow")], None, None, prefix(NOW))]
    generation = await syncs.resolve_missing(run.list_id, missing, pages, tombstone=None)
    found = await mirror.page(acme.account_id, acme.portal, "users", page=1, size=10)
    assert found is not None
    assert found.generation == generation
    assert [suffix for _, suffix in listed(found)] == [*suffixes(range(1, 3)), row(4, "was only slow")[1]]
    assert await syncs.load_missing(run.list_id, limit=10) == []


async def test_reading_a_range_again_replaces_its_missing_rows(syncs: SyncStore, acme: Account) -> None:
    run = await synced(syncs, acme, range(1, 6))
    await save(syncs, run, range(2, 4), upto=3)
    await syncs.finish(run.list_id, "failed", error="the portal is away", now=NOW)
    run = await begin(syncs, acme)
    await save(syncs, run, range(1, 5))  # now 1 is present and 5 is not
    assert [portal_row_id for _, _, portal_row_id in await syncs.load_missing(run.list_id, limit=10)] == [5]


async def test_a_resumed_run_keeps_the_missing_rows_of_the_failed_one(syncs: SyncStore, acme: Account) -> None:
    run = await synced(syncs, acme, range(1, 6))
    await save(syncs, run, range(2, 4), upto=3)
    await syncs.finish(run.list_id, "failed", error="the portal is away", now=NOW)
    run = await begin(syncs, acme)
    await save(syncs, run, range(4, 6), after=3)
    assert [portal_row_id for _, _, portal_row_id in await syncs.load_missing(run.list_id, limit=10)] == [1]


async def test_a_run_that_starts_over_discards_missing_rows(syncs: SyncStore, acme: Account) -> None:
    run = await synced(syncs, acme, range(1, 6))
    await save(syncs, run, range(2, 4), upto=3)
    again = await begin(syncs, acme, now=NOW + HOUR + 1)
    assert await syncs.load_missing(again.list_id, limit=10) == []


async def test_rows_are_missing_only_in_the_sublist_and_range_that_was_read(syncs: SyncStore, acme: Account) -> None:
    run = await begin(syncs, acme, 1, 2)
    for sublist in (1, 2):
        await save(syncs, run, range(10), after=-1, sublist=sublist)
    await syncs.finish(run.list_id, "done", error=None, now=NOW)
    run = await begin(syncs, acme, 1, 2)
    await save(syncs, run, range(0), after=3, upto=5, sublist=2)
    missing = [
        (sublist, portal_row_id) for _, sublist, portal_row_id in await syncs.load_missing(run.list_id, limit=99)
    ]
    assert missing == [(2, 4), (2, 5)]


async def test_missing_rows_are_loaded_in_batches(syncs: SyncStore, mirror: MirrorStore, acme: Account) -> None:
    run = await synced(syncs, acme, range(1, 1001))
    await save(syncs, run, range(0))
    bundles = 0
    while missing := await syncs.load_missing(run.list_id, limit=300):
        await syncs.resolve_missing(run.list_id, missing, [], tombstone=None)
        bundles += 1
    assert bundles == 4
    assert await live_ids(mirror, acme) == []
