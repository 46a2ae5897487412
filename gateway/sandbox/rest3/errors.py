"""The errors of REST 3.0, with the code, message and status that a client gets."""

from collections.abc import Mapping
from typing import Any

import orjson

from gateway.sandbox.errors import CallError
from gateway.sandbox.php import Value

PREFIX = "BITRIX_REST_V3_EXCEPTION_"


class Rest3Error(CallError):
    """A call that ends in ``{"error": {"code": …, "message": …}}``; *invalid* maps fields to messages."""

    def __init__(self, code: str, message: str, status: int = 400, invalid: Mapping[str, str] | None = None) -> None:
        super().__init__(code, message, status)
        self.invalid = invalid or {}

    def body(self) -> dict[str, Any]:
        error: dict[str, Any] = {"code": self.code, "message": self.description}
        if self.invalid:
            error["validation"] = [{"message": message, "field": field} for field, message in self.invalid.items()]
        return {"error": error}


# Source: [docs] api-reference/rest-v3.md and the pages of its methods; [srv] rest/lib/v3; protocol notes 9.2


def in_rest3(error: CallError) -> CallError:
    """An error of both versions in the form of REST 3.0. The leaky bucket answers in the form of REST 2."""
    if isinstance(error, Rest3Error) or error.code == "QUERY_LIMIT_EXCEEDED":
        return error
    name, status = _IN_REST3.get(str(error.code), (str(error.code), error.status))
    return Rest3Error(name, error.description, status)


_IN_REST3 = {
    **dict.fromkeys(
        ("NO_AUTH_FOUND", "INVALID_CREDENTIALS", "invalid_token", "expired_token", "authorization_error"),
        (f"{PREFIX}ACCESSDENIEDEXCEPTION", 401),
    ),
    "OPERATION_TIME_LIMIT": (f"{PREFIX}RATELIMITEXCEPTION", 429),
    "INTERNAL_SERVER_ERROR": (f"{PREFIX}INTERNAL_INTERNALEXCEPTION", 500),
}


def method_not_found(name: str) -> Rest3Error:
    return Rest3Error(f"{PREFIX}METHODNOTFOUNDEXCEPTION", f"Method `{name}` not found", 404)


def invalid_json() -> Rest3Error:
    return Rest3Error(f"{PREFIX}INVALIDJSONEXCEPTION", "The request body is not valid JSON")


def wrong_verb(verb: str) -> Rest3Error:
    return Rest3Error(f"{PREFIX}WRONGHTTPREQUESTMETHODEXCEPTION", f"HTTP method {verb} is not allowed")


def access_denied() -> Rest3Error:
    return Rest3Error(f"{PREFIX}ACCESSDENIEDEXCEPTION", "Access denied", 403)


def insufficient_scope() -> Rest3Error:
    return Rest3Error(
        f"{PREFIX}INSUFFICIENTSCOPEEXCEPTION", "The scope of the credentials does not cover the method", 403
    )


def invalid_request(invalid: Mapping[str, str]) -> Rest3Error:
    code = f"{PREFIX}VALIDATION_REQUESTVALIDATIONEXCEPTION"
    return Rest3Error(code, "Error during request object validation", invalid=invalid)


def missing_field(name: str) -> Rest3Error:
    return invalid_request({name: f"Required field `{name}` is not specified"})


def wrong_type(name: str, kind: str) -> Rest3Error:
    return invalid_request({name: f"Field `{name}` requires data type `{kind}` for this request"})


def not_allowed_in(dto: str, name: str, attribute: str) -> Rest3Error:
    rule = f"requires the presence of the `{attribute}` attribute for such a request"
    return invalid_request({name: f"In DTO `{dto}`, the field `{name}` {rule}"})


def unknown_field(name: str, dto: str) -> Rest3Error:
    return Rest3Error(f"{PREFIX}UNKNOWNDTOPROPERTYEXCEPTION", f"Unknown field `{name}` for entity `{dto}`")


def unknown_operator(operator: Value) -> Rest3Error:
    return Rest3Error(f"{PREFIX}UNKNOWNFILTEROPERATOREXCEPTION", f"Unknown filter operator `{_shown(operator)}`")


def invalid_filter(expression: Value) -> Rest3Error:
    text = f"Unable to recognize filter expression `{_shown(expression)}`"
    return Rest3Error(f"{PREFIX}INVALIDFILTEREXCEPTION", text)


def invalid_order(value: Value) -> Rest3Error:
    return Rest3Error(f"{PREFIX}INVALIDORDEREXCEPTION", f"Unable to recognize the order parameter `{_shown(value)}`")


def invalid_pagination(value: Value) -> Rest3Error:
    text = f"Unable to recognize the pagination parameter `{_shown(value)}`"
    return Rest3Error(f"{PREFIX}INVALIDPAGINATIONEXCEPTION", text)


def invalid_select(message: str) -> Rest3Error:
    return Rest3Error(f"{PREFIX}INVALIDSELECTEXCEPTION", message)


def unknown_select(value: Value) -> Rest3Error:
    return invalid_select(f"Unable to recognize select expression `{_shown(value)}`")


def field_not_found(name: str) -> Rest3Error:
    return Rest3Error("BITRIX_REST_V3_REALISATION_EXCEPTION_FIELDNOTFOUNDEXCEPTION", f"Field `{name}` not found")


def record_not_found(row_id: int, named: str = "Record") -> Rest3Error:
    return Rest3Error(f"{PREFIX}ENTITYNOTFOUNDEXCEPTION", f"{named} with ID = `{row_id}` not found")


def invalid_idempotency_key() -> Rest3Error:
    text = "Idempotency-Key: 1 to 255 printable ASCII characters"
    return Rest3Error(f"{PREFIX}INVALIDIDEMPOTENCYKEYEXCEPTION", text)


def idempotency_key_reused() -> Rest3Error:
    text = "This Idempotency-Key was used with another request body"
    return Rest3Error(f"{PREFIX}IDEMPOTENCYKEYREUSEDEXCEPTION", text, 422)


def _shown(value: Value) -> str:
    return value if isinstance(value, str) else orjson.dumps(value).decode()
