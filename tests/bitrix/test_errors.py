"""Portal errors: their classes, their texts, and their properties."""

import pytest

from gateway.bitrix.errors import (
    AccessDenied,
    GrantRefused,
    OperatingLimitReached,
    OutcomeUnknown,
    PortalBlocked,
    PortalBroken,
    PortalError,
    PortalFailing,
    PortalMoved,
    PortalUnreachable,
    QueryLimitExceeded,
    RecordNotFound,
    TokenExpired,
    WalkFailed,
    WrongPortal,
)
from gateway.bitrix.protocol.error_codes import portal_error


@pytest.mark.parametrize(
    ("code", "status", "cls"),
    [
        ("QUERY_LIMIT_EXCEEDED", 503, QueryLimitExceeded),
        ("QUERY_LIMIT_EXCEEDED", 200, QueryLimitExceeded),
        ("OVERLOAD_LIMIT", 503, PortalBlocked),
        ("OPERATION_TIME_LIMIT", 429, OperatingLimitReached),
        ("expired_token", 401, TokenExpired),
        ("EXPIRED_TOKEN", 401, TokenExpired),
        ("ACCESS_DENIED", 400, AccessDenied),
        ("invalid_grant", 400, GrantRefused),
        ("ERROR_CORE", 400, PortalError),
        ("ERROR_CORE", 500, PortalFailing),
        ("NEVER_HEARD_OF", 429, PortalFailing),
        ("", 400, PortalError),
        (0, 400, PortalError),
        (["odd"], 400, PortalError),
    ],
)
def test_a_documented_code_becomes_its_class_with_any_status(code: object, status: int, cls: type[PortalError]) -> None:
    error = portal_error(code, "Description", status)
    assert type(error) is cls
    assert (error.description, error.status) == ("Description", status)


def test_an_unknown_code_keeps_its_text() -> None:
    assert str(portal_error("NEVER_HEARD_OF", "The moon is full", 400)) == "NEVER_HEARD_OF: The moon is full"
    assert portal_error(0, None, 400).portal_code == "0"


def test_a_code_without_a_meaning_is_left_out_of_the_text() -> None:
    error = portal_error(0, "Smart process not found", 400)
    assert (str(error), error.portal_code) == ("Smart process not found", "0")
    assert str(portal_error(0, None, 400)) == "0"


def test_an_error_without_a_message_has_a_default_text() -> None:
    assert str(portal_error("", "", 400)) == "the portal refused the call (HTTP 400)"


@pytest.mark.parametrize(
    ("error", "refuses"),
    [
        (portal_error("", "Access denied.", None), True),
        (portal_error("ENTITY_TYPE_NOT_SUPPORTED", "", None), True),
        (portal_error("insufficient_scope", "", None), True),
        (portal_error("OPERATION_TIME_LIMIT", "", None), False),
        (portal_error("invalid_token", "", None), False),
        (portal_error("OVERLOAD_LIMIT", "", None), False),
        (portal_error("INTERNAL_SERVER_ERROR", "", None), False),
        (PortalBroken("not JSON"), False),
        (PortalUnreachable("dropped", sent=True), False),
    ],
)
def test_only_a_permanent_refusal_concerns_one_command(error: PortalError, refuses: bool) -> None:
    assert error.refuses_command is refuses


@pytest.mark.parametrize(
    ("code", "description", "missing"),
    [
        ("", "Not found", True),
        ("", "Not found.", True),
        ("", "Contact is not found", True),
        ("", "The Requisite with ID '57' is not found", True),
        (0, "SPA not found", True),
        ("", "ID is not defined or invalid.", False),
        ("", "Field not found in the list of those allowed", False),
        ("ERROR_CORE", "Element not found", True),
    ],
)
def test_a_missing_record_without_a_code_is_recognized_by_the_end_of_its_description(
    code: object, description: str, missing: bool
) -> None:
    assert (type(portal_error(code, description, 400)) is RecordNotFound) is missing
    assert (type(portal_error(code, description, None)) is RecordNotFound) is missing
    assert type(portal_error(code, description, 500)) is PortalFailing


@pytest.mark.parametrize(
    "description",
    [
        "see https://portal.example/rest/1/canary/user.get for more",
        "see /rest/api/17/canary/tasks",
        "at ?auth=canary&x=1",
        "access_token=canary refresh_token=canary client_secret=canary code=canary",
    ],
)
def test_secrets_in_a_description_are_masked(description: str) -> None:
    error = portal_error("ODD", description, 400)
    for text in (str(error), repr(error), error.detail, error.description, str(OutcomeUnknown(error))):
        assert "canary" not in text


def test_only_texts_from_the_portal_are_a_portal_message() -> None:
    reported = portal_error("INTERNAL_SERVER_ERROR", "Later", 500)
    for error in (PortalBroken("not JSON", 502), PortalMoved("new.example", 302), PortalUnreachable("x", sent=True)):
        assert (error.has_portal_message, error.portal_code, error.description) == (False, "", "")
        assert not OutcomeUnknown(error).has_portal_message
    for wrapped in (OutcomeUnknown(reported), WalkFailed("user.get", 0, reported)):
        assert (wrapped.has_portal_message, wrapped.portal_code, wrapped.description) == (
            True,
            "INTERNAL_SERVER_ERROR",
            "Later",
        )


def test_a_long_description_is_cut() -> None:
    assert len(str(portal_error("ODD", "x" * 100_000, 400))) < 600


def test_a_failed_walk_has_its_position_its_cause_and_a_hint() -> None:
    cause = portal_error("invalid_token", "Unable to get application by token", 401)
    error = WalkFailed("user.get", 250, cause)
    assert (error.method, error.cursor, error.cause) == ("user.get", 250, cause)
    assert (error.portal_code, error.description) == (cause.portal_code, cause.description)
    assert error.credential_dead
    assert str(error) == (
        "user.get could not be read beyond id 250: invalid_token: Unable to get application by token. "
        "Authorize the portal again, or give a working inbound webhook."
    )


def test_a_move_has_the_new_host() -> None:
    assert "new.example" in str(PortalMoved("new.example", 302))
    assert "unknown address" in str(PortalMoved(None, 302))
    assert WrongPortal().whole_portal
