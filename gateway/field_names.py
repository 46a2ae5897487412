"""Which names a list knows. Old lists drop what they do not know from a filter, and then give out everything."""

import re
from collections import OrderedDict
from collections.abc import Mapping, Sequence

from gateway.bitrix.client import PortalClient
from gateway.bitrix.errors import PortalBroken
from gateway.bitrix.wire import Command
from gateway.clock import Clock
from gateway.errors import InvalidInput
from storage.records import Account

OPERATOR = re.compile(r"[!<>=@%?*~]*")  # in front of a name. Source: protocol.md 6.2
KNOWN_S = 600  # for so long are names remembered; one that is missing is asked for again
REMEMBERED = 1_000  # lists of names, of all portals
# Names that lists take and their fields do not have.
# Source: methods.md 1.1, 11 (b24restdocs user/user-get.md, tasks/tasks-task-list.md)
FURTHER = {
    "user.fields": {"NAME_SEARCH", "IS_ONLINE", "USER_TYPE", "ACTIVE", "UF_DEPARTMENT", "UF_PHONE_INNER"},
    "tasks.task.getFields": {"REAL_STATUS", "TAG"},
}


class FieldNames:
    """The fields of each portal's lists, asked for when they are first needed; the oldest are forgotten."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._known: OrderedDict[tuple[int, str], tuple[float, frozenset[str]]] = OrderedDict()

    async def check(
        self,
        account: Account,
        client: PortalClient,
        method: str,
        conditions: Mapping[str, object],
        selected: Sequence[str] = (),
    ) -> None:
        """See that *method* lists every name in a filter's *conditions* and among those *selected*.

        Raises:
            InvalidInput: a name that it does not list.
            PortalError: the names could not be had.
        """
        filtered = {key: OPERATOR.sub("", key, count=1).upper() for key in conditions}
        shown = {name: name.upper() for name in selected if not name.endswith("*")}
        wanted = {*filtered.values(), *shown.values()}
        if not wanted:
            return
        key = account.portal.portal_id, method
        at, names = self._known.get(key, (0.0, frozenset[str]()))
        if not names.issuperset(wanted) or self._clock.monotonic() - at > KNOWN_S:
            names = await self._ask(client, method)
            self._known[key] = self._clock.monotonic(), names
            self._known.move_to_end(key)
            if len(self._known) > REMEMBERED:
                self._known.popitem(last=False)
        for parameter, given in (("filter", filtered), ("select", shown)):
            for as_given, name in given.items():
                if name not in names:
                    raise InvalidInput.of_parameter(
                        parameter, "unknown_field", f"has {as_given!r}, which the list does not know and would ignore"
                    )

    async def _ask(self, client: PortalClient, method: str) -> frozenset[str]:
        result = (await client.call(Command(method))).result
        if isinstance(result, dict) and isinstance(result.get("fields"), dict):
            result = result["fields"]
        if not isinstance(result, dict):
            raise PortalBroken("fields are no object")
        return frozenset(name.upper() for name in result) | FURTHER.get(method, set())
