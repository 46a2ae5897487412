"""Identifying and merging portals without losing their accounts, lists and rules."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from sqlite3 import Connection
from typing import Any

import pysqlite3
import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.accounts import AccountStore
from storage.database import Database
from storage.mirror import MirrorStore
from storage.portals import merge_portals
from storage.records import Account, RowPage
from storage.rules import RuleStore
from storage.syncs import SyncStore
from tests.storage.samples import NOW, prefix, rows

SCHEMA_SQL = Path(__file__).parents[2] / "storage" / "schema.sql"


async def by_webhook(accounts: AccountStore, key: str, host: str) -> Account:
    return await accounts.connect(key, host=host, origin=f"https://{host}", sealed_webhook=b"webhook", now=NOW)


async def by_oauth(accounts: AccountStore, key: str, host: str, member_id: str, answers_at: str = "") -> Account:
    """Connected at *host*; the authorization server says that it is *member_id*, at *answers_at* if that is else."""
    account = await accounts.connect(key, host=host, origin=f"https://{host}", sealed_webhook=None, now=NOW)
    return await accounts.save_tokens(
        account.account_id,
        b"tokens",
        member_id=member_id,
        origin=f"https://{answers_at or host}",
        authorized_host=host,
        now=NOW,
    )


async def mirrored(database: Database, account: Account, count: int) -> None:
    """Store *count* users on the account's portal and the rule of quiz *count*."""
    syncs = SyncStore(database)
    portal_id = account.portal.portal_id
    run = await syncs.begin(account.account_id, portal_id, "users", [0], now=NOW, resumable_since=NOW)
    await syncs.save_page(run.list_id, RowPage(0, rows(range(count)), -1, None, prefix(NOW)))
    await RuleStore(database).add(account.account_id, portal_id, count, b"{}", now=NOW)


async def shown(database: Database, key: str) -> tuple[int, int]:
    """Return the number of users in the account's list and the generation of the list."""
    account = await AccountStore(database).find(key)
    assert account is not None
    found = await MirrorStore(database).page(account.account_id, account.portal, "users", page=1, size=1)
    return (found.count, found.generation) if found else (0, 0)


async def portal_of(accounts: AccountStore, key: str) -> tuple[int, str | None, str | None]:
    account = await accounts.find(key)
    assert account is not None
    return account.portal.portal_id, account.portal.host, account.portal.member_id


async def test_accounts_at_one_host_share_a_portal_and_its_member_id(
    database: Database, accounts: AccountStore
) -> None:
    hook = await by_webhook(accounts, "hook", "p.bitrix24.ru")
    await mirrored(database, hook, 3)
    before = await shown(database, "hook")
    assert hook.portal.bitrix_id == "p.bitrix24.ru"
    oauth = await by_oauth(accounts, "oauth", "p.bitrix24.ru", "m1")
    assert await portal_of(accounts, "hook") == await portal_of(accounts, "oauth")
    assert oauth.portal.portal_id == hook.portal.portal_id
    learned = await accounts.find("hook")
    assert learned is not None
    assert learned.portal.bitrix_id == "m1"
    count, generation = await shown(database, "hook")
    assert (count, generation > before[1]) == (3, True)  # accountID has changed


async def test_identifying_a_portal_again_changes_no_page(database: Database, accounts: AccountStore) -> None:
    account = await by_oauth(accounts, "oauth", "p.bitrix24.ru", "m1")
    await mirrored(database, account, 3)
    before = await shown(database, "oauth")
    again = await by_oauth(accounts, "oauth", "p.bitrix24.ru", "m1")
    assert (again.portal, await shown(database, "oauth")) == (account.portal, before)


async def test_a_portal_that_moves_to_a_new_host_stays_the_same_portal(
    database: Database, accounts: AccountStore
) -> None:
    account = await by_oauth(accounts, "acme", "old.bitrix24.ru", "m1")
    await mirrored(database, account, 3)
    moved = await by_oauth(accounts, "acme", "old.bitrix24.ru", "m1", answers_at="new.bitrix24.ru")
    assert (moved.portal.portal_id, moved.portal.host) == (account.portal.portal_id, "new.bitrix24.ru")
    assert moved.origin == "https://new.bitrix24.ru"
    assert await accounts.find_portal("old.bitrix24.ru") is None
    assert (await shown(database, "acme"))[0] == 3


