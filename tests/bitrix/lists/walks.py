"""Lists to walk, and helpers to walk them."""

from collections.abc import Iterable
from contextlib import aclosing
from random import Random

from gateway.bitrix.lists.list_specs import Row
from gateway.bitrix.lists.page import ListCall, Page
from gateway.bitrix.lists.page_reader import Pace
from gateway.bitrix.lists.walk import walk
from tests.bitrix.lists.memory_portal import MemoryPortal

USERS = ListCall("user.get")


def clusters(rows: int, holes: float, rng: Random, run: int = 40) -> list[int]:
    """*rows* ids in clusters of *run* ids on average; about the share *holes* of all ids is missing between them."""
    gap, row_id, ids = run * holes / (1 - holes), 1, list[int]()
    while len(ids) < rows:
        length = min(rng.randint(1, 2 * run), rows - len(ids))
        ids += range(row_id, row_id + length)
        row_id += length + round(rng.uniform(0, 2 * gap))
    return ids


async def read(portal: MemoryPortal, *, cursor: int = 0, pace: Pace = Pace.THRIFTY) -> list[Page[list[Row]]]:
    async with aclosing(walk(portal, USERS, cursor=cursor, pace=pace)) as pages:
        return [page async for page in pages]


def ids_of(pages: Iterable[Page[list[Row]]]) -> list[int]:
    return [int(str(row["ID"])) for page in pages for row in page.rows]
