"""Exceptions of the gateway, by what a caller can do next.

GatewayError                     an internal error; the caller can do nothing
├── InvalidInput                 the request is invalid; the error lists each broken rule
├── Unauthenticated              the request has no valid token
│   └── MalformedAuthorization   the Authorization header contains no JSON Web Token
├── NotFound                     the requested resource does not exist
├── Forbidden                    the caller may not do this
├── AlreadyExists                the resource to create exists already
│   └── AlreadyTaken             another resource has the name of the one to create
├── StateConflict                the current state of the resource does not allow it
├── FilesNotAttached             files were not attached to a record; the error has a line for each
├── SeveralMatch                 several records are what the request asks for; the error lists their ids
├── AuthorizationRequired        a person must authorize the portal again
│   └── WebhookRequired          the inbound webhook must be connected again
├── MethodDenied                 the settings do not allow the portal's method
├── IdempotencyKeyReused         the Idempotency-Key has been used for another request
├── TooBusy                      the portal's rate limit leaves no room in time; nothing was sent
├── SpoolFull                    there is no room for received files now
├── Stopping                     the gateway is shutting down and starts no long operations
├── StorageFailed                the database is unavailable or damaged
├── QueryTimeLimit               a query of the mirror takes too long
├── SettingsError                the gateway cannot start with its settings
└── PortalError                  a portal or its authorization server failed: gateway/bitrix/errors.py

handlers/http/errors.py maps each to an HTTP status.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

MAX_ERRORS = 100  # that a response lists
MAX_DETAIL_CHARACTERS = 4000  # of the sentence about all of them


@dataclass(frozen=True)
class FieldError:
    """A broken rule: its stable code, a sentence, and its place: a JSON *pointer* into the body or a *parameter*.

    With both, the pointer is into the JSON of the parameter.
    """

    code: str
    detail: str
    pointer: str | None = None
    parameter: str | None = None

    @property
    def path(self) -> str:
        """The place: the parameter, or the names in the pointer with points between; "" for the whole body."""
        names = (self.pointer or "")[1:].split("/")
        return self.parameter or ".".join([name.replace("~1", "/").replace("~0", "~") for name in names])

    def __str__(self) -> str:
        """The rule and its place."""
        return f"{self.path or 'body'}: {self.detail}"


def pointer_token(name: str) -> str:
    """Escape *name* for a JSON pointer. Source: RFC 6901, section 3"""
    return name.replace("~", "~0").replace("/", "~1")


class GatewayError(Exception):
    """Internal Server Error"""

    code = "internal_error"

    def __init__(self, detail: str | None = None) -> None:
        self.detail = detail or (type(self).__doc__ or "").split("\n", 1)[0]
        super().__init__(self.detail)


class InvalidInput(GatewayError):
    """the request is not valid

    MAX_ERRORS of many errors are kept, and a long detail is cut; it tells how many errors are left out, as `left_out`.
    """

    code = "invalid_input"

    def __init__(self, detail: str, errors: Sequence[FieldError] = (), *, left_out: int = 0) -> None:
        self.errors = tuple(errors[:MAX_ERRORS])
        if len(detail) > MAX_DETAIL_CHARACTERS:
            detail = f"{detail[:MAX_DETAIL_CHARACTERS]}…"
        self.left_out = left_out + len(errors) - len(self.errors)
        if self.left_out:
            detail += f"; errors left out: {self.left_out}"
        super().__init__(detail)

    @classmethod
    def of_errors(cls, errors: Sequence[FieldError], *, left_out: int = 0) -> "InvalidInput":
        """The error for several broken rules, each of them told with its place, and *left_out* others."""
        return cls("; ".join(map(str, errors[:MAX_ERRORS])), errors, left_out=left_out)

    @classmethod
    def of_parameter(cls, parameter: str, code: str, rule: str) -> "InvalidInput":
        """The error for a query or path *parameter*; *rule* reads on from its name."""
        return cls.of_errors([FieldError(code, rule, parameter=parameter)])

    @classmethod
    def of_field(cls, pointer: str, code: str, rule: str) -> "InvalidInput":
        """The error for a place in the body, given by its JSON *pointer*; "" is the whole body."""
        return cls.of_errors([FieldError(code, rule, pointer=pointer)])


class Unauthenticated(GatewayError):
    """account id is required"""

    code = "unauthenticated"

    def __init__(self, reason: str, *, error: str | None = None, detail: str | None = None) -> None:
        super().__init__(detail)
        self.reason = reason  # for WWW-Authenticate (RFC 6750) and for problem details
        self.error = error  # the error code of RFC 6750; None without a bearer token


class MalformedAuthorization(Unauthenticated):
    """the Authorization header contains no JSON Web Token"""

    def __init__(self, reason: str, *, error: str | None = None) -> None:
        super().__init__(reason, error=error, detail=reason)


class NotFound(GatewayError):
    """not found"""

    def __init__(self, detail: str, *, code: str = "not_found") -> None:
        super().__init__(detail)
        self.code = code


class AlreadyExists(GatewayError):
    """the resource exists already"""

    def __init__(self, detail: str, *, code: str) -> None:
        super().__init__(detail)
        self.code = code


class AlreadyTaken(AlreadyExists):
    """another resource has the name"""


class Forbidden(GatewayError):
    """the caller may not do this"""

    code = "forbidden"


class StateConflict(GatewayError):
    """the current state does not allow this"""

    def __init__(self, detail: str, *, code: str) -> None:
        super().__init__(detail)
        self.code = code


class SeveralMatch(GatewayError):
    """several records match"""

    code = "several_match"

    def __init__(self, name: str, ids: Sequence[int]) -> None:
        super().__init__(f"match: several records have this {name}: {', '.join(map(str, ids))}")
        self.ids = list(ids)


@dataclass(frozen=True)
class UnattachedFile:
    """A file that was not attached: its *name* and the *error*; if it stays in Disk, its id and address as *left*."""

    name: str
    error: GatewayError
    left: Mapping[str, object] = field(default_factory=dict)


class FilesNotAttached(GatewayError):
    """no file was attached"""

    code = "not_attached"

    def __init__(self, files: Sequence[UnattachedFile], detail: str | None = None) -> None:
        super().__init__(detail)
        self.files = tuple(files)


class AuthorizationRequired(GatewayError):
    """the portal must be authorized again"""

    code = "authorization_required"

    def __init__(self, detail: str, *, authorize_url: str | None = None) -> None:
        super().__init__(detail)
        self.authorize_url = authorize_url


class WebhookRequired(AuthorizationRequired):
    """the webhook must be connected again"""

    code = "webhook_required"


class MethodDenied(GatewayError):
    """this gateway does not allow the method"""

    code = "method_denied"


class IdempotencyKeyReused(GatewayError):
    """the Idempotency-Key has been used for another request"""

    code = "idempotency_key_reused"


class TooBusy(GatewayError):
    """the rate limit of the portal is exhausted"""

    code = "too_busy"

    def __init__(self, retry_after_s: float, reason: str = "the rate limit of the portal is exhausted") -> None:
        self.retry_after_s = math.ceil(retry_after_s)  # Retry-After requires whole seconds
        super().__init__(f"{reason}: try again in {self.retry_after_s} s")


class SpoolFull(GatewayError):
    """there is no room for received files"""

    code = "spool_full"

    def __init__(self, detail: str, retry_after_s: int) -> None:
        super().__init__(detail)
        self.retry_after_s = retry_after_s


class TooManyDownloads(GatewayError):
    """too many files are being downloaded"""

    code = "too_many_downloads"
    retry_after_s = 5


class Stopping(GatewayError):
    """the gateway is shutting down"""

    code = "stopping"


class StorageFailed(GatewayError):
    """the database is unavailable"""

    code = "storage_unavailable"


class QueryTimeLimit(GatewayError):
    """the query takes too long"""

    code = "query_time_limit"


class SettingsError(GatewayError):
    """the settings are invalid"""

    code = "settings"
