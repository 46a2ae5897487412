"""Descriptions of fields: stored for each portal and list, and deleted with their portal."""

from sqlite3 import Connection

import pytest

from storage.accounts import AccountStore
from storage.database import Database
from storage.fields import FieldStore
from storage.records import Account
from tests.storage.samples import NOW


@pytest.fixture
def fields(database: Database) -> FieldStore:
    return FieldStore(database)


async def by_webhook(accounts: AccountStore, key: str, host: str) -> Account:
    return await accounts.connect(key, host=host, origin=f"https://{host}", sealed_webhook=b"webhook", now=NOW)


async def by_oauth(accounts: AccountStore, key: str, host: str, member_id: str) -> Account:
    account = await accounts.connect(key, host=host, origin=f"https://{host}", sealed_webhook=None, now=NOW)
    return await accounts.save_tokens(
        account.account_id, b"tokens", member_id=member_id, origin=f"https://{host}", authorized_host=host, now=NOW
    )


async def described(database: Database) -> list[tuple[int, str, bytes]]:
    """All stored descriptions, as portal, list and body."""
    return await database.read(select_all)


def select_all(connection: Connection) -> list[tuple[int, str, bytes]]:
    query = "SELECT portal_id, source, body FROM field_descriptors ORDER BY portal_id, source"
    rows: list[tuple[int, str, bytes]] = connection.execute(query).fetchall()
    return rows


async def test_a_description_is_loaded_as_it_was_saved(fields: FieldStore, acme: Account) -> None:
    portal_id = acme.portal.portal_id
    assert await fields.load(portal_id, "deals") is None
    await fields.save(portal_id, "deals", b'{"TITLE":{}}', now=NOW)
    assert await fields.load(portal_id, "deals") == (b'{"TITLE":{}}', NOW)


async def test_a_new_description_replaces_the_old_one_of_its_list_alone(
    fields: FieldStore, accounts: AccountStore, acme: Account
) -> None:
    portal_id = acme.portal.portal_id
    other_id = (await by_webhook(accounts, "other", "other.bitrix24.ru")).portal.portal_id
    for kept in ((portal_id, "deals"), (portal_id, "leads"), (other_id, "deals")):
        await fields.save(*kept, b"old", now=NOW)
    await fields.save(portal_id, "deals", b"new", now=NOW + 1)
    assert await fields.load(portal_id, "deals") == (b"new", NOW + 1)
    assert await fields.load(portal_id, "leads") == (b"old", NOW)
    assert await fields.load(other_id, "deals") == (b"old", NOW)


async def test_nothing_is_stored_for_a_portal_that_is_gone(
    database: Database, fields: FieldStore, acme: Account
) -> None:
    await fields.save(acme.portal.portal_id + 1, "deals", b"late", now=NOW)
    assert await fields.load(acme.portal.portal_id + 1, "deals") is None
    assert await described(database) == []


async def test_a_merge_deletes_the_descriptions_of_the_portal_that_goes_and_keeps_all_others(
    database: Database, fields: FieldStore, accounts: AccountStore
) -> None:
    stays = (await by_oauth(accounts, "oauth", "old.bitrix24.ru", "m1")).portal.portal_id
    goes = (await by_webhook(accounts, "hook", "new.bitrix24.ru")).portal.portal_id
    bystander = (await by_webhook(accounts, "third", "third.bitrix24.ru")).portal.portal_id
    await fields.save(stays, "deals", b"stays", now=NOW)
    await fields.save(goes, "deals", b"goes", now=NOW + 1)
    await fields.save(goes, "leads", b"goes", now=NOW + 1)
    await fields.save(bystander, "deals", b"third", now=NOW)
    merged = await by_oauth(accounts, "fourth", "new.bitrix24.ru", "m1")
    assert merged.portal.portal_id == stays
    assert await described(database) == [(stays, "deals", b"stays"), (bystander, "deals", b"third")]
    await fields.save(goes, "deals", b"late", now=NOW + 2)  # a request that began before the merge
    assert await fields.load(goes, "deals") is None
