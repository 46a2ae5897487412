"""The vault: a sealed value opens only with its key, for its row, and unmodified."""

from base64 import urlsafe_b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.crypto.vault import SealBroken, Vault, decode_key

KEY, OTHER_KEY = bytes(range(32)), bytes(range(1, 33))


@given(st.binary(max_size=300), st.text(max_size=20))
def test_a_sealed_value_opens_for_its_row(plaintext: bytes, row: str) -> None:
    assert Vault(KEY).open(Vault(KEY).seal(plaintext, row), row) == plaintext


def test_sealed_values_hide_the_plaintext_and_are_never_equal() -> None:
    sealed = Vault(KEY).seal(b"canary", "row")
    assert b"canary" not in sealed
    assert sealed != Vault(KEY).seal(b"canary", "row")


@given(st.binary(max_size=50), st.data())
def test_any_changed_bit_is_detected(plaintext: bytes, data: st.DataObject) -> None:
    sealed = bytearray(Vault(KEY).seal(plaintext, "row"))
    position = data.draw(st.integers(0, len(sealed) - 1))
    sealed[position] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(SealBroken):
        Vault(KEY).open(bytes(sealed), "row")


@given(st.binary(max_size=40))
def test_arbitrary_bytes_are_refused(noise: bytes) -> None:
    with pytest.raises(SealBroken):
        Vault(KEY).open(Vault(KEY).key_id + noise, "row")


def test_another_key_or_row_cannot_open_it() -> None:
    sealed = Vault(KEY).seal(b"x", "tokens/1")
    with pytest.raises(SealBroken, match="another key"):
        Vault(OTHER_KEY).open(sealed, "tokens/1")
    with pytest.raises(SealBroken):
        Vault(KEY).open(sealed, "tokens/2")
    disguised = Vault(OTHER_KEY).key_id + sealed[4:]
    with pytest.raises(SealBroken):
        Vault(OTHER_KEY).open(disguised, "tokens/1")


def test_the_check_value_identifies_its_key() -> None:
    assert Vault(KEY).fits(Vault(KEY).check_value())
    assert not Vault(OTHER_KEY).fits(Vault(KEY).check_value())
    assert not Vault(KEY).fits(b"")


@given(st.binary(min_size=32, max_size=32))
def test_a_key_is_decoded_with_and_without_padding(key: bytes) -> None:
    text = urlsafe_b64encode(key).decode()
    assert decode_key(text) == decode_key(text.rstrip("=")) == key


@given(st.binary(max_size=64).filter(lambda key: len(key) != 32))
def test_a_key_of_another_length_is_refused(key: bytes) -> None:
    with pytest.raises(ValueError, match="32 bytes in base64url"):
        decode_key(urlsafe_b64encode(key).decode())
