"""Reads single mirrored records, with the records related to them."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from sqlite3 import Connection

from storage.database import Database
from storage.mirror import RECORD_ITEM, find_list
from storage.records import ListFacts, Portal


@dataclass(frozen=True)
class RelatedList:
    """Where the records of one relation are: in the list *resource*.

    If *many*, they are those whose *column* holds the record's id, at most *limit*; otherwise the one whose id is in
    the record's *column*. *dictionary*: the list is a dictionary, whose rows are only a part of their JSON.
    """

    resource: str
    column: str
    many: bool
    limit: int = 1
    dictionary: bool = False


@dataclass(frozen=True)
class RelatedRows:
    """The rows of one relation; *mirrored* is false if the account does not mirror their list."""

    mirrored: bool
    items: list[bytes]


@dataclass(frozen=True)
class FoundRecord:
    """A record as JSON, and its related rows in the requested order. *deleted*: it is a tombstone."""

    facts: ListFacts
    item: bytes
    deleted: bool
    related: list[RelatedRows]


class RecordStore:
    """Reads single records for callers."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def facts(self, account_id: int, portal: Portal, resource: str) -> ListFacts | None:
        """Return the state of a list; None if it was never stored."""
        return await self._database.read(find_list, account_id, portal.portal_id, resource)

    async def find(
        self,
        account_id: int,
        portal: Portal,
        resource: str,
        portal_row_id: int,
        related: Sequence[RelatedList],
        timeout: AbstractAsyncContextManager[object],
    ) -> FoundRecord | None:
        """Return a record and its relations, in one snapshot; None if the list never had it.

        Raises:
            TimeoutError: *timeout* ended the query.
        """
        return await self._database.query(
            timeout, _find, account_id, portal.portal_id, resource, portal_row_id, related
        )


FIND_RECORD = f"""
SELECT CAST({RECORD_ITEM} AS BLOB), deleted, category, person, contact, company FROM mirror_rows
WHERE list_id = ? AND part = 0 AND portal_row_id = ?
"""
COLUMNS = ("category", "person", "contact", "company")
FIND_ONE = (
    "SELECT CAST({item} AS BLOB) FROM mirror_rows WHERE list_id = ? AND part = 0 AND portal_row_id = ? AND deleted = 0"
)
FIND_MANY = f"""
SELECT CAST({RECORD_ITEM} AS BLOB) FROM mirror_rows
WHERE list_id = ? AND {{column}} = ? AND deleted = 0 ORDER BY row_id LIMIT ?
"""
DICTIONARY_ITEM = "'{' || substr(tail, 2)"


def _find(
    connection: Connection,
    account_id: int,
    portal_id: int,
    resource: str,
    portal_row_id: int,
    related: Sequence[RelatedList],
) -> FoundRecord | None:
    facts = find_list(connection, account_id, portal_id, resource)
    if facts is None:
        return None
    row = connection.execute(FIND_RECORD, (facts.list_id, portal_row_id)).fetchone()
    if row is None:
        return None
    item, deleted, *columns = row
    links = dict(zip(COLUMNS, columns, strict=True)) | {"id": portal_row_id}
    rows = [_find_related(connection, account_id, portal_id, relation, links) for relation in related]
    return FoundRecord(facts, item, bool(deleted), rows)


def _find_related(
    connection: Connection, account_id: int, portal_id: int, relation: RelatedList, links: dict[str, int | None]
) -> RelatedRows:
    facts = find_list(connection, account_id, portal_id, relation.resource)
    if facts is None or not (facts.enabled or relation.dictionary):
        return RelatedRows(relation.dictionary, [])
    if relation.many:
        query = FIND_MANY.format(column=relation.column)
        found = connection.execute(query, (facts.list_id, links["id"], relation.limit))
    else:
        query = FIND_ONE.format(item=DICTIONARY_ITEM if relation.dictionary else RECORD_ITEM)
        found = connection.execute(query, (facts.list_id, links[relation.column]))
    return RelatedRows(True, [item for (item,) in found.fetchall()])
