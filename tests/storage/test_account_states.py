"""Account states: their time, the reason for a stale account, and pending moves."""

from pathlib import Path

import pysqlite3
import pytest

from storage.accounts import AccountStore
from storage.database import Database, migrations
from storage.records import Account, Move, Trouble
from tests.storage.samples import NOW

OTHER = "other.bitrix24.ru"
MOVED = Trouble("portal_moved", "the portal has moved to new.bitrix24.ru", "new.bitrix24.ru")
REFUSED = Trouble("credential_refused", "the portal no longer accepts this authorization", None)


async def mark(accounts: AccountStore, account: Account, trouble: Trouble, now: int) -> bool:
    return await accounts.mark_stale(account.account_id, trouble, kind="webhook", sealed=account.sealed, now=now)


async def connect(accounts: AccountStore, host: str, webhook: bytes | None, now: int) -> Account:
    return await accounts.connect("acme", host=host, origin=f"https://{host}", sealed_webhook=webhook, now=now)


async def test_a_stale_account_keeps_the_time_of_its_first_failure_and_the_latest_reason(
    accounts: AccountStore, acme: Account
) -> None:
    assert (acme.since, acme.trouble, acme.tried_at) == (NOW, None, None)
    assert await mark(accounts, acme, REFUSED, NOW + 10)
    assert not await mark(accounts, acme, MOVED, NOW + 20)
    stale = await accounts.load(acme.account_id)
    assert (stale.stale, stale.since, stale.trouble, stale.tried_at) == (True, NOW + 10, MOVED, NOW + 20)
    await accounts.record_attempt(acme.account_id, NOW + 30)
    assert (await accounts.load(acme.account_id)).tried_at == NOW + 30


async def test_a_failure_of_another_credential_changes_nothing(accounts: AccountStore, acme: Account) -> None:
    again = await connect(accounts, acme.host, b"another", NOW + 5)
    assert not await mark(accounts, acme, REFUSED, NOW + 10)
    assert not await accounts.mark_stale(acme.account_id, REFUSED, kind="oauth", sealed=None, now=NOW + 10)
    assert await accounts.load(acme.account_id) == again
    assert await mark(accounts, again, REFUSED, NOW + 10)
    await accounts.restore(acme.account_id, sealed=b"sealed", now=NOW + 20)
    assert (await accounts.load(acme.account_id)).stale


async def test_restoring_an_account_sets_the_time_of_its_state(accounts: AccountStore, acme: Account) -> None:
    await mark(accounts, acme, MOVED, NOW + 10)
    await accounts.restore(acme.account_id, sealed=b"sealed", now=NOW + 20)
    restored = await accounts.load(acme.account_id)
    assert (restored.stale, restored.since, restored.trouble, restored.tried_at) == (False, NOW + 20, None, None)


async def test_reconnecting_a_working_account_keeps_the_time_of_its_state(
    accounts: AccountStore, acme: Account
) -> None:
    assert (await connect(accounts, acme.host, b"another", NOW + 5)).since == NOW
    assert (await connect(accounts, OTHER, b"another", NOW + 6)).since == NOW + 6


async def test_starting_a_move_does_not_change_the_account(accounts: AccountStore, acme: Account) -> None:
    moving = await accounts.begin_move(acme.account_id, OTHER, expires_at=NOW + 600, now=NOW)
    assert moving.move == Move(OTHER, NOW, NOW + 600)
    assert (moving.portal, moving.sealed, moving.stale) == (acme.portal, acme.sealed, acme.stale)
    assert (moving.move_at(NOW + 599), moving.move_at(NOW + 600)) == (moving.move, None)


async def test_starting_a_move_again_extends_it(accounts: AccountStore, acme: Account) -> None:
    async def begin(host: str, now: int) -> Move | None:
        return (await accounts.begin_move(acme.account_id, host, expires_at=now + 600, now=now)).move

    assert await begin(OTHER, NOW) == Move(OTHER, NOW, NOW + 600)
    assert await begin(OTHER, NOW + 100) == Move(OTHER, NOW, NOW + 700)
    assert await begin("third.bitrix24.ru", NOW + 200) == Move("third.bitrix24.ru", NOW + 200, NOW + 800)
    assert await begin("third.bitrix24.ru", NOW + 800) == Move("third.bitrix24.ru", NOW + 800, NOW + 1400)


@pytest.mark.parametrize("end", ["connected", "webhook", "deleted", "authorized"])
async def test_a_move_ends_on_connect_authorization_or_deletion(
    accounts: AccountStore, acme: Account, end: str
) -> None:
    await accounts.begin_move(acme.account_id, OTHER, expires_at=NOW + 600, now=NOW)
    if end == "deleted":
        await accounts.delete(acme.account_id, now=NOW)
    elif end == "authorized":
        await save_tokens(accounts, acme, OTHER)
    else:
        await connect(accounts, acme.host, b"another" if end == "webhook" else None, NOW)
    assert (await accounts.load(acme.account_id)).move is None


async def test_tokens_of_the_current_portal_keep_the_move(accounts: AccountStore, acme: Account) -> None:
    await accounts.begin_move(acme.account_id, OTHER, expires_at=NOW + 600, now=NOW)
    assert (await save_tokens(accounts, acme, acme.host)).move is not None
    renewed = await accounts.renew_tokens(acme.account_id, b"new", member_id="m1", origin=acme.origin, now=NOW)
    assert renewed is not None
    assert renewed.move is not None


async def save_tokens(accounts: AccountStore, account: Account, host: str) -> Account:
    return await accounts.save_tokens(
        account.account_id, b"*", member_id="m1", origin=f"https://{host}", authorized_host=host, now=NOW
    )


async def test_migration_gives_existing_accounts_a_state(tmp_path: Path) -> None:
    path = tmp_path / "gateway.db"
    connection = pysqlite3.connect(str(path), isolation_level=None)
    for number, sql in migrations()[:4]:
        connection.executescript(f"{sql}; PRAGMA user_version = {number};")
    connection.execute("INSERT INTO portals (portal_id, host, created_at) VALUES (1, 'p.example', 1)")
    for row in (
        ("works", "oauth", b"*", 0, 0),
        ("stale", "webhook", b"*", 1, 0),
        ("waits", "pending", None, 1, 0),
        ("deleted", "pending", None, 1, 1),
    ):
        connection.execute(
            "INSERT INTO accounts (account_key, kind, sealed, stale, deleted, portal_id, origin, created_at) "
            "VALUES (?, ?, ?, ?, ?, 1, 'https://p.example', 100)",
            row,
        )
    connection.close()
    async with Database.open(path) as database:
        accounts = AccountStore(database)
        found = {key: await accounts.find(key) for key in ("works", "stale", "waits", "deleted")}
    for key, account in found.items():
        assert account is not None
        assert (account.trouble is None) is (key != "stale")
        assert account.since > 1_700_000_000 if key == "stale" else account.since == 100
        assert (account.tried_at, account.move) == (None, None)
