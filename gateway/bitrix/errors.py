"""The errors of a portal, its authorization server, and the connection to them.

PortalError                      a code without a class of its own; the portal's message is kept
├── (documented codes)           one class per kind; protocol/error_codes.py maps the codes to them
├── PortalFailing                any other 5xx, or 429: a temporary failure
├── PortalBroken                 HTML, truncated JSON, an unknown envelope
│   └── ForeignAddress           a file at another origin than the portal
├── AnswerTooLarge               more bytes or values than are read of one answer
├── PortalUnreachable            no answer; `sent` says whether the request may have arrived
├── OutcomeUnknown               a write that may or may not have been executed
├── PortalMoved                  a redirect to another address; redirects are never followed
├── RedirectsToItself            a redirect to the requested address
├── AddressRefused               the egress policy forbids the address
├── WrongPortal                  the authorization server returned tokens for another portal
└── WalkFailed                   a list could not be read to its proven end

How to react to an error is stated by its properties, so that callers need not know the classes.
"""

from gateway.errors import GatewayError
from gateway.redaction import printable, redact

# The code of an error that has no code of its own, such as an unknown smart process. Source: methods.md 3, 13 (5)
NO_CODE = "0"
MAX_CODE_CHARS = 100
MAX_DESCRIPTION_CHARS = 500
MAX_REDACTED_CHARS = 10_000  # a portal may send megabytes, and redaction takes time


def readable(text: str, max_chars: int) -> str:
    """Mask what looks like a secret, escape control characters, and cut *text* to *max_chars* characters."""
    safe = printable(redact(text[:MAX_REDACTED_CHARS]))
    return safe if len(safe) <= max_chars else safe[:max_chars] + "…"


class PortalError(GatewayError):
    """the portal refused the call

    *portal_code* and *description* are the portal's own, both empty if it sent none. *message* replaces them in the
    text of the error. By default, the first line of the class's docstring does if both are empty.
    """

    code: str = "portal_refused"
    retryable: bool = False  # the same call may succeed later
    rate_limited: bool = False  # our limits delay the next attempt, so the number of attempts is not limited
    not_executed: bool = False  # the call certainly had no effect, so even a write may be repeated
    credential_dead: bool = False  # a person must authorize the portal again
    whole_portal: bool = False  # concerns the portal or its address, not only this command
    validation: tuple[dict[str, str], ...] = ()  # what REST 3.0 reports about single parameters
    operator_hint: str | None = None  # a sentence for the operator of the gateway

    def __init__(
        self, portal_code: str, description: str = "", status: int | None = None, *, message: str | None = None
    ) -> None:
        self.portal_code = readable(portal_code, MAX_CODE_CHARS)
        self.description = readable(description, MAX_DESCRIPTION_CHARS)
        self.status = status
        if message is not None:
            text = readable(message, MAX_DESCRIPTION_CHARS)
        else:
            code = "" if self.portal_code == NO_CODE and self.description else self.portal_code
            text = ": ".join(part for part in (code, self.description) if part) or self._default(status)
        super().__init__(text if self.operator_hint is None else f"{text.removesuffix('.')}. {self.operator_hint}")

    @classmethod
    def _default(cls, status: int | None) -> str:
        sentence = (cls.__doc__ or "").split("\n", 1)[0]
        return sentence if status is None else f"{sentence} (HTTP {status})"

    @property
    def has_portal_message(self) -> bool:
        """Whether the portal sent a code or a description."""
        return bool(self.portal_code or self.description)

    @property
    def refuses_command(self) -> bool:
        """Whether the portal refused this one command permanently; others may still succeed."""
        return not (self.retryable or self.credential_dead or self.whole_portal or isinstance(self, AnswerTooLarge))


class PortalFailing(PortalError):
    """the portal failed to answer the call"""

    code = "portal_failing"
    retryable = True


class QueryLimitExceeded(PortalError):
    """the portal's request rate is used up"""

    code = "query_limit_exceeded"
    retryable = rate_limited = not_executed = whole_portal = True


class OperatingLimitReached(PortalError):
    """the portal has blocked the method until its operating time drops"""

    code = "operation_time_limit"
    retryable = rate_limited = not_executed = True


class PortalBlocked(PortalError):
    """REST is blocked for this portal"""

    code = "portal_blocked"
    not_executed = whole_portal = True
    operator_hint = "Ask Bitrix24 support to lift the block; waiting does not help."


class PortalDeleted(PortalError):
    """the portal no longer exists"""

    code = "portal_deleted"
    not_executed = whole_portal = credential_dead = True
    operator_hint = "Delete the account, or connect another portal."


class HttpsRequired(PortalError):
    """the portal requires https"""

    code = "https_required"
    not_executed = whole_portal = True


class TokenExpired(PortalError):
    """the access token has expired"""

    code = "token_expired"
    retryable = not_executed = whole_portal = True


class CredentialRefused(PortalError):
    """the portal no longer accepts this authorization"""

    code = "credential_refused"
    not_executed = credential_dead = True
    operator_hint = "Authorize the portal again, or give a working inbound webhook."


class TokenUnknown(CredentialRefused):
    """the portal does not know the access token"""


class ApplicationGone(PortalError):
    """the application is not installed on the portal, or is no longer paid for"""

    code = "application_gone"
    not_executed = credential_dead = True
    operator_hint = "Install the application on the portal (or renew its subscription) and authorize again."


