"""Which names a list's filter may have. Old lists drop names that they do not know, and then give out everything."""

import re
from collections import OrderedDict
from collections.abc import Mapping

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


class FilterNames:
    """The fields of each portal's lists, asked for when they are first needed; the oldest are forgotten."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._known: OrderedDict[tuple[int, str], tuple[float, frozenset[str]]] = OrderedDict()

    async def check(self, account: Account, client: PortalClient, method: str, given: Mapping[str, object]) -> None:
        """See that *method* lists every name of the filter *given*.

        Raises:
            InvalidInput: a name that it does not list.
            PortalError: the names could not be had.
        """
        wanted = {key: OPERATOR.sub("", key, count=1).upper() for key in given}
        key = account.portal.portal_id, method
        at, names = self._known.get(key, (0.0, frozenset[str]()))
        if not names.issuperset(wanted.values()) or self._clock.monotonic() - at > KNOWN_S:
            names = await self._ask(client, method)
            self._known[key] = self._clock.monotonic(), names
            self._known.move_to_end(key)
            if len(self._known) > REMEMBERED:
                self._known.popitem(last=False)
        for key_given, name in wanted.items():
            if name not in names:
                raise InvalidInput.of_parameter(
                    "filter", "unknown_field", f"has {key_given!r}, which the list does not know and would ignore"
                )

    async def _ask(self, client: PortalClient, method: str) -> frozenset[str]:
        result = (await client.call(Command(method))).result
        if isinstance(result, dict) and isinstance(result.get("fields"), dict):
            result = result["fields"]
        if not isinstance(result, dict):
            raise PortalBroken("fields are no object")
        return frozenset(name.upper() for name in result) | FURTHER.get(method, set())
