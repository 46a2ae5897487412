"""The callers' bearer tokens: JSON Web Tokens that name an account."""

import math
import re
from collections.abc import Mapping

import orjson
from jose import jwk, jws, jwt
from jose.exceptions import JOSEError

from gateway.auth.token_keys import open_token_keys
from gateway.clock import Clock
from gateway.errors import MalformedAuthorization, Unauthenticated
from gateway.memory import LruCache, text_bytes
from gateway.redaction import Secret
from gateway.settings.config import Config
from gateway.settings.secret_file import Secrets

TOKEN_CACHE_BYTES = 16 * 1024 * 1024
TOKEN_ENTRY_BYTES = 512  # what a remembered token takes beside its text and its account
MAX_TOKEN_CHARACTERS = 8000  # characters; servers commonly take about 8 KiB as one header line
MAX_ACCOUNT_CHARACTERS = 255  # characters
TOKEN_PART = re.compile(r"[A-Za-z0-9_-]+")
TOKEN_PARTS = 3
MISSING_VALUES = ("null", "undefined", "none", "nil", "nan")  # what languages print for a token that is not there
INVALID_TOKEN = "invalid_token"  # RFC 6750, section 3.1


class TokenVerifier:
    """Tells whose token an Authorization header carries.

    A token's signature is checked once and remembered for as long as the keys stay, its `exp` is looked at every time.

    Raises:
        SettingsError: when the settings give no key.
    """

    def __init__(self, config: Config, secrets: Secrets, clock: Clock) -> None:
        self._remembered: LruCache[str, tuple[str, float]] = LruCache(TOKEN_CACHE_BYTES, _weigh)
        self._keys = open_token_keys(config, secrets, clock, on_change=self._remembered.clear)
        self._config = config
        self._clock = clock

    def verify(self, header: str | None) -> str:
        """The account that the token in *header* names.

        Raises:
            Unauthenticated: when there is no token, or none that counts now; it says why.
        """
        if header is None:
            raise Unauthenticated("no token came with the request")
        self._keys.look()
        known = self._remembered.get(header)
        if known is None:
            header = f"Bearer {bearer_token(header)}"  # however it was spelled and padded, one entry a token
            known = self._remembered.get(header) or self._remember(header)
        self._remembered.move_to_end(header)
        account, ends_at = known
        if self._clock.now() >= ends_at:
            self._remembered.forget(header)
            raise rejected("the token has expired")
        return account

    def _remember(self, header: str) -> tuple[str, float]:
        known = self._read(header.removeprefix("Bearer "))
        self._remembered.remember(header, known)
        return known

    def _read(self, token: str) -> tuple[str, float]:
        """The account that *token* names and when it ends, leeway included (never: infinity), if it is valid here."""
        claims = self._signed_claims(token)
        leeway_s = self._config.jwt_leeway_s
        ends_at = time_claim(claims, "exp", absent=math.inf) + leeway_s
        if self._clock.now() < time_claim(claims, "nbf", absent=-math.inf) - leeway_s:
            raise rejected("the token does not count yet")
        if self._config.jwt_issuer is not None and claims.get("iss") != self._config.jwt_issuer:
            raise rejected("the token comes from another issuer")
        audience = claims.get("aud")
        audiences = audience if isinstance(audience, list) else [audience]
        if self._config.jwt_audience is not None and self._config.jwt_audience not in audiences:
            raise rejected("the token is meant for another audience")
        return account_of(claims, self._config.account_claim), ends_at

    def _signed_claims(self, token: str) -> Mapping[str, object]:
        header = token_header(token)
        try:
            algorithm = header.get("alg")
            if not isinstance(algorithm, str) or algorithm not in self._config.jwt_algorithms:
                raise rejected("the token is signed with an algorithm that is not taken here")
            if "crit" in header:  # RFC 7515, section 4.1.11: what we do not understand, we must refuse
                raise rejected("the token asks for an extension that is not known here")
            key = self._keys.find(algorithm, header.get("kid"))
            if key is None:
                raise rejected("the token names no key that is known here")
            payload = jws.verify(token, key, [algorithm])
        # python-jose lets more than its own errors out: a header nested without end, bytes that are no text.
        except (JOSEError, ValueError, TypeError, RecursionError) as error:
            raise rejected("the signature of the token does not hold") from error
        try:
            claims = orjson.loads(payload)
        except orjson.JSONDecodeError as error:
            raise malformed("the claims of the token are not JSON") from error
        if not isinstance(claims, dict):
            raise malformed("the claims of the token are not a JSON object")
        return claims


