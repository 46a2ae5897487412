"""What a portal, its authorization server or the way to them can answer instead of data.

PortalError                      a code we know nothing about; it keeps the portal's own words
├── (documented codes)           a class each, found by the code: see answers_to below
├── PortalFailing                any other 5xx, or 429: over there, for now
├── PortalBroken                 HTML, cut-off JSON, an envelope that is none
├── AnswerTooLarge               more bytes or values than are read of one answer
├── PortalUnreachable            no answer at all; `sent` says whether the request may have arrived
├── OutcomeUnknown               a write that may or may not have been done
├── PortalMoved                  a redirect to another address, which is never followed
├── RedirectsToItself            a redirect to the address that was called
├── AddressRefused               our own policy forbids calling this address
├── WrongPortal                  tokens came for another portal than they were asked for
└── WalkFailed                   a list could not be read to its proven end

What to do about an error is a property, apart from what happened; whoever decides reads the properties.
"""

import re
from collections.abc import Callable, Collection
from typing import TypeVar

from gateway.errors import GatewayError
from gateway.redaction import mask_known, printable, redact

MAX_CODE_CHARS = 100
MAX_DESCRIPTION_CHARS = 500
NO_CODES = ("", "0")
NOT_FOUND = re.compile(r"\bnot found\.?$", re.IGNORECASE)  # as in "Contact is not found", "TypeAddress not found."
LOOKED_AT_CHARS = 10_000  # a portal may say megabytes, and looking for secrets takes its time


def readable(text: str, most: int) -> str:
    """*text* with what looks like a secret masked, control characters escaped, cut to *most* characters."""
    shown = printable(redact(text[:LOOKED_AT_CHARS]))
    return shown if len(shown) <= most else shown[:most] + "…"


class PortalError(GatewayError):
    """the portal refused the call

    The portal's own words are *portal_code* and *description*, both empty where it said nothing; *told* is our sentence
    in their place.
    """

    code: str = "portal_refused"
    retryable: bool = False  # the same call may succeed later
    rate_limited: bool = False  # a limit of ours does the waiting, so tries are not counted against it
    not_executed: bool = False  # the call provably had no effect, so that even a write may be repeated
    credential_dead: bool = False  # a person must authorize the portal again
    whole_portal: bool = False  # says something about the portal or its address, not about this one command
    validation: tuple[dict[str, str], ...] = ()  # what REST 3.0 says of single parameters
    operator_hint: str | None = None  # a sentence for whoever runs the gateway

    def __init__(
        self, portal_code: str, description: str = "", status: int | None = None, *, told: str | None = None
    ) -> None:
        self.portal_code = readable(portal_code, MAX_CODE_CHARS)
        self.description = readable(description, MAX_DESCRIPTION_CHARS)
        self.status = status
        words = ": ".join(part for part in (self.portal_code, self.description) if part)
        words = readable(told, MAX_DESCRIPTION_CHARS) if told is not None else words or self._said(status)
        super().__init__(words if self.operator_hint is None else f"{words.removesuffix('.')}. {self.operator_hint}")

    @classmethod
    def _said(cls, status: int | None) -> str:
        sentence = (cls.__doc__ or "").split("\n", 1)[0]
        return sentence if status is None else f"{sentence} (HTTP {status})"

    @property
    def spoke(self) -> bool:
        """Whether the portal said anything."""
        return bool(self.portal_code or self.description)

    @property
    def refuses_command(self) -> bool:
        """Whether this is a plain no to one command, so that its neighbours may go on without it."""
        return not (self.retryable or self.credential_dead or self.whole_portal or isinstance(self, AnswerTooLarge))


E = TypeVar("E", bound=type[PortalError])
_CLASSES: dict[str, type[PortalError]] = {}


def answers_to(*codes: str) -> Callable[[E], E]:
    """Make the decorated class the one for these documented *codes*, whatever their case."""

    def register(cls: E) -> E:
        _CLASSES.update({code.upper(): cls for code in codes})
        return cls

    return register


