"""The page cache: never older than the last recorded change, never larger than allowed."""

import asyncio
import threading
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from sqlite3 import Connection
from typing import Any

import orjson
import pytest

from gateway.errors import NotFound
from gateway.mirror.pages import Pages
from gateway.mirror.resources import DICTIONARIES
from gateway.page_cache import ENTRY_BYTES
from storage.accounts import AccountStore
from storage.database import Database
from storage.mirror import MirrorStore
from storage.records import Account, Portal, RowPage
from storage.syncs import SyncStore

USERS, STEPS = DICTIONARIES["users"], DICTIONARIES["steps"]
NOW = 1_800_000_000


@dataclass
class Mirror:
    """A database with one account, whose users are changed by `store`."""

    database: Database
    account: Account
    list_id: int

    async def store(self, *names: str) -> int:
        """Store a list that begins with exactly *names*; return its generation."""
        rows = [(at, b',"name":%b}' % orjson.dumps(name)) for at, name in enumerate(names, start=1)]
        page = RowPage(0, rows, 0, len(names), USERS.prefix(NOW))
        return await SyncStore(self.database).save_page(self.list_id, page)


@pytest.fixture
async def mirror(tmp_path: Path) -> AsyncIterator[Mirror]:
    async with Database.open(tmp_path / "gateway.db") as database:
        account = await AccountStore(database).connect(
            "acme", host="acme.bitrix24.ru", origin="https://acme.bitrix24.ru", sealed_webhook=b"x", now=NOW
        )
        run = await SyncStore(database).begin(
            account.account_id, account.portal.portal_id, "users", [0], now=NOW, resumable_since=NOW
        )
        yield Mirror(database, account, run.list_id)


def pages_of(mirror: Mirror, *, cache_bytes: int = 1_000_000) -> Pages:
    return Pages(MirrorStore(mirror.database), cache_bytes=cache_bytes)


async def names(pages: Pages, account: Account, *, page: int = 1, size: int = 10) -> list[str]:
    served = await pages.page(account, USERS, page=page, size=size)
    return [item["name"] for item in orjson.loads(served.body)["items"]]


async def test_a_page_has_the_count_and_rows_with_our_id_and_the_portals(mirror: Mirror) -> None:
    await mirror.store("Anna", "Борис", "C")
    served = await pages_of(mirror).page(mirror.account, USERS, page=1, size=2)
    body: dict[str, Any] = orjson.loads(served.body)
    assert (body["count"], [item["name"] for item in body["items"]]) == (3, ["Anna", "Борис"])
    assert body["items"][0] == {
        "id": 1,
        "createdAt": "2027-01-15T08:00:00Z",
        "accountID": "acme.bitrix24.ru",
        "name": "Anna",
    }


async def test_any_text_is_returned_unchanged(mirror: Mirror) -> None:
    texts = [
        "",
        "\x00",
        "a\x00b",
        "\u2028",
        '"],[',
        "\\",
        "😀 Ёлка",
        "\ufeff",
        "\U0010ffff",
        "</script>",
        "'; --",
        "x" * 100_000,
    ]
    await mirror.store(*texts)
    pages = pages_of(mirror)
    assert await names(pages, mirror.account, size=50) == texts
    assert [(await names(pages, mirror.account, page=page, size=1))[0] for page in range(1, len(texts) + 1)] == texts


async def test_an_account_without_rows_has_an_empty_list_or_a_404(mirror: Mirror) -> None:
    pages = pages_of(mirror)
    for account in (None, mirror.account):
        assert (await pages.page(account, USERS, page=1, size=10)).body == b'{"count":0,"items":[]}'
        with pytest.raises(NotFound, match="stages not found"):
            await pages.page(account, STEPS, page=1, size=10)


async def test_a_page_is_cached_until_a_change_is_recorded(mirror: Mirror) -> None:
    pages = pages_of(mirror)
    await mirror.store("before")
    first = await pages.page(mirror.account, USERS, page=1, size=10)
    generation = await mirror.store("after")
    assert await pages.page(mirror.account, USERS, page=1, size=10) is first
    assert await names(pages, mirror.account, size=11) == ["after"]  # reading another page reveals the change too
    pages.changed(mirror.list_id, generation)
    second = await pages.page(mirror.account, USERS, page=1, size=10)
    assert b"after" in second.body
    assert second.etag != first.etag
    assert await pages.page(mirror.account, USERS, page=1, size=10) is second


async def test_the_etag_depends_on_rows_account_and_start(mirror: Mirror) -> None:
    await mirror.store("one", "two")
    pages = pages_of(mirror)
    tag = (await pages.page(mirror.account, USERS, page=1, size=10)).etag
    assert tag.startswith('"')
    assert tag.endswith('"')
    generation = await mirror.store("one", "two")  # nothing has changed
    pages.changed(mirror.list_id, generation)
    assert (await pages.page(mirror.account, USERS, page=1, size=10)).etag == tag
    assert (await pages_of(mirror).page(mirror.account, USERS, page=1, size=10)).etag != tag
    other = replace(mirror.account, account_id=mirror.account.account_id + 1)
    assert (await pages.page(other, USERS, page=1, size=10)).etag != tag


