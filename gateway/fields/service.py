"""The fields of each portal's lists: fetched, stored, cached, and used to check filters and selects."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b

import orjson

from gateway.bitrix.client import PortalClient
from gateway.bitrix.errors import MethodNotFound, PortalBroken, ScopeMissing
from gateway.bitrix.lists.field_check import UNKNOWN_FIELD, CheckedFields, check_fields
from gateway.bitrix.lists.field_rules import FieldRules
from gateway.bitrix.lists.list_fields import Field, ListFields, decode_fields
from gateway.bitrix.protocol.json_body import encode_json
from gateway.bitrix.protocol.v2 import Command, Params, decode_answer3
from gateway.clock import Clock
from gateway.errors import InvalidInput
from gateway.memory import LruCache, text_bytes
from storage.fields import FieldStore
from storage.records import Account

REFRESH_INTERVAL_S = 60  # fields are fetched again for an unknown name, but not more often
MAX_AGE_S = 600  # older fields are fetched again before a list is filtered by them
CACHE_BYTES = 16 * 1024 * 1024  # for the fields of all portals' lists
LIST_BYTES, FIELD_BYTES, CHOICE_BYTES = 2048, 256, 256  # estimated size of a list, a field and a choice without names
VERSION_BYTES = 7  # fit a 64-bit integer
OnKept = Callable[[tuple[int, str], int], None]
"""Called with the key of a list, see `fields_key`, and the version of the description that holds from now on."""


@dataclass(frozen=True)
class KnownFields:
    """The fields of a list by name, and the Unix time at which the portal described them.

    *described* is false if the portal has no method that describes them. Equal descriptions have the same *version*.
    """

    fields: Mapping[str, Field]
    read_at: float
    described: bool = True
    version: int = 0

    @cached_property
    def choices(self) -> Mapping[str, Mapping[str, str]]:
        """The texts of choices by id, of each field that has choices."""
        return {name: dict(field.choices) for name, field in self.fields.items() if field.choices}

    def may_be_refreshed(self, now: float) -> bool:
        """Whether the portal may be asked again at the Unix time *now*, because a name is unknown."""
        return now - self.read_at >= REFRESH_INTERVAL_S


class FieldService:
    """Knows the fields of each portal's lists. A list is identified by the command that describes its fields.

    *on_kept* is called before new fields are used.
    """

    def __init__(self, store: FieldStore, clock: Clock, on_kept: OnKept = lambda _key, _version: None) -> None:
        self._store = store
        self._clock = clock
        self._on_kept = on_kept
        self._cache: LruCache[tuple[int, str], KnownFields] = LruCache(CACHE_BYTES, _weigh)

    async def find(self, account: Account, source: Command) -> KnownFields | None:
        """The fields of a list as far as they are known here; None if the portal was never asked."""
        key = fields_key(account, source)
        known = self._cache.get(key)
        if known is None and (stored := await self._store.load(*key)) is not None:
            body, read_at = stored
            known = KnownFields(decode_fields(orjson.loads(body)), read_at, version=_version(body))
            self._cache.remember(key, known)
        return known

    async def fetch(self, account: Account, client: PortalClient, source: Command) -> KnownFields:
        """Ask the portal for the fields of a list, and keep them.

        Raises:
            PortalError: the fields could not be fetched.
        """
        return await self.keep(account, source, (await client.call(source)).result)

    async def load(self, account: Account, client: PortalClient, source: Command) -> KnownFields:
        """The fields of a list. They are fetched if they are not known here.

        Raises:
            PortalError: the fields could not be fetched.
        """
        return await self.find(account, source) or await self.fetch(account, client, source)

    async def keep(self, account: Account, source: Command, result: object) -> KnownFields:
        """Keep the fields that *result*, the answer to *source*, describes.

        Raises:
            PortalBroken: it describes none, or cannot be stored.
        """
        if isinstance(result, dict) and "fields" in result:  # crm.item.fields; methods.md 5
            result = result["fields"]
        if not isinstance(result, dict):
            raise PortalBroken("the fields are not an object")
        return await self._keep(account, source, result)

    async def keep_names(self, account: Account, source: Command, names: Mapping[int, str]) -> KnownFields:
        """Keep the *names*, by id, of what the list *source* has. They are found as choices, by the method's name."""
        choices = [{"ID": value, "VALUE": name} for value, name in names.items()]
        return await self._keep(account, source, {source.method: {"items": choices}})

    async def _keep(self, account: Account, source: Command, described: Mapping[str, object]) -> KnownFields:
        key = fields_key(account, source)
        now = self._clock.now()
        body = encode_json(described, "the fields are")
        known = KnownFields(decode_fields(described), now, version=_version(body))
        if not known.fields:
            raise PortalBroken("the fields are empty")
        self._on_kept(key, known.version)
        self._cache.remember(key, known)
        await self._store.save(*key, body, now=int(now))
        return known

    async def check(
        self,
        account: Account,
        client: PortalClient,
        rules: FieldRules,
        conditions: Mapping[str, object],
        selected: Sequence[str] = (),
        params: Params | None = None,
    ) -> CheckedFields:
        """Return a filter's *conditions* and the names *selected*, in the spelling that the list understands.

        *params* are those of the list, and are passed to the method that describes its fields. Fields older than
        MAX_AGE_S are fetched again: a field that has vanished would be ignored. So is every unknown name.

        Raises:
            InvalidInput: the list would ignore a name, an operator or a value.
            PortalError: the fields could not be fetched.
        """
        if not selected and (not conditions or not rules.checks_filter_names):
            return check_fields(ListFields(rules, {}), conditions, ())
        source = Command(rules.fields_method, params or {})
        known = await self.find(account, source)
        if known is not None and self._clock.now() - known.read_at <= MAX_AGE_S:
            try:
                return check_fields(ListFields(rules, known.fields, known.described), conditions, selected)
            except InvalidInput as error:
                if not any(violation.code == UNKNOWN_FIELD for violation in error.errors):
                    raise
        try:
            fetch = self._fetch3 if rules.version == 3 else self.fetch
            known = await fetch(account, client, source)
        except ScopeMissing:
            if rules.version != 3:
                raise
            known = KnownFields({}, 0, described=False)  # other accounts may see them
        return check_fields(ListFields(rules, known.fields, known.described), conditions, selected)

    async def _fetch3(self, account: Account, client: PortalClient, source: Command) -> KnownFields:
        """As `fetch`, for REST 3.0. Older portals do not have the method.

        Source: protocol.md 9.8 (b24restdocs api-reference/rest-v3/main/main-eventlog-field-list.md)
        """
        try:
            answer = await client.call3(source.method, {}, write=False)
        except MethodNotFound:
            known = KnownFields({}, self._clock.now(), described=False)
            self._cache.remember(fields_key(account, source), known)
            return known
        result = decode_answer3(answer.status, answer.body).result
        items = result.get("items") if isinstance(result, dict) else None
        if not items or not isinstance(items, list):
            raise PortalBroken("the fields are not a list")
        if not all(isinstance(item, dict) and isinstance(item.get("name"), str) for item in items):
            raise PortalBroken("a field has no name")
        return await self._keep(account, source, {item["name"]: item for item in items})


def fields_key(account: Account, source: Command) -> tuple[int, str]:
    """The key of a list: accounts of one portal share its fields."""
    return account.portal.portal_id, orjson.dumps([source.method, source.params], option=orjson.OPT_SORT_KEYS).decode()


def _version(body: bytes) -> int:
    return int.from_bytes(blake2b(body, digest_size=VERSION_BYTES).digest())


def _weigh(_key: tuple[int, str], known: KnownFields) -> int:
    return LIST_BYTES + sum(
        FIELD_BYTES
        + text_bytes(field.name)
        + text_bytes(field.other_name)
        + text_bytes(field.title)
        + text_bytes(field.directory)
        + sum(CHOICE_BYTES + text_bytes(text) for _, text in field.choices)
        for field in known.fields.values()
    )
