"""The wire format of REST 3.0: its endpoint and its errors; no I/O.

Source: protocol.md 1, 9.1, 9.2 (b24restdocs api-reference/rest-v3.md)
"""

import re
from collections.abc import Collection, Mapping, Sequence

from gateway.bitrix.errors import (
    MAX_CODE_CHARS,
    MAX_DESCRIPTION_CHARS,
    AccessDenied,
    ArgumentRefused,
    CredentialRefused,
    HttpsRequired,
    KeyReused,
    LicenseMissing,
    MethodNotFound,
    OperatingLimitReached,
    PortalError,
    PortalFailing,
    RecordNotFound,
    ScopeMissing,
    TokenExpired,
    readable,
)
from gateway.redaction import mask_known

MAX_VALIDATIONS = 50  # entries kept of one answer
MAX_VALIDATION_TEXTS = 10  # kept of each entry
PREFIX = re.compile(r"BITRIX_REST_V3_EXCEPTIONS?_(?:VALIDATION_|INTERNAL_)?")  # older versions use the plural
CLASSES: dict[str, type[PortalError]] = {
    "REQUESTVALIDATIONEXCEPTION": ArgumentRefused,
    "DTOVALIDATIONEXCEPTION": ArgumentRefused,
    "INVALIDJSONEXCEPTION": ArgumentRefused,
    "INVALIDSELECTEXCEPTION": ArgumentRefused,
    "INVALIDFILTEREXCEPTION": ArgumentRefused,
    "INVALIDORDEREXCEPTION": ArgumentRefused,
    "INVALIDPAGINATIONEXCEPTION": ArgumentRefused,
    "UNKNOWNDTOPROPERTYEXCEPTION": ArgumentRefused,
    "UNKNOWNFILTEROPERATOREXCEPTION": ArgumentRefused,
    "INVALIDIDEMPOTENCYKEYEXCEPTION": ArgumentRefused,
    "WRONGHTTPREQUESTMETHODEXCEPTION": ArgumentRefused,
    "IDEMPOTENCYKEYREUSEDEXCEPTION": KeyReused,
    "ENTITYNOTFOUNDEXCEPTION": RecordNotFound,
    "METHODNOTFOUNDEXCEPTION": MethodNotFound,
    "ACCESSDENIEDEXCEPTION": AccessDenied,
    "INSUFFICIENTSCOPEEXCEPTION": ScopeMissing,
    "LICENSEEXCEPTION": LicenseMissing,
    "RATELIMITEXCEPTION": OperatingLimitReached,
    "HTTPSREQUIREDEXCEPTION": HttpsRequired,
    "INTERNALEXCEPTION": PortalFailing,
}


class NotAuthenticated(TokenExpired):
    """the portal does not accept the credential; an access token may only have expired

    REST 3.0 has one error for both. Source: protocol.md 9.2
    """


def rest3_endpoint(endpoint: str) -> str:
    """Return the 3.0 endpoint of a credential from its v2 *endpoint*: ``/rest/api/`` instead of ``/rest/``."""
    origin, rest, path = endpoint.partition("/rest/")
    return f"{origin}{rest}api/{path}"


def batched_methods(body: object) -> Sequence[str]:
    """Return the methods of the calls of a batch from its *body*, a list; none for any other call.

    Source: protocol.md 9.9 (b24restdocs api-reference/rest-v3.md#batch)
    """
    return [str(call["method"]) for call in body if isinstance(call, Mapping)] if isinstance(body, list) else ()


def rest3_error(error: Mapping[str, object], status: int, secrets: Collection[str] = ()) -> PortalError:
    """Return the error for the ``error`` object of an answer, with the *secrets* that were sent masked.

    Invalid credentials have no separate code. They are reported as ACCESSDENIEDEXCEPTION with status 401.
    """
    code, message = error.get("code"), error.get("message")
    text = code if isinstance(code, str) else ""
    cls = CLASSES.get(PREFIX.sub("", text.upper()))
    if cls is AccessDenied and status == 401:
        cls = NotAuthenticated
    elif cls is None:
        cls = _class_by_status(status)
    result = cls(mask_known(text, secrets), mask_known(message if isinstance(message, str) else "", secrets), status)
    validation = error.get("validation")
    if isinstance(validation, list):
        entries = [entry for entry in validation[:MAX_VALIDATIONS] if isinstance(entry, dict)]
        result.validation = tuple(_readable_texts(entry, secrets) for entry in entries)
    return result


def _readable_texts(entry: Mapping[str, object], secrets: Collection[str]) -> dict[str, str]:
    """Return the texts of one *entry* of ``validation``, safe to show."""
    return {
        readable(mask_known(name, secrets), MAX_CODE_CHARS): readable(mask_known(value, secrets), MAX_DESCRIPTION_CHARS)
        for name, value in list(entry.items())[:MAX_VALIDATION_TEXTS]
        if isinstance(value, str)
    }


def _class_by_status(status: int) -> type[PortalError]:
    if status == 401:
        return CredentialRefused
    if status == 402:
        return LicenseMissing
    return PortalFailing if status >= 500 or status == 429 else PortalError
