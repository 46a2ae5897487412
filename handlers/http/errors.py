"""Error responses in the style of their address. Statuses are chosen here alone."""

import re
from enum import Enum, auto
from http import HTTPStatus

import orjson
from aiohttp import web

from gateway.bitrix.errors import (
    AccessDenied,
    ApplicationGone,
    ArgumentRefused,
    BatchRefused,
    CredentialRefused,
    GrantRefused,
    KeyReused,
    LicenseMissing,
    MethodNotFound,
    MethodUnconfirmed,
    ObjectConflict,
    OperatingLimitReached,
    OutcomeUnknown,
    PortalDeleted,
    PortalError,
    PortalUnreachable,
    QueryLimitExceeded,
    RecordNotFound,
    ScopeMissing,
    TokenExpired,
    WrongAuthType,
)
from gateway.errors import (
    AlreadyExists,
    AlreadyTaken,
    AuthorizationRequired,
    FieldError,
    FilesNotAttached,
    Forbidden,
    GatewayError,
    IdempotencyKeyReused,
    InvalidInput,
    MethodDenied,
    NotFound,
    QueryTimeLimit,
    SeveralMatch,
    SpoolFull,
    StateConflict,
    Stopping,
    StorageFailed,
    TooBusy,
    TooManyDownloads,
    UnattachedFile,
    Unauthenticated,
)

PROMISED_STATUSES: dict[type[GatewayError], int] = {
    InvalidInput: 400,
    Unauthenticated: 401,
    NotFound: 404,
    AuthorizationRequired: 409,
    StateConflict: 409,
    AlreadyExists: 500,  # required by the contract
    MethodDenied: 403,
    Forbidden: 403,
    IdempotencyKeyReused: 422,
    FilesNotAttached: 422,
    TooBusy: 429,
    Stopping: 503,
    PortalError: 502,
    GatewayError: 500,
}
# At all other addresses, callers can fix what the portal refuses, and a failing database is 503; the contract has 500.
STATUSES: dict[type[GatewayError], int] = PROMISED_STATUSES | {
    StorageFailed: 503,
    SpoolFull: 503,
    TooManyDownloads: 503,
    QueryTimeLimit: 503,
    ArgumentRefused: 400,
    BatchRefused: 400,
    RecordNotFound: 404,
    SeveralMatch: 409,
    ObjectConflict: 409,
    AlreadyTaken: 409,
    MethodNotFound: 404,
    AccessDenied: 403,
    ScopeMissing: 403,
    WrongAuthType: 403,
    LicenseMissing: 403,
    MethodUnconfirmed: 403,
    KeyReused: 422,
    QueryLimitExceeded: 429,
    OperatingLimitReached: 429,
    CredentialRefused: 409,
    ApplicationGone: 409,
    GrantRefused: 409,
    TokenExpired: 409,
    PortalDeleted: 409,
    PortalUnreachable: 504,
}
HTTP_CODES = {404: "not_found", 405: "method_not_allowed", 408: "request_timeout", 413: "body_too_large"}
UNREAD_BODY_STATUSES = (408, 413)
INTERNAL = GatewayError()
PROBLEM_JSON = "application/problem+json"
ZERO_WEIGHT = re.compile(r";\s*q=0(\.0*)?\s*(;|$)")


class ErrorStyle(Enum):
    """How the errors of an address look."""

    PROMISED = auto()
    """A JSON string, as the promised contract has it, or a problem when `Accept` names its media type."""

    PROBLEM = auto()
    """An RFC 9457 problem."""

    AMOCRM = auto()
    """A problem as the REST API of amoCRM has it. Source: contract/amocrm-widgets.md, section 5"""