def _weigh(header: str, known: tuple[str, float]) -> int:
    return text_bytes(header) + text_bytes(known[0]) + TOKEN_ENTRY_BYTES


def bearer_token(header: str) -> str:
    """The token in an Authorization header.

    Raises:
        MalformedAuthorization: when the header is of another kind, or has no token, or several words in its place.
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
    """The header of *token*, which nobody has verified yet.

    Raises:
        MalformedAuthorization: when *token* cannot be a JSON Web Token.
    """
    if len(token) > MAX_TOKEN_CHARACTERS:
        raise malformed(f"the token is longer than {MAX_TOKEN_CHARACTERS} characters")
    if token.lower() in MISSING_VALUES:
        raise malformed(f"the token is the word {token.lower()}, not a JSON Web Token")
    parts = token.split(".")
    if len(parts) != TOKEN_PARTS:
        raise malformed(
            f"the token is not a JSON Web Token: it must have 3 parts with dots between, and has {len(parts)}"
        )
    if not all(map(TOKEN_PART.fullmatch, parts)):
        raise malformed("the token is not a JSON Web Token: each of its parts must be base64url, and not empty")
    try:
        header: Mapping[str, object] = jws.get_unverified_header(token)
    except (JOSEError, ValueError, TypeError, RecursionError) as error:  # as python-jose lets out
        raise malformed("the token is not a JSON Web Token: its parts cannot be decoded") from error
    return header


def malformed(reason: str) -> MalformedAuthorization:
    """The refusal of what came in the place of a JSON Web Token."""
    return MalformedAuthorization(reason, error=INVALID_TOKEN)


def rejected(reason: str) -> Unauthenticated:
    """The refusal of a token that came."""
    return Unauthenticated(reason, error=INVALID_TOKEN)


def time_claim(claims: Mapping[str, object], name: str, *, absent: float) -> float:
    """Seconds since the Unix epoch under *name*.

    Raises:
        Unauthenticated: when the claim is there, null included, and is not a number.
    """
    if name not in claims:
        return absent
    value = claims[name]
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise rejected(f"the claim {name} of the token is not a number")
    return value


def account_of(claims: Mapping[str, object], names: tuple[str, ...]) -> str:
    """The account under the first of *names* that *claims* has; null counts as absent.

    Raises:
        Unauthenticated: when none is there, or the first one is no account id.
    """
    for name in names:
        value = claims.get(name)
        if value is None:
            continue
        if isinstance(value, int) and not isinstance(value, bool):
            return str(value)
        if isinstance(value, str) and is_account(value):
            return value
        raise rejected(f"the claim {name} of the token is not an account id")
    raise rejected("the token names no account")


def is_account(name: str) -> bool:
    """Whether *name* can be an account's."""
    return 0 < len(name) <= MAX_ACCOUNT_CHARACTERS and name.isprintable()


def issue_token(config: Config, secret: Secret, clock: Clock, account: str, *, ttl_s: int) -> str:
    """A token for *account* that this gateway accepts for *ttl_s* seconds from now."""
    now = int(clock.now())
    claims: dict[str, object] = {config.account_claim[0]: account, "iat": now, "exp": now + ttl_s}
    if config.jwt_issuer is not None:
        claims["iss"] = config.jwt_issuer
    if config.jwt_audience is not None:
        claims["aud"] = config.jwt_audience
    algorithm = config.jwt_algorithms[0]
    return jwt.encode(claims, jwk.construct(secret, algorithm), algorithm=algorithm)
