"""Stores accounts on portals, their sealed credentials and the OAuth states issued to them."""

from sqlite3 import Connection, Row
from typing import Any

from storage.database import Database
from storage.portals import find_or_add_portal, identify_portal, portal_at
from storage.records import Account, AccountKind, Move, Portal, Trouble

ACCOUNT_COLUMNS = """
SELECT account_id, account_key, portal_id, portals.host, member_id, origin, kind, sealed, stale, deleted,
       accounts.created_at, state_since, stale_code, stale_words, stale_host, tried_at,
       account_moves.host, began_at, expires_at
FROM accounts JOIN portals USING (portal_id) LEFT JOIN account_moves USING (account_id)
"""
FIND_ACCOUNT = ACCOUNT_COLUMNS + "WHERE account_key = :account_key"
LOAD_ACCOUNT = ACCOUNT_COLUMNS + "WHERE account_id = :account_id"
LIST_CONNECTED = ACCOUNT_COLUMNS + "WHERE deleted = 0 AND kind <> 'pending' ORDER BY account_id"


class AccountStore:
    """Reads and writes accounts. Writes are durable: on disk before the method returns."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find(self, account_key: str) -> Account | None:
        """Return the account with the caller's *account_key*, deleted or not."""
        return await self._database.read(_find_account, account_key)

    async def load(self, account_id: int) -> Account:
        """Return the account with our id *account_id*.

        Raises:
            LookupError: the account does not exist.
        """
        return await self._database.read(_load_account, account_id)

    async def list_connected(self) -> list[Account]:
        """Return all accounts that have a credential and are not deleted, oldest first."""
        return await self._database.read(_list_connected)

    async def find_portal(self, host: str) -> Portal | None:
        """Return the known portal at *host*, or None."""
        return await self._database.read(portal_at, host)

    async def connect(
        self, account_key: str, *, host: str, origin: str, sealed_webhook: bytes | None, now: int
    ) -> Account:
        """Create the account, restore it after deletion, or move it to the portal at *host*. Return the account.

        Its data on that portal is kept. With *sealed_webhook* the account is authorized immediately. Without one, it
        keeps its credential only if it stays on the same portal; after a move or a deletion it is pending again.
        Cancels an unfinished move.
        """
        return await self._database.write_durably(_connect, account_key, host, origin, sealed_webhook, now)

    async def begin_move(self, account_id: int, host: str, *, expires_at: int, now: int) -> Account:
        """Record a pending move to the portal at *host*. The account itself does not change."""
        return await self._database.write_durably(_begin_move, account_id, host, expires_at, now)

    async def save_tokens(
        self, account_id: int, sealed: bytes, *, member_id: str, origin: str, authorized_host: str, now: int
    ) -> Account:
        """Store the first tokens of an authorization and put the account on their portal, *member_id* at *origin*.

        Finishes a move to *authorized_host*.
        """
        return await self._database.write_durably(
            _authorize, account_id, sealed, member_id, origin, authorized_host, now
        )

    async def renew_tokens(
        self, account_id: int, sealed: bytes, *, member_id: str, origin: str, now: int
    ) -> Account | None:
        """Store renewed tokens. Return None and change nothing if the account has left the portal or the app."""
        return await self._database.write_durably(_renew_tokens, account_id, sealed, member_id, origin, now)

    async def mark_stale(
        self, account_id: int, trouble: Trouble, *, kind: AccountKind, sealed: bytes | None, now: int
    ) -> bool:
        """Mark the account stale because of *trouble*. Return whether it was not stale before.

        Changes nothing if the account's credential is now of another *kind* or is not *sealed* (None matches any).
        """
        return await self._database.write_durably(_mark_stale, account_id, trouble, kind, sealed, now)

    async def record_attempt(self, account_id: int, now: int) -> None:
        """Record that the credential of a stale account is tried again."""
        await self._database.write_durably(_record_attempt, account_id, now)

    async def restore(self, account_id: int, *, sealed: bytes, now: int) -> None:
        """Mark the account as working again. Changes nothing if its credential is no longer *sealed*."""
        await self._database.write_durably(_restore, account_id, sealed, now)

    async def delete(self, account_id: int, *, now: int) -> None:
        """Mark the account deleted. Erase its credential, unused states and pending move; keep everything else."""
        await self._database.write_durably(_delete, account_id, now)

    async def save_state(self, nonce: str, account_id: int, *, expires_at: int, now: int) -> None:
        """Store an issued state and delete expired ones."""
        await self._database.write_durably(_save_state, nonce, account_id, expires_at, now)

    async def use_state(self, nonce: str, account_id: int, *, now: int) -> bool:
        """Use up the state. Return False if it is unknown, already used, expired or another account's."""
        return await self._database.write_durably(_use_state, nonce, account_id, now)


