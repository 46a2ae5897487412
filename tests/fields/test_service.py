"""The fields of portals' lists: what is fetched again, and what a restart remembers."""

from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import cast

import pytest

from gateway.bitrix.client import PortalClient
from gateway.bitrix.lists.field_rules import EQUAL, FieldRules
from gateway.bitrix.protocol.v2 import Answer, Command, Params
from gateway.fields.service import MAX_AGE_S, FieldService
from storage.accounts import AccountStore
from storage.database import Database
from storage.fields import FieldStore
from storage.records import Account
from tests.clock import ManualClock


class DescribingPortal:
    """A portal whose lists all have a TITLE; counts the requests for their fields."""

    def __init__(self) -> None:
        self.requests: Counter[str] = Counter()

    async def call(self, command: Command) -> Answer:
        self.requests[f"{command.method}{command.params.get('entityTypeId', '')}"] += 1
        return Answer({"TITLE": {}})


class Checks:
    """Checks filters of one list after another."""

    def __init__(self, database: Database) -> None:
        self.clock = ManualClock()
        self.portal = DescribingPortal()
        self.database = database
        self.forget()

    def forget(self) -> None:
        """Forget what is in memory, as a restart does."""
        self._fields = FieldService(FieldStore(self.database), self.clock)

    async def account(self, key: str, host: str) -> Account:
        store = AccountStore(self.database)
        return await store.connect(key, host=host, origin=f"https://{host}", sealed_webhook=b"x", now=0)

    async def check(
        self, method: str, *, account: str = "acme", host: str = "acme.example", params: Params | None = None
    ) -> None:
        client, rules = cast(PortalClient, self.portal), FieldRules(method, EQUAL)
        await self._fields.check(await self.account(account, host), client, rules, {"=TITLE": "x"}, params=params)


@pytest.fixture
async def checks(tmp_path: Path) -> AsyncIterator[Checks]:
    async with Database.open(tmp_path / "gateway.db") as database:
        yield Checks(database)


async def test_fields_are_shared_by_the_accounts_of_a_portal_and_not_with_other_portals(checks: Checks) -> None:
    for account in ("acme", "beta"):
        await checks.check("list", account=account)
    assert checks.portal.requests["list"] == 1
    await checks.check("list", host="other.example")
    assert checks.portal.requests["list"] == 2


async def test_each_item_type_has_its_own_fields(checks: Checks) -> None:
    for entity_type_id in (2, 128, 2):
        await checks.check("list", params={"entityTypeId": entity_type_id})
    assert checks.portal.requests == {"list2": 1, "list128": 1}


async def test_a_restart_remembers_the_fields_and_their_age(checks: Checks) -> None:
    await checks.check("list")
    checks.forget()
    await checks.check("list")
    assert checks.portal.requests["list"] == 1
    await checks.clock.advance(MAX_AGE_S + 1)
    checks.forget()
    await checks.check("list")
    assert checks.portal.requests["list"] == 2
