"""Idempotency-Key: the answer of a call that writes is kept for a day, and given again instead of a second run.

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

_Place: TypeAlias = tuple[str, int, str, str]


@dataclass(frozen=True)
class _Kept:
    fingerprint: bytes
    until: float
    reply: Reply


class IdempotencyStore:
    """The answers of the last day by caller, method and key; the same key under another method is another call."""

    def __init__(self) -> None:
        self._kept: dict[_Place, _Kept] = {}

    def find(self, caller: Caller, method: str, key: str, body: bytes, now: float) -> Reply | None:
        """The first answer to the same call, marked as given again; None where there was none.

        Raises:
            Rest3Error: the key is malformed, or came with another body before.
        """
        if not _KEY.fullmatch(key):
            raise invalid_idempotency_key()
        kept = self._kept.get(_place(caller, method, key))
        if kept is None or now >= kept.until:
            return None
        if kept.fingerprint != _fingerprint(body):
            raise idempotency_key_reused()
        return replace(kept.reply, headers={**kept.reply.headers, REPLAYED: "true"})

    def keep(self, caller: Caller, method: str, key: str, body: bytes, reply: Reply, now: float) -> Reply:
        """Remember the first answer; it is returned with the header that it is sent with."""
        self._kept = {place: kept for place, kept in self._kept.items() if now < kept.until}
        reply = replace(reply, headers={HEADER: key})
        self._kept[_place(caller, method, key)] = _Kept(_fingerprint(body), now + LIFETIME_S, reply)
        return reply


def _place(caller: Caller, method: str, key: str) -> _Place:
    return caller.client, caller.user_id, method, key


def _fingerprint(body: bytes) -> bytes:
    return hashlib.sha256(body).digest()
