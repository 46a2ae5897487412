"""What a failure looks like to a caller: a bare JSON string, or an RFC 9457 problem where `Accept` asks for one.

The only place that picks a status.
"""

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
    AuthorizationRequired,
    FieldError,
    GatewayError,
    InvalidInput,
    MethodDenied,
    NotFound,
    Stopping,
    StorageFailed,
    TooBusy,
    Unauthenticated,
)

STATUSES: dict[type[GatewayError], int] = {
    InvalidInput: 400,
    Unauthenticated: 401,
    NotFound: 404,
    AuthorizationRequired: 409,
    AlreadyExists: 500,  # as the contract has it
    MethodDenied: 403,
    TooBusy: 429,
    Stopping: 503,
    PortalError: 502,
    GatewayError: 500,
}
# Where callers speak to the portal themselves, what it says of their call is theirs to mend. A database that fails is
# 500 in the contract, and 503 here.
CALL_STATUSES: dict[type[GatewayError], int] = STATUSES | {
    StorageFailed: 503,
    ArgumentRefused: 400,
    BatchRefused: 400,
    RecordNotFound: 404,
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
BODY_STATUSES = (408, 413)  # of a body that is not read to its end
INTERNAL = GatewayError()
PROBLEM_JSON = "application/problem+json"


class HttpError(GatewayError):
    """An error of HTTP itself: no such address, no such method, a body that is too large or too slow."""

    def __init__(self, status: int, detail: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.code = HTTP_CODES.get(status, "bad_request")
        self.headers = headers or {}


def http_error(error: web.HTTPException) -> HttpError:
    """A refusal of aiohttp's in our words; its own are plain text."""
    if isinstance(error, web.HTTPNotFound):
        return HttpError(404, "there is nothing at this address")
    return HttpError(error.status, error.reason)


def status_of(error: GatewayError, *, plain: bool = True) -> int:
    """The HTTP status that *error* is answered with, *plain* at the contract's addresses and false at calls."""
    if isinstance(error, HttpError):
        return error.status
    statuses = STATUSES if plain else CALL_STATUSES
    status = next(statuses[kind] for kind in type(error).__mro__ if kind in statuses)
    if not plain and type(error) is PortalError and (error.status is None or error.status < 500):
        return 400  # a code that we do not know, and the portal does not say that the fault is its own
    return status


def is_ours(error: GatewayError, *, plain: bool = True) -> bool:
    """Whether the gateway itself failed, which its log tells and its callers need not know."""
    return status_of(error, plain=plain) == 500 and not isinstance(error, AlreadyExists)


def concealed(error: GatewayError) -> GatewayError:
    """What callers are told of *error*, which is ours."""
    told = GatewayError()
    if isinstance(error, StorageFailed):
        told.code = error.code
    return told


def render_error(error: GatewayError, request: web.BaseRequest, request_id: str, *, plain: bool = True) -> web.Response:
    """The answer to a request that failed with *error*; without *plain* it is a problem whatever `Accept` says."""
    status = status_of(error, plain=plain)
    if is_ours(error, plain=plain):
        error = concealed(error)
    headers: dict[str, str] = {}
    if isinstance(error, HttpError):
        headers |= error.headers
    if isinstance(error, Unauthenticated):
        headers["WWW-Authenticate"] = challenge(error)
    if isinstance(error, TooBusy):
        headers["Retry-After"] = str(error.retry_after_s)
    wants_problem = not plain or PROBLEM_JSON in request.headers.get("Accept", "")
    response = web.Response(
        status=status,
        body=orjson.dumps(problem(error, status, request_id) if wants_problem else error.detail),
        content_type=PROBLEM_JSON if wants_problem else "application/json",
        headers=headers,
    )
    if status in BODY_STATUSES:
        response.force_close()
    return response


def challenge(error: Unauthenticated) -> str:
    """The WWW-Authenticate of a refused token; bare when none came. Source: RFC 6750, section 3"""
    if error.error is None:
        return "Bearer"
    return f'Bearer error="{error.error}", error_description="{error.reason}"'


def problem(error: GatewayError, status: int, request_id: str) -> dict[str, object]:
    """*error* after RFC 9457."""
    told: dict[str, object] = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": error.reason if isinstance(error, Unauthenticated) and error.error else error.detail,
        "code": error.code,
        "requestId": request_id,
    }
    if isinstance(error, InvalidInput) and error.errors:
        told["errors"] = [render_field(one) for one in error.errors]
    if isinstance(error, AuthorizationRequired) and error.authorize_url:
        told["authorizeURL"] = error.authorize_url
    if isinstance(error, PortalError) and error.has_portal_message:
        told["portalError"] = own_words(error)
    return told


def words_of(error: GatewayError) -> dict[str, object]:
    """What befell one command of a batch: the portal's words, or ours where it said nothing that settles the matter."""
    if isinstance(error, OutcomeUnknown) or not (isinstance(error, PortalError) and error.has_portal_message):
        status = error.status if isinstance(error, PortalError) else None
        return {"code": error.code, "description": error.detail, "status": status}
    return own_words(error)


def own_words(error: PortalError) -> dict[str, object]:
    """What the portal itself said, in one shape for both of its versions."""
    words: dict[str, object] = {
        "code": error.portal_code,
        "description": error.description,
        "status": error.status,
    }
    if error.validation:
        words["validation"] = list(error.validation)
    return words


def render_field(error: FieldError) -> dict[str, str]:
    """One broken rule, with the place it was broken in."""
    place = {"parameter": error.parameter} if error.parameter is not None else {"pointer": error.pointer or ""}
    return place | {"code": error.code, "detail": error.detail}
