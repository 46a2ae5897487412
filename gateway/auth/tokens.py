"""Bearer tokens of callers: JSON Web Tokens that identify an account, its user and integration."""

import math
import re
from collections.abc import Mapping

import orjson
from jose import jwk, jws, jwt
from jose.exceptions import JOSEError

from gateway.auth.caller import Caller
from gateway.auth.claims import INVALID_TOKEN, caller_of, rejected, time_claim
from gateway.auth.token_keys import open_token_keys
from gateway.clock import Clock
from gateway.errors import MalformedAuthorization, Unauthenticated
from gateway.memory import LruCache, text_bytes
from gateway.redaction import Secret
from gateway.settings.config import Config
from gateway.settings.secret_file import Secrets

TOKEN_CACHE_BYTES = 16 * 1024 * 1024
TOKEN_ENTRY_BYTES = 512  # overhead of a cached token besides its text and those of its caller
MAX_TOKEN_CHARACTERS = 8000  # servers commonly accept about 8 KiB per header line
TOKEN_PART = re.compile(r"[A-Za-z0-9_-]+")
TOKEN_PARTS = 3
MISSING_VALUES = ("null", "undefined", "none", "nil", "nan")  # how programming languages print a missing value


class TokenVerifier:
    """Authenticates Authorization headers.

    Verified tokens are cached until the keys change; their expiry is checked on every request.

    Raises:
        SettingsError: when the settings define no key.
    """

    def __init__(self, config: Config, secrets: Secrets, clock: Clock) -> None:
        self._verified: LruCache[str, tuple[Caller, float]] = LruCache(TOKEN_CACHE_BYTES, _weigh)
        self._keys = open_token_keys(config, secrets, clock, on_change=self._verified.clear)
        self._config = config
        self._clock = clock

    def verify(self, header: str | None) -> Caller:
        """The caller that the token in *header* identifies.

        Raises:
            Unauthenticated: when there is no token, or it is invalid; the error has the reason.
        """
        if header is None:
            raise Unauthenticated("the request has no token")
        self._keys.refresh()
        verified = self._verified.get(header)
        if verified is None:
            header = f"Bearer {bearer_token(header)}"  # one cache entry per token, whatever the spelling and padding
            verified = self._verified.get(header) or self._verify(header)
        self._verified.move_to_end(header)
        caller, expires_at = verified
        if self._clock.now() >= expires_at:
            self._verified.forget(header)
            raise rejected("the token has expired")
        return caller

    def _verify(self, header: str) -> tuple[Caller, float]:
        verified = self._check(header.removeprefix("Bearer "))
        self._verified.remember(header, verified)
        return verified

    def _check(self, token: str) -> tuple[Caller, float]:
        """The caller and the expiry time of a valid *token*, leeway included; infinity if it does not expire."""
        claims = self._signed_claims(token)
        leeway_s = self._config.jwt_leeway_s
        expires_at = time_claim(claims, "exp", absent=math.inf) + leeway_s
        if self._clock.now() < time_claim(claims, "nbf", absent=-math.inf) - leeway_s:
            raise rejected("the token is not yet valid")
        if self._config.jwt_issuer is not None and claims.get("iss") != self._config.jwt_issuer:
            raise rejected("the token is from another issuer")
        audience = claims.get("aud")
        audiences = audience if isinstance(audience, list) else [audience]
        if self._config.jwt_audience is not None and self._config.jwt_audience not in audiences:
            raise rejected("the token is for another audience")
        return caller_of(claims, self._config), expires_at

    def _signed_claims(self, token: str) -> Mapping[str, object]:
        header = token_header(token)
        try:
            algorithm = header.get("alg")
            if not isinstance(algorithm, str) or algorithm not in self._config.jwt_algorithms:
                raise rejected("the token is signed with an algorithm that is not accepted")
            if "crit" in header:  # RFC 7515, section 4.1.11: unknown extensions must be refused
                raise rejected("the token requires an unknown extension")
            key = self._keys.find(algorithm, header.get("kid"))
            if key is None:
                raise rejected("the token is signed with an unknown key")
            payload = jws.verify(token, key, [algorithm])
        # python-jose raises more than its own errors, for example for a deeply nested header or invalid UTF-8.
        except (JOSEError, ValueError, TypeError, RecursionError) as error:
            raise rejected("the signature of the token is invalid") from error
        try:
            claims = orjson.loads(payload)
        except orjson.JSONDecodeError as error:
            raise malformed("the claims of the token are not JSON") from error
        if not isinstance(claims, dict):
            raise malformed("the claims of the token are not a JSON object")
        return claims


def _weigh(header: str, verified: tuple[Caller, float]) -> int:
    caller, _ = verified
    texts = (header, caller.account_key, caller.user_id or "", caller.client_uuid or "")
    return sum(map(text_bytes, texts)) + TOKEN_ENTRY_BYTES


def bearer_token(header: str) -> str:
    """The token in an Authorization header.

    Raises:
        MalformedAuthorization: when the scheme is not Bearer, or it is not followed by exactly one token.
    """
    scheme, _, rest = header.partition(" ")
    if scheme.lower() != "bearer":
        raise MalformedAuthorization(
            "the Authorization header must be the word Bearer, a space and a token"
            if header
            else "the Authorization header is empty"
        )
    token = rest.strip(" ")
    if not token:
        raise malformed("the Authorization header has no token after the word Bearer")
    if " " in token or "\t" in token:
        raise malformed("the Authorization header must have one token after the word Bearer, without spaces")
    return token


def token_header(token: str) -> Mapping[str, object]:
    """The header of *token*, not verified.

    Raises:
        MalformedAuthorization: when *token* is not a JSON Web Token.
    """
    if len(token) > MAX_TOKEN_CHARACTERS:
        raise malformed(f"the token is longer than {MAX_TOKEN_CHARACTERS} characters")
    if token.lower() in MISSING_VALUES:
        raise malformed(f"the token is the word {token.lower()}, not a JSON Web Token")
    parts = token.split(".")
    if len(parts) != TOKEN_PARTS:
        raise malformed(f"the token is not a JSON Web Token: it must have 3 parts separated by dots, not {len(parts)}")
    if not all(map(TOKEN_PART.fullmatch, parts)):
        raise malformed("the token is not a JSON Web Token: its parts must be base64url and not empty")
    try:
        header: Mapping[str, object] = jws.get_unverified_header(token)
    except (JOSEError, ValueError, TypeError, RecursionError) as error:  # as above
        raise malformed("the token is not a JSON Web Token: its parts cannot be decoded") from error
    return header


def malformed(reason: str) -> MalformedAuthorization:
    """The error for something else than a JSON Web Token."""
    return MalformedAuthorization(reason, error=INVALID_TOKEN)


def issue_token(config: Config, secret: Secret, clock: Clock, caller: Caller, *, ttl_s: int) -> str:
    """A token that identifies *caller* and is valid for *ttl_s* seconds."""
    now = int(clock.now())
    claims: dict[str, object] = {config.account_claim[0]: caller.account_key, "iat": now, "exp": now + ttl_s}
    if caller.user_id is not None:
        claims[config.user_claim[0]] = caller.user_id
    if caller.is_admin:
        claims[config.admin_claim[0]] = True
    if caller.client_uuid is not None:
        claims[config.client_uuid_claim[0]] = caller.client_uuid
    if config.jwt_issuer is not None:
        claims["iss"] = config.jwt_issuer
    if config.jwt_audience is not None:
        claims["aud"] = config.jwt_audience
    algorithm = config.jwt_algorithms[0]
    return jwt.encode(claims, jwk.construct(secret, algorithm), algorithm=algorithm)
