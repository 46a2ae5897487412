"""Rules that turn a quiz's answers into items of the account's CRM."""

from collections.abc import Mapping

import orjson

from gateway.clock import Clock
from gateway.errors import AlreadyExists, InvalidInput, NotFound
from storage.mirror import MirrorStore
from storage.records import Account, Rule
from storage.rules import RuleStore

PERFORMER_UNKNOWN = "must be the bitrixUserID of one of the account's synced users"


class RuleService:
    """Creates, loads and replaces the rules of an account on its current portal."""

    def __init__(self, store: RuleStore, mirror: MirrorStore, clock: Clock) -> None:
        self._store = store
        self._mirror = mirror
        self._clock = clock

    async def load(self, account: Account, quiz_id: int) -> Rule:
        """Return the rule of the quiz.

        Raises:
            NotFound: the quiz has no rule.
        """
        rule = await self._store.find(account.account_id, account.portal.portal_id, quiz_id)
        if rule is None:
            raise no_rules(quiz_id)
        return rule

    async def create(self, account: Account, quiz_id: int, body: Mapping[str, object]) -> None:
        """Store *body* as the rule of the quiz. The write is durable.

        Raises:
            NotFound: the performer is not a user of the portal.
            AlreadyExists: the quiz already has a rule; it is not changed.
        """
        if not await self._has_performer(account, body):
            raise NotFound(f"PerformerID: {PERFORMER_UNKNOWN}", code="performer_not_found")
        now = int(self._clock.now())
        added = await self._store.add(
            account.account_id, account.portal.portal_id, quiz_id, orjson.dumps(body), now=now
        )
        if not added:
            raise AlreadyExists(f"rules already exist for quiz {quiz_id}", code="rules_already_exist")

    async def replace(self, account: Account, quiz_id: int, body: Mapping[str, object]) -> None:
        """Store *body* as the rule of the quiz, in place of the existing one. The write is durable.

        Raises:
            NotFound: the quiz has no rule.
            InvalidInput: the performer is not a user of the portal.
        """
        await self.load(account, quiz_id)
        if not await self._has_performer(account, body):
            raise InvalidInput.of_field("/PerformerID", "performer_not_found", PERFORMER_UNKNOWN)
        if not await self._store.replace(account.account_id, account.portal.portal_id, quiz_id, orjson.dumps(body)):
            raise no_rules(quiz_id)

    async def _has_performer(self, account: Account, body: Mapping[str, object]) -> bool:
        performer = str(body["PerformerID"])
        # Only digits as the portal writes them: "7", not "07". SQLite integers end at 2**63 - 1.
        if not (performer.isascii() and performer.isdigit() and str(int(performer[:20])) == performer):
            return False
        portal_row_id = int(performer)
        return portal_row_id < 2**63 and await self._mirror.has_row(
            account.account_id, account.portal.portal_id, "users", portal_row_id
        )


def no_rules(quiz_id: int) -> NotFound:
    """Return the error for a quiz without rules."""
    return NotFound(f"rules not found for quiz {quiz_id}", code="rules_not_found")
