"""Keys of an authorization server: private keys that sign tokens, and their JWK set."""

import json
from base64 import urlsafe_b64encode
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from jose import jws

CURVE_NAMES = {"secp256r1": "P-256", "secp384r1": "P-384", "secp521r1": "P-521", "secp256k1": "secp256k1"}


def base64url(number: int, size: int | None = None) -> str:
    content = number.to_bytes(size or (number.bit_length() + 7) // 8)
    return urlsafe_b64encode(content).decode().rstrip("=")


@dataclass(frozen=True)
class Signer:
    """A private key with its id."""

    key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
    kid: str | None

    @property
    def jwk(self) -> dict[str, Any]:
        """The public key as a JWK (RFC 7518, section 6)."""
        named = {} if self.kid is None else {"kid": self.kid}
        if isinstance(self.key, rsa.RSAPrivateKey):
            numbers = self.key.public_key().public_numbers()
            return named | {"kty": "RSA", "n": base64url(numbers.n), "e": base64url(numbers.e)}
        point, size = self.key.public_key().public_numbers(), (self.key.key_size + 7) // 8
        return named | {
            "kty": "EC",
            "crv": CURVE_NAMES[self.key.curve.name],
            "x": base64url(point.x, size),
            "y": base64url(point.y, size),
        }

    @property
    def public_pem(self) -> bytes:
        return self.key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)

    def token(self, algorithm: str, *, kid: object = ..., **claims: object) -> str:
        """A token of the account "acme", signed with this key; *kid* replaces its id, None omits it."""
        private = self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
        kid = self.kid if kid is ... else kid
        payload = json.dumps({"sub": "acme"} | claims).encode()
        return jws.sign(payload, private, {} if kid is None else {"kid": kid}, algorithm=algorithm)


def rsa_signer(kid: str | None, *, bits: int = 2048) -> Signer:
    return Signer(rsa.generate_private_key(65537, bits), kid)


def curve_signer(kid: str | None, curve: ec.EllipticCurve | None = None) -> Signer:
    return Signer(ec.generate_private_key(curve or ec.SECP256R1()), kid)


def write_jwk_set(path: Path, *keys: dict[str, Any] | Signer) -> Path:
    """Write a JWK set to *path* atomically."""
    temporary = path.with_name(f"{path.name}.new")
    temporary.write_text(json.dumps({"keys": [key.jwk if isinstance(key, Signer) else key for key in keys]}))
    return temporary.replace(path)
