"""Public keys that verify tokens, and the algorithms that each kind of key supports."""

from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

SECRET_ALGORITHMS = ("HS256", "HS384", "HS512")
RSA_ALGORITHMS = ("RS256", "RS384", "RS512")
CURVE_ALGORITHMS = {"secp256r1": "ES256", "secp384r1": "ES384", "secp521r1": "ES512"}  # RFC 7518, section 3.4
PUBLIC_KEY_ALGORITHMS = (*RSA_ALGORITHMS, *CURVE_ALGORITHMS.values())
MIN_RSA_BITS = 2048  # RFC 7518, section 3.3
USABLE_KEYS = f"an RSA key of at least {MIN_RSA_BITS} bits or a P-256, P-384 or P-521 elliptic-curve key"


@dataclass(frozen=True)
class PublicKey:
    """A public key in PEM, the algorithms that it verifies (the default first), and its id in a JWK set."""

    pem: str
    algorithms: tuple[str, ...]
    kid: str | None = None


def read_public_key(path: Path) -> PublicKey:
    """The RSA or elliptic-curve public key in the PEM file at *path*.

    Raises:
        ValueError: when the file cannot be read or contains no usable key; the text is the broken rule.
    """
    pem = read_key_file(path)
    try:
        key = load_pem_public_key(pem)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise ValueError("must be a file with one public key in PEM") from error
    if not (algorithms := algorithms_of(key)):
        raise ValueError(f"must be {USABLE_KEYS}")
    return PublicKey(pem_of(key), algorithms)


def read_key_file(path: Path) -> bytes:
    """The content of the file at *path*.

    Raises:
        ValueError: when it cannot be read; the text is the broken rule.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise ValueError(f"must be a readable file ({error.strerror})") from error


def algorithms_of(key: PublicKeyTypes) -> tuple[str, ...]:
    """The algorithms that *key* verifies, the default first; empty if it is not one of `USABLE_KEYS`."""
    if isinstance(key, RSAPublicKey):
        return RSA_ALGORITHMS if key.key_size >= MIN_RSA_BITS else ()
    if isinstance(key, EllipticCurvePublicKey) and (algorithm := CURVE_ALGORITHMS.get(key.curve.name)):
        return (algorithm,)
    return ()


def pem_of(key: PublicKeyTypes) -> str:
    """*key* in PEM."""
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode("ascii")
