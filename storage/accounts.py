"""Accounts on portals, their sealed credentials, and the OAuth states handed out."""

from sqlite3 import Connection, Row
from typing import Any

from storage.database import Database
from storage.portals import find_or_add_portal, identify_portal, portal_at
from storage.records import Account, Portal

ACCOUNT_COLUMNS = """
SELECT account_id, account_key, portal_id, host, member_id, origin, kind, sealed, stale, deleted, accounts.created_at
FROM accounts JOIN portals USING (portal_id)
"""
FIND_ACCOUNT = ACCOUNT_COLUMNS + "WHERE account_key = :account_key"
LOAD_ACCOUNT = ACCOUNT_COLUMNS + "WHERE account_id = :account_id"
LIST_CONNECTED = ACCOUNT_COLUMNS + "WHERE deleted = 0 AND kind <> 'pending' ORDER BY account_id"


class AccountStore:
    """Accounts as rows. What it writes is on disk when it returns."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find(self, account_key: str) -> Account | None:
        """The account that callers name *account_key*, deleted or not."""
        return await self._database.read(_find_account, account_key)

    async def load(self, account_id: int) -> Account:
        """The account with our id *account_id*."""
        return await self._database.read(_load_account, account_id)

    async def list_connected(self) -> list[Account]:
        """Every account that has a credential and is not deleted, oldest first."""
        return await self._database.read(_list_connected)

    async def find_portal(self, host: str) -> Portal | None:
        """The portal that answers at *host*, if we know it."""
        return await self._database.read(portal_at, host)

    async def connect(
        self, account_key: str, *, host: str, origin: str, sealed_webhook: bytes | None, now: int
    ) -> Account:
        """The account, made or revived or moved to the portal at *host*; what it had on that portal is kept.

        With *sealed_webhook* it is authorized at once. Without, a credential stays only where the account stays: on
        another portal, or after deletion, it is pending again.
        """
        return await self._database.write_durably(_connect, account_key, host, origin, sealed_webhook, now)

    async def save_tokens(self, account_id: int, sealed: bytes, *, member_id: str, origin: str, now: int) -> Account:
        """The account with its first tokens in force, on the portal that they are for: *member_id* at *origin*."""
        return await self._database.write_durably(_save_tokens, account_id, sealed, member_id, origin, now)

    async def renew_tokens(
        self, account_id: int, sealed: bytes, *, member_id: str, origin: str, now: int
    ) -> Account | None:
        """As `save_tokens`; None, and nothing changed, where the account has left that portal or its application."""
        return await self._database.write_durably(_renew_tokens, account_id, sealed, member_id, origin, now)

    async def mark_stale(self, account_id: int) -> None:
        """Remember that the portal must be authorized again."""
        await self._database.write_durably(_mark_stale, account_id)

    async def delete(self, account_id: int) -> None:
        """Mark the account deleted and wipe its credential and its unused states; everything else stays."""
        await self._database.write_durably(_delete, account_id)

    async def save_state(self, nonce: str, account_id: int, *, expires_at: int, now: int) -> None:
        """Remember a state that was handed out, and forget those that ran out."""
        await self._database.write_durably(_save_state, nonce, account_id, expires_at, now)

    async def use_state(self, nonce: str, account_id: int, *, now: int) -> bool:
        """Whether the state was still unused and in time; from now on it is used."""
        return await self._database.write_durably(_use_state, nonce, account_id, now)


def _account(row: Row | tuple[Any, ...] | None) -> Account | None:
    if row is None:
        return None
    account_id, account_key, portal_id, host, member_id, origin, kind, sealed, stale, deleted, created_at = row
    portal = Portal(portal_id, host, member_id)
    return Account(
        account_id,
        account_key,
        portal,
        origin,
        kind,
        sealed,
        stale=bool(stale),
        deleted=bool(deleted),
        created_at=created_at,
    )


def _find_account(connection: Connection, account_key: str) -> Account | None:
    return _account(connection.execute(FIND_ACCOUNT, {"account_key": account_key}).fetchone())


def _load_account(connection: Connection, account_id: int) -> Account:
    account = _account(connection.execute(LOAD_ACCOUNT, {"account_id": account_id}).fetchone())
    if account is None:
        raise LookupError(f"no account {account_id}")
    return account


def _list_connected(connection: Connection) -> list[Account]:
    return [account for row in connection.execute(LIST_CONNECTED) if (account := _account(row))]


ADD_ACCOUNT = """
INSERT INTO accounts (account_key, portal_id, origin, kind, sealed, stale, deleted, created_at)
VALUES (:account_key, :portal_id, :origin, 'pending', NULL, 1, 0, :now)
"""
KEEP_ACCOUNT = "UPDATE accounts SET origin = :origin WHERE account_id = :account_id"
MOVE_ACCOUNT = """
UPDATE accounts SET portal_id = :portal_id, origin = :origin, kind = 'pending', sealed = NULL, stale = 1, deleted = 0
WHERE account_id = :account_id
"""
SAVE_WEBHOOK = "UPDATE accounts SET kind = 'webhook', sealed = :sealed, stale = 0 WHERE account_id = :account_id"


def _connect(
    connection: Connection, account_key: str, host: str, origin: str, sealed_webhook: bytes | None, now: int
) -> Account:
    portal_id = find_or_add_portal(connection, host=host, now=now)
    account = _find_account(connection, account_key)
    if account is None:
        connection.execute(
            ADD_ACCOUNT, {"account_key": account_key, "portal_id": portal_id, "origin": origin, "now": now}
        )
    elif account.deleted or account.portal.portal_id != portal_id:
        connection.execute(MOVE_ACCOUNT, {"portal_id": portal_id, "origin": origin, "account_id": account.account_id})
    else:
        connection.execute(KEEP_ACCOUNT, {"origin": origin, "account_id": account.account_id})
    account = _find_account(connection, account_key)
    assert account is not None
    if sealed_webhook is None:
        return account
    connection.execute(SAVE_WEBHOOK, {"sealed": sealed_webhook, "account_id": account.account_id})
    return _load_account(connection, account.account_id)


SAVE_TOKENS = """
UPDATE accounts SET portal_id = :portal_id, origin = :origin, kind = 'oauth', sealed = :sealed, stale = 0
WHERE account_id = :account_id
"""


def _save_tokens(
    connection: Connection, account_id: int, sealed: bytes, member_id: str, origin: str, now: int
) -> Account:
    portal_id = identify_portal(connection, member_id=member_id, host=origin.partition("://")[2], now=now)
    connection.execute(
        SAVE_TOKENS, {"portal_id": portal_id, "origin": origin, "sealed": sealed, "account_id": account_id}
    )
    return _load_account(connection, account_id)


def _renew_tokens(
    connection: Connection, account_id: int, sealed: bytes, member_id: str, origin: str, now: int
) -> Account | None:
    account = _load_account(connection, account_id)
    if account.kind != "oauth" or account.portal.member_id != member_id:
        return None
    return _save_tokens(connection, account_id, sealed, member_id, origin, now)


MARK_STALE = "UPDATE accounts SET stale = 1 WHERE account_id = :account_id"


def _mark_stale(connection: Connection, account_id: int) -> None:
    connection.execute(MARK_STALE, {"account_id": account_id})


DELETE_ACCOUNT = """
UPDATE accounts SET deleted = 1, kind = 'pending', sealed = NULL, stale = 1 WHERE account_id = :account_id
"""
FORGET_STATES = "DELETE FROM oauth_states WHERE account_id = :account_id"


def _delete(connection: Connection, account_id: int) -> None:
    connection.execute(DELETE_ACCOUNT, {"account_id": account_id})
    connection.execute(FORGET_STATES, {"account_id": account_id})


ADD_STATE = "INSERT INTO oauth_states (nonce, account_id, expires_at) VALUES (:nonce, :account_id, :expires_at)"
FORGET_OLD_STATES = "DELETE FROM oauth_states WHERE expires_at <= :now"
USE_STATE = "DELETE FROM oauth_states WHERE nonce = :nonce AND account_id = :account_id AND expires_at > :now"


def _save_state(connection: Connection, nonce: str, account_id: int, expires_at: int, now: int) -> None:
    connection.execute(FORGET_OLD_STATES, {"now": now})
    connection.execute(ADD_STATE, {"nonce": nonce, "account_id": account_id, "expires_at": expires_at})


def _use_state(connection: Connection, nonce: str, account_id: int, now: int) -> bool:
    return connection.execute(USE_STATE, {"nonce": nonce, "account_id": account_id, "now": now}).rowcount == 1
