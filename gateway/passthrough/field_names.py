"""The fields of each portal's lists, remembered for a while, so that filters and selects can be checked by them."""

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

KNOWN_S = 600  # how long fields are remembered; a name that is missing is asked for again
CACHE_BYTES = 16 * 1024 * 1024  # for the fields of all portals' lists
LIST_BYTES, FIELD_BYTES = 2048, 448  # what a list takes, and a field beside its names
COPIES = 4  # of a name, by how it is compared


class FieldNames:
    """The fields of each portal's lists, asked for when they are first needed; the oldest are forgotten."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._known: LruCache[tuple[int, str, str], tuple[float, ListFields]] = LruCache(CACHE_BYTES, _weigh)

    async def check(
        self,
        account: Account,
        client: PortalClient,
        rules: FieldRules,
        conditions: Mapping[str, object],
        selected: Sequence[str] = (),
        params: Params | None = None,
    ) -> CheckedFields:
        """A filter's *conditions* and the names *selected*, as the list obeys them.

        *params* are those that the fields method takes.

        Raises:
            InvalidInput: a name, an operator or a value that the list would drop.
            PortalError: the fields could not be had.
        """
        params = params or {}
        if not selected and (not conditions or not rules.checks_filter_names):
            return check_fields(ListFields(rules, {}), conditions, ())
        key = account.portal.portal_id, rules.fields_method, repr(sorted(params.items()))
        at, known = self._known.get(key, (None, None))
        if at is not None and known is not None and self._clock.monotonic() - at <= KNOWN_S:
            try:
                return check_fields(known, conditions, selected)
            except InvalidInput as error:
                if not any(one.code == UNKNOWN_FIELD for one in error.errors):
                    raise
        try:
            known = await self._ask3(client, rules) if rules.version == 3 else await self._ask(client, rules, params)
        except ScopeMissing:
            if rules.version != 3:
                raise
            return check_fields(ListFields(rules, {}, described=False), conditions, selected)  # others may be told
        self._known.remember(key, (self._clock.monotonic(), known))
        return check_fields(known, conditions, selected)

    async def _ask(self, client: PortalClient, rules: FieldRules, params: Params) -> ListFields:
        result = (await client.call(Command(rules.fields_method, params))).result
        if isinstance(result, dict) and isinstance(result.get("fields"), dict):
            result = result["fields"]
        if not isinstance(result, dict):
            raise PortalBroken("fields are no object")
        return ListFields(rules, decode_fields(result))

    async def _ask3(self, client: PortalClient, rules: FieldRules) -> ListFields:
        """As `_ask`, by a method of REST 3.0, which older portals do not have.

        Source: protocol.md 9.8 (b24restdocs api-reference/rest-v3/main/main-eventlog-field-list.md)
        """
        try:
            answer = await client.call3(rules.fields_method, {}, write=False)
        except MethodNotFound:
            return ListFields(rules, {}, described=False)
        result = decode_answer3(answer.status, answer.body).result
        items = result.get("items") if isinstance(result, dict) else None
        if not items or not isinstance(items, list):
            raise PortalBroken("fields are no list")
        if not all(isinstance(item, dict) and isinstance(item.get("name"), str) for item in items):
            raise PortalBroken("a field has no name")
        return ListFields(rules, decode_fields({item["name"]: item for item in items}))


def _weigh(_key: tuple[int, str, str], known: tuple[float, ListFields]) -> int:
    """About how many bytes the fields of a list take, with all that is made of them for checks."""
    return sum(map(_weigh_field, known[1].fields.values())) + LIST_BYTES


def _weigh_field(field: Field) -> int:
    return COPIES * (text_bytes(field.name) + text_bytes(field.other_name)) + text_bytes(field.type) + FIELD_BYTES
