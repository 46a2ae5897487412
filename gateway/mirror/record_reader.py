"""Reads one record from the mirror, with its relations."""

from collections.abc import Awaitable, Callable, Mapping, Sequence

import orjson

from gateway.bitrix.lists.list_fields import Field
from gateway.bitrix.protocol.v2 import Command
from gateway.clock import Clock
from gateway.errors import FieldError, NotFound, QueryTimeLimit
from gateway.mirror.pages import PageContent, Pages
from gateway.mirror.relations import USER_FIELDS, Relation, check_fields, parse_related, raise_errors
from gateway.mirror.resources import Resource, find_resource, list_fields, not_mirrored, record_type
from gateway.mirror.translation import Translation
from gateway.page_cache import PageKey
from storage.mirror_records import FoundRecord, RecordStore
from storage.records import Account

LoadFields = Callable[[Command], Awaitable[Mapping[str, Field]]]
"""Loads the fields by name that a command describes."""
LoadTranslation = Callable[[Resource], Awaitable[Translation]]
"""Loads the names to show instead of ids in the records of a resource."""


class RecordReader:
    """Reads single records for callers."""

    def __init__(self, store: RecordStore, pages: Pages, clock: Clock, *, limit_s: float) -> None:
        self._store = store
        self._pages = pages
        self._clock = clock
        self._limit_s = limit_s

    async def is_mirrored(self, account: Account, resource: Resource) -> bool:
        """Whether *account* mirrors the records of *resource*."""
        facts = await self._store.facts(account.account_id, account.portal, resource.name)
        return facts is not None and facts.enabled

    def find_cached(self, account: Account, resource: Resource, row_id: int, text: str) -> bytes | None:
        """The JSON that `read_mirrored` has read before for the query *text*, unless it may have changed."""
        cached = self._pages.find(_key(account, resource, row_id, text))
        return None if cached is None else cached.body

    async def read_mirrored(
        self,
        account: Account,
        resource: Resource,
        row_id: int,
        related: str | None,
        load_fields: LoadFields,
        load_translation: LoadTranslation | None,
        text: str | None,
    ) -> bytes:
        """The JSON of a record in the mirror. *related* names relations and their fields, see `parse_related`.

        The account must mirror these records, see `is_mirrored`. *load_translation* loads the names to show instead of
        ids, also in related records; None leaves the ids. What is read for the query *text* is cached, unless that is
        None.

        Raises:
            StateConflict: the account does not mirror the records of a relation.
            NotFound: the mirror does not have the record, or it was deleted.
            InvalidInput: a relation or one of its fields is unknown.
            QueryTimeLimit: the related records take too long to find.
        """
        invalidations = self._pages.invalidations
        translation = None if load_translation is None else await load_translation(resource)
        relations = [] if related is None else await self._check(related, resource, load_fields, load_translation)
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
        if translation is None and not relations:
            body = found.item
        else:
            record = orjson.loads(found.item)
            shown = record if translation is None else translation.show(record)
            body = orjson.dumps(shown | _related(found, relations))
        if text is None or relations or (translation is not None and not translation.versions):
            return body
        others = () if translation is None else translation.versions
        content = PageContent(body, "", invalidations, others)
        key = _key(account, resource, row_id, text)
        return self._pages.serve(key, account, found.facts, found.facts.generation, content).body

    async def _check(
        self, related: str, resource: Resource, load_fields: LoadFields, load_translation: LoadTranslation | None
    ) -> list[Relation]:
        relations: list[Relation] = []
        errors: list[FieldError] = []
        for name, (related_list, fields) in parse_related(related, resource).items():
            known: Sequence[str] = tuple(USER_FIELDS)
            translation = None
            if not related_list.dictionary:
                other = find_resource(related_list.resource)
                known = list_fields(other, await load_fields(record_type(other).fields)).columns
                translation = None if load_translation is None else await load_translation(other)
            errors += check_fields(name, fields, known)
            relations.append(Relation(name, related_list, tuple(fields), translation))
        raise_errors(errors)
        return relations


def _key(account: Account, resource: Resource, row_id: int, text: str) -> PageKey:
    portal = account.portal
    return account.account_id, portal.portal_id, portal.bitrix_id, resource.name, row_id, text


def _related(found: FoundRecord, relations: Sequence[Relation]) -> dict[str, object]:
    """An object, or a list of objects, for each relation.

    Raises:
        StateConflict: the related records are not mirrored.
    """
    shown: dict[str, object] = {}
    for relation, rows in zip(relations, found.related, strict=True):
        if not rows.mirrored:
            raise not_mirrored(find_resource(relation.list.resource))
        fields = [_shown(orjson.loads(item), relation) for item in rows.items]
        shown[relation.name] = fields if relation.list.many else next(iter(fields), None)
    return shown


def _shown(row: dict[str, object], relation: Relation) -> dict[str, object]:
    """The id and the requested fields of a related row."""
    if not relation.list.dictionary:
        row = row if relation.translation is None else relation.translation.show(row)
        return {"id": row["id"]} | {name: row.get(name) for name in relation.fields}
    user_id = int(str(row["bitrixUserID"]))
    return {"id": user_id} | {name: row.get(USER_FIELDS.get(name, name)) for name in relation.fields if name != "id"}