def _account(row: Row | tuple[Any, ...] | None) -> Account | None:
    if row is None:
        return None
    account_id, account_key, portal_id, host, member_id, origin, kind, sealed, stale, deleted, created_at, *rest = row
    since, code, message, new_host, tried_at, move_host, began_at, expires_at = rest
    return Account(
        account_id,
        account_key,
        Portal(portal_id, host, member_id),
        origin,
        kind,
        sealed,
        stale=bool(stale),
        deleted=bool(deleted),
        created_at=created_at,
        since=since,
        trouble=None if code is None else Trouble(code, message, new_host),
        tried_at=tried_at,
        move=None if move_host is None else Move(move_host, began_at, expires_at),
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
INSERT INTO accounts (account_key, portal_id, origin, kind, sealed, stale, deleted, created_at, state_since)
VALUES (:account_key, :portal_id, :origin, 'pending', NULL, 1, 0, :now, :now)
"""
UPDATE_ORIGIN = "UPDATE accounts SET origin = :origin WHERE account_id = :account_id"
MOVE_ACCOUNT = """
UPDATE accounts
SET portal_id = :portal_id, origin = :origin, kind = 'pending', sealed = NULL, stale = 1, deleted = 0,
    state_since = :now, stale_code = NULL, stale_words = NULL, stale_host = NULL, tried_at = NULL
WHERE account_id = :account_id
"""
DELETE_MOVE = "DELETE FROM account_moves WHERE account_id = :account_id"
SAVE_WEBHOOK = "UPDATE accounts SET kind = 'webhook', sealed = :sealed WHERE account_id = :account_id"
# state_since does not change if the account was already working.
MARK_OK = """
UPDATE accounts
SET stale = 0, state_since = CASE stale WHEN 0 THEN state_since ELSE :now END,
    stale_code = NULL, stale_words = NULL, stale_host = NULL, tried_at = NULL
WHERE account_id = :account_id
"""


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
        connection.execute(
            MOVE_ACCOUNT, {"portal_id": portal_id, "origin": origin, "account_id": account.account_id, "now": now}
        )
    else:
        connection.execute(UPDATE_ORIGIN, {"origin": origin, "account_id": account.account_id})
    account = _find_account(connection, account_key)
    assert account is not None
    connection.execute(DELETE_MOVE, {"account_id": account.account_id})
    if sealed_webhook is not None:
        connection.execute(SAVE_WEBHOOK, {"sealed": sealed_webhook, "account_id": account.account_id})
        connection.execute(MARK_OK, {"account_id": account.account_id, "now": now})
    return _load_account(connection, account.account_id)


BEGIN_MOVE = """
INSERT INTO account_moves (account_id, host, began_at, expires_at) VALUES (:account_id, :host, :now, :expires_at)
ON CONFLICT (account_id) DO UPDATE
SET began_at = CASE WHEN host = excluded.host AND expires_at > :now THEN began_at ELSE :now END,
    host = excluded.host, expires_at = excluded.expires_at
"""


def _begin_move(connection: Connection, account_id: int, host: str, expires_at: int, now: int) -> Account:
    connection.execute(BEGIN_MOVE, {"account_id": account_id, "host": host, "expires_at": expires_at, "now": now})
    return _load_account(connection, account_id)


SAVE_TOKENS = """
UPDATE accounts SET portal_id = :portal_id, origin = :origin, kind = 'oauth', sealed = :sealed
WHERE account_id = :account_id
"""
FINISH_MOVE = "DELETE FROM account_moves WHERE account_id = :account_id AND host = :host"


def _authorize(
    connection: Connection, account_id: int, sealed: bytes, member_id: str, origin: str, authorized_host: str, now: int
) -> Account:
    connection.execute(FINISH_MOVE, {"account_id": account_id, "host": authorized_host})
    return _save_tokens(connection, account_id, sealed, member_id, origin, now)


def _save_tokens(
    connection: Connection, account_id: int, sealed: bytes, member_id: str, origin: str, now: int
) -> Account:
    portal_id = identify_portal(connection, member_id=member_id, host=origin.partition("://")[2], now=now)
    connection.execute(
        SAVE_TOKENS, {"portal_id": portal_id, "origin": origin, "sealed": sealed, "account_id": account_id}
    )
    connection.execute(MARK_OK, {"account_id": account_id, "now": now})
    return _load_account(connection, account_id)


def _renew_tokens(
    connection: Connection, account_id: int, sealed: bytes, member_id: str, origin: str, now: int
) -> Account | None:
    account = _load_account(connection, account_id)
    if account.kind != "oauth" or account.portal.member_id != member_id:
        return None
    return _save_tokens(connection, account_id, sealed, member_id, origin, now)


MARK_STALE = """
UPDATE accounts
SET stale = 1, state_since = CASE stale WHEN 0 THEN :now ELSE state_since END,
    stale_code = :code, stale_words = :words, stale_host = :host, tried_at = :now
WHERE account_id = :account_id AND kind = :kind AND sealed = coalesce(:sealed, sealed)
"""


def _mark_stale(
    connection: Connection, account_id: int, trouble: Trouble, kind: AccountKind, sealed: bytes | None, now: int
) -> bool:
    was_working = not _load_account(connection, account_id).stale
    marked = connection.execute(
        MARK_STALE,
        {
            "account_id": account_id,
            "kind": kind,
            "sealed": sealed,
            "now": now,
            "code": trouble.code,
            "words": trouble.message,
            "host": trouble.host,
        },
    ).rowcount
    return was_working and marked == 1


RECORD_ATTEMPT = "UPDATE accounts SET tried_at = :now WHERE account_id = :account_id AND stale = 1"


def _record_attempt(connection: Connection, account_id: int, now: int) -> None:
    connection.execute(RECORD_ATTEMPT, {"account_id": account_id, "now": now})


HAS_CREDENTIAL = "SELECT 1 FROM accounts WHERE account_id = :account_id AND sealed = :sealed"


def _restore(connection: Connection, account_id: int, sealed: bytes, now: int) -> None:
    if connection.execute(HAS_CREDENTIAL, {"account_id": account_id, "sealed": sealed}).fetchone():
        connection.execute(MARK_OK, {"account_id": account_id, "now": now})


DELETE_ACCOUNT = """
UPDATE accounts
SET deleted = 1, kind = 'pending', sealed = NULL, stale = 1, state_since = :now,
    stale_code = NULL, stale_words = NULL, stale_host = NULL, tried_at = NULL
WHERE account_id = :account_id
"""
DELETE_STATES = "DELETE FROM oauth_states WHERE account_id = :account_id"


def _delete(connection: Connection, account_id: int, now: int) -> None:
    connection.execute(DELETE_ACCOUNT, {"account_id": account_id, "now": now})
    connection.execute(DELETE_STATES, {"account_id": account_id})
    connection.execute(DELETE_MOVE, {"account_id": account_id})


ADD_STATE = "INSERT INTO oauth_states (nonce, account_id, expires_at) VALUES (:nonce, :account_id, :expires_at)"
DELETE_EXPIRED_STATES = "DELETE FROM oauth_states WHERE expires_at <= :now"
USE_STATE = "DELETE FROM oauth_states WHERE nonce = :nonce AND account_id = :account_id AND expires_at > :now"


def _save_state(connection: Connection, nonce: str, account_id: int, expires_at: int, now: int) -> None:
    connection.execute(DELETE_EXPIRED_STATES, {"now": now})
    connection.execute(ADD_STATE, {"nonce": nonce, "account_id": account_id, "expires_at": expires_at})


def _use_state(connection: Connection, nonce: str, account_id: int, now: int) -> bool:
    return connection.execute(USE_STATE, {"nonce": nonce, "account_id": account_id, "now": now}).rowcount == 1
