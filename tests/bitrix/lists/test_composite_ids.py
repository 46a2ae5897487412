"""Rows without an id, such as addresses: several columns identify them, in the mirror too."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.bitrix.client import PortalClient
from gateway.bitrix.errors import PortalBroken, WalkFailed
from gateway.bitrix.lists.list_specs import COMPOSITE_BASE, LIST_SPECS, MAX_ID, Paging, Row
from gateway.bitrix.lists.page import ListCall
from gateway.mirror.pages import Pages
from gateway.mirror.resources import PortalList, Resource
from gateway.mirror.sync_pass import SyncPass
from gateway.mirror.sync_writer import SyncWriter
from gateway.sandbox.content.addresses import make_address
from gateway.sandbox.portal import SandboxPortal
from storage.accounts import AccountStore
from storage.database import Database
from storage.mirror import MirrorStore
from storage.records import Account
from storage.syncs import SyncStore
from tests.clock import ManualClock

SPEC = LIST_SPECS["crm.address.list"]
HOUR = 3600


def decode(row: Row, portal_row_id: int) -> dict[str, object]:
    return {"portalID": portal_row_id, "of": row["ENTITY_ID"], "kind": row["TYPE_ID"], "city": row["CITY"]}


ADDRESSES = Resource(
    "addresses",
    lambda _language: (PortalList(0, "crm.address.list", ListCall("crm.address.list"), decode),),
    lambda created_at: b'{"ID":%%d,"createdAt":%d,"accountID":' % created_at,
    empty=None,
)


async def keep_nothing(_result: object) -> None:
    """Dictionaries have no described fields."""


@dataclass
class Mirror:
    """The mirror of one account's addresses, in a real database file."""

    database: Database
    account: Account
    client: PortalClient
    clock: ManualClock

    async def sync(self) -> None:
        store, rows, portal_id = SyncStore(self.database), MirrorStore(self.database), self.account.portal.portal_id
        now = int(self.clock.now())
        run = await store.begin(
            self.account.account_id, portal_id, ADDRESSES.name, [0], now=now, resumable_since=now - HOUR
        )
        writer = SyncWriter(store, Pages(rows, cache_bytes=0), self.clock, ADDRESSES, run, keep_nothing)
        sync = SyncPass(store, self.client, writer, ADDRESSES.lists("ru"), run)
        await self.clock.until(sync.run())
        await store.finish(run.list_id, "done", error=None, now=now)

    async def rows(self) -> dict[tuple[int, int], dict[str, Any]]:
        """All rows by requisite and kind."""
        page = await MirrorStore(self.database).page(
            self.account.account_id, self.account.portal, ADDRESSES.name, page=1, size=10_000
        )
        items = [] if page is None else orjson.loads(b"[%b]" % page.items)
        found = {(int(item["of"]), int(item["kind"])): item for item in items}
        assert len(found) == len(items)
        return found


@pytest.fixture
async def mirror(tmp_path: Path, client: PortalClient, clock: ManualClock) -> AsyncIterator[Mirror]:
    async with Database.open(tmp_path / "gateway.db") as database:
        account = await AccountStore(database).connect(
            "acme", host="acme.bitrix24.ru", origin="https://acme.bitrix24.ru", sealed_webhook=b"sealed", now=1
        )
        yield Mirror(database, account, client, clock)


def fill(portal: SandboxPortal, requisites: int) -> dict[tuple[int, int], int]:
    """Create two addresses for each requisite; return the portal's row numbers by requisite and kind."""
    keys = [(requisite_id, kind) for requisite_id in range(1, requisites + 1) for kind in (1, 6)]
    portal.data.addresses.clear()
    portal.data.addresses.update({number: make_address(*key) for number, key in enumerate(keys, start=1)})
    return {key: number for number, key in enumerate(keys, start=1)}


