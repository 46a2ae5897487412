"""Mirrored rows: separate lists, costs of pages, block boundaries and writes."""

from collections.abc import Iterator
from sqlite3 import Connection

import pytest

from storage.accounts import AccountStore
from storage.database import Database
from storage.mirror import MirrorStore
from storage.mirror_changes import BLOCK
from storage.records import Account, Portal, RowPage
from storage.syncs import SyncStore
from tests.storage.samples import NOW, listed, prefix, row, rows


@pytest.fixture
def mirror(database: Database) -> MirrorStore:
    return MirrorStore(database)


@pytest.fixture
def syncs(database: Database) -> SyncStore:
    return SyncStore(database)


async def fill(syncs: SyncStore, account: Account, count: int, resource: str = "users") -> int:
    """Store the portal's rows 1 to *count* in *account*'s list and return its list_id."""
    run = await syncs.begin(
        account.account_id, account.portal.portal_id, resource, [0], now=NOW, resumable_since=NOW - 3600
    )
    await syncs.save_page(run.list_id, RowPage(0, rows(range(1, count + 1)), 0, None, prefix(NOW)))
    return run.list_id


class Steps:
    """Counts the SQLite virtual machine steps of batched reads."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._count = 0

    async def watch(self) -> None:
        await self._database.read_batched(self._install)

    def _install(self, connection: Connection) -> None:
        connection.set_progress_handler(self._step, 10)

    def _step(self) -> int:
        self._count += 10
        return 0

    def take(self) -> int:
        steps, self._count = self._count, 0
        return steps


async def test_a_deep_page_costs_as_much_as_the_first_even_among_deleted_rows(
    database: Database, mirror: MirrorStore, syncs: SyncStore, acme: Account
) -> None:
    count = 16 * BLOCK
    list_id = await fill(syncs, acme, count)
    remaining = [at for at in range(1, count + 1) if at % 8 == 0]
    await syncs.save_page(list_id, RowPage(0, rows(remaining), 0, None, prefix(NOW)))
    missing = await syncs.load_missing(list_id, limit=count)
    await syncs.resolve_missing(list_id, missing, [], tombstone=None)
    steps = Steps(database)
    await steps.watch()
    key = (acme.account_id, acme.portal, "users")
    steps.take()
    first = await mirror.page(*key, page=1, size=25)
    cost_of_first = steps.take()
    costs = []
    for page in range(2, len(remaining) // 25 + 1, 7):
        found = await mirror.page(*key, page=page, size=25)
        costs.append(steps.take())
        assert found is not None
        assert [suffix for _, suffix in listed(found)] == [row(at)[1] for at in remaining[(page - 1) * 25 : page * 25]]
    assert first is not None
    assert (first.count, len(listed(first))) == (len(remaining), 25)
    assert max(costs) < 5 * cost_of_first


async def test_lists_are_separate_by_account_resource_and_portal(
    accounts: AccountStore, mirror: MirrorStore, syncs: SyncStore, acme: Account
) -> None:
    rival = await accounts.connect(
        "rival", host="acme.bitrix24.ru", origin="https://acme.bitrix24.ru", sealed_webhook=b"x", now=NOW
    )
    await fill(syncs, acme, 3)
    await fill(syncs, rival, 5)
    await fill(syncs, acme, 7, resource="steps")

    async def count(account_id: int, portal_id: int, resource: str) -> int | None:
        found = await mirror.page(account_id, Portal(portal_id, "a host", None), resource, page=1, size=100)
        return None if found is None else found.count

    portal_id = acme.portal.portal_id
    assert await count(acme.account_id, portal_id, "users") == 3
    assert await count(rival.account_id, portal_id, "users") == 5
    assert await count(acme.account_id, portal_id, "steps") == 7
    assert await count(rival.account_id, portal_id, "steps") is None
    assert await count(acme.account_id, portal_id + 1, "users") is None
    assert not await mirror.has_row(acme.account_id, portal_id, "users", 4)
    assert await mirror.has_row(rival.account_id, portal_id, "users", 4)


def boundary_pages() -> Iterator[tuple[int, int]]:
    """Yield (page, size) pairs that start or end at a block boundary or beyond the list."""
    for size in (1, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK, 2 * BLOCK + 1, 10**18):
        for page in (1, 2, 3, BLOCK, BLOCK + 1, 2 * BLOCK, 2 * BLOCK + 1, 10**18):
            yield page, size


async def test_pages_at_block_boundaries_are_slices(mirror: MirrorStore, syncs: SyncStore, acme: Account) -> None:
    count = 2 * BLOCK
    await fill(syncs, acme, count)
    suffixes = [row(at)[1] for at in range(1, count + 1)]
    for page, size in boundary_pages():
        found = await mirror.page(acme.account_id, acme.portal, "users", page=page, size=size)
        assert found is not None
        assert [suffix for _, suffix in listed(found)] == suffixes[(page - 1) * size : page * size], (page, size)


async def test_a_fully_deleted_list_is_empty_and_its_rows_return_with_their_ids(
    mirror: MirrorStore, syncs: SyncStore, acme: Account
) -> None:
    list_id = await fill(syncs, acme, BLOCK + 1)
    key = (acme.account_id, acme.portal, "users")
    before = await mirror.page(*key, page=1, size=2 * BLOCK)
    await syncs.save_page(list_id, RowPage(0, [], 0, None, prefix(NOW + 1)))
    missing = await syncs.load_missing(list_id, limit=2 * BLOCK)
    await syncs.resolve_missing(list_id, missing, [], tombstone=None)
    empty = await mirror.page(*key, page=1, size=10)
    assert empty is not None
    assert (empty.count, listed(empty)) == (0, [])
    await syncs.save_page(list_id, RowPage(0, rows(range(1, BLOCK + 2)), 0, None, prefix(NOW + 2)))
    after = await mirror.page(*key, page=1, size=2 * BLOCK)
    assert before is not None
    assert after is not None
    assert listed(after) == listed(before)


async def test_unchanged_rows_are_not_written(database: Database, syncs: SyncStore, acme: Account) -> None:
    def written(connection: Connection) -> int:
        return connection.total_changes

    list_id = await fill(syncs, acme, 500)
    before = await database.write(written)
    generation = await syncs.save_page(list_id, RowPage(0, rows(range(1, 501)), 0, None, prefix(NOW)))
    assert await database.write(written) - before == 2  # the run's cursor and row count
    changed = [*rows(range(1, 500)), row(500, "another")]
    assert await syncs.save_page(list_id, RowPage(0, changed, 0, None, prefix(NOW))) == generation + 1
    assert await database.write(written) - before == 2 + 2 + 2  # plus the row and the list's generation
