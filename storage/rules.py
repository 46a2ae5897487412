"""Rules by account, portal and quiz."""

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
    """Rules as rows. What it writes is on disk when it returns."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find(self, account_id: int, portal_id: int, quiz_id: int) -> Rule | None:
        """The rule of that quiz, if there is one."""
        return await self._database.read(_find, account_id, portal_id, quiz_id)

    async def add(self, account_id: int, portal_id: int, quiz_id: int, body: bytes, *, now: int) -> bool:
        """Whether the rule could be added; False, and nothing changed, where the quiz has one."""
        try:
            await self._database.write_durably(_add, account_id, portal_id, quiz_id, body, now)
        except IntegrityError:
            return False
        return True

    async def replace(self, account_id: int, portal_id: int, quiz_id: int, body: bytes) -> bool:
        """Whether there was a rule to replace."""
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
