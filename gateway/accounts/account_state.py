"""What state an account is in, and what a person can do about it; pure."""

import re
from dataclasses import dataclass
from typing import Literal

from gateway.bitrix.auth.credentials import WebhookDoubted
from gateway.bitrix.errors import PortalError, PortalMoved, WalkFailed
from storage.records import Account, Trouble

DOUBT_S = 60  # a passing failure of a webhook that repeats after so long is none
RETRY_S = 900  # between two tries of a stale webhook
PLAIN_CODE = re.compile(r"[A-Za-z0-9_]{1,100}", re.ASCII)
PENDING = "authorization_pending"


@dataclass(frozen=True)
class AccountState:
    """*name*, since when (Unix seconds), and where it is not ok the reason: a stable *code* and a sentence."""

    name: Literal["ok", "pending", "stale"]
    since: int
    code: str | None = None
    reason: str | None = None


def state_of(account: Account, now: float) -> AccountState:
    """The state of a connected *account*. It is pending while an authorization is to be finished, also of a move."""
    trouble = account.trouble
    if (move := account.move_at(now)) is not None:
        until = f"until then the account stays on {account.host}"
        sentence = f"{move.host} is still to be authorized by a person; {until}"
        return AccountState("pending", move.began_at, PENDING, f"{sentence}: {trouble.words}" if trouble else sentence)
    if account.kind == "pending":
        reason = f"{account.host} is still to be authorized by a person"
        return AccountState("pending", account.since, PENDING, reason)
    if account.stale:
        assert trouble is not None, "a stale account has a reason"
        return AccountState("stale", account.since, trouble.code, trouble.words)
    return AccountState("ok", account.since)


def trouble_of(error: PortalError) -> Trouble | None:
    """Why an account is stale after *error*; None where that does not follow from it.

    A WebhookDoubted makes it stale only once it repeats. The portal's own description is left out: it is a stranger's
    text.
    """
    while isinstance(error, WalkFailed):
        error = error.cause
    if not error.credential_dead and not isinstance(error, WebhookDoubted):
        return None
    if isinstance(error, PortalMoved):
        return Trouble(error.code, f"the portal has moved to {error.host}", error.host)
    words = (type(error).__doc__ or "").split("\n", 1)[0]
    if isinstance(error, WebhookDoubted) and not error.cause.has_portal_message:
        words = str(error.cause)
    told = f" ({error.portal_code})" if PLAIN_CODE.fullmatch(error.portal_code) else ""
    return Trouble(error.code, words + told, None)


def is_doubt(error: PortalError) -> bool:
    """Whether *error* makes an account stale only if it repeats."""
    while isinstance(error, WalkFailed):
        error = error.cause
    return isinstance(error, WebhookDoubted)


def webhook_advice(account: Account) -> str:
    """What must be done about a stale webhook."""
    trouble = account.trouble
    host = account.host if trouble is None or trouble.host is None else trouble.host
    advice = f"connect the webhook again at {host}"
    return advice if trouble is None else f"{advice}: {trouble.words}"


def retry_due_at(account: Account, now: float) -> float | None:
    """When a stale webhook may be tried again, in Unix seconds; None for other accounts."""
    if account.kind != "webhook" or not account.stale or account.deleted:
        return None
    tried_at = account.tried_at
    if tried_at is None or tried_at > now:  # by an earlier version, or a clock that has been set back
        return now
    return tried_at + RETRY_S
