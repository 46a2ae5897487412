"""JWK sets: usable, ignored and invalid keys."""

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from gateway.crypto.jwk_set import decode_jwk, read_jwk_set
from gateway.crypto.public_keys import RSA_ALGORITHMS, PublicKey
from tests.support.jwks import Signer, curve_signer, rsa_signer, write_jwk_set

RSA = rsa_signer("r")
CURVE = curve_signer("c")


@pytest.mark.parametrize(
    ("signer", "algorithms"),
    [
        (RSA, RSA_ALGORITHMS),
        (CURVE, ("ES256",)),
        (curve_signer(None, ec.SECP384R1()), ("ES384",)),
        (curve_signer("ключ", ec.SECP521R1()), ("ES512",)),
    ],
)
def test_a_key_has_the_algorithms_of_its_kind(tmp_path: Path, signer: Signer, algorithms: tuple[str, ...]) -> None:
    path = write_jwk_set(tmp_path / "keys.json", signer)
    assert read_jwk_set(path) == (PublicKey(signer.public_pem.decode(), algorithms, signer.kid),)


@given(st.integers(2, 2**31), st.sampled_from([ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1()]))
def test_any_point_of_a_curve_is_decoded(private: int, curve: ec.EllipticCurve) -> None:
    signer = Signer(ec.derive_private_key(private, curve), None)
    key = decode_jwk(signer.jwk)
    assert key is not None
    assert key.pem == signer.public_pem.decode()


def test_alg_restricts_a_key_to_one_algorithm() -> None:
    key = decode_jwk(RSA.jwk | {"alg": "RS512"})
    assert key is not None
    assert key.algorithms == ("RS512",)


@pytest.mark.parametrize(
    "jwk",
    [
        RSA.jwk | {"use": "enc"},
        RSA.jwk | {"alg": "RSA-OAEP"},
        RSA.jwk | {"alg": "PS256"},
        RSA.jwk | {"alg": "HS256"},
        RSA.jwk | {"alg": "none"},
        RSA.jwk | {"alg": ["RS256"]},
        RSA.jwk | {"alg": "ES256"},
        CURVE.jwk | {"alg": "RS256"},
        CURVE.jwk | {"key_ops": ["deriveKey"]},
        CURVE.jwk | {"key_ops": "verify"},
        curve_signer("k", ec.SECP256K1()).jwk,
        {"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"},
    ],
)
def test_keys_for_other_uses_are_ignored(tmp_path: Path, jwk: dict[str, Any]) -> None:
    assert decode_jwk(jwk) is None
    assert len(read_jwk_set(write_jwk_set(tmp_path / "keys.json", jwk, RSA))) == 1
    with pytest.raises(ValueError, match="must be a JWK set with an RSA key of at least 2048 bits"):
        read_jwk_set(write_jwk_set(tmp_path / "keys.json", jwk))


@pytest.mark.parametrize(
    ("jwk", "rule"),
    [
        ({"kty": "oct", "k": "c2VjcmV0LWNhbmFyeQ", "kid": "s"}, "is secret"),
        (RSA.jwk | {"d": "c2VjcmV0LWNhbmFyeQ"}, "is secret"),
        (rsa_signer("weak", bits=1024).jwk, "is too weak"),
        (RSA.jwk | {"kid": 7}, "has a kid that is not a string"),
        (RSA.jwk | {"n": None}, "has no base64url number under n"),
        (RSA.jwk | {"e": "AQAB="}, "under e"),
        (RSA.jwk | {"e": "A"}, "under e"),
        (RSA.jwk | {"e": "AA"}, ""),
        ({"kty": "RSA"}, "under e"),
        (CURVE.jwk | {"x": CURVE.jwk["y"]}, ""),
        (CURVE.jwk | {"y": "+/=="}, "under y"),
        ({"kid": "r"}, "is not an object with a kty"),
        ({"kty": ["RSA"]}, "is not an object with a kty"),
        ("RSA", "is not an object with a kty"),
        (None, "is not an object with a kty"),
    ],
)
def test_a_set_with_an_invalid_key_is_refused(tmp_path: Path, jwk: Any, rule: str) -> None:
    with pytest.raises(ValueError, match=f"valid JWK set, but key 2 .*{rule}") as refusal:
        read_jwk_set(write_jwk_set(tmp_path / "keys.json", RSA, jwk))
    assert "c2VjcmV0LWNhbmFyeQ" not in str(refusal.value)


@pytest.mark.parametrize(
    "content", ["", "keys", "[]", "null", "{}", '{"keys": {}}', '{"keys": null}', "[" * 100_000, '{"keys": []}']
)
def test_other_content_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "keys.json").write_text(content)
    with pytest.raises(ValueError, match="must be a"):
        read_jwk_set(tmp_path / "keys.json")


def test_two_keys_with_one_id_and_algorithm_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    with pytest.raises(ValueError, match="two keys have the id 'r'"):
        read_jwk_set(write_jwk_set(path, RSA, rsa_signer("r")))
    assert len(read_jwk_set(write_jwk_set(path, RSA, curve_signer("r")))) == 2
    assert len(read_jwk_set(write_jwk_set(path, RSA.jwk | {"alg": "RS256"}, RSA.jwk | {"alg": "RS512"}))) == 2
    assert len(read_jwk_set(write_jwk_set(path, rsa_signer(None), rsa_signer(None)))) == 2


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)
members = st.sampled_from(["kty", "kid", "use", "alg", "key_ops", "n", "e", "crv", "x", "y", "d", "k"])


@given(st.dictionaries(members, json_values | st.sampled_from(["RSA", "EC", "oct", "P-256", "AQAB", "sig"])))
def test_any_jwk_is_decoded_ignored_or_refused(changed: dict[str, Any]) -> None:
    for base in (RSA.jwk, CURVE.jwk, {}):
        with suppress(ValueError):
            key = decode_jwk(json.loads(json.dumps(base | changed)))
            assert key is None or set(key.algorithms) <= {*RSA_ALGORITHMS, "ES256"}
