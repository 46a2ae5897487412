"""A record that was written after a page was requested is not changed by that page."""

from collections.abc import Sequence

import orjson
import pytest

from storage.database import Database
from storage.mirror import MirrorStore
from storage.records import Account, MirrorRow, RecordColumns, RowPage
from storage.sync_settings import SyncSettingsStore
from storage.syncs import SyncStore
from tests.storage.samples import NOW

HEAD = b',"syncedAt":"2026-11-21T11:31:02Z","deleted":false}'
TOMBSTONE = b',"syncedAt":"2026-11-22T11:31:02Z","deleted":true}'
NO_COLUMNS = RecordColumns(None, None, None, None, None, None)


def record(row_id: int, title: str) -> MirrorRow:
    return row_id, orjson.dumps({"id": row_id, "TITLE": title})


def page_of(rows: Sequence[MirrorRow], *, mark: int, after: int | None = 0, upto: int | None = None) -> RowPage:
    return RowPage(0, list(rows), after, upto, HEAD, {row_id: NO_COLUMNS for row_id, _ in rows}, mark)


class Deals:
    """The stored deals of one account."""

    def __init__(self, syncs: SyncStore, mirror: MirrorStore, account: Account, list_id: int) -> None:
        self.syncs, self.mirror, self.account, self.list_id = syncs, mirror, account, list_id

    async def titles(self) -> dict[int, str]:
        found = await self.mirror.page(
            self.account.account_id, self.account.portal, "deals", records=True, page=1, size=100
        )
        assert found is not None
        return {row["id"]: row["TITLE"] for row in orjson.loads(b"[" + found.items + b"]")}


@pytest.fixture
async def deals(database: Database, acme: Account) -> Deals:
    syncs, portal_id = SyncStore(database), acme.portal.portal_id
    await SyncSettingsStore(database).change(
        acme.account_id, portal_id, "deals", enabled=True, enabled_by_default=False
    )
    run = await syncs.begin(acme.account_id, portal_id, "deals", [0], now=NOW, resumable_since=None)
    return Deals(syncs, MirrorStore(database), acme, run.list_id)


async def test_a_late_page_does_not_overwrite_revive_or_remove(deals: Deals) -> None:
    first = await deals.syncs.save_page(
        deals.list_id, page_of([record(1, "a"), record(2, "b"), record(3, "c")], mark=0)
    )
    changed = await deals.syncs.save_changes(
        deals.list_id, page_of([record(1, "newer"), record(4, "added")], mark=first)
    )
    gone = await deals.syncs.find_rows(deals.list_id, 0, [2])
    await deals.syncs.resolve_missing(deals.list_id, gone, [page_of([], mark=changed)], tombstone=TOMBSTONE)
    late = page_of([record(1, "older"), record(2, "b"), record(3, "c")], mark=first)
    await deals.syncs.save_page(deals.list_id, late)
    assert await deals.titles() == {1: "newer", 3: "c", 4: "added"}
    assert await deals.syncs.load_missing(deals.list_id, limit=10) == []


async def test_a_page_that_was_requested_later_wins(deals: Deals) -> None:
    first = await deals.syncs.save_page(deals.list_id, page_of([record(1, "a"), record(2, "b")], mark=0))
    changed = await deals.syncs.save_changes(deals.list_id, page_of([record(1, "newer")], mark=first))
    await deals.syncs.save_page(deals.list_id, page_of([record(1, "newest")], mark=changed))
    assert await deals.titles() == {1: "newest", 2: "b"}
    assert [row_id for _, _, row_id in await deals.syncs.load_missing(deals.list_id, limit=10)] == [2]


async def test_a_row_that_changed_after_it_was_found_missing_is_not_deleted(deals: Deals) -> None:
    first = await deals.syncs.save_page(deals.list_id, page_of([record(1, "a"), record(2, "b")], mark=0))
    gone = await deals.syncs.find_rows(deals.list_id, 0, [2])
    await deals.syncs.save_changes(deals.list_id, page_of([record(2, "here again")], mark=first))
    await deals.syncs.resolve_missing(deals.list_id, gone, [page_of([], mark=first)], tombstone=TOMBSTONE)
    assert await deals.titles() == {1: "a", 2: "here again"}


async def test_unchanged_records_change_no_generation(deals: Deals) -> None:
    first = await deals.syncs.save_page(deals.list_id, page_of([record(1, "a"), record(2, "b")], mark=0))
    assert await deals.syncs.save_page(deals.list_id, page_of([record(1, "a"), record(2, "b")], mark=first)) == first
    assert await deals.syncs.save_changes(deals.list_id, page_of([record(2, "b")], mark=first)) == first
