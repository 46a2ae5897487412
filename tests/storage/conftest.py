"""Fixtures: a new database file with one account."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from storage.accounts import AccountStore
from storage.database import Database
from storage.records import Account
from tests.storage.samples import NOW


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    async with Database.open(tmp_path / "gateway.db") as opened:
        yield opened


@pytest.fixture
def accounts(database: Database) -> AccountStore:
    return AccountStore(database)


@pytest.fixture
async def acme(accounts: AccountStore) -> Account:
    """An account connected with an inbound webhook."""
    host = "acme.bitrix24.ru"
    return await accounts.connect("acme", host=host, origin=f"https://{host}", sealed_webhook=b"sealed", now=NOW)
