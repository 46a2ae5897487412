"""JWK sets: public keys as authorization servers publish them (RFC 7517)."""

import re
from base64 import urlsafe_b64decode
from collections.abc import Mapping
from pathlib import Path

import orjson
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    SECP384R1,
    SECP521R1,
    EllipticCurve,
    EllipticCurvePublicKey,
    EllipticCurvePublicNumbers,
)
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey, RSAPublicNumbers

from gateway.crypto.public_keys import USABLE_KEYS, PublicKey, algorithms_of, pem_of, read_key_file

# RFC 7518, section 6.2.1.1
CURVES: Mapping[str, EllipticCurve] = {"P-256": SECP256R1(), "P-384": SECP384R1(), "P-521": SECP521R1()}
BASE64URL = re.compile(r"[A-Za-z0-9_-]+")


def read_jwk_set(path: Path) -> tuple[PublicKey, ...]:
    """The keys in the JWK set at *path* that verify signatures, in order; keys for other uses are ignored.

    Raises:
        ValueError: when the file cannot be read, is not a set of public keys, or contains no usable key; the text is
            the broken rule.
    """
    try:
        content = orjson.loads(read_key_file(path))
    except orjson.JSONDecodeError:
        raise ValueError("must be a file with a JWK set in JSON") from None
    if not isinstance(content, dict) or not isinstance(content.get("keys"), list):
        raise ValueError('must be a JWK set: an object with a list under "keys"')
    keys: list[PublicKey] = []
    for number, jwk in enumerate(content["keys"], start=1):
        try:
            key = decode_jwk(jwk)
        except ValueError as error:
            raise ValueError(f"must be a valid JWK set, but key {number} {error}") from error
        if key is not None:
            keys.append(key)
    if not keys:
        raise ValueError(f"must be a JWK set with {USABLE_KEYS}")
    if ambiguous := ambiguous_kid(keys):
        raise ValueError(f"must be a JWK set with unique key ids, but two keys have the id {ambiguous!r}")
    return tuple(keys)


def decode_jwk(jwk: object) -> PublicKey | None:
    """The key that *jwk* describes; None if it is of another kind or for another use.

    Raises:
        ValueError: when it is secret, weak or malformed; the text reads on from "key 1".
    """
    if not isinstance(jwk, dict) or not isinstance(jwk.get("kty"), str):
        raise ValueError("is not an object with a kty")
    if jwk["kty"] == "oct" or "d" in jwk:
        raise ValueError("is secret: only public keys are allowed")
    kid, use, operations = jwk.get("kid"), jwk.get("use", "sig"), jwk.get("key_ops", ["verify"])
    if kid is not None and not isinstance(kid, str):
        raise ValueError("has a kid that is not a string")
    if use != "sig" or not isinstance(operations, list) or "verify" not in operations:
        return None
    key = decode_key(jwk)
    if key is None:
        return None
    fitting = algorithms_of(key)
    if not fitting:
        raise ValueError(f"is too weak: it must be {USABLE_KEYS}")
    algorithms = tuple(algorithm for algorithm in fitting if jwk.get("alg") in (None, algorithm))
    return PublicKey(pem_of(key), algorithms, kid) if algorithms else None


def decode_key(jwk: Mapping[str, object]) -> RSAPublicKey | EllipticCurvePublicKey | None:
    """The RSA or elliptic-curve key in *jwk*; None for other kinds and curves.

    Raises:
        ValueError: when its numbers do not form a key.
    """
    try:
        if jwk["kty"] == "RSA":
            return RSAPublicNumbers(decode_number(jwk, "e"), decode_number(jwk, "n")).public_key()
        if jwk["kty"] == "EC" and (curve := CURVES.get(str(jwk.get("crv")))):
            return EllipticCurvePublicNumbers(decode_number(jwk, "x"), decode_number(jwk, "y"), curve).public_key()
    except UnsupportedAlgorithm as error:
        raise ValueError("is not supported") from error
    return None


def decode_number(jwk: Mapping[str, object], name: str) -> int:
    """The unsigned big-endian number in base64url under *name*.

    Raises:
        ValueError: when there is none.
    """
    text = jwk.get(name)
    # A single character after full groups of four encodes less than a byte.
    if not isinstance(text, str) or not BASE64URL.fullmatch(text) or len(text) % 4 == 1:
        raise ValueError(f"has no base64url number under {name}")
    return int.from_bytes(urlsafe_b64decode(text + "=" * (-len(text) % 4)))


def ambiguous_kid(keys: list[PublicKey]) -> str | None:
    """An id that two of *keys* have for the same algorithm; None if there is none."""
    seen = set()
    for key in keys:
        for algorithm in key.algorithms:
            if key.kid is not None and (key.kid, algorithm) in seen:
                return key.kid
            seen.add((key.kid, algorithm))
    return None