class Held:
    """Blocks the reader of batched reads right after one of them."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._reached, self._released = threading.Event(), threading.Event()

    def _hold(self, _: Connection) -> None:
        self._reached.set()
        assert self._released.wait(10)

    async def page(self, pages: Pages, account: Account) -> "asyncio.Task[list[str]]":
        """A page whose rows have been read, but which is not returned before `release`."""
        before = Held(self._database)
        holding = asyncio.create_task(self._database.read_batched(before._hold))
        await asyncio.to_thread(before._reached.wait, 10)
        in_flight = asyncio.create_task(names(pages, account))
        await asyncio.sleep(0)
        self._holding = asyncio.create_task(self._database.read_batched(self._hold))
        await asyncio.sleep(0)
        before._released.set()
        await holding
        await asyncio.to_thread(self._reached.wait, 10)
        return in_flight

    async def release(self) -> None:
        self._released.set()
        await self._holding


async def test_a_page_read_before_a_change_is_not_served_after_it(mirror: Mirror) -> None:
    pages, held = pages_of(mirror), Held(mirror.database)
    await mirror.store("before")
    in_flight = await held.page(pages, mirror.account)
    pages.changed(mirror.list_id, await mirror.store("after"))
    await held.release()
    assert await in_flight == ["before"]  # as it was when it was requested
    assert await names(pages, mirror.account) == ["after"]


async def test_a_page_read_before_the_cache_was_cleared_is_not_cached(mirror: Mirror) -> None:
    pages, held = pages_of(mirror), Held(mirror.database)
    await mirror.store("before")
    in_flight = await held.page(pages, mirror.account)
    pages.forget()
    await mirror.store("after")
    await held.release()
    assert await in_flight == ["before"]
    assert await names(pages, mirror.account) == ["after"]


async def test_a_change_recorded_after_its_rows_were_read_is_served(mirror: Mirror) -> None:
    pages = pages_of(mirror)
    await mirror.store("before")
    assert await names(pages, mirror.account) == ["before"]
    generation = await mirror.store("after")
    assert await names(pages, mirror.account, size=9) == ["after"]
    pages.changed(mirror.list_id, generation)
    for size in (9, 10):
        assert await names(pages, mirror.account, size=size) == ["after"]


async def test_a_page_of_an_outdated_account_record_is_not_served_for_the_current_one(mirror: Mirror) -> None:
    pages = pages_of(mirror)
    await mirror.store("Anna")
    portal = mirror.account.portal
    learned = replace(mirror.account, portal=Portal(portal.portal_id, portal.host, "m1"))
    pages.forget()
    old = await pages.page(mirror.account, USERS, page=1, size=10)  # requested before the change
    new = await pages.page(learned, USERS, page=1, size=10)
    assert [orjson.loads(page.body)["items"][0]["accountID"] for page in (old, new)] == ["acme.bitrix24.ru", "m1"]


async def test_the_cache_keeps_the_most_recently_used_pages(mirror: Mirror) -> None:
    pages = pages_of(mirror, cache_bytes=20_000)
    await mirror.store("before")
    for size in range(1, 101):
        await names(pages, mirror.account, size=size)
        await names(pages, mirror.account, size=1)  # used repeatedly
    before = (await pages.page(mirror.account, USERS, page=1, size=1)).body
    assert 3 < 20_000 // (len(before) + ENTRY_BYTES) < 50

    def change(connection: Connection) -> None:
        connection.execute("UPDATE mirror_rows SET tail = ?", (b',"name":"after"}',))

    await mirror.database.write(change)
    assert await names(pages, mirror.account, size=1) == ["before"]
    cached = [size for size in (100, 99, 2, 3, 50) if await names(pages, mirror.account, size=size) == ["before"]]
    assert cached == [100, 99]


async def test_a_page_larger_than_the_cache_is_served(mirror: Mirror) -> None:
    pages = pages_of(mirror, cache_bytes=2_000)
    await mirror.store(*("x" * 100 for _ in range(50)))
    for _ in range(2):
        assert len(await names(pages, mirror.account, size=50)) == 50
        assert len(await names(pages, mirror.account, size=1)) == 1


async def test_a_hundred_concurrent_callers_get_the_same_page(mirror: Mirror) -> None:
    pages = pages_of(mirror)
    await mirror.store("Anna", "Boris")
    bodies = await asyncio.gather(*(pages.page(mirror.account, USERS, page=1, size=10) for _ in range(100)))
    assert len({page.body for page in bodies}) == len({page.etag for page in bodies}) == 1


async def test_a_change_that_is_recorded_late_does_not_revive_an_older_page(mirror: Mirror) -> None:
    pages = pages_of(mirror)
    first = await mirror.store("old")
    pages.changed(mirror.list_id, first)
    assert await names(pages, mirror.account) == ["old"]
    second = await mirror.store("new")
    pages.changed(mirror.list_id, second)
    pages.changed(mirror.list_id, first)
    assert await names(pages, mirror.account) == ["new"]
