"""Reads a mirrored dictionary as a whole."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from sqlite3 import Connection
from typing import Generic, TypeVar

from storage.database import Database
from storage.mirror import find_list
from storage.mirror_records import DICTIONARY_ITEM
from storage.records import Portal

T = TypeVar("T")


@dataclass(frozen=True)
class DictionarySnapshot(Generic[T]):
    """What was made of the live rows of a dictionary at a generation of its list."""

    list_id: int
    generation: int
    content: T


class DictionaryStore:
    """Reads whole dictionaries."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def load(
        self, account_id: int, portal: Portal, resource: str, make: Callable[[Iterator[bytes]], T]
    ) -> DictionarySnapshot[T] | None:
        """Return what *make* makes of all rows, as JSON without our own id; None if the list was never stored.

        *make* runs in the thread of the database.
        """
        return await self._database.read(_load, account_id, portal.portal_id, resource, make)


ROWS = f"SELECT CAST({DICTIONARY_ITEM} AS BLOB) FROM mirror_rows WHERE list_id = ? AND deleted = 0 ORDER BY row_id"


def _load(
    connection: Connection, account_id: int, portal_id: int, resource: str, make: Callable[[Iterator[bytes]], T]
) -> DictionarySnapshot[T] | None:
    facts = find_list(connection, account_id, portal_id, resource)
    if facts is None:
        return None
    rows = (item for (item,) in connection.execute(ROWS, (facts.list_id,)))
    return DictionarySnapshot(facts.list_id, facts.generation, make(rows))
