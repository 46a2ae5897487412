"""What can go wrong, sorted by what a caller can do next.

GatewayError                     something of ours failed; nothing for the caller to mend
├── InvalidInput                 the request breaks a rule; each broken rule is named
├── Unauthenticated              no usable token came with the request
│   └── MalformedAuthorization   nor anything that could be one; its sentence says what came instead
├── NotFound                     what is asked for is not there
├── AlreadyExists                what is to be created is there already
├── AuthorizationRequired        a person must authorize the portal again first
│   └── WebhookRequired          or connect the inbound webhook again
├── MethodDenied                 the settings keep callers from a portal's method
├── TooBusy                      the portal's limits leave no room in time; nothing was sent
├── Stopping                     the gateway is about to end, and begins nothing that takes long
├── StorageFailed                the database cannot be used for now, or is damaged
├── SettingsError                the gateway cannot start as it is set up
└── PortalError                  a portal (or its authorization server) said no, or nothing: gateway/bitrix/errors.py

Which HTTP status each becomes is decided in handlers/http/errors.py alone.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class FieldError:
    """One broken rule: where (a JSON *pointer* into the body or a *parameter*), its stable code, a sentence."""

    code: str
    detail: str
    pointer: str | None = None
    parameter: str | None = None


class GatewayError(Exception):
    """Internal Server Error"""

    code = "internal_error"

    def __init__(self, detail: str | None = None) -> None:
        self.detail = detail or (type(self).__doc__ or "").split("\n", 1)[0]
        super().__init__(self.detail)


class InvalidInput(GatewayError):
    """the request is not valid"""

    code = "invalid_input"

    def __init__(self, detail: str, errors: Sequence[FieldError] = ()) -> None:
        super().__init__(detail)
        self.errors = tuple(errors)

    @classmethod
    def of_parameter(cls, parameter: str, code: str, rule: str) -> "InvalidInput":
        """The error for one query or path *parameter*; *rule* reads on from its name."""
        return cls(f"{parameter}: {rule}", [FieldError(code, rule, parameter=parameter)])

    @classmethod
    def of_field(cls, pointer: str, code: str, rule: str) -> "InvalidInput":
        """The error for one place in the body, by its JSON *pointer* ("" is the body as a whole)."""
        return cls(f"{pointer.lstrip('/') or 'body'}: {rule}", [FieldError(code, rule, pointer=pointer)])


class Unauthenticated(GatewayError):
    """account id is required"""

    code = "unauthenticated"

    def __init__(self, reason: str, *, error: str | None = None, detail: str | None = None) -> None:
        super().__init__(detail)
        self.reason = reason  # for WWW-Authenticate, where RFC 6750 wants it, and for problems
        self.error = error  # its error code; None when no bearer token came


class MalformedAuthorization(Unauthenticated):
    """the Authorization header holds no JSON Web Token"""

    def __init__(self, reason: str, *, error: str | None = None) -> None:
        super().__init__(reason, error=error, detail=reason)


class NotFound(GatewayError):
    """not found"""

    def __init__(self, detail: str, *, code: str = "not_found") -> None:
        super().__init__(detail)
        self.code = code


class AlreadyExists(GatewayError):
    """it exists already"""

    def __init__(self, detail: str, *, code: str) -> None:
        super().__init__(detail)
        self.code = code


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
    """this gateway does not let the method through"""

    code = "method_denied"


class TooBusy(GatewayError):
    """the portal takes no more requests for now"""

    code = "too_busy"

    def __init__(self, retry_after_s: float) -> None:
        self.retry_after_s = math.ceil(retry_after_s)  # whole seconds, as the header wants them
        super().__init__(f"the portal takes no more requests for now: try again in {self.retry_after_s} s")


class Stopping(GatewayError):
    """the gateway is being stopped"""

    code = "stopping"


class StorageFailed(GatewayError):
    """the database cannot be used for now"""

    code = "storage_unavailable"


class SettingsError(GatewayError):
    """the settings do not allow a start"""

    code = "settings"
