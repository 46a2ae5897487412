"""The state of an account, and what a person can do about it. Pure functions."""

import re
from dataclasses import dataclass
from typing import Literal

from gateway.bitrix.auth.credentials import WebhookTemporarilyRefused
from gateway.bitrix.errors import PortalError, PortalMoved, WalkFailed
from storage.records import Account, Trouble

STALE_AFTER_S = 60  # a temporary failure of a webhook that repeats after this time makes it stale
RETRY_S = 900  # between two retries of a stale webhook
PLAIN_CODE = re.compile(r"[A-Za-z0-9_]{1,100}", re.ASCII)
PENDING = "authorization_pending"


@dataclass(frozen=True)
class AccountState:
    """The *name* of a state, and its start in Unix seconds. Unless ok it has a stable *code* and a *reason* as text."""

    name: Literal["ok", "pending", "stale"]
    since: int
    code: str | None = None
    reason: str | None = None


def state_of(account: Account, now: float) -> AccountState:
    """Return the state of a connected *account*. It is pending while a person must authorize a portal."""
    trouble = account.trouble
    if (move := account.move_at(now)) is not None:
        until = f"until then the account stays on {account.host}"
        sentence = f"a person must authorize {move.host}; {until}"
        return AccountState(
            "pending", move.began_at, PENDING, f"{sentence}: {trouble.message}" if trouble else sentence
        )
    if account.kind == "pending":
        reason = f"a person must authorize {account.host}"
        return AccountState("pending", account.since, PENDING, reason)
    if account.stale:
        assert trouble is not None, "a stale account has a reason"
        return AccountState("stale", account.since, trouble.code, trouble.message)
    return AccountState("ok", account.since)


def trouble_of(error: PortalError) -> Trouble | None:
    """Return why *error* makes an account stale; None if it does not.

    A temporary error makes the account stale only if it repeats; see `is_temporary`. The portal's own description is
    left out because it is untrusted text.
    """
    while isinstance(error, WalkFailed):
        error = error.cause
    if not error.credential_dead and not isinstance(error, WebhookTemporarilyRefused):
        return None
    if isinstance(error, PortalMoved):
        return Trouble(error.code, f"the portal has moved to {error.host}", error.host)
    words = (type(error).__doc__ or "").split("\n", 1)[0]
    if isinstance(error, WebhookTemporarilyRefused) and not error.cause.has_portal_message:
        words = str(error.cause)
    suffix = f" ({error.portal_code})" if PLAIN_CODE.fullmatch(error.portal_code) else ""
    return Trouble(error.code, words + suffix, None)


def is_temporary(error: PortalError) -> bool:
    """Whether *error* makes an account stale only if it repeats."""
    while isinstance(error, WalkFailed):
        error = error.cause
    return isinstance(error, WebhookTemporarilyRefused)


def webhook_advice(account: Account) -> str:
    """Return what a person must do about a stale webhook."""
    trouble = account.trouble
    host = account.host if trouble is None or trouble.host is None else trouble.host
    advice = f"connect the webhook again at {host}"
    return advice if trouble is None else f"{advice}: {trouble.message}"


def retry_due_at(account: Account, now: float) -> float | None:
    """Return when a stale webhook may be retried, in Unix seconds; None for any other account."""
    if account.kind != "webhook" or not account.stale or account.deleted:
        return None
    tried_at = account.tried_at
    if tried_at is None or tried_at > now:  # stored by an earlier version, or the clock was set back
        return now
    return tried_at + RETRY_S
