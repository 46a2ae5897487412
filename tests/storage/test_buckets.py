"""Stored bucket levels, as a restart reads them."""

import os
from pathlib import Path
from sqlite3 import Connection

import pysqlite3
import pytest

from storage.accounts import AccountStore
from storage.buckets import BucketStore
from storage.database import Database
from storage.database_file import LockFile
from storage.errors import StorageUnavailable
from storage.records import Bucket
from tests.storage.samples import execute


@pytest.fixture
def buckets(database: Database) -> BucketStore:
    return BucketStore(database)


async def portal(accounts: AccountStore, host: str) -> int:
    account = await accounts.connect(host, host=host, origin=f"https://{host}", sealed_webhook=b"*", now=1)
    return account.portal.portal_id


async def test_a_mark_makes_the_saved_level_unknown(accounts: AccountStore, buckets: BucketStore) -> None:
    portal_id = await portal(accounts, "p.bitrix24.ru")
    assert await buckets.list_all() == []
    await buckets.save({portal_id: 12.5}, 100.25)
    assert await buckets.list_all() == [Bucket(portal_id, 12.5, 100.25)]
    await buckets.mark(portal_id, 101.5)
    assert await buckets.list_all() == [Bucket(portal_id, None, 101.5)]


async def test_a_missing_portal_is_not_marked(buckets: BucketStore) -> None:
    await buckets.mark(77, 100)
    assert await buckets.list_all() == []


@pytest.mark.parametrize(
    ("levels", "joined"),
    [
        ((12.0, 20.0), (32.0, 101.0)),
        ((12.0, None), (None, 101.0)),
        ((None, 20.0), (None, 101.0)),
        ((12.0, "absent"), (12.0, 100.0)),
        (("absent", 20.0), (20.0, 101.0)),
        (("absent", "absent"), None),
    ],
)
async def test_merging_portals_adds_their_levels(
    accounts: AccountStore,
    buckets: BucketStore,
    levels: tuple[float | str | None, float | str | None],
    joined: tuple[float | None, float] | None,
) -> None:
    known, hook = await portal(accounts, "old.bitrix24.ru"), await portal(accounts, "new.bitrix24.ru")
    account = await accounts.load(known)
    for now, (portal_id, level) in enumerate(zip((known, hook), levels, strict=True), 100):
        if level is None:
            await buckets.mark(portal_id, now)
        elif isinstance(level, float):
            await buckets.save({portal_id: level}, now)
    await accounts.save_tokens(
        account.account_id, b"*", member_id="m1", origin="https://old.bitrix24.ru", authorized_host="", now=2
    )
    await accounts.save_tokens(
        account.account_id, b"*", member_id="m1", origin="https://new.bitrix24.ru", authorized_host="", now=3
    )
    assert await buckets.list_all() == ([] if joined is None else [Bucket(known, *joined)])


async def unwritable(database: Database, path: Path) -> Connection:
    """Lock the file with another connection, without a busy timeout for the database; closing it unlocks the file."""
    await database.write(execute, "PRAGMA busy_timeout = 0")
    holder: Connection = pysqlite3.connect(str(path), isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    return holder


def at_next_start(database: Database) -> LockFile:
    """Open the lock file as the next start does."""
    return LockFile(os.open(f"{database.path}.lock", os.O_RDWR), new=False)


async def left(database: Database) -> list[Bucket]:
    """Return all buckets as the next start reads them."""
    found = at_next_start(database)
    database.lock, lock = found, database.lock
    try:
        return await BucketStore(database).list_all()
    finally:
        database.lock = lock
        found.close()


async def test_unwritable_marks_make_older_buckets_full_at_the_last_call(
    database: Database, accounts: AccountStore, buckets: BucketStore, caplog: pytest.LogCaptureFixture
) -> None:
    one, two, never = [await portal(accounts, f"{name}.bitrix24.ru") for name in ("one", "two", "never")]
    await buckets.save({one: 3.5, two: 4.5}, 100)
    assert await left(database) == [Bucket(one, 3.5, 100), Bucket(two, 4.5, 100)]
    holder = await unwritable(database, database.path)
    await buckets.mark(one, 200)
    await buckets.mark(one, 201.5)
    holder.close()
    assert await left(database) == [Bucket(portal_id, None, 201.5) for portal_id in (one, two, never)]
    await buckets.mark(two, 300)
    assert await left(database) == [Bucket(one, None, 201.5), Bucket(two, None, 300), Bucket(never, None, 201.5)]
    assert len([record for record in caplog.records if "cannot store" in record.getMessage()]) == 1
    await buckets.save({one: 1.5}, 400)
    assert await left(database) == [Bucket(one, 1.5, 400), Bucket(two, None, 300)]


async def test_levels_that_cannot_be_saved_at_shutdown_count_as_full(
    database: Database, accounts: AccountStore, buckets: BucketStore
) -> None:
    one = await portal(accounts, "one.bitrix24.ru")
    await buckets.save({one: 3.5}, 100)
    holder = await unwritable(database, database.path)
    with pytest.raises(StorageUnavailable):
        await buckets.save({one: 7.5}, 200)
    holder.close()
    assert await left(database) == [Bucket(one, None, 200)]
