"""What signs the callers' tokens: which algorithms fit which kind of key."""

from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

SECRET_ALGORITHMS = ("HS256", "HS384", "HS512")
RSA_ALGORITHMS = ("RS256", "RS384", "RS512")
CURVE_ALGORITHMS = {"secp256r1": "ES256", "secp384r1": "ES384", "secp521r1": "ES512"}  # RFC 7518, section 3.4
LEAST_RSA_BITS = 2048  # RFC 7518, section 3.3


@dataclass(frozen=True)
class PublicKey:
    """A public key in PEM, and the algorithms that it can verify, the default one first."""

    pem: str
    algorithms: tuple[str, ...]


def read_public_key(path: Path) -> PublicKey:
    """The RSA or elliptic-curve public key in the PEM file at *path*.

    Raises:
        ValueError: when there is no such file, or no such key in it; the text is the rule it breaks.
    """
    try:
        pem = path.read_bytes()
    except OSError as error:
        raise ValueError(f"has to name a file that can be read ({error.strerror})") from error
    try:
        key = load_pem_public_key(pem)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise ValueError("has to name a file with one public key in PEM") from error
    if isinstance(key, RSAPublicKey) and key.key_size >= LEAST_RSA_BITS:
        return PublicKey(pem.decode("ascii"), RSA_ALGORITHMS)
    if isinstance(key, EllipticCurvePublicKey) and (algorithm := CURVE_ALGORITHMS.get(key.curve.name)):
        return PublicKey(pem.decode("ascii"), (algorithm,))
    raise ValueError(
        f"has to name an RSA key of at least {LEAST_RSA_BITS} bits or a P-256, P-384 or P-521 elliptic-curve key"
    )


def fitting_algorithms(public_key_file: Path | None) -> tuple[str, ...]:
    """The algorithms of tokens that the key in *public_key_file* verifies, or a secret where there is none.

    Raises:
        ValueError: when the file holds no usable key.
    """
    return SECRET_ALGORITHMS if public_key_file is None else read_public_key(public_key_file).algorithms