class GrantRefused(PortalError):
    """the authorization code or refresh token is invalid, used or expired"""

    code = "grant_refused"
    not_executed = credential_dead = True
    operator_hint = "Authorize the portal again."


class ClientRefused(PortalError):
    """the authorization server does not know this application"""

    code = "client_refused"
    not_executed = whole_portal = True
    operator_hint = "Check GATEWAY_BITRIX_CLIENT_ID and GATEWAY_BITRIX_CLIENT_SECRET."


class AuthorizationServerDown(PortalError):
    """the portal could not reach its authorization server"""

    code = "authorization_server_down"
    retryable = not_executed = whole_portal = True


class MethodNotFound(PortalError):
    """the portal has no such method"""

    code = "method_not_found"
    not_executed = True


class ScopeMissing(PortalError):
    """the authorization does not cover this method"""

    code = "insufficient_scope"
    not_executed = True
    operator_hint = "Add the scope to the application or webhook and authorize again."


class AccessDenied(PortalError):
    """the user behind the authorization may not do this"""

    code = "access_denied"
    not_executed = True


class WrongAuthType(PortalError):
    """the method needs an application, not a webhook"""

    code = "wrong_auth_type"
    not_executed = True


class LicenseMissing(PortalError):
    """the portal's tariff does not include this"""

    code = "wrong_license"
    not_executed = True


class MethodUnconfirmed(PortalError):
    """the portal's administrator has not allowed this method"""

    code = "method_unconfirmed"
    not_executed = True
    operator_hint = "An administrator of the portal must confirm the call."


class ArgumentRefused(PortalError):
    """the portal refused a parameter"""

    code = "argument_refused"


class RecordNotFound(PortalError):
    """the portal has no such record"""

    code = "portal_not_found"


class ObjectConflict(PortalError):
    """another file or folder is in the way

    Most often its name is taken. Source: methods.md 8.2
    """

    code = "object_conflict"
    not_executed = True


class BatchRefused(PortalError):
    """the portal does not run this command in a batch"""

    code = "batch_refused"
    not_executed = True


class KeyReused(PortalError):
    """the Idempotency-Key has been used for another body"""

    code = "idempotency_key_reused"
    not_executed = True


class PortalBroken(PortalError):
    """the portal's answer cannot be read"""

    code = "portal_broken"
    retryable = True

    def __init__(self, reason: str, status: int | None = None) -> None:
        super().__init__("", status=status, message=f"the portal's answer cannot be read: {reason}")


class ForeignAddress(PortalBroken):
    """the portal names an address of a file that is not its own"""

    retryable = False

    def __init__(self) -> None:
        super().__init__("an address of a file that is not at the portal")


class AnswerTooLarge(PortalError):
    """the portal's answer is too large"""

    code = "answer_too_large"

    def __init__(self, limit: str, status: int | None = None) -> None:
        super().__init__("", status=status, message=f"the portal's answer is too large: more than {limit}")


class PortalUnreachable(PortalError):
    """the portal does not answer"""

    code = "portal_unreachable"
    retryable = whole_portal = True

    def __init__(self, reason: str, *, sent: bool) -> None:
        super().__init__("", message=f"the portal does not answer: {reason}")
        self.sent = sent
        self.not_executed = not sent


class OutcomeUnknown(PortalError):
    """the call may or may not have been carried out"""

    code = "outcome_unknown"

    def __init__(self, cause: PortalError) -> None:
        message = f"it is not known whether the call was carried out: {cause}"
        super().__init__(cause.portal_code, cause.description, cause.status, message=message)
        self.validation = cause.validation
        self.cause = cause
        self.whole_portal = cause.whole_portal


class PortalMoved(PortalError):
    """the portal answers at another address now"""

    code = "portal_moved"
    not_executed = whole_portal = True
    operator_hint: str | None = "Connect the account again with the portal's new address."

    def __init__(self, host: str | None, status: int) -> None:
        if host is None:
            self.operator_hint = None
        target = host or "an unknown address, or one that may not be called"
        super().__init__("", status=status, message=f"the portal has moved to {target}")
        self.host = host


class RedirectsToItself(PortalError):
    """the portal redirects the call to its own address"""

    code = "portal_redirects"
    retryable = not_executed = whole_portal = True  # the redirect is sent instead of executing the call


class AddressRefused(PortalError):
    """this address may not be called"""

    code = "address_refused"
    not_executed = whole_portal = True

    def __init__(self, reason: str) -> None:
        super().__init__("", message=f"the address may not be called: {reason}")


class WrongPortal(PortalError):
    """the authorization server answered for another portal"""

    code = "wrong_portal"
    whole_portal = True

    def __init__(self) -> None:
        super().__init__("")


class WalkFailed(PortalError):
    """a list could not be read to its end"""

    code = "walk_failed"

    def __init__(self, method: str, cursor: int, cause: PortalError) -> None:
        message = f"{method} could not be read beyond id {cursor}: {cause}"
        super().__init__(cause.portal_code, cause.description, cause.status, message=message)
        self.validation = cause.validation
        self.method = method
        self.cursor = cursor
        self.cause = cause
        self.retryable = cause.retryable
        self.credential_dead = cause.credential_dead
        self.whole_portal = cause.whole_portal
