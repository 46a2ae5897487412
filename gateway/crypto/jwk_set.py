"""Sets of public keys as authorization servers publish them: JSON Web Keys (RFC 7517)."""

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
    """The keys in the JWK set at *path* that verify signatures, in their order; those for other uses are passed over.

    Raises:
        ValueError: when there is no such file, or it is not a set of public keys, at least one of them usable here;
            the text is the rule it breaks.
    """
    try:
        found = orjson.loads(read_key_file(path))
    except orjson.JSONDecodeError:
        raise ValueError("must name a file with a JWK set in JSON") from None
    if not isinstance(found, dict) or not isinstance(found.get("keys"), list):
        raise ValueError('must name a JWK set: an object with a list under "keys"')
    keys: list[PublicKey] = []
    for number, jwk in enumerate(found["keys"], start=1):
        try:
            key = decode_jwk(jwk)
        except ValueError as error:
            raise ValueError(f"must name a JWK set that is sound, but key {number} {error}") from error
        if key is not None:
            keys.append(key)
    if not keys:
        raise ValueError(f"must name a JWK set with {USABLE_KEYS}")
    if ambiguous := ambiguous_kid(keys):
        raise ValueError(f"must name a JWK set whose keys can be told apart, but two are called {ambiguous!r}")
    return tuple(keys)


def decode_jwk(jwk: object) -> PublicKey | None:
    """The key that *jwk* describes; None where it is of another kind, or not for the signatures known here.

    Raises:
        ValueError: when it is not a public key, or not a whole one; the text says what it lacks.
    """
    if not isinstance(jwk, dict) or not isinstance(jwk.get("kty"), str):
        raise ValueError("is no object with a kty")
    if jwk["kty"] == "oct" or "d" in jwk:
        raise ValueError("is secret: only public keys belong there")
    kid, use, operations = jwk.get("kid"), jwk.get("use", "sig"), jwk.get("key_ops", ["verify"])
    if kid is not None and not isinstance(kid, str):
        raise ValueError("has a kid that is no text")
    if use != "sig" or not isinstance(operations, list) or "verify" not in operations:
        return None
    key = decode_key(jwk)
    if key is None:
        return None
    fitting = algorithms_of(key)
    if not fitting:
        raise ValueError(f"is weak: it must be {USABLE_KEYS}")
    algorithms = tuple(algorithm for algorithm in fitting if jwk.get("alg") in (None, algorithm))
    return PublicKey(pem_of(key), algorithms, kid) if algorithms else None


def decode_key(jwk: Mapping[str, object]) -> RSAPublicKey | EllipticCurvePublicKey | None:
    """The RSA or elliptic-curve key in *jwk*; None for other kinds and curves.

    Raises:
        ValueError: when its numbers are not those of a key.
    """
    try:
        if jwk["kty"] == "RSA":
            return RSAPublicNumbers(decode_number(jwk, "e"), decode_number(jwk, "n")).public_key()
        if jwk["kty"] == "EC" and (curve := CURVES.get(str(jwk.get("crv")))):
            return EllipticCurvePublicNumbers(decode_number(jwk, "x"), decode_number(jwk, "y"), curve).public_key()
    except UnsupportedAlgorithm as error:
        raise ValueError("is of a kind that cannot be used") from error
    return None


def decode_number(jwk: Mapping[str, object], name: str) -> int:
    """The unsigned big-endian number in base64url under *name*."""
    text = jwk.get(name)
    # One character of a group of four carries no whole byte.
    if not isinstance(text, str) or not BASE64URL.fullmatch(text) or len(text) % 4 == 1:
        raise ValueError(f"has no number in base64url under {name}")
    return int.from_bytes(urlsafe_b64decode(text + "=" * (-len(text) % 4)))


def ambiguous_kid(keys: list[PublicKey]) -> str | None:
    """A kid under which two of *keys* verify the same algorithm; None where there is none."""
    seen = set()
    for key in keys:
        for algorithm in key.algorithms:
            if key.kid is not None and (key.kid, algorithm) in seen:
                return key.kid
            seen.add((key.kid, algorithm))
    return None