def portal_error(code: object, description: object, status: int | None, secrets: Collection[str] = ()) -> PortalError:
    """The error for what a portal sent under ``error`` and ``error_description``.

    The *secrets* are those that the portal was sent: whatever it does with them, they do not come out of here.
    *status* is the HTTP status, None for a command inside a batch. Classic methods send "" as their code, others a
    number, so an unknown code is kept as text and sorted by the status alone, and without one a missing record is
    known by its words.

    Source: protocol.md 3, 7 and 10; methods.md (b24restdocs _includes/system-errors.md, settings/oauth/error-codes.md)
    """
    text = str(code) if isinstance(code, str | int) else ""
    failing = status is not None and (status >= 500 or status == 429)
    words = description if isinstance(description, str) else ""
    missing = text in NO_CODES and NOT_FOUND.search(words[-MAX_DESCRIPTION_CHARS:])
    unknown = PortalFailing if failing else ThingNotFound if missing else PortalError
    cls = _CLASSES.get(text.upper(), unknown)
    return cls(mask_known(text, secrets), mask_known(words, secrets), status)


@answers_to("INTERNAL_SERVER_ERROR", "ERROR_UNEXPECTED_ANSWER")
class PortalFailing(PortalError):
    """the portal failed to answer the call"""

    code = "portal_failing"
    retryable = True


@answers_to("QUERY_LIMIT_EXCEEDED")
class QueryLimitExceeded(PortalError):
    """the portal's request rate is used up"""

    code = "query_limit_exceeded"
    retryable = rate_limited = not_executed = whole_portal = True


@answers_to("OPERATION_TIME_LIMIT")
class OperatingLimitReached(PortalError):
    """the portal has blocked this method until some of its operating time has passed"""

    code = "operation_time_limit"
    retryable = rate_limited = not_executed = True


@answers_to("OVERLOAD_LIMIT")
class PortalBlocked(PortalError):
    """REST is blocked for this portal"""

    code = "portal_blocked"
    not_executed = whole_portal = True
    operator_hint = "Ask Bitrix24 support to lift the block; waiting does not help."


@answers_to("PORTAL_DELETED")
class PortalDeleted(PortalError):
    """the portal no longer exists"""

    code = "portal_deleted"
    not_executed = whole_portal = credential_dead = True
    operator_hint = "Delete the account, or connect another portal."


@answers_to("INVALID_REQUEST")
class HttpsRequired(PortalError):
    """the portal wants https"""

    code = "https_required"
    not_executed = whole_portal = True


@answers_to("expired_token")
class TokenExpired(PortalError):
    """the access token has expired"""

    code = "token_expired"
    retryable = not_executed = whole_portal = True


@answers_to("NO_AUTH_FOUND", "INVALID_CREDENTIALS", "authorization_error", "user_access_error")
class CredentialRefused(PortalError):
    """the portal no longer accepts this authorization"""

    code = "credential_refused"
    not_executed = credential_dead = True
    operator_hint = "Authorize the portal again, or give a working inbound webhook."


@answers_to("invalid_token")
class TokenUnknown(CredentialRefused):
    """the portal does not know the access token"""


@answers_to("APPLICATION_NOT_FOUND", "ERROR_OAUTH", "NOT_INSTALLED", "PAYMENT_REQUIRED")
class ApplicationGone(PortalError):
    """the application is not installed on the portal, or is no longer paid for"""

    code = "application_gone"
    not_executed = credential_dead = True
    operator_hint = "Install the application on the portal (or renew its subscription) and authorize again."


@answers_to("invalid_grant")
class GrantRefused(PortalError):
    """the code or refresh token was wrong, used before, or too old"""

    code = "grant_refused"
    not_executed = credential_dead = True
    operator_hint = "Authorize the portal again."


@answers_to("invalid_client", "wrong_client")
class ClientRefused(PortalError):
    """the authorization server does not know this application"""

    code = "client_refused"
    not_executed = whole_portal = True
    operator_hint = "Check GATEWAY_BITRIX_CLIENT_ID and GATEWAY_BITRIX_CLIENT_SECRET."


@answers_to("CONNECTION_ERROR")
class AuthorizationServerDown(PortalError):
    """the portal could not reach its authorization server"""

    code = "authorization_server_down"
    retryable = not_executed = whole_portal = True


