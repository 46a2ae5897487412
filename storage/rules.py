"""Stores rules by account, portal and quiz."""

from sqlite3 import Connection

from storage.database import Database
from storage.errors import IntegrityError
from storage.records import Rule

FIND_RULE = """
SELECT rule_id, quiz_id, body, created_at FROM rules
WHERE account_id = :account_id AND portal_id = :portal_id AND quiz_id = :quiz_id
"""
ADD_RULE = """
INSERT INTO rules (account_id, portal_id, quiz_id, body, created_at)
VALUES (:account_id, :portal_id, :quiz_id, :body, :now)
"""
REPLACE_RULE = """
UPDATE rules SET body = :body
WHERE account_id = :account_id AND portal_id = :portal_id AND quiz_id = :quiz_id
"""


class RuleStore:
    """Reads and writes rules. Writes are durable: on disk before the method returns."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find(self, account_id: int, portal_id: int, quiz_id: int) -> Rule | None:
        """Return the rule of the quiz, or None."""
        return await self._database.read(_find, account_id, portal_id, quiz_id)

    async def add(self, account_id: int, portal_id: int, quiz_id: int, body: bytes, *, now: int) -> bool:
        """Add the rule. Return False and change nothing if the quiz already has one."""
        try:
            await self._database.write_durably(_add, account_id, portal_id, quiz_id, body, now)
        except IntegrityError:
            return False
        return True

    async def replace(self, account_id: int, portal_id: int, quiz_id: int, body: bytes) -> bool:
        """Replace the rule. Return False if the quiz has none."""
        return await self._database.write_durably(_replace, account_id, portal_id, quiz_id, body)


def _find(connection: Connection, account_id: int, portal_id: int, quiz_id: int) -> Rule | None:
    key = {"account_id": account_id, "portal_id": portal_id, "quiz_id": quiz_id}
    row = connection.execute(FIND_RULE, key).fetchone()
    return row and Rule(*row)


def _add(connection: Connection, account_id: int, portal_id: int, quiz_id: int, body: bytes, now: int) -> None:
    key = {"account_id": account_id, "portal_id": portal_id, "quiz_id": quiz_id}
    connection.execute(ADD_RULE, {**key, "body": body, "now": now})


def _replace(connection: Connection, account_id: int, portal_id: int, quiz_id: int, body: bytes) -> bool:
    key = {"account_id": account_id, "portal_id": portal_id, "quiz_id": quiz_id}
    return connection.execute(REPLACE_RULE, {**key, "body": body}).rowcount == 1
