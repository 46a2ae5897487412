"""Which key verifies a token, while the keys change."""

import hashlib
import hmac
import json
from base64 import urlsafe_b64encode
from pathlib import Path
from typing import Any

import pytest
from jose import jws
from structlog.testing import capture_logs

from gateway.auth.tokens import TokenVerifier, issue_token
from gateway.clock import Clock
from gateway.errors import Unauthenticated
from gateway.redaction import Secret
from gateway.settings.config import load_config
from gateway.settings.secret_file import Secrets, resolve_secrets
from tests.clock import ManualClock
from tests.support.jwks import curve_signer, rsa_signer, write_jwk_set

OLD, NEW, CURVE = rsa_signer("old"), rsa_signer("new"), curve_signer("curve")
UNKNOWN_KEY = "the token names no key that is known here"
BAD_SIGNATURE = "the signature of the token does not hold"


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    return tmp_path / "keys.json"


def verifier(keys: Path, clock: Clock | None = None, **settings: str) -> TokenVerifier:
    config = load_config({}, {"jwks_file": keys, **settings})
    return TokenVerifier(config, Secrets(None, bytes(32)), clock or ManualClock())


def refusal(tokens: TokenVerifier, token: str) -> str:
    """Why *token* is refused."""
    with pytest.raises(Unauthenticated) as refused:
        tokens.verify(f"Bearer {token}")
    return refused.value.reason


def accepted(tokens: TokenVerifier, token: str) -> bool:
    return tokens.verify(f"Bearer {token}") == "acme"


def test_the_key_is_the_one_that_the_token_names(keys: Path) -> None:
    tokens = verifier(write_jwk_set(keys, OLD, NEW, CURVE))
    for signer, algorithm in ((OLD, "RS256"), (NEW, "RS512"), (CURVE, "ES256")):
        assert accepted(tokens, signer.token(algorithm))
    assert refusal(tokens, OLD.token("RS256", kid="new")) == BAD_SIGNATURE
    for kid in ("newer", "", 7, True, ["old"], {"old": 1}):
        assert refusal(tokens, OLD.token("RS256", kid=kid)) == UNKNOWN_KEY


def test_a_token_that_names_no_key_counts_where_one_key_alone_fits_its_algorithm(keys: Path) -> None:
    tokens = verifier(write_jwk_set(keys, OLD, NEW.jwk | {"alg": "RS512"}, CURVE))
    assert accepted(tokens, CURVE.token("ES256", kid=None))
    assert accepted(tokens, OLD.token("RS256", kid=None))
    assert refusal(tokens, OLD.token("RS512", kid=None)) == UNKNOWN_KEY
    assert refusal(tokens, NEW.token("RS512", kid=None)) == UNKNOWN_KEY


def test_a_key_verifies_no_other_algorithm_than_its_own(keys: Path) -> None:
    tokens = verifier(write_jwk_set(keys, OLD.jwk | {"alg": "RS256"}, CURVE))
    assert accepted(tokens, OLD.token("RS256"))
    assert refusal(tokens, OLD.token("RS512")) == UNKNOWN_KEY
    assert refusal(tokens, OLD.token("RS256", kid="curve")) == UNKNOWN_KEY
    assert refusal(verifier(keys, jwt_algorithms="ES256"), OLD.token("RS256")).startswith("the token is signed with")


@pytest.mark.parametrize("known", [OLD.public_pem, json.dumps(OLD.jwk).encode(), OLD.jwk["n"].encode()])
def test_nothing_public_can_be_used_as_a_secret(keys: Path, known: bytes) -> None:
    header = urlsafe_b64encode(b'{"alg":"HS256","kid":"old"}').rstrip(b"=")
    signed = header + b"." + urlsafe_b64encode(b'{"sub":"acme"}').rstrip(b"=")
    signature = urlsafe_b64encode(hmac.new(known, signed, hashlib.sha256).digest()).rstrip(b"=")
    forged = (signed + b"." + signature).decode()
    assert "not taken here" in refusal(verifier(write_jwk_set(keys, OLD)), forged)


async def test_the_file_is_read_again_when_it_has_changed_once_a_second(keys: Path) -> None:
    clock = ManualClock()
    tokens = verifier(write_jwk_set(keys, OLD), clock)
    old = OLD.token("RS256")
    assert accepted(tokens, old)
    write_jwk_set(keys, CURVE)
    await clock.advance(0.75)
    assert accepted(tokens, old)
    await clock.advance(0.25)
    assert refusal(tokens, old) == UNKNOWN_KEY
    assert accepted(tokens, CURVE.token("ES256"))


