"""Connecting, moving, deleting and restoring accounts; what happens to their credentials; OAuth states."""

import asyncio

import pytest

from storage.accounts import AccountStore
from storage.records import Account, Portal, Trouble
from tests.storage.samples import NOW

HOST = "acme.bitrix24.ru"
TROUBLE = Trouble("portal_moved", "the portal has moved to new.bitrix24.ru", "new.bitrix24.ru")


async def connect(accounts: AccountStore, key: str, host: str = HOST, webhook: bytes | None = None) -> Account:
    return await accounts.connect(key, host=host, origin=f"https://{host}", sealed_webhook=webhook, now=NOW)


async def give_tokens(accounts: AccountStore, account: Account, member_id: str = "m1") -> Account:
    return await accounts.save_tokens(
        account.account_id, b"tokens", member_id=member_id, origin=account.origin, authorized_host=account.host, now=NOW
    )


async def test_unknown_key_returns_none_and_unknown_id_raises(accounts: AccountStore) -> None:
    assert await accounts.find("nobody") is None
    assert await accounts.find_portal(HOST) is None
    with pytest.raises(LookupError, match="no account 7"):
        await accounts.load(7)


async def test_a_new_account_is_pending(accounts: AccountStore) -> None:
    account = await connect(accounts, "acme")
    assert account == await accounts.find("acme") == await accounts.load(account.account_id)
    assert (account.kind, account.sealed, account.stale, account.deleted) == ("pending", None, True, False)
    assert (account.portal.host, account.portal.member_id, account.created_at) == (HOST, None, NOW)
    assert account.portal == await accounts.find_portal(HOST)
    assert await accounts.list_connected() == []


async def test_a_webhook_authorizes_immediately(accounts: AccountStore) -> None:
    account = await connect(accounts, "acme", webhook=b"sealed")
    assert (account.kind, account.sealed, account.stale) == ("webhook", b"sealed", False)
    assert await accounts.list_connected() == [account]


async def test_tokens_authorize_the_account_and_identify_its_portal(accounts: AccountStore) -> None:
    account = await give_tokens(accounts, await connect(accounts, "acme"))
    assert (account.kind, account.sealed, account.stale, account.portal.member_id) == ("oauth", b"tokens", False, "m1")
    assert account == await accounts.find("acme")


async def test_reconnecting_to_the_same_portal_keeps_the_credential(accounts: AccountStore) -> None:
    before = await give_tokens(accounts, await connect(accounts, "acme"))
    again = await accounts.connect("acme", host=HOST, origin=f"http://{HOST}", sealed_webhook=None, now=NOW + 9)
    assert (again.account_id, again.sealed, again.kind, again.stale) == (before.account_id, b"tokens", "oauth", False)
    assert (again.origin, again.created_at) == (f"http://{HOST}", NOW)


async def test_a_webhook_replaces_tokens_on_the_same_portal(accounts: AccountStore) -> None:
    await give_tokens(accounts, await connect(accounts, "acme"))
    again = await connect(accounts, "acme", webhook=b"sealed")
    assert (again.kind, again.sealed, again.portal.member_id) == ("webhook", b"sealed", "m1")


@pytest.mark.parametrize("webhook", [None, b"another"])
async def test_moving_to_another_portal_drops_the_credential(accounts: AccountStore, webhook: bytes | None) -> None:
    before = await give_tokens(accounts, await connect(accounts, "acme"))
    moved = await connect(accounts, "acme", "new.bitrix24.ru", webhook)
    assert (moved.account_id, moved.sealed, moved.stale) == (before.account_id, webhook, webhook is None)
    assert moved.portal.portal_id != before.portal.portal_id
    back = await connect(accounts, "acme")
    assert (back.portal, back.sealed, back.kind) == (before.portal, None, "pending")


async def test_deletion_erases_the_credential_and_reconnecting_does_not_restore_it(accounts: AccountStore) -> None:
    before = await give_tokens(accounts, await connect(accounts, "acme"))
    await accounts.delete(before.account_id, now=NOW)
    deleted = await accounts.find("acme")
    assert deleted is not None
    assert (deleted.deleted, deleted.kind, deleted.sealed, deleted.stale) == (True, "pending", None, True)
    assert await accounts.list_connected() == []
    revived = await connect(accounts, "acme")
    assert (revived.account_id, revived.deleted, revived.sealed) == (before.account_id, False, None)
    assert (revived.portal, revived.created_at) == (before.portal, NOW)


