"""Counts the sealed credentials of all accounts, and erases all that is sealed, for recovery from a lost vault key."""

from sqlite3 import Connection

from storage.database import Database
from storage.metadata import delete_fact, save_fact
from storage.widget_installations import MissingAfterLoss, erase_settings

COUNT_CREDENTIALS = "SELECT count(*), count(DISTINCT portal_id) FROM accounts WHERE sealed IS NOT NULL"


class CredentialStore:
    """Operates on what is sealed in the database. Writes are durable: on disk before the method returns."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def count(self) -> tuple[int, int]:
        """Return the number of accounts with a credential and the number of their portals."""
        return await self._database.read(_count)

    async def delete_all(
        self,
        key_check: str,
        no_key: bytes,
        *,
        sealed_fact: str,
        missing_of: MissingAfterLoss,
        now: int,
    ) -> None:
        """Erase all credentials, issued states, pending moves and settings of widgets, and the metadata *sealed_fact*.

        Sets the metadata *key_check* to *no_key*. Accounts and their data stay; each must be authorized again. Widgets
        stay installed; see `erase_settings` for *missing_of*.
        """
        await self._database.write_durably(_delete_all, key_check, no_key, sealed_fact, missing_of, now)


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


def _delete_all(
    connection: Connection,
    key_check: str,
    no_key: bytes,
    sealed_fact: str,
    missing_of: MissingAfterLoss,
    now: int,
) -> None:
    connection.execute(OVERWRITE_DELETED)
    connection.execute(DELETE_CREDENTIALS, {"now": now})
    connection.execute(DELETE_STATES)
    connection.execute(DELETE_MOVES)
    erase_settings(connection, missing_of)
    delete_fact(connection, sealed_fact)
    save_fact(connection, key_check, no_key)
