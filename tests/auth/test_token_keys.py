"""Selection of the key that verifies a token, and key rotation."""

import hashlib
import hmac
import json
from base64 import urlsafe_b64encode
from pathlib import Path
from typing import Any

import pytest
from jose import jws
from structlog.testing import capture_logs

from gateway.auth.caller import Caller
from gateway.auth.tokens import TokenVerifier, issue_token
from gateway.clock import Clock
from gateway.errors import Unauthenticated
from gateway.redaction import Secret
from gateway.settings.config import load_config
from gateway.settings.secret_file import Secrets, resolve_secrets
from tests.clock import ManualClock
from tests.support.jwks import curve_signer, rsa_signer, write_jwk_set

OLD, NEW, CURVE = rsa_signer("old"), rsa_signer("new"), curve_signer("curve")
UNKNOWN_KEY = "the token is signed with an unknown key"
BAD_SIGNATURE = "the signature of the token is invalid"


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    return tmp_path / "keys.json"


def verifier(keys: Path, clock: Clock | None = None, **settings: str) -> TokenVerifier:
    config = load_config({}, {"jwks_file": keys, **settings})
    return TokenVerifier(config, Secrets(None, bytes(32)), clock or ManualClock())


def refusal(tokens: TokenVerifier, token: str) -> str:
    """The reason why *token* is refused."""
    with pytest.raises(Unauthenticated) as refused:
        tokens.verify(f"Bearer {token}")
    return refused.value.reason


def accepted(tokens: TokenVerifier, token: str) -> bool:
    return tokens.verify(f"Bearer {token}").account_key == "acme"


def test_the_kid_selects_the_key(keys: Path) -> None:
    tokens = verifier(write_jwk_set(keys, OLD, NEW, CURVE))
    for signer, algorithm in ((OLD, "RS256"), (NEW, "RS512"), (CURVE, "ES256")):
        assert accepted(tokens, signer.token(algorithm))
    assert refusal(tokens, OLD.token("RS256", kid="new")) == BAD_SIGNATURE
    for kid in ("newer", "", 7, True, ["old"], {"old": 1}):
        assert refusal(tokens, OLD.token("RS256", kid=kid)) == UNKNOWN_KEY


def test_a_token_without_kid_is_accepted_if_exactly_one_key_fits(keys: Path) -> None:
    tokens = verifier(write_jwk_set(keys, OLD, NEW.jwk | {"alg": "RS512"}, CURVE))
    assert accepted(tokens, CURVE.token("ES256", kid=None))
    assert accepted(tokens, OLD.token("RS256", kid=None))
    assert refusal(tokens, OLD.token("RS512", kid=None)) == UNKNOWN_KEY
    assert refusal(tokens, NEW.token("RS512", kid=None)) == UNKNOWN_KEY


def test_a_key_verifies_only_its_own_algorithms(keys: Path) -> None:
    tokens = verifier(write_jwk_set(keys, OLD.jwk | {"alg": "RS256"}, CURVE))
    assert accepted(tokens, OLD.token("RS256"))
    assert refusal(tokens, OLD.token("RS512")) == UNKNOWN_KEY
    assert refusal(tokens, OLD.token("RS256", kid="curve")) == UNKNOWN_KEY
    assert refusal(verifier(keys, jwt_algorithms="ES256"), OLD.token("RS256")).startswith("the token is signed with")


@pytest.mark.parametrize("known", [OLD.public_pem, json.dumps(OLD.jwk).encode(), OLD.jwk["n"].encode()])
def test_public_data_cannot_be_used_as_a_secret(keys: Path, known: bytes) -> None:
    header = urlsafe_b64encode(b'{"alg":"HS256","kid":"old"}').rstrip(b"=")
    signed = header + b"." + urlsafe_b64encode(b'{"sub":"acme"}').rstrip(b"=")
    signature = urlsafe_b64encode(hmac.new(known, signed, hashlib.sha256).digest()).rstrip(b"=")
    forged = (signed + b"." + signature).decode()
    assert "not accepted" in refusal(verifier(write_jwk_set(keys, OLD)), forged)


async def test_a_changed_file_is_reloaded_within_a_second(keys: Path) -> None:
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


async def test_an_unknown_kid_reloads_the_file_at_most_once_a_second(keys: Path) -> None:
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


async def test_a_new_key_with_an_old_id_replaces_the_key(keys: Path) -> None:
    clock = ManualClock()
    tokens = verifier(write_jwk_set(keys, OLD), clock)
    token = OLD.token("RS256")
    assert accepted(tokens, token)
    write_jwk_set(keys, NEW.jwk | {"kid": "old"})
    await clock.advance(1)
    assert refusal(tokens, token) == BAD_SIGNATURE


async def test_signatures_are_checked_again_only_if_the_keys_changed(
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
    """Replace the content of the file at *path*; None removes the file."""
    if content is None:
        path.unlink()
    else:
        path.write_text(content)


@pytest.mark.parametrize(
    "content", ["", '{"keys": [', '{"keys": []}', '{"keys": [{"kty": "oct", "k": "canary"}]}', None]
)
async def test_an_invalid_file_is_logged_once_and_the_last_valid_keys_stay(keys: Path, content: str | None) -> None:
    clock = ManualClock()
    tokens = verifier(write_jwk_set(keys, OLD), clock)
    put(keys, content)
    with capture_logs() as lines:
        for _ in range(3):
            await clock.advance(1)
            assert accepted(tokens, OLD.token("RS256"))
            assert refusal(tokens, NEW.token("RS256")) == UNKNOWN_KEY
    assert [line["event"] for line in lines] == ["invalid JWK set, keeping the last valid one"]
    assert lines[0]["reason"].startswith("must be a")
    assert "canary" not in str(lines)
    with capture_logs() as lines:
        write_jwk_set(keys, NEW)
        await clock.advance(1)
        assert accepted(tokens, NEW.token("RS256"))
    assert [(line["event"], line["kids"]) for line in lines] == [("reloaded the JWK set", ["new"])]


def test_no_secret_is_generated_if_a_jwk_set_is_configured(keys: Path) -> None:
    config = load_config({}, {"jwks_file": write_jwk_set(keys, OLD), "database": keys.with_name("g.db")})
    secrets = resolve_secrets(config)
    assert (secrets.jwt_secret, secrets.created) == (None, ("GATEWAY_ENCRYPTION_KEY",))


def issued_by(secret: str) -> str:
    return issue_token(load_config({}), Secret(secret), ManualClock(), Caller("acme"), ttl_s=3600)


def test_previous_secrets_verify_and_do_not_sign() -> None:
    config = load_config({}, {"jwt_secret": "secret-of-today", "jwt_previous_secrets": "secret-of-may, secret-of-june"})
    tokens = TokenVerifier(config, Secrets(config.jwt_secret, bytes(32)), ManualClock())
    for secret in ("secret-of-today", "secret-of-may", "secret-of-june"):
        assert accepted(tokens, issued_by(secret))
    for secret in ("secret-of-april", "secret-of-may, secret-of-june", "secret-of-may,secret-of-june"):
        assert refusal(tokens, issued_by(secret)) == BAD_SIGNATURE