async def test_a_stale_account_keeps_its_credential_until_it_is_authorized_again(accounts: AccountStore) -> None:
    account = await give_tokens(accounts, await connect(accounts, "acme"))
    await accounts.mark_stale(account.account_id, TROUBLE, kind="oauth", sealed=None, now=NOW + 5)
    stale = await accounts.load(account.account_id)
    assert (stale.stale, stale.sealed) == (True, b"tokens")
    assert (stale.trouble, stale.since, stale.tried_at) == (TROUBLE, NOW + 5, NOW + 5)
    again = await give_tokens(accounts, account)
    assert (again.stale, again.trouble, again.tried_at) == (False, None, None)


async def test_connected_accounts_are_listed_oldest_first(accounts: AccountStore) -> None:
    keys = ["c", "a", "b"]
    for key in keys:
        await connect(accounts, key, webhook=b"sealed")
    await connect(accounts, "pending")
    assert [account.account_key for account in await accounts.list_connected()] == keys


async def test_concurrent_connects_create_each_account_once_on_one_portal(accounts: AccountStore) -> None:
    made = await asyncio.gather(*(connect(accounts, f"{n % 5}") for n in range(25)))
    assert len({account.account_id for account in made}) == 5
    assert len({account.portal.portal_id for account in made}) == 1


@pytest.mark.parametrize("key", ["", "ключ 🔑", "a" * 10_000, "'; DROP TABLE accounts; --", "\x00null", "%", "A"])
async def test_account_keys_match_exactly(accounts: AccountStore, key: str) -> None:
    await connect(accounts, "a")
    account = await connect(accounts, key)
    found = await accounts.find(key)
    assert found is not None
    assert (found.account_key, found.account_id) == (key, account.account_id)
    assert (await accounts.find("a")) != found


def test_repr_of_an_account_hides_its_credential() -> None:
    account = Account(
        1,
        "acme",
        Portal(1, HOST, None),
        "https://p",
        "oauth",
        b"canary",
        stale=False,
        deleted=False,
        created_at=0,
        since=0,
        trouble=None,
        tried_at=None,
        move=None,
    )
    assert "canary" not in repr(account)


async def test_a_state_is_valid_once_for_its_account_until_it_expires(accounts: AccountStore) -> None:
    acme, rival = await connect(accounts, "acme"), await connect(accounts, "rival")
    await accounts.save_state("nonce", acme.account_id, expires_at=NOW + 600, now=NOW)
    assert not await accounts.use_state("nonce", rival.account_id, now=NOW)
    assert not await accounts.use_state("another", acme.account_id, now=NOW)
    assert not await accounts.use_state("nonce", acme.account_id, now=NOW + 600)
    assert await accounts.use_state("nonce", acme.account_id, now=NOW + 599)
    assert not await accounts.use_state("nonce", acme.account_id, now=NOW + 599)


async def test_only_one_of_many_concurrent_uses_of_a_state_succeeds(accounts: AccountStore) -> None:
    acme = await connect(accounts, "acme")
    await accounts.save_state("nonce", acme.account_id, expires_at=NOW + 600, now=NOW)
    used = await asyncio.gather(*(accounts.use_state("nonce", acme.account_id, now=NOW) for _ in range(20)))
    assert used.count(True) == 1


async def test_deleting_an_account_deletes_only_its_own_states(accounts: AccountStore) -> None:
    acme, rival = await connect(accounts, "acme"), await connect(accounts, "rival")
    await accounts.save_state("of acme", acme.account_id, expires_at=NOW + 600, now=NOW)
    await accounts.save_state("of rival", rival.account_id, expires_at=NOW + 600, now=NOW)
    await accounts.delete(acme.account_id, now=NOW)
    assert not await accounts.use_state("of acme", acme.account_id, now=NOW)
    assert await accounts.use_state("of rival", rival.account_id, now=NOW)


async def test_expired_states_are_deleted(accounts: AccountStore) -> None:
    acme = await connect(accounts, "acme")
    await accounts.save_state("nonce", acme.account_id, expires_at=NOW + 600, now=NOW)
    await accounts.save_state("later", acme.account_id, expires_at=NOW + 1200, now=NOW + 600)
    await accounts.save_state("nonce", acme.account_id, expires_at=NOW + 1200, now=NOW + 600)  # the nonce is free
    assert await accounts.use_state("later", acme.account_id, now=NOW + 601)
