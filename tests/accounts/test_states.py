"""Issuing and verifying the state of an authorization."""

import json
from base64 import b64encode, urlsafe_b64decode, urlsafe_b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.accounts.states import LIFETIME_S, MAX_STATE_CHARACTERS, StateSigner
from gateway.errors import InvalidInput
from tests.clock import ManualClock

KEY = bytes(range(32))
START = 1_800_000_000.0


def signer(key: bytes = KEY, now: float = START) -> StateSigner:
    return StateSigner(key, ManualClock(now))


def issue(account: str = "7", portal: str = "h", redirect_url: str | None = None) -> str:
    text, _ = signer().issue(account, portal, redirect_url)
    return text


def raw(state: str) -> bytes:
    return urlsafe_b64decode(state + "=" * (-len(state) % 4))


def test_an_issued_state_is_read_back() -> None:
    text, issued = signer().issue("7", "example.bitrix24.ru", "https://app.example.com/done?a=1")
    state = signer().read(text)
    assert state == issued
    assert (state.account, state.portal) == ("7", "example.bitrix24.ru")
    assert state.redirect_url == "https://app.example.com/done?a=1"
    assert state.expires_at == START + LIFETIME_S == START + 600


def test_the_return_address_is_optional() -> None:
    assert signer().read(issue()).redirect_url is None


def test_every_state_has_another_nonce() -> None:
    assert signer().read(issue()).nonce != signer().read(issue()).nonce


@given(st.text(max_size=30), st.text(max_size=40))
def test_both_base64_alphabets_are_accepted_with_or_without_padding(account: str, portal: str) -> None:
    issued = issue(account, portal)
    standard, url_safe = b64encode(raw(issued)).decode(), urlsafe_b64encode(raw(issued)).decode()
    spellings = {standard, url_safe, standard.rstrip("="), url_safe.rstrip("="), standard.replace("+", " ")}
    assert {signer().read(spelling).account for spelling in spellings} == {account}


def test_a_state_expires_after_ten_minutes() -> None:
    issued = issue()
    assert signer(now=START + LIFETIME_S - 1).read(issued)
    with pytest.raises(InvalidInput, match="has expired"):
        signer(now=START + LIFETIME_S).read(issued)


def test_another_key_does_not_verify_a_state() -> None:
    with pytest.raises(InvalidInput, match="issued"):
        signer(bytes(32)).read(issue())


@pytest.mark.parametrize(
    "change", [{"account": "8"}, {"redirectURL": "https://evil.example"}, {"exp": 2**40}, {"x": 1}]
)
def test_a_changed_state_is_refused(change: dict[str, object]) -> None:
    body = json.loads(raw(issue())) | change
    with pytest.raises(InvalidInput, match="issued"):
        signer().read(b64encode(json.dumps(body).encode()).decode())


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{}",
        b"[]",
        b"7",
        b"null",
        b"NaN",
        b"\xff\xfe",
        b'{"signature": null}',
        b'{"signature": "\xd0\xb9"}',
        b'{"account": "7"}',
        b'{"account": {"a": [[]]}}',
        b'{"a":' * 900 + b"1" + b"}" * 900,
    ],
)
def test_base64_of_other_content_is_refused(content: bytes) -> None:
    with pytest.raises(InvalidInput):
        signer().read(b64encode(content).decode())


@pytest.mark.parametrize("state", ["", "%%%", "привет", "a", "=" * 20, "A" * (MAX_STATE_CHARACTERS + 1), "{}", "a=b=c"])
def test_the_error_for_invalid_base64_names_the_parameter(state: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        signer().read(state)
    assert [error.parameter for error in refusal.value.errors] == ["state"]


@pytest.mark.parametrize("junk", ["%", "\n", "=", "й", "."])
def test_characters_outside_base64_are_not_ignored(junk: str) -> None:
    issued = issue()
    with pytest.raises(InvalidInput, match="issued"):
        signer().read(issued[:12] + junk + issued[12:])


def test_a_state_that_is_too_long_is_refused() -> None:
    with pytest.raises(InvalidInput, match="at most 8192 characters"):
        signer().read("A" * 1_048_576)


@given(st.text(max_size=200))
def test_any_text_that_was_not_issued_is_refused(state: str) -> None:
    with pytest.raises(InvalidInput):
        signer().read(state)
