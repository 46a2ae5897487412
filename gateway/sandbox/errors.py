"""The errors of a portal, with the code, description and status that a client gets."""

from collections.abc import Mapping
from typing import Any


class CallError(Exception):
    """A call that ends in ``{"error": …, "error_description": …}``.

    *code* may be empty or a number. *status* is the HTTP status; an entry of a batch has none.
    """

    def __init__(self, code: str | int, description: str, status: int = 400, **extra: Any) -> None:
        super().__init__(f"{code}: {description}")
        self.code = code
        self.description = description
        self.status = status
        self.extra: Mapping[str, Any] = extra

    def body(self) -> dict[str, Any]:
        return {"error": self.code, "error_description": self.description, **self.extra}


# Source: [docs] error-codes.md, settings/oauth/error-codes.md; [srv] rest/classes/general/rest.php.


def query_limit_exceeded(status: int = 503) -> CallError:
    return CallError("QUERY_LIMIT_EXCEEDED", "Too many requests", status)


def operation_time_limit() -> CallError:
    return CallError("OPERATION_TIME_LIMIT", "Method is blocked due to operation time limit.", 429)


def method_not_found() -> CallError:
    return CallError("ERROR_METHOD_NOT_FOUND", "Method not found!", 404)


def no_auth_found() -> CallError:
    return CallError("NO_AUTH_FOUND", "Wrong authorization data", 401)


def invalid_token() -> CallError:
    return CallError("invalid_token", "Unable to get application by token", 401)


def expired_token() -> CallError:
    return CallError("expired_token", "The access token provided has expired.", 401)


def invalid_credentials() -> CallError:
    # The documentation says 403; clients tested against the live service see 401.
    return CallError("INVALID_CREDENTIALS", "Invalid request credentials", 401)


def insufficient_scope(credential: str) -> CallError:
    text = f"The request requires higher privileges than provided by the {credential} token"
    return CallError("insufficient_scope", text, 403)


def wrong_auth_type() -> CallError:
    text = "Current authorization type is denied for this method Application context required"
    return CallError("WRONG_AUTH_TYPE", text, 403)


def empty_argument(name: str) -> CallError:
    return CallError("ERROR_ARGUMENT", f"Argument '{name}' is null or empty", argument=name)


def missing_parameter(name: str) -> CallError:
    return CallError("100", f"Could not find value for parameter {{{name}}}")


def wrong_parameter(name: str, value: object, kind: str) -> CallError:
    shown = value if isinstance(value, (str, int, float)) else ""
    return CallError(
        "100", f"Invalid value {{{shown}}} to match with parameter {{{name}}}. Should be value of type {kind}."
    )


def not_an_array(name: str) -> CallError:
    return CallError("", f"Parameter '{name}' must be array.")


def time_out_of_range() -> CallError:
    """The refusal of a time that the portal's database cannot store. **inferred**: the pages do not tell of one."""
    return CallError("", "Mysql query error: (1292) Incorrect datetime value")


def access_denied() -> CallError:
    """The refusal of a classic method."""
    return CallError("", "Access denied.")


def controller_access_denied() -> CallError:
    """The refusal of a controller's method."""
    return CallError("ACCESS_DENIED", "Access denied")
