"""How long the fields of a portal's lists are remembered, and which are forgotten first."""

from collections import Counter
from typing import cast

from gateway.bitrix.client import PortalClient
from gateway.bitrix.lists.field_rules import EQUAL, FieldRules
from gateway.bitrix.protocol.v2 import Answer, Command, Params
from gateway.passthrough.field_names import CACHE_BYTES, CACHE_TTL_S, FIELD_BYTES, LIST_BYTES, NAME_COPIES, FieldNames
from storage.records import Account, Portal
from tests.clock import ManualClock


class Telling:
    """A portal whose every list has a TITLE, and how often each was asked for."""

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()

    async def call(self, command: Command) -> Answer:
        self.asked[f"{command.method}{command.params.get('entityTypeId', '')}"] += 1
        return Answer({"TITLE": {}})


def account(account_id: int, portal_id: int) -> Account:
    portal = Portal(portal_id, f"{portal_id}.example", None)
    return Account(
        account_id, f"a{account_id}", portal, "https://x", "webhook", b"", False, False, 0, 0, None, None, None
    )


class Asking:
    """What is under test, asked for one list after another."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.portal = Telling()
        self._names = FieldNames(self.clock)

    async def check(
        self, method: str, *, account_id: int = 1, portal_id: int = 1, params: Params | None = None
    ) -> None:
        client, rules = cast(PortalClient, self.portal), FieldRules(method, EQUAL)
        await self._names.check(account(account_id, portal_id), client, rules, {"=TITLE": "x"}, params=params)


async def test_a_portals_names_are_known_to_all_its_accounts_and_to_no_other_portal() -> None:
    asking = Asking()
    for account_id in (1, 2):
        await asking.check("list", account_id=account_id)
    assert asking.portal.asked["list"] == 1
    await asking.check("list", portal_id=2)
    assert asking.portal.asked["list"] == 2


async def test_the_fields_of_one_type_of_items_are_not_those_of_another() -> None:
    asking = Asking()
    for entity_type_id in (2, 128, 2):
        await asking.check("list", params={"entityTypeId": entity_type_id})
    assert asking.portal.asked == {"list2": 1, "list128": 1}


async def test_what_was_asked_for_again_is_not_forgotten_before_what_was_not() -> None:
    asking = Asking()
    for number in range(CACHE_BYTES // (LIST_BYTES + FIELD_BYTES + NAME_COPIES * len("TITLE"))):
        await asking.check(f"list.{number}")
    await asking.clock.advance(CACHE_TTL_S + 1)
    await asking.check("list.0")
    await asking.check("one.more")
    await asking.check("list.0")
    assert asking.portal.asked["list.0"] == 2
