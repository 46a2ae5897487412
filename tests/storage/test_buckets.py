"""What a restart finds of each portal's request counter."""

import pytest

from storage.accounts import AccountStore
from storage.buckets import BucketStore
from storage.database import Database
from storage.records import Bucket


@pytest.fixture
def buckets(database: Database) -> BucketStore:
    return BucketStore(database)


async def portal(accounts: AccountStore, host: str) -> int:
    account = await accounts.connect(host, host=host, origin=f"https://{host}", sealed_webhook=b"*", now=1)
    return account.portal.portal_id


async def test_a_mark_hides_the_level_of_an_earlier_stop(accounts: AccountStore, buckets: BucketStore) -> None:
    portal_id = await portal(accounts, "p.bitrix24.ru")
    assert await buckets.list_all() == []
    await buckets.save({portal_id: 12.5}, 100.25)
    assert await buckets.list_all() == [Bucket(portal_id, 12.5, 100.25)]
    await buckets.mark(portal_id, 101.5)
    assert await buckets.list_all() == [Bucket(portal_id, None, 101.5)]


async def test_a_portal_that_is_no_more_is_not_marked(buckets: BucketStore) -> None:
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
async def test_portals_that_are_joined_add_their_levels(
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