async def test_a_row_known_only_by_the_new_host_is_merged_into_its_portal(
    database: Database, accounts: AccountStore
) -> None:
    oauth = await by_oauth(accounts, "oauth", "old.bitrix24.ru", "m1")
    hook = await by_webhook(accounts, "hook", "new.bitrix24.ru")
    await mirrored(database, oauth, 2)
    await mirrored(database, hook, 5)
    assert oauth.portal != hook.portal
    before = await shown(database, "hook")
    await by_oauth(accounts, "third", "new.bitrix24.ru", "m1")
    here = (oauth.portal.portal_id, "new.bitrix24.ru", "m1")
    assert [await portal_of(accounts, key) for key in ("oauth", "hook", "third")] == [here] * 3
    assert (await shown(database, "oauth"))[0] == 2
    count, generation = await shown(database, "hook")
    assert (count, generation > before[1]) == (5, True)
    hook_id, portal_id = hook.account_id, oauth.portal.portal_id
    assert await RuleStore(database).find(hook_id, portal_id, 5) is not None


async def test_a_portal_that_takes_over_a_host_gets_no_data_of_the_previous_one(
    database: Database, accounts: AccountStore
) -> None:
    first = await by_oauth(accounts, "first", "p.bitrix24.ru", "m1")
    await mirrored(database, first, 3)
    second = await by_oauth(accounts, "second", "p.bitrix24.ru", "m2")
    assert second.portal.portal_id != first.portal.portal_id
    assert await portal_of(accounts, "second") == (second.portal.portal_id, "p.bitrix24.ru", "m2")
    assert await portal_of(accounts, "first") == (first.portal.portal_id, None, "m1")
    assert (await shown(database, "first"))[0] == 3
    assert (await shown(database, "second"))[0] == 0
    found_again = await by_oauth(accounts, "first", "elsewhere.bitrix24.ru", "m1")
    assert (found_again.portal.portal_id, found_again.portal.host) == (first.portal.portal_id, "elsewhere.bitrix24.ru")
    assert (await shown(database, "first"))[0] == 3


async def test_a_host_can_pass_to_another_portal_and_back(accounts: AccountStore) -> None:
    for member_id in ("m1", "m2", "m1", "m2"):
        account = await by_oauth(accounts, "acme", "p.bitrix24.ru", member_id)
        assert (account.portal.host, account.portal.member_id) == ("p.bitrix24.ru", member_id)


@pytest.mark.parametrize("left", ["by webhook", "by moving", "by deletion", "for another portal"])
async def test_a_late_renewal_changes_nothing(accounts: AccountStore, left: str) -> None:
    account = await by_oauth(accounts, "acme", "p.bitrix24.ru", "m1")
    match left:
        case "by webhook":
            await by_webhook(accounts, "acme", "p.bitrix24.ru")
        case "by moving":
            await by_webhook(accounts, "acme", "other.bitrix24.ru")
        case "by deletion":
            await accounts.delete(account.account_id, now=NOW)
        case _:
            await by_oauth(accounts, "acme", "other.bitrix24.ru", "m2")
    before = await accounts.find("acme")
    renewed = await accounts.renew_tokens(
        account.account_id, b"late", member_id="m1", origin="https://p.bitrix24.ru", now=NOW
    )
    assert (renewed, await accounts.find("acme")) == (None, before)


async def test_a_renewal_stores_the_tokens_and_the_new_host(accounts: AccountStore) -> None:
    account = await by_oauth(accounts, "acme", "p.bitrix24.ru", "m1")
    renewed = await accounts.renew_tokens(
        account.account_id, b"renewed", member_id="m1", origin="https://new.bitrix24.ru", now=NOW
    )
    assert renewed == await accounts.find("acme")
    assert renewed is not None
    assert (renewed.sealed, renewed.portal.host) == (b"renewed", "new.bitrix24.ru")


MERGED, INTO, BYSTANDER = 1, 2, 3
PORTALS = (MERGED, INTO, BYSTANDER)
ACCOUNTS = range(1, 5)
OWNERS = st.tuples(st.sampled_from(ACCOUNTS), st.sampled_from(PORTALS), st.sampled_from([10, 20]))


