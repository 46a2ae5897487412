"""Reads mirrored rows. `storage.mirror_changes` writes them.

A list is one resource of one account on one portal. Its number of live rows is updated with every change, never
counted by a query. Rows are grouped into blocks of 256 insertions, each with its number of live rows; a page is read
from the block it starts in, so a deep page costs as much as the first.
"""

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate, islice
from sqlite3 import Connection

import orjson

from gateway.memory import LruCache
from storage.database import Database
from storage.mirror_changes import BLOCK
from storage.records import ListFacts, MirrorPage, Portal

INDEX_CACHE_BYTES = 16 * 1024 * 1024
BLOCK_BYTES = 128  # three numbers of a cached block
INDEX_BYTES = 512  # a cached index without its blocks

FIND_LIST = """
SELECT list_id, generation, live, enabled, synced_at FROM mirror_lists LEFT JOIN sync_settings USING (list_id)
WHERE account_id = :account_id AND portal_id = :portal_id AND resource = :resource
"""
CHANGED_BLOCKS = """
SELECT block, first_row_id, live FROM mirror_blocks WHERE list_id = :list_id AND changed > :generation ORDER BY block
"""
ALL_BLOCKS = "SELECT block, first_row_id, live FROM mirror_blocks WHERE list_id = :list_id ORDER BY block"
# Returns one row for any page size: the thread releases the GIL for every row it fetches.
READ_PAGE = """
SELECT CAST(group_concat(item, ',') AS BLOB) FROM (
    SELECT {item} AS item FROM mirror_rows
    WHERE list_id = :list_id AND deleted = 0 AND row_id >= :first_row_id
    ORDER BY row_id LIMIT :size OFFSET :skipped
)
"""
# A record's JSON without its closing brace, and what we add to it.
RECORD_ITEM = "substr(tail, 1, length(tail) - 1) || head"
READ_ROWS = READ_PAGE.format(item="head || :account_id || tail")
READ_RECORDS = READ_PAGE.format(item=RECORD_ITEM)
FIND_ROW = """
SELECT 1 FROM mirror_rows JOIN mirror_lists USING (list_id)
WHERE account_id = :account_id AND portal_id = :portal_id AND resource = :resource
AND part = 0 AND portal_row_id = :portal_row_id AND deleted = 0
"""


def find_list(connection: Connection, account_id: int, portal_id: int, resource: str) -> ListFacts | None:
    """Return a list as it is in the connection's snapshot; None if it was never stored."""
    key = {"account_id": account_id, "portal_id": portal_id, "resource": resource}
    row = connection.execute(FIND_LIST, key).fetchone()
    if row is None:
        return None
    list_id, generation, live, enabled, synced_at = row
    return ListFacts(list_id, generation, live, bool(enabled), synced_at)


class BlockIndex:
    """For each block of a list at one generation: the id of its first row and the number of live rows before it."""

    def __init__(self) -> None:
        self.generation = 0
        self.blocks = 0
        self._first_row_ids: list[int] = []
        self._live: list[int] = []
        self._live_before: list[int] = []

    def update(self, blocks: Sequence[tuple[int, int, int]], generation: int) -> None:
        """Bring the index to *generation*.

        *blocks* are the number, first row id and live rows of all blocks that have changed, by ascending number.
        """
        for block, first_row_id, live in blocks:
            if block == self.blocks:
                self._first_row_ids.append(first_row_id)
                self._live.append(live)
                self.blocks += 1
            else:
                self._live[block] = live
        if blocks:
            first_block = blocks[0][0]
            before = self._live_before[first_block] if first_block < len(self._live_before) else self._total()
            del self._live_before[first_block:]
            self._live_before += islice(accumulate(self._live[first_block:], initial=before), self.blocks - first_block)
        self.generation = generation

    def start(self, skipped: int) -> tuple[int, int]:
        """Return the row id to read from to skip *skipped* live rows, and how many of them to skip from there."""
        block = bisect_right(self._live_before, skipped) - 1
        first_row_id, skipped = self._first_row_ids[block], skipped - self._live_before[block]
        if block + 1 == self.blocks or not self._is_contiguous(block):
            return first_row_id, skipped
        return first_row_id + skipped, 0

    def _total(self) -> int:
        """The number of live rows in the blocks that are already summed up."""
        summed = len(self._live_before)
        return self._live_before[-1] + self._live[summed - 1] if summed else 0

    def _is_contiguous(self, block: int) -> bool:
        """Return whether all rows of *block* are live and have consecutive ids. *block* must not be the last."""
        return self._live[block] == BLOCK == self._first_row_ids[block + 1] - self._first_row_ids[block]


class MirrorStore:
    """Reads mirrored rows for callers."""

    def __init__(self, database: Database) -> None:
        self._database = database
        # By list id. Only the thread of the batch reader uses it.
        self._indexes: LruCache[int, BlockIndex] = LruCache(INDEX_CACHE_BYTES, _weigh)

    async def page(
        self, account_id: int, portal: Portal, resource: str, *, records: bool = False, page: int, size: int
    ) -> MirrorPage | None:
        """Return page *page* (from 1) of *size* live rows, ascending by row id; None if the list was never stored.

        *records*: the list holds records of the CRM.
        """
        return await self._database.read_batched(self._read_page, account_id, portal, resource, records, page, size)

    async def has_row(self, account_id: int, portal_id: int, resource: str, portal_row_id: int) -> bool:
        """Return whether the list has a live row *portal_row_id*."""
        return await self._database.read(_has_row, account_id, portal_id, resource, portal_row_id)

    def _read_page(
        self,
        connection: Connection,
        account_id: int,
        portal: Portal,
        resource: str,
        records: bool,
        page: int,
        size: int,
    ) -> MirrorPage | None:
        facts = find_list(connection, account_id, portal.portal_id, resource)
        if facts is None:
            return None
        list_id, generation, live = facts.list_id, facts.generation, facts.count
        skipped = (page - 1) * size
        if skipped >= live:
            return MirrorPage(facts, b"")
        first_row_id, skipped = self._index(connection, list_id, generation).start(skipped)
        (items,) = connection.execute(
            READ_RECORDS if records else READ_ROWS,
            {
                "account_id": orjson.dumps(portal.bitrix_id),
                "list_id": list_id,
                "first_row_id": first_row_id,
                "size": min(size, live),
                "skipped": skipped,
            },
        ).fetchone()
        return MirrorPage(facts, items)

    def _index(self, connection: Connection, list_id: int, generation: int) -> BlockIndex:
        """Return the block index of the list at *generation*. The cached one is brought up to date block by block."""
        index = self._indexes.get(list_id)
        if index is None or index.generation > generation:  # a restored database may go back
            index = BlockIndex()
            index.update(connection.execute(ALL_BLOCKS, {"list_id": list_id}).fetchall(), generation)
        elif index.generation < generation:
            self._indexes.forget(list_id)  # its weight may change
            key = {"list_id": list_id, "generation": index.generation}
            index.update(connection.execute(CHANGED_BLOCKS, key).fetchall(), generation)
        else:
            self._indexes.move_to_end(list_id)
            return index
        self._indexes.remember(list_id, index)
        return index


def _weigh(_list_id: int, index: BlockIndex) -> int:
    return index.blocks * BLOCK_BYTES + INDEX_BYTES


def _has_row(connection: Connection, account_id: int, portal_id: int, resource: str, portal_row_id: int) -> bool:
    key = {"account_id": account_id, "portal_id": portal_id, "resource": resource, "portal_row_id": portal_row_id}
    return connection.execute(FIND_ROW, key).fetchone() is not None
