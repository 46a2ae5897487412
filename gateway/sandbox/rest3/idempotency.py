"""Idempotency-Key: the answer of a call that writes is stored for a day and replayed instead of a second run.

Source: [docs] api-reference/rest-v3.md; [srv] rest/lib/v3; protocol notes 9.10
"""

import hashlib
import re
from dataclasses import dataclass, replace
from typing import TypeAlias

from gateway.sandbox.caller import Caller
from gateway.sandbox.exchange import Reply
from gateway.sandbox.rest3.errors import idempotency_key_reused, invalid_idempotency_key

LIFETIME_S = 86_400
HEADER = "Idempotency-Key"
REPLAYED = "Idempotent-Replayed"

_KEY = re.compile(r"[\x21-\x7e]{1,255}")

_Scope: TypeAlias = tuple[str, int, str, str]


@dataclass(frozen=True)
class _StoredReply:
    fingerprint: bytes
    expires_at: float
    reply: Reply


class IdempotencyStore:
    """The answers of the last day by caller, method and key."""

    def __init__(self) -> None:
        self._replies: dict[_Scope, _StoredReply] = {}

    def find(self, caller: Caller, method: str, key: str, body: bytes, now: float) -> Reply | None:
        """Return the stored answer to the same call, marked as replayed, or None.

        Raises:
            Rest3Error: the key is malformed, or was used with another body.
        """
        if not _KEY.fullmatch(key):
            raise invalid_idempotency_key()
        stored = self._replies.get(_scope(caller, method, key))
        if stored is None or now >= stored.expires_at:
            return None
        if stored.fingerprint != _fingerprint(body):
            raise idempotency_key_reused()
        return replace(stored.reply, headers={**stored.reply.headers, REPLAYED: "true"})

    def save(self, caller: Caller, method: str, key: str, body: bytes, reply: Reply, now: float) -> Reply:
        """Store the first answer and return it with its ``Idempotency-Key`` header."""
        self._replies = {scope: stored for scope, stored in self._replies.items() if now < stored.expires_at}
        reply = replace(reply, headers={HEADER: key})
        self._replies[_scope(caller, method, key)] = _StoredReply(_fingerprint(body), now + LIFETIME_S, reply)
        return reply


def _scope(caller: Caller, method: str, key: str) -> _Scope:
    return caller.client, caller.user_id, method, key


def _fingerprint(body: bytes) -> bytes:
    return hashlib.sha256(body).digest()
