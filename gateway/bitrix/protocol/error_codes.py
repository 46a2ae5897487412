"""The documented error codes of REST 2 and of the authorization server.

Source: protocol.md 3, 7 and 10; methods.md (b24restdocs _includes/system-errors.md, settings/oauth/error-codes.md)
"""

import re
from collections.abc import Collection

from gateway.bitrix.errors import (
    MAX_DESCRIPTION_CHARS,
    AccessDenied,
    ApplicationGone,
    ArgumentRefused,
    AuthorizationServerDown,
    BatchRefused,
    ClientRefused,
    CredentialRefused,
    GrantRefused,
    HttpsRequired,
    LicenseMissing,
    MethodNotFound,
    MethodUnconfirmed,
    ObjectConflict,
    OperatingLimitReached,
    PortalBlocked,
    PortalDeleted,
    PortalError,
    PortalFailing,
    QueryLimitExceeded,
    RecordNotFound,
    ScopeMissing,
    TokenExpired,
    TokenUnknown,
    WrongAuthType,
)
from gateway.redaction import mask_known

NO_CODES = ("", "0")
NOT_FOUND = re.compile(r"\bnot found\.?$", re.IGNORECASE)  # as in "Contact is not found", "TypeAddress not found."
DENIED = re.compile(r"access denied\b", re.IGNORECASE)  # "Access denied." of classic methods, protocol.md 3
CLASSES: dict[str, type[PortalError]] = {  # by the code in upper case; portals vary in case
    "INTERNAL_SERVER_ERROR": PortalFailing,
    "ERROR_UNEXPECTED_ANSWER": PortalFailing,
    "QUERY_LIMIT_EXCEEDED": QueryLimitExceeded,
    "OPERATION_TIME_LIMIT": OperatingLimitReached,
    "OVERLOAD_LIMIT": PortalBlocked,
    "PORTAL_DELETED": PortalDeleted,
    "INVALID_REQUEST": HttpsRequired,
    "EXPIRED_TOKEN": TokenExpired,
    "NO_AUTH_FOUND": CredentialRefused,
    "INVALID_CREDENTIALS": CredentialRefused,
    "AUTHORIZATION_ERROR": CredentialRefused,
    "USER_ACCESS_ERROR": CredentialRefused,
    "INVALID_TOKEN": TokenUnknown,
    "APPLICATION_NOT_FOUND": ApplicationGone,
    "ERROR_OAUTH": ApplicationGone,
    "NOT_INSTALLED": ApplicationGone,
    "PAYMENT_REQUIRED": ApplicationGone,
    "INVALID_GRANT": GrantRefused,
    "INVALID_CLIENT": ClientRefused,
    "WRONG_CLIENT": ClientRefused,
    "CONNECTION_ERROR": AuthorizationServerDown,
    "ERROR_METHOD_NOT_FOUND": MethodNotFound,
    "INSUFFICIENT_SCOPE": ScopeMissing,
    "INVALID_SCOPE": ScopeMissing,
    "ACCESS_DENIED": AccessDenied,
    "ALLOWED_ONLY_INTRANET_USER": AccessDenied,
    "WRONG_AUTH_TYPE": WrongAuthType,
    "WRONG_LICENSE": LicenseMissing,
    "METHOD_CONFIRM_WAITING": MethodUnconfirmed,
    "METHOD_CONFIRM_DENIED": MethodUnconfirmed,
    "ERROR_ARGUMENT": ArgumentRefused,
    "100": ArgumentRefused,
    "ENTITY_TYPE_NOT_SUPPORTED": RecordNotFound,
    "NOT_FOUND": RecordNotFound,
    "OWNER_NOT_FOUND": RecordNotFound,
    "ERROR_NOT_FOUND": RecordNotFound,
    "DISK_OBJ_22000": ObjectConflict,
    "ERROR_BATCH_LENGTH_EXCEEDED": BatchRefused,
    "ERROR_BATCH_METHOD_NOT_ALLOWED": BatchRefused,
}


def portal_error(code: object, description: object, status: int | None, secrets: Collection[str] = ()) -> PortalError:
    """Return the error for the ``error`` and ``error_description`` of an answer.

    *status* is the HTTP status, None for a command in a batch. The *secrets* that were sent are masked.

    Classic methods send "" as their code, others a number. An unknown code is kept as text, and the status decides
    about the class. Without a code, the description shows whether a record is missing, or access was denied.
    """
    code_text = str(code) if isinstance(code, str | int) else ""
    description_text = description if isinstance(description, str) else ""
    cls = CLASSES.get(code_text.upper()) or _class_of_unknown(code_text, description_text, status)
    return cls(mask_known(code_text, secrets), mask_known(description_text, secrets), status)


def _class_of_unknown(code: str, description: str, status: int | None) -> type[PortalError]:
    if status is not None and (status >= 500 or status == 429):
        return PortalFailing
    if code in (*NO_CODES, "ERROR_CORE") and NOT_FOUND.search(description[-MAX_DESCRIPTION_CHARS:]):
        return RecordNotFound
    if code in NO_CODES and DENIED.match(description):
        return AccessDenied
    return PortalError
