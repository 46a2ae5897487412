"""Counts and erases the sealed credentials of all accounts, for recovery from a lost vault key."""

from sqlite3 import Connection

from storage.database import Database
from storage.metadata import save_fact

COUNT_CREDENTIALS = "SELECT count(*), count(DISTINCT portal_id) FROM accounts WHERE sealed IS NOT NULL"


class CredentialStore:
    """Operates on the credentials of all accounts. Writes are durable: on disk before the method returns."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def count(self) -> tuple[int, int]:
        """Return the number of accounts with a credential and the number of their portals."""
        return await self._database.read(_count)

    async def delete_all(self, key_check: str, no_key: bytes, *, now: int) -> None:
        """Erase all credentials, issued states and pending moves, and set the metadata *key_check* to *no_key*.

        Accounts and their data stay; each account must be authorized again.
        """
        await self._database.write_durably(_delete_all, key_check, no_key, now)


def _count(connection: Connection) -> tuple[int, int]:
    row: tuple[int, int] = connection.execute(COUNT_CREDENTIALS).fetchone()
    return row


OVERWRITE_DELETED = "PRAGMA secure_delete = ON"
DELETE_CREDENTIALS = """
UPDATE accounts
SET kind = 'pending', sealed = NULL, stale = 1, state_since = :now,
    stale_code = NULL, stale_words = NULL, stale_host = NULL, tried_at = NULL
WHERE sealed IS NOT NULL
"""
DELETE_STATES = "DELETE FROM oauth_states"
DELETE_MOVES = "DELETE FROM account_moves"


def _delete_all(connection: Connection, key_check: str, no_key: bytes, now: int) -> None:
    connection.execute(OVERWRITE_DELETED)
    connection.execute(DELETE_CREDENTIALS, {"now": now})
    connection.execute(DELETE_STATES)
    connection.execute(DELETE_MOVES)
    save_fact(connection, key_check, no_key)