@contextmanager
def filled(at: list[int], lists: list[tuple[int, int, int]], rules: list[tuple[int, int, int]]) -> Iterator[Connection]:
    """Create three portals, four accounts *at* them, and their lists and rules (account, portal, name)."""
    connection = pysqlite3.connect(":memory:", isolation_level=None)
    connection.executescript(SCHEMA_SQL.read_text(encoding="utf-8"))
    connection.execute("PRAGMA foreign_keys = ON")
    connection.executemany(
        "INSERT INTO portals (portal_id, host, created_at) VALUES (?, ?, 0)",
        [(portal, f"p{portal}") for portal in PORTALS],
    )
    connection.executemany(
        "INSERT INTO accounts (account_id, account_key, portal_id, origin, kind, stale, deleted, created_at) "
        "VALUES (?, ?, ?, 'https://p', 'pending', 1, 0, 0)",
        [(account, f"a{account}", portal) for account, portal in zip(ACCOUNTS, at, strict=True)],
    )
    connection.executemany("INSERT INTO mirror_lists (account_id, portal_id, resource) VALUES (?, ?, ?)", lists)
    connection.executemany(
        "INSERT INTO rules (account_id, portal_id, quiz_id, body, created_at) VALUES (?, ?, ?, x'7b7d', 0)", rules
    )
    yield connection
    connection.close()


def load_rows(connection: Connection, query: str) -> dict[int, tuple[int, int, Any]]:
    return {row_id: (account, portal, name) for row_id, account, portal, name in connection.execute(query)}


OWNED_ROWS = {
    "lists": "SELECT list_id, account_id, portal_id, CAST(resource AS INTEGER) FROM mirror_lists",
    "rules": "SELECT rule_id, account_id, portal_id, quiz_id FROM rules",
}


@given(
    at=st.lists(st.sampled_from(PORTALS), min_size=len(ACCOUNTS), max_size=len(ACCOUNTS)),
    lists=st.lists(OWNERS, unique=True),
    rules=st.lists(OWNERS, unique=True),
)
def test_merging_portals_loses_nothing_and_keeps_what_each_account_uses(
    at: list[int], lists: list[tuple[int, int, int]], rules: list[tuple[int, int, int]]
) -> None:
    with filled(at, lists, rules) as connection:
        before = {kind: load_rows(connection, query) for kind, query in OWNED_ROWS.items()}
        merge_portals(connection, MERGED, INTO)
        after = {kind: load_rows(connection, query) for kind, query in OWNED_ROWS.items()}
        portals = dict(connection.execute("SELECT portal_id, host FROM portals"))
        now_at = [portal for (portal,) in connection.execute("SELECT portal_id FROM accounts ORDER BY account_id")]
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
        generations = dict(connection.execute("SELECT list_id, generation FROM mirror_lists"))

    assert now_at == [INTO if portal == MERGED else portal for portal in at]
    archives = portals.keys() - {INTO, BYSTANDER}
    assert MERGED not in archives
    assert len(archives) <= 1
    for kind, owned in before.items():
        assert after[kind].keys() == owned.keys()
        ids = {row: row_id for row_id, row in owned.items()}
        for row_id, (account, portal, name) in owned.items():
            rival = ids.get((account, MERGED + INTO - portal, name))
            preferred = at[account - 1] if at[account - 1] in (MERGED, INTO) else INTO
            if portal == BYSTANDER:
                expected = {BYSTANDER}
            elif rival is None or portal == preferred:
                expected = {INTO}
            else:
                expected = set(archives)
            assert after[kind][row_id][1] in expected
            if kind == "lists" and portal == MERGED and after[kind][row_id][1] == INTO:
                assert generations[row_id] > 1
    used = {portal for owned in after.values() for _, portal, _ in owned.values()}
    assert archives <= used  # an empty archive is deleted


def test_handlers_of_placements_move_with_their_portal() -> None:
    with filled([INTO] * 4, [], []) as connection:
        connection.executemany(
            "INSERT INTO widget_placements VALUES (?, 'a1', ?, NULL, 'LEFT_MENU', '{}', ?, 'bound')",
            [(f"{portal}", portal, f"https://gateway/{portal}") for portal in PORTALS],
        )
        merge_portals(connection, MERGED, INTO)
        moved = connection.execute("SELECT placement_id, portal_id FROM widget_placements").fetchall()
    assert sorted(moved) == [("1", INTO), ("2", INTO), ("3", BYSTANDER)]