class HttpError(GatewayError):
    """An error of HTTP itself: an unknown address or method, a body that is too large or too slow."""

    def __init__(self, status: int, detail: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.code = HTTP_CODES.get(status, "bad_request")
        self.headers = headers or {}


def http_error(error: web.HTTPException) -> HttpError:
    """Translate an exception of aiohttp, whose own response is plain text."""
    if isinstance(error, web.HTTPNotFound):
        return HttpError(404, "no such endpoint")
    return HttpError(error.status, error.reason)


def status_of(error: GatewayError, style: ErrorStyle) -> int:
    """Return the HTTP status of *error* at an address with errors of *style*."""
    if isinstance(error, HttpError):
        return error.status
    promised = style is ErrorStyle.PROMISED
    statuses = PROMISED_STATUSES if promised else STATUSES
    status = next(statuses[kind] for kind in type(error).__mro__ if kind in statuses)
    if not promised and type(error) is PortalError and (error.status is None or error.status < 500):
        return 400  # an unknown error code, and the portal does not report a failure of its own
    return status


def is_internal(error: GatewayError, style: ErrorStyle) -> bool:
    """Return whether the gateway itself failed: the log has the details, the response does not."""
    return status_of(error, style) == 500 and not isinstance(error, AlreadyExists)


def without_details(error: GatewayError) -> GatewayError:
    """Return what callers may see of an internal *error*."""
    public = GatewayError()
    if isinstance(error, StorageFailed):
        public.code = error.code
    return public


def render_error(error: GatewayError, request: web.BaseRequest, request_id: str, style: ErrorStyle) -> web.Response:
    """Return the response to a *request* that failed with *error*, at an address with errors of *style*."""
    status = status_of(error, style)
    if is_internal(error, style):
        error = without_details(error)
    headers: dict[str, str] = {}
    if isinstance(error, HttpError):
        headers |= error.headers
    if isinstance(error, Unauthenticated):
        headers["WWW-Authenticate"] = challenge(error)
    if isinstance(error, TooBusy | SpoolFull | TooManyDownloads):
        headers["Retry-After"] = str(error.retry_after_s)
    as_problem = style is not ErrorStyle.PROMISED or accepts_problem(request)
    render = amocrm_problem if style is ErrorStyle.AMOCRM else problem
    response = web.Response(
        status=status,
        body=orjson.dumps(render(error, status, request_id) if as_problem else error.detail),
        content_type=PROBLEM_JSON if as_problem else "application/json",
        headers=headers,
    )
    if status in UNREAD_BODY_STATUSES:
        response.force_close()
    return response


def accepts_problem(request: web.BaseRequest) -> bool:
    """Return whether an Accept header names problem+json, in any case, with a weight above 0.

    Source: RFC 9110, sections 8.3.1 and 12.5.1
    """
    values = [value for name, value in request.headers.items() if name.lower() == "accept"]
    named = [
        each.strip() for each in ",".join(values).lower().split(",") if each.partition(";")[0].strip() == PROBLEM_JSON
    ]
    return any(ZERO_WEIGHT.search(each) is None for each in named)


def challenge(error: Unauthenticated) -> str:
    """Return the WWW-Authenticate header: the reason of a refused token, or `Bearer` alone if there was no token.

    Source: RFC 6750, section 3
    """
    if error.error is None:
        return "Bearer"
    return f'Bearer error="{error.error}", error_description="{error.reason}"'


def problem(error: GatewayError, status: int, request_id: str) -> dict[str, object]:
    """Return *error* as an RFC 9457 problem."""
    members: dict[str, object] = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": error.reason if isinstance(error, Unauthenticated) and error.error else error.detail,
        "code": error.code,
        "requestId": request_id,
    }
    if isinstance(error, InvalidInput) and error.errors:
        members["errors"] = [render_field(field) for field in error.errors]
    if isinstance(error, SeveralMatch):
        members["ids"] = error.ids
    if isinstance(error, FilesNotAttached):
        members |= {"files": [unattached_file(file) for file in error.files], "failed": len(error.files)}
    if isinstance(error, AuthorizationRequired) and error.authorize_url:
        members["authorizeURL"] = error.authorize_url
    if isinstance(error, PortalError) and error.has_portal_message:
        members["portalError"] = portal_error(error)
    return members


def amocrm_problem(error: GatewayError, status: int, request_id: str) -> dict[str, object]:
    """Return *error* as a problem of amoCRM, which names the status by an address, and has broken rules by paths."""
    members = problem(error, status, request_id) | {"type": f"https://httpstatus.es/{status}"}
    members.pop("errors", None)
    if isinstance(error, InvalidInput) and error.errors:
        rules = [
            {"code": amocrm_code(field.code), "path": field.path, "detail": field.detail} for field in error.errors
        ]
        left_out = f"; errors left out: {error.left_out}" if error.left_out else ""
        members["detail"] = f"Request validation failed{left_out}"
        members["validation-errors"] = [{"request_id": "0", "errors": rules}]
    return members


def amocrm_code(code: str) -> str:
    """Return the *code* of a broken rule as amoCRM writes codes."""
    return "FieldMissing" if code == "required" else "".join(part.capitalize() for part in code.split("_"))


def command_error(error: GatewayError) -> dict[str, object]:
    """Return the error of one command of a batch: that of the portal, or our own if the portal gave no clear answer."""
    if isinstance(error, OutcomeUnknown) or not (isinstance(error, PortalError) and error.has_portal_message):
        status = error.status if isinstance(error, PortalError) else None
        return {"code": error.code, "description": error.detail, "status": status}
    return portal_error(error)


def unattached_file(file: UnattachedFile) -> dict[str, object]:
    """Return the line of a file that was not attached, with its id and address if it stays in Disk."""
    return {"name": file.name, **file.left, "error": command_error(file.error)}


def portal_error(error: PortalError) -> dict[str, object]:
    """Return the portal's own error, in one shape for both versions of its REST API."""
    members: dict[str, object] = {
        "code": error.portal_code,
        "description": error.description,
        "status": error.status,
    }
    if error.validation:
        members["validation"] = list(error.validation)
    return members


def render_field(error: FieldError) -> dict[str, str]:
    """Return one broken rule, with the parameter or the JSON pointer to blame; both for a place in a parameter."""
    place = {} if error.parameter is None else {"parameter": error.parameter}
    if error.parameter is None or error.pointer is not None:
        place["pointer"] = error.pointer or ""
    return place | {"code": error.code, "detail": error.detail}
