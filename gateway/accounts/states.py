"""The signed `state` parameter of an authorization."""

import hashlib
import hmac
import secrets
from base64 import b64decode, urlsafe_b64encode
from dataclasses import dataclass
from typing import Any

import orjson
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from gateway.clock import Clock
from gateway.errors import InvalidInput

LIFETIME_S = 600
MAX_STATE_CHARACTERS = 8192
NONCE_BYTES = 16
TO_STANDARD_ALPHABET = str.maketrans("-_ ", "+/+")


@dataclass(frozen=True)
class State:
    """The *account* that is being connected to the host *portal*, and where the person returns to afterwards.

    Each state has its own *nonce*, so that it can be used only once; the nonce must be stored until *expires_at* (Unix
    seconds).
    """

    account: str
    portal: str
    redirect_url: str | None
    nonce: str
    expires_at: int


class StateSigner:
    """Signs and verifies states with a key derived from the encryption key."""

    def __init__(self, encryption_key: bytes, clock: Clock) -> None:
        self._key = HKDF(SHA256(), 32, salt=None, info=b"bitrix-gateway state").derive(encryption_key)
        self._clock = clock

    def issue(self, account: str, portal: str, redirect_url: str | None = None) -> tuple[str, State]:
        """Return a state that expires in ten minutes, as base64url without padding and as a value.

        *portal* is the host to authorize.
        """
        state = State(
            account,
            portal,
            redirect_url,
            nonce=secrets.token_urlsafe(NONCE_BYTES),
            expires_at=int(self._clock.now()) + LIFETIME_S,
        )
        body: dict[str, object] = {
            "account": state.account,
            "portal": state.portal,
            "nonce": state.nonce,
            "exp": state.expires_at,
        }
        if redirect_url is not None:
            body["redirectURL"] = redirect_url
        signed = orjson.dumps(body | {"signature": self._signature(body)})
        return urlsafe_b64encode(signed).decode().rstrip("="), state

    def read(self, state: str) -> State:
        """Verify an issued *state*, in either base64 alphabet, with or without padding.

        Raises:
            InvalidInput: this gateway did not issue it, or it has expired.
        """
        body = decode_object(state)
        signature = body.pop("signature", None)
        if not isinstance(signature, str) or not hmac.compare_digest(
            signature.encode(), self._signature(body).encode()
        ):
            raise unknown_state()
        if self._clock.now() >= body["exp"]:
            raise InvalidInput.of_parameter("state", "expired_state", "has expired: start the authorization again")
        return State(body["account"], body["portal"], body.get("redirectURL"), body["nonce"], body["exp"])

    def _signature(self, body: dict[str, object]) -> str:
        canonical = orjson.dumps(body, option=orjson.OPT_SORT_KEYS)
        return hmac.new(self._key, canonical, hashlib.sha256).hexdigest()


def decode_object(state: str) -> dict[str, Any]:
    """Decode *state*: the base64 of a flat JSON object.

    Raises:
        InvalidInput: it is not.
    """
    if not state:
        raise InvalidInput.of_parameter("state", "required", "is required")
    if len(state) > MAX_STATE_CHARACTERS:
        raise InvalidInput.of_parameter("state", "too_long", f"must have at most {MAX_STATE_CHARACTERS} characters")
    # An unescaped plus sign in a query is decoded as a space.
    standard = state.translate(TO_STANDARD_ALPHABET).rstrip("=")
    try:
        body = orjson.loads(b64decode(standard + "=" * (-len(standard) % 4), validate=True))
    except ValueError as error:  # the errors of binascii, orjson and str.encode are all ValueErrors
        raise unknown_state() from error
    if not isinstance(body, dict) or not all(isinstance(value, (str, int)) for value in body.values()):
        raise unknown_state()
    return body


def unknown_state() -> InvalidInput:
    """Return the error for a state that was not issued here. It does not reveal which check failed."""
    return InvalidInput.of_parameter("state", "unknown_state", "must be a state that this gateway issued")
