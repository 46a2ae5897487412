"""The sealed credentials of all accounts at once: for the day their key is lost."""

from sqlite3 import Connection

from storage.database import Database
from storage.metadata import save_fact

COUNT_CREDENTIALS = "SELECT count(*), count(DISTINCT portal_id) FROM accounts WHERE sealed IS NOT NULL"


class CredentialStore:
    """Every account's credential. What it writes is on disk when it returns."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def count(self) -> tuple[int, int]:
        """How many accounts have a credential, and on how many portals."""
        return await self._database.read(_count)

    async def forget_all(self, key_check: str, no_key: bytes, *, now: int) -> None:
        """Wipe every credential, every state handed out and every move; the fact *key_check* is *no_key* from now on.

        The accounts stay, each to be authorized again, with all that hangs on them.
        """
        await self._database.write_durably(_forget_all, key_check, no_key, now)


def _count(connection: Connection) -> tuple[int, int]:
    row: tuple[int, int] = connection.execute(COUNT_CREDENTIALS).fetchone()
    return row


OVERWRITE = "PRAGMA secure_delete = ON"
FORGET_CREDENTIALS = """
UPDATE accounts
SET kind = 'pending', sealed = NULL, stale = 1, state_since = :now,
    stale_code = NULL, stale_words = NULL, stale_host = NULL, tried_at = NULL
WHERE sealed IS NOT NULL
"""
FORGET_STATES = "DELETE FROM oauth_states"
FORGET_MOVES = "DELETE FROM account_moves"


def _forget_all(connection: Connection, key_check: str, no_key: bytes, now: int) -> None:
    connection.execute(OVERWRITE)
    connection.execute(FORGET_CREDENTIALS, {"now": now})
    connection.execute(FORGET_STATES)
    connection.execute(FORGET_MOVES)
    save_fact(connection, key_check, no_key)
