"""REST 3.0 on the wire: where its calls go, and what its errors mean; with no I/O.

Source: protocol.md 1, 9.1, 9.2 (b24restdocs api-reference/rest-v3.md)
"""

import re
from collections.abc import Collection, Mapping

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

MOST_VALIDATIONS = 50  # parameters that one answer says something of
MOST_WORDS = 10  # about each
PREFIX = re.compile(r"BITRIX_REST_V3_EXCEPTIONS?_(?:VALIDATION_|INTERNAL_)?")  # an older generation has the plural
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
    """the portal does not accept the credential; of a token it may only have expired

    REST 3.0 has one answer for both. Source: protocol.md 9.2
    """


def rest3_endpoint(endpoint: str) -> str:
    """Where 3.0 calls of the credential with that v2 *endpoint* go: ``/rest/api/`` in the place of ``/rest/``."""
    origin, rest, path = endpoint.partition("/rest/")
    return f"{origin}{rest}api/{path}"


def rest3_error(error: Mapping[str, object], status: int, secrets: Collection[str] = ()) -> PortalError:
    """The error for the object that 3.0 sends under ``error``; the *secrets* that the portal was sent stay out of it.

    Wrong credentials have no code of their own: they come as a refused access under 401.
    """
    code, message = error.get("code"), error.get("message")
    text = code if isinstance(code, str) else ""
    cls = CLASSES.get(PREFIX.sub("", text.upper()))
    if cls is AccessDenied and status == 401:
        cls = NotAuthenticated
    elif cls is None:
        cls = _by_status(status)
    told = cls(mask_known(text, secrets), mask_known(message if isinstance(message, str) else "", secrets), status)
    validation = error.get("validation")
    if isinstance(validation, list):
        told.validation = tuple(_words(one, secrets) for one in validation[:MOST_VALIDATIONS] if isinstance(one, dict))
    return told


def _words(one: Mapping[str, object], secrets: Collection[str]) -> dict[str, str]:
    """What *one* entry of ``validation`` says, as it may be shown."""
    return {
        readable(mask_known(name, secrets), MAX_CODE_CHARS): readable(mask_known(value, secrets), MAX_DESCRIPTION_CHARS)
        for name, value in list(one.items())[:MOST_WORDS]
        if isinstance(value, str)
    }


def _by_status(status: int) -> type[PortalError]:
    if status == 401:
        return CredentialRefused
    if status == 402:
        return LicenseMissing
    return PortalFailing if status >= 500 or status == 429 else PortalError
