"""The cache of the fields of portals' lists: lifetime and eviction."""

from collections import Counter
from typing import cast

from gateway.bitrix.client import PortalClient
from gateway.bitrix.lists.field_rules import EQUAL, FieldRules
from gateway.bitrix.protocol.v2 import Answer, Command, Params
from gateway.passthrough.field_names import CACHE_BYTES, CACHE_TTL_S, FIELD_BYTES, LIST_BYTES, NAME_COPIES, FieldNames
from storage.records import Account, Portal
from tests.clock import ManualClock


class DescribingPortal:
    """A portal whose lists all have a TITLE; counts the requests for their fields."""

    def __init__(self) -> None:
        self.requests: Counter[str] = Counter()

    async def call(self, command: Command) -> Answer:
        self.requests[f"{command.method}{command.params.get('entityTypeId', '')}"] += 1
        return Answer({"TITLE": {}})


def account(account_id: int, portal_id: int) -> Account:
    portal = Portal(portal_id, f"{portal_id}.example", None)
    return Account(
        account_id, f"a{account_id}", portal, "https://x", "webhook", b"", False, False, 0, 0, None, None, None
    )


class Checks:
    """Checks filters of one list after another."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.portal = DescribingPortal()
        self._names = FieldNames(self.clock)

    async def check(
        self, method: str, *, account_id: int = 1, portal_id: int = 1, params: Params | None = None
    ) -> None:
        client, rules = cast(PortalClient, self.portal), FieldRules(method, EQUAL)
        await self._names.check(account(account_id, portal_id), client, rules, {"=TITLE": "x"}, params=params)


async def test_fields_are_shared_by_the_accounts_of_a_portal_and_not_with_other_portals() -> None:
    checks = Checks()
    for account_id in (1, 2):
        await checks.check("list", account_id=account_id)
    assert checks.portal.requests["list"] == 1
    await checks.check("list", portal_id=2)
    assert checks.portal.requests["list"] == 2


async def test_each_item_type_has_its_own_fields() -> None:
    checks = Checks()
    for entity_type_id in (2, 128, 2):
        await checks.check("list", params={"entityTypeId": entity_type_id})
    assert checks.portal.requests == {"list2": 1, "list128": 1}


async def test_the_least_recently_fetched_fields_are_evicted_first() -> None:
    checks = Checks()
    for number in range(CACHE_BYTES // (LIST_BYTES + FIELD_BYTES + NAME_COPIES * len("TITLE"))):
        await checks.check(f"list.{number}")
    await checks.clock.advance(CACHE_TTL_S + 1)
    await checks.check("list.0")
    await checks.check("one.more")
    await checks.check("list.0")
    assert checks.portal.requests["list.0"] == 2
