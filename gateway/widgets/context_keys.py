"""The key that signs what widgets are told about the person who opens them."""

from base64 import urlsafe_b64encode
from collections.abc import Mapping
from hashlib import sha256

import orjson
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from jose import jwk, jwt

from gateway.crypto.vault import Vault
from storage.metadata import MetadataStore

ALGORITHM = "ES256"
CONTEXT_KEY = "widget_context_key"  # metadata of a database: the private key, sealed
KEY_MEMBERS = ("crv", "kty", "x", "y")  # of the thumbprint. Source: RFC 7638, section 3.2


class ContextKey:
    """A private key, in PEM. Its id is the thumbprint of the public key."""

    def __init__(self, pem: bytes) -> None:
        self._key = jwk.construct(pem.decode("ascii"), ALGORITHM)
        public = self._key.public_key().to_dict()
        members = {name: public[name] for name in KEY_MEMBERS}
        thumbprint = sha256(orjson.dumps(members)).digest()
        self.kid = urlsafe_b64encode(thumbprint).rstrip(b"=").decode("ascii")
        self.public_jwk = {**members, "kid": self.kid, "use": "sig", "alg": ALGORITHM}

    def sign(self, claims: Mapping[str, object]) -> str:
        """Return *claims* as a signed JSON Web Token."""
        return jwt.encode(dict(claims), self._key, algorithm=ALGORITHM, headers={"kid": self.kid})


class ContextKeys:
    """Keeps the key, which is made when it is first needed, encrypted in the database."""

    def __init__(self, metadata: MetadataStore, vault: Vault) -> None:
        self._metadata = metadata
        self._vault = vault
        self._key: ContextKey | None = None

    async def current(self) -> ContextKey:
        """Return the key. All callers get the same, also those that need it first at the same time."""
        if self._key is None:
            sealed = await self._metadata.load(CONTEXT_KEY)
            if sealed is None:
                sealed = await self._metadata.add(CONTEXT_KEY, self._vault.seal(new_key(), CONTEXT_KEY))
            self._key = ContextKey(self._vault.open(sealed, CONTEXT_KEY))
        return self._key


def new_key() -> bytes:
    """Return a new private key on the curve P-256, in PEM."""
    return generate_private_key(SECP256R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
