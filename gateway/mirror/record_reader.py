"""Reads one record from the mirror, with its relations."""

from collections.abc import Awaitable, Callable, Mapping, Sequence

import orjson

from gateway.bitrix.lists.list_fields import Field
from gateway.bitrix.protocol.v2 import Command
from gateway.clock import Clock
from gateway.errors import FieldError, NotFound, QueryTimeLimit
from gateway.mirror.relations import USER_FIELDS, Relation, check_fields, parse_related, raise_errors
from gateway.mirror.resources import Resource, find_resource, list_fields, not_mirrored, record_type
from storage.mirror_records import FoundRecord, RecordStore
from storage.records import Account

LoadFields = Callable[[Command], Awaitable[Mapping[str, Field]]]
"""Loads the fields by name that a command describes."""


class RecordReader:
    """Reads single records for callers."""

    def __init__(self, store: RecordStore, clock: Clock, *, limit_s: float) -> None:
        self._store = store
        self._clock = clock
        self._limit_s = limit_s

    async def is_mirrored(self, account: Account, resource: Resource) -> bool:
        """Whether *account* mirrors the records of *resource*."""
        facts = await self._store.facts(account.account_id, account.portal, resource.name)
        return facts is not None and facts.enabled

    async def read_mirrored(
        self, account: Account, resource: Resource, row_id: int, related: str | None, load_fields: LoadFields
    ) -> bytes:
        """The JSON of a record in the mirror. *related* names relations and their fields, see `parse_related`.

        The account must mirror these records, see `is_mirrored`.

        Raises:
            StateConflict: the account does not mirror the records of a relation.
            NotFound: the mirror does not have the record, or it was deleted.
            InvalidInput: a relation or one of its fields is unknown.
            QueryTimeLimit: the related records take too long to find.
        """
        relations = [] if related is None else await self._check(related, resource, load_fields)
        lists = [relation.list for relation in relations]
        try:
            timeout = self._clock.timeout(self._limit_s)
            found = await self._store.find(account.account_id, account.portal, resource.name, row_id, lists, timeout)
        except TimeoutError:
            raise QueryTimeLimit(f"the related records take longer than {self._limit_s:g} s to find") from None
        if found is None:
            raise NotFound(f"id: {resource.name} have no record {row_id}", code="record_not_found")
        if found.deleted:
            deleted_at = orjson.loads(found.item)["syncedAt"]
            detail = f"id: the record {row_id} was deleted; the mirror knows since {deleted_at}"
            raise NotFound(detail, code="record_deleted")
        return found.item if not relations else _with_related(found, relations)

    async def _check(self, related: str, resource: Resource, load_fields: LoadFields) -> list[Relation]:
        relations: list[Relation] = []
        errors: list[FieldError] = []
        for name, (related_list, fields) in parse_related(related, resource).items():
            if related_list.dictionary:
                known: Sequence[str] = tuple(USER_FIELDS)
            else:
                other = find_resource(related_list.resource)
                known = list_fields(other, await load_fields(record_type(other).fields)).columns
            errors += check_fields(name, fields, known)
            relations.append(Relation(name, related_list, tuple(fields)))
        raise_errors(errors)
        return relations


def _with_related(found: FoundRecord, relations: Sequence[Relation]) -> bytes:
    """The record with an object, or a list of objects, for each relation.

    Raises:
        StateConflict: the related records are not mirrored.
    """
    record = orjson.loads(found.item)
    for relation, rows in zip(relations, found.related, strict=True):
        if not rows.mirrored:
            raise not_mirrored(find_resource(relation.list.resource))
        shown = [_shown(orjson.loads(item), relation) for item in rows.items]
        record[relation.name] = shown if relation.list.many else next(iter(shown), None)
    return orjson.dumps(record)


def _shown(row: dict[str, object], relation: Relation) -> dict[str, object]:
    """The id and the requested fields of a related row."""
    if not relation.list.dictionary:
        return {"id": row["id"]} | {name: row.get(name) for name in relation.fields}
    user_id = int(str(row["bitrixUserID"]))
    return {"id": user_id} | {name: row.get(USER_FIELDS.get(name, name)) for name in relation.fields if name != "id"}