@pytest.mark.parametrize("fault", [None, "crm.address.list:total=50*"])
@pytest.mark.parametrize("requisites", [10, 25, 60, 400])
async def test_rows_are_added_changed_deleted_and_restored_under_the_same_id(
    mirror: Mirror, portal: SandboxPortal, requisites: int, fault: str | None
) -> None:
    numbers, addresses = fill(portal, requisites), portal.data.addresses
    if fault is not None:
        portal.fault(fault)
    await mirror.sync()
    first = await mirror.rows()
    assert first.keys() == numbers.keys()
    assert [row["portalID"] for row in first.values()] == sorted(row["portalID"] for row in first.values())

    addresses[numbers[3, 1]] = addresses[numbers[3, 1]] | {"CITY": "Moved"}
    deleted = addresses.pop(numbers[3, 6])
    addresses[numbers[4, 6]] = make_address(4, 11)  # replaces the address by one of another kind
    await mirror.sync()
    second = await mirror.rows()
    assert second.keys() == (first.keys() - {(3, 6), (4, 6)}) | {(4, 11)}
    assert {key for key in first.keys() & second.keys() if first[key] != second[key]} == {(3, 1)}
    assert second[3, 1] == first[3, 1] | {"city": "Moved"}
    assert second[4, 11]["ID"] > max(row["ID"] for row in first.values())

    addresses[10**6] = deleted
    await mirror.sync()
    assert (await mirror.rows())[3, 6] == first[3, 6]


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        ({"TYPE_ID": str(COMPOSITE_BASE)}, f"a row whose TYPE_ID is {COMPOSITE_BASE}, too large for a composite id"),
        ({"ENTITY_TYPE_ID": "10001"}, "a row whose ENTITY_TYPE_ID is 10001, too large for a composite id"),
        ({"ENTITY_ID": str(MAX_ID // COMPOSITE_BASE)}, "a row whose ENTITY_ID is too large for a composite id"),
        ({"ENTITY_ID": "9" * 20}, "a row without a usable ENTITY_ID"),
        ({"TYPE_ID": None}, "a row without a usable TYPE_ID"),
        ({"TYPE_ID": "-1"}, "a row without a usable TYPE_ID"),
    ],
)
async def test_an_unusable_composite_key_fails_the_sync_and_changes_nothing(
    mirror: Mirror, portal: SandboxPortal, columns: Row, reason: str
) -> None:
    numbers = fill(portal, 10)
    await mirror.sync()
    before = await mirror.rows()
    portal.data.addresses[numbers[2, 1]] |= columns
    with pytest.raises(WalkFailed, match=reason):
        await mirror.sync()
    assert await mirror.rows() == before


def row_of(key: tuple[int, int, int]) -> Row:
    return dict(zip(SPEC.composite, map(str, key), strict=True))


columns = st.tuples(st.integers(0, 10**19), st.integers(0, 2 * COMPOSITE_BASE), st.integers(0, 2 * COMPOSITE_BASE))
near_the_edge = st.tuples(
    st.integers(MAX_ID // COMPOSITE_BASE**2 - 2, MAX_ID // COMPOSITE_BASE**2 + 2),
    st.integers(COMPOSITE_BASE - 2, COMPOSITE_BASE + 2),
    st.integers(COMPOSITE_BASE - 2, COMPOSITE_BASE + 2) | st.integers(0, 2),
)


@given(columns | near_the_edge, columns | near_the_edge)
def test_composite_ids_are_unique_sort_like_their_columns_and_fit_into_sqlite(
    first: tuple[int, int, int], second: tuple[int, int, int]
) -> None:
    try:
        ids = SPEC.ids([row_of(first), row_of(second)])
    except PortalBroken:
        assert any(max(key[1:]) >= COMPOSITE_BASE or key[0] > 9 * 10**10 for key in (first, second))
        return
    assert all(0 <= composite_id <= MAX_ID for composite_id in ids)
    assert (ids[0] < ids[1], ids[0] == ids[1]) == (first < second, first == second)


def test_lists_with_composite_ids_are_read_by_offset() -> None:
    composite = [spec for spec in LIST_SPECS.values() if spec.composite]
    assert composite
    assert {spec.paging for spec in composite} == {Paging.OFFSET}