@answers_to("ERROR_METHOD_NOT_FOUND")
class MethodNotFound(PortalError):
    """the portal has no such method"""

    code = "method_not_found"
    not_executed = True


@answers_to("insufficient_scope", "invalid_scope")
class ScopeMissing(PortalError):
    """the authorization does not cover this method"""

    code = "insufficient_scope"
    not_executed = True
    operator_hint = "Add the scope to the application or webhook and authorize again."


@answers_to("ACCESS_DENIED", "allowed_only_intranet_user")
class AccessDenied(PortalError):
    """the user behind the authorization may not do this"""

    code = "access_denied"
    not_executed = True


@answers_to("WRONG_AUTH_TYPE")
class WrongAuthType(PortalError):
    """the method needs an application, not a webhook"""

    code = "wrong_auth_type"
    not_executed = True


@answers_to("WRONG_LICENSE")
class LicenseMissing(PortalError):
    """the portal's tariff does not include this"""

    code = "wrong_license"
    not_executed = True


@answers_to("METHOD_CONFIRM_WAITING", "METHOD_CONFIRM_DENIED")
class MethodUnconfirmed(PortalError):
    """the portal's administrator has not allowed this method"""

    code = "method_unconfirmed"
    not_executed = True
    operator_hint = "An administrator of the portal must confirm the call."


@answers_to("ERROR_ARGUMENT", "100")
class ArgumentRefused(PortalError):
    """the portal refused a parameter"""

    code = "argument_refused"


@answers_to("ENTITY_TYPE_NOT_SUPPORTED", "NOT_FOUND", "ERROR_NOT_FOUND")
class ThingNotFound(PortalError):
    """the portal has no such thing"""

    code = "portal_not_found"


@answers_to("ERROR_BATCH_LENGTH_EXCEEDED", "ERROR_BATCH_METHOD_NOT_ALLOWED")
class BatchRefused(PortalError):
    """the portal does not run this command in a batch"""

    code = "batch_refused"
    not_executed = True


class KeyReused(PortalError):
    """the Idempotency-Key has been used for another body"""

    code = "idempotency_key_reused"
    not_executed = True


class PortalBroken(PortalError):
    """the portal's answer is not an answer"""

    code = "portal_broken"
    retryable = True

    def __init__(self, reason: str, status: int | None = None) -> None:
        super().__init__("", status=status, told=f"the portal's answer cannot be read: {reason}")


class AnswerTooLarge(PortalError):
    """the portal's answer is too large"""

    code = "answer_too_large"

    def __init__(self, limit: str, status: int | None = None) -> None:
        super().__init__("", status=status, told=f"the portal's answer is too large: more than {limit}")


class PortalUnreachable(PortalError):
    """the portal does not answer"""

    code = "portal_unreachable"
    retryable = whole_portal = True

    def __init__(self, reason: str, *, sent: bool) -> None:
        super().__init__("", told=f"the portal does not answer: {reason}")
        self.sent = sent
        self.not_executed = not sent


class OutcomeUnknown(PortalError):
    """the call may or may not have been carried out"""

    code = "outcome_unknown"

    def __init__(self, cause: PortalError) -> None:
        told = f"it is not known whether the call was carried out: {cause}"
        super().__init__(cause.portal_code, cause.description, cause.status, told=told)
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
        told = f"moved to {host}" if host else "moved to an address it does not name, or that may not be called"
        super().__init__("", status=status, told=f"the portal has {told}")
        self.host = host


class RedirectsToItself(PortalError):
    """the portal redirects the call to its own address"""

    code = "portal_redirects"
    retryable = not_executed = whole_portal = True  # it answered instead of running the call


class AddressRefused(PortalError):
    """this address may not be called"""

    code = "address_refused"
    not_executed = whole_portal = True

    def __init__(self, reason: str) -> None:
        super().__init__("", told=f"the address may not be called: {reason}")


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
        told = f"{method} could not be read beyond id {cursor}: {cause}"
        super().__init__(cause.portal_code, cause.description, cause.status, told=told)
        self.validation = cause.validation
        self.method = method
        self.cursor = cursor
        self.cause = cause
        self.retryable = cause.retryable
        self.credential_dead = cause.credential_dead
        self.whole_portal = cause.whole_portal