async def test_a_key_that_is_not_known_yet_is_looked_for_at_once_and_then_once_a_second(keys: Path) -> None:
    clock = ManualClock()
    tokens = verifier(write_jwk_set(keys, OLD), clock)
    assert accepted(tokens, OLD.token("RS256"))
    await clock.advance(0.25)
    write_jwk_set(keys, OLD, NEW)
    assert accepted(tokens, NEW.token("RS256"))
    write_jwk_set(keys, OLD, NEW, CURVE)
    assert refusal(tokens, CURVE.token("ES256")) == UNKNOWN_KEY
    await clock.advance(1)
    assert accepted(tokens, CURVE.token("ES256"))


async def test_a_key_under_its_old_name_is_another_key(keys: Path) -> None:
    clock = ManualClock()
    tokens = verifier(write_jwk_set(keys, OLD), clock)
    token = OLD.token("RS256")
    assert accepted(tokens, token)
    write_jwk_set(keys, NEW.jwk | {"kid": "old"})
    await clock.advance(1)
    assert refusal(tokens, token) == BAD_SIGNATURE


async def test_the_signature_is_checked_again_only_where_the_keys_have_changed(
    keys: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked: list[str] = []
    verify = jws.verify

    def counting(token: str, *rest: Any) -> bytes:
        checked.append(token)
        return verify(token, *rest)

    monkeypatch.setattr(jws, "verify", counting)
    clock = ManualClock()
    tokens = verifier(write_jwk_set(keys, OLD), clock)
    token = OLD.token("RS256")
    for rewritten, checks in ((False, 1), (True, 1), (False, 1)):
        if rewritten:
            write_jwk_set(keys, OLD)
        await clock.advance(1)
        assert accepted(tokens, token)
        assert len(checked) == checks
    write_jwk_set(keys, OLD, NEW)
    await clock.advance(1)
    assert accepted(tokens, token)
    assert len(checked) == 2


def put(path: Path, content: str | None) -> None:
    """Write *content* over what is at *path*; None removes it."""
    if content is None:
        path.unlink()
    else:
        path.write_text(content)


@pytest.mark.parametrize(
    "content", ["", '{"keys": [', '{"keys": []}', '{"keys": [{"kty": "oct", "k": "canary"}]}', None]
)
async def test_a_file_that_cannot_be_used_is_told_once_and_the_last_good_keys_stay(
    keys: Path, content: str | None
) -> None:
    clock = ManualClock()
    tokens = verifier(write_jwk_set(keys, OLD), clock)
    put(keys, content)
    with capture_logs() as lines:
        for _ in range(3):
            await clock.advance(1)
            assert accepted(tokens, OLD.token("RS256"))
            assert refusal(tokens, NEW.token("RS256")) == UNKNOWN_KEY
    assert [line["event"] for line in lines] == ["cannot use the JWK set, the last good one stays"]
    assert lines[0]["reason"].startswith("must name a")
    assert "canary" not in str(lines)
    with capture_logs() as lines:
        write_jwk_set(keys, NEW)
        await clock.advance(1)
        assert accepted(tokens, NEW.token("RS256"))
    assert [(line["event"], line["kids"]) for line in lines] == [("read a changed JWK set", ["new"])]


def test_no_secret_is_made_where_keys_come_from_a_set(keys: Path) -> None:
    config = load_config({}, {"jwks_file": write_jwk_set(keys, OLD), "database": keys.with_name("g.db")})
    secrets = resolve_secrets(config)
    assert (secrets.jwt_secret, secrets.created) == (None, ("GATEWAY_ENCRYPTION_KEY",))


def issued_by(secret: str) -> str:
    return issue_token(load_config({}), Secret(secret), ManualClock(), "acme", ttl_s=3600)


def test_previous_secrets_still_verify_but_none_of_them_signs() -> None:
    config = load_config({}, {"jwt_secret": "secret-of-today", "jwt_previous_secrets": "secret-of-may, secret-of-june"})
    tokens = TokenVerifier(config, Secrets(config.jwt_secret, bytes(32)), ManualClock())
    for secret in ("secret-of-today", "secret-of-may", "secret-of-june"):
        assert accepted(tokens, issued_by(secret))
    for secret in ("secret-of-april", "secret-of-may, secret-of-june", "secret-of-may,secret-of-june"):
        assert refusal(tokens, issued_by(secret)) == BAD_SIGNATURE
