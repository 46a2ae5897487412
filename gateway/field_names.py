"""The fields of each portal's lists, remembered for a while, so that filters and selects can be checked by them."""

from collections import OrderedDict
from collections.abc import Mapping, Sequence

from gateway.bitrix.client import PortalClient
from gateway.bitrix.errors import PortalBroken
from gateway.bitrix.field_check import Checked, Field, ListFields, check_fields, read_fields
from gateway.bitrix.field_rules import FieldRules
from gateway.bitrix.wire import Command, Params
from gateway.clock import Clock
from gateway.errors import InvalidInput
from storage.records import Account

KNOWN_S = 600  # how long fields are remembered; a name that is missing is asked for again
REMEMBERED = 1_000  # lists of fields, of all portals


class FieldNames:
    """The fields of each portal's lists, asked for when they are first needed; the oldest are forgotten."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._known: OrderedDict[tuple[int, str, str], tuple[float, ListFields]] = OrderedDict()

    async def check(
        self,
        account: Account,
        client: PortalClient,
        rules: FieldRules,
        conditions: Mapping[str, object],
        selected: Sequence[str] = (),
        params: Params | None = None,
    ) -> Checked:
        """A filter's *conditions* and the names *selected*, as the list obeys them.

        *params* are those that the fields method takes.

        Raises:
            InvalidInput: a name, an operator or a value that the list would drop.
            PortalError: the fields could not be had.
        """
        params = params or {}
        if not selected and (not conditions or not rules.names_filters):
            return check_fields(ListFields(rules, {}), conditions, ())
        key = account.portal.portal_id, rules.fields, repr(sorted(params.items()))
        at, known = self._known.get(key, (None, None))
        if at is not None and known is not None and self._clock.monotonic() - at <= KNOWN_S:
            try:
                return check_fields(known, conditions, selected)
            except InvalidInput as error:
                if not any(one.code == "unknown_field" for one in error.errors):
                    raise
        known = ListFields(rules, await self._ask(client, Command(rules.fields, params)))
        self._known[key] = self._clock.monotonic(), known
        self._known.move_to_end(key)
        if len(self._known) > REMEMBERED:
            self._known.popitem(last=False)
        return check_fields(known, conditions, selected)

    async def _ask(self, client: PortalClient, command: Command) -> dict[str, Field]:
        result = (await client.call(command)).result
        if isinstance(result, dict) and isinstance(result.get("fields"), dict):
            result = result["fields"]
        if not isinstance(result, dict):
            raise PortalBroken("fields are no object")
        return read_fields(result)
