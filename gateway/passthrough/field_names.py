"""The fields of each portal's lists, cached, for checks of filters and selects."""

from collections.abc import Mapping, Sequence

from gateway.bitrix.client import PortalClient
from gateway.bitrix.errors import MethodNotFound, PortalBroken, ScopeMissing
from gateway.bitrix.lists.field_check import UNKNOWN_FIELD, CheckedFields, check_fields
from gateway.bitrix.lists.field_rules import FieldRules
from gateway.bitrix.lists.list_fields import Field, ListFields, decode_fields
from gateway.bitrix.protocol.v2 import Command, Params, decode_answer3
from gateway.clock import Clock
from gateway.errors import InvalidInput
from gateway.memory import LruCache, text_bytes
from storage.records import Account

CACHE_TTL_S = 600  # an unknown name refreshes the cached fields earlier
CACHE_BYTES = 16 * 1024 * 1024  # for the fields of all portals' lists
LIST_BYTES, FIELD_BYTES = 2048, 448  # estimated size of a list, and of a field without its names
NAME_COPIES = 4  # of each name, for the ways in which names are compared


class FieldNames:
    """Checks filters and selects against the fields of each portal's lists, which it fetches and caches."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._cache: LruCache[tuple[int, str, str], tuple[float, ListFields]] = LruCache(CACHE_BYTES, _weigh)

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

        *params* are those of the list, and are passed to the method that describes its fields.

        Raises:
            InvalidInput: the list would ignore a name, an operator or a value.
            PortalError: the fields could not be fetched.
        """
        params = params or {}
        if not selected and (not conditions or not rules.checks_filter_names):
            return check_fields(ListFields(rules, {}), conditions, ())
        key = account.portal.portal_id, rules.fields_method, repr(sorted(params.items()))
        fetched_at, fields = self._cache.get(key, (None, None))
        if fetched_at is not None and fields is not None and self._clock.monotonic() - fetched_at <= CACHE_TTL_S:
            try:
                return check_fields(fields, conditions, selected)
            except InvalidInput as error:
                if not any(violation.code == UNKNOWN_FIELD for violation in error.errors):
                    raise
        try:
            fields = await (self._fetch3(client, rules) if rules.version == 3 else self._fetch(client, rules, params))
        except ScopeMissing:
            if rules.version != 3:
                raise
            return check_fields(
                ListFields(rules, {}, described=False), conditions, selected
            )  # other accounts may see them
        self._cache.remember(key, (self._clock.monotonic(), fields))
        return check_fields(fields, conditions, selected)

    async def _fetch(self, client: PortalClient, rules: FieldRules, params: Params) -> ListFields:
        result = (await client.call(Command(rules.fields_method, params))).result
        if isinstance(result, dict) and isinstance(result.get("fields"), dict):
            result = result["fields"]
        if not isinstance(result, dict):
            raise PortalBroken("the fields are not an object")
        return ListFields(rules, decode_fields(result))

    async def _fetch3(self, client: PortalClient, rules: FieldRules) -> ListFields:
        """Like `_fetch`, for REST 3.0. Older portals do not have the method.

        Source: protocol.md 9.8 (b24restdocs api-reference/rest-v3/main/main-eventlog-field-list.md)
        """
        try:
            answer = await client.call3(rules.fields_method, {}, write=False)
        except MethodNotFound:
            return ListFields(rules, {}, described=False)
        result = decode_answer3(answer.status, answer.body).result
        items = result.get("items") if isinstance(result, dict) else None
        if not items or not isinstance(items, list):
            raise PortalBroken("the fields are not a list")
        if not all(isinstance(item, dict) and isinstance(item.get("name"), str) for item in items):
            raise PortalBroken("a field has no name")
        return ListFields(rules, decode_fields({item["name"]: item for item in items}))


def _weigh(_key: tuple[int, str, str], entry: tuple[float, ListFields]) -> int:
    """Estimate the bytes of a cached list, including what the checks derive from its fields."""
    return sum(map(_weigh_field, entry[1].fields.values())) + LIST_BYTES


def _weigh_field(field: Field) -> int:
    return NAME_COPIES * (text_bytes(field.name) + text_bytes(field.other_name)) + text_bytes(field.type) + FIELD_BYTES
