"""Claims about the caller: user, administrator and integration."""

from dataclasses import FrozenInstanceError

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.auth.caller import Caller
from gateway.auth.tokens import issue_token
from gateway.errors import Unauthenticated
from gateway.settings.config import load_config
from tests.clock import ManualClock
from tests.support.tokens import SECRET, bearer, json_values, verifier

UUID = "0b8ac3f1-6f5e-4d0c-9f0d-2a7c5e1b9d43"


def caller(claims: dict[str, object], **settings: object) -> Caller:
    """The caller of a token with *claims* and an account."""
    return verifier(**settings).verify(bearer({"accountID": "7"} | claims))


def refusal(claims: dict[str, object], **settings: object) -> str:
    """The reason why a token with *claims* and an account is refused."""
    with pytest.raises(Unauthenticated) as refused:
        caller(claims, **settings)
    assert (refused.value.detail, refused.value.error) == ("account id is required", "invalid_token")
    return refused.value.reason


@pytest.mark.parametrize("claims", [{}, {"user_id": None, "admin": None, "client_uuid": None}])
def test_user_and_integration_may_be_absent_or_null(claims: dict[str, object]) -> None:
    assert caller(claims) == Caller("7", user_id=None, is_admin=False, client_uuid=None)


def test_a_token_may_name_all_of_them() -> None:
    claims = {"user_id": "5", "admin": True, "client_uuid": UUID}
    assert caller(claims) == Caller("7", user_id="5", is_admin=True, client_uuid=UUID)


@pytest.mark.parametrize(
    ("value", "user"), [(5, "5"), ("5", "5"), (0, "0"), (-1, "-1"), ("x" * 255, "x" * 255), ("Ы", "Ы")]
)
def test_a_user_is_an_integer_or_text(value: object, user: str) -> None:
    assert caller({"user_id": value}).user_id == user


@pytest.mark.parametrize("value", ["", "x" * 256, "a\nb", "a\x00", True, False, 5.0, 10**30, [], ["5"], {}])
def test_a_user_of_another_form_is_refused(value: object) -> None:
    assert refusal({"user_id": value}) == "the claim user_id of the token is not a user id"


@pytest.mark.parametrize("value", [False, 1, 1.0, "true", "1", "", [], [True], {"admin": True}])
def test_only_true_makes_an_administrator(value: object) -> None:
    assert caller({"admin": value}).is_admin is False


@pytest.mark.parametrize("value", [UUID, UUID.upper(), UUID.title()])
def test_a_uuid_is_kept_in_lower_case(value: str) -> None:
    assert caller({"client_uuid": value}).client_uuid == UUID


@pytest.mark.parametrize(
    "value",
    ["", "5", UUID.replace("-", ""), f"{{{UUID}}}", f"urn:uuid:{UUID}", f"{UUID}\n", f" {UUID}", UUID[:-1], f"{UUID}0",
     UUID.replace("0", "g"), UUID.replace("0", "٠"), 5, True, False, 0.5, [], [UUID], {}],
)  # fmt: skip
def test_an_integration_that_is_not_a_uuid_is_refused(value: object) -> None:
    assert refusal({"client_uuid": value}) == "the claim client_uuid of the token is not a UUID"


def test_the_claims_can_be_configured_and_the_first_one_present_is_used() -> None:
    settings = {"user_claim": "uid,user_id", "admin_claim": "root,admin", "client_uuid_claim": "azp,client_uuid"}
    usual = {"user_id": "5", "admin": True, "client_uuid": UUID}
    other = "f" * 8 + UUID[8:]
    assert caller(usual, **settings) == Caller("7", "5", True, UUID)
    assert caller(usual | {"uid": 6, "root": False, "azp": other}, **settings) == Caller("7", "6", False, other)
    assert refusal(usual | {"uid": ""}, **settings) == "the claim uid of the token is not a user id"
    assert refusal(usual | {"azp": "x"}, **settings) == "the claim azp of the token is not a UUID"
    assert caller(usual, user_claim="uid", admin_claim="root", client_uuid_claim="azp") == Caller("7")


callers = st.builds(
    Caller,
    st.integers(0).map(str) | st.just("компания"),
    user_id=st.none() | st.integers().map(str) | st.just("Иван"),
    is_admin=st.booleans(),
    client_uuid=st.none() | st.uuids().map(str),
)


@given(callers)
def test_an_issued_token_identifies_its_caller(issued: Caller) -> None:
    for settings in ({}, {"user_claim": "uid,user_id", "admin_claim": "root,admin", "client_uuid_claim": "azp"}):
        token = issue_token(load_config({}, settings), SECRET, ManualClock(), issued, ttl_s=60)
        assert verifier(**settings).verify(f"Bearer {token}") == issued


@given(st.dictionaries(st.sampled_from(["user_id", "admin", "client_uuid"]), json_values))
def test_any_claims_describe_a_caller_or_are_refused(claims: dict[str, object]) -> None:
    try:
        found = caller(claims)
    except Unauthenticated:
        return
    assert found.user_id is None or 0 < len(found.user_id) <= 255
    assert found.is_admin is (claims.get("admin") is True)


def test_a_cached_token_gives_the_same_caller() -> None:
    tokens, header = verifier(), bearer({"sub": "7", "user_id": 5, "client_uuid": UUID})
    assert tokens.verify(header) is tokens.verify(header)


def test_a_caller_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        Caller("7").is_admin = True  # type: ignore[misc]
