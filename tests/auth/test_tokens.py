"""Bearer tokens: account claims and every kind of invalid token."""

import hashlib
import hmac
import json
import re
from base64 import urlsafe_b64encode
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from hypothesis import given
from hypothesis import strategies as st
from jose import jws, jwt
from jose.backends.base import Key

from gateway.auth.caller import Caller
from gateway.auth.tokens import TOKEN_CACHE_BYTES, TokenVerifier, issue_token
from gateway.errors import MalformedAuthorization, SettingsError, Unauthenticated
from gateway.redaction import Secret
from gateway.settings.config import Config, load_config
from gateway.settings.secret_file import Secrets, resolve_secrets
from tests.clock import ManualClock
from tests.support.tokens import SECRET, SECRETS, bearer, json_values, verifier


def segment(content: bytes) -> str:
    return urlsafe_b64encode(content).decode().rstrip("=")


@pytest.mark.parametrize("claim", ["accountID", "account_id", "id", "sub"])
def test_the_account_is_read_from_the_usual_claims(claim: str) -> None:
    assert verifier().verify(bearer({claim: "7"})).account_key == "7"


def test_the_first_claim_present_is_used_and_null_is_ignored() -> None:
    assert verifier().verify(bearer({"sub": "4", "id": 3, "account_id": "2", "accountID": None})).account_key == "2"


def test_an_integer_account_becomes_text() -> None:
    assert verifier().verify(bearer({"sub": -12})).account_key == "-12"


def test_the_claim_can_be_configured() -> None:
    assert verifier(account_claim="tenant").verify(bearer({"tenant": "t", "sub": "4"})).account_key == "t"


@pytest.mark.parametrize("word", ["Bearer", "bearer", "BEARER", "bEaReR"])
def test_the_scheme_bearer_is_accepted_in_any_case(word: str) -> None:
    assert verifier().verify(bearer({"sub": "7"}).replace("Bearer", word)).account_key == "7"


FORM = "the Authorization header must be the word Bearer, a space and a token"
NO_JWT = "the token is not a JSON Web Token: "
BASE64URL = f"{NO_JWT}its parts must be base64url and not empty"
UNDECODABLE = f"{NO_JWT}its parts cannot be decoded"


@pytest.mark.parametrize(
    ("header", "sentence"),
    [
        (None, "account id is required"),
        ("", "the Authorization header is empty"),
        ("Basic dXNlcjpwYXNz", FORM),
        ("Bearer\ta.b.c", FORM),
        ("eyJ.a.b", FORM),
    ],
)
def test_without_a_bearer_token_there_is_no_error_code(header: str | None, sentence: str) -> None:
    with pytest.raises(Unauthenticated) as refusal:
        verifier().verify(header)
    assert refusal.value.error is None
    assert refusal.value.detail == sentence


@pytest.mark.parametrize(
    ("token", "sentence"),
    [
        ("", "the Authorization header has no token after the word Bearer"),
        ("  ", "the Authorization header has no token after the word Bearer"),
        (" x y", "the Authorization header must have one token after the word Bearer, without spaces"),
        ("x\ty", "the Authorization header must have one token after the word Bearer, without spaces"),
        ("null", "the token is the word null, not a JSON Web Token"),
        ("None", "the token is the word none, not a JSON Web Token"),
        ("$TOKEN", f"{NO_JWT}it must have 3 parts separated by dots, not 1"),
        ("a", f"{NO_JWT}it must have 3 parts separated by dots, not 1"),
        ("a.b", f"{NO_JWT}it must have 3 parts separated by dots, not 2"),
        ("a.b.c.d", f"{NO_JWT}it must have 3 parts separated by dots, not 4"),
        ("..", BASE64URL),
        ("e30.e30.", BASE64URL),
        ("é.é.é", BASE64URL),
        ('"e30.e30.AA"', BASE64URL),
        ("a.b.c", UNDECODABLE),
        (f"{segment(b'[]')}.e30.AA", UNDECODABLE),
        (f"{segment(b'not json')}.e30.AA", UNDECODABLE),
        (f"{segment(b'[' * 3000)}.e30.AA", UNDECODABLE),
        (f"{segment(bytes([255, 254]))}.e30.AA", UNDECODABLE),
        ("A." * 5000, "the token is longer than 8000 characters"),
    ],
)
def test_a_malformed_token_is_refused_with_its_fault(token: str, sentence: str) -> None:
    with pytest.raises(MalformedAuthorization) as refusal:
        verifier().verify(f"Bearer {token}")
    assert refusal.value.error == "invalid_token"
    assert refusal.value.detail == refusal.value.reason == sentence


@given(st.text(max_size=60))
def test_any_text_as_a_token_is_refused_with_a_reason_valid_in_a_header(text: str) -> None:
    with pytest.raises(Unauthenticated) as refusal:
        verifier().verify(f"Bearer {text}")
    assert re.fullmatch(r"[\x20\x21\x23-\x5b\x5d-\x7e]+", refusal.value.reason)  # RFC 6750, section 3


@pytest.mark.parametrize("claims", ["[]", "null", '"acme"'])
def test_claims_other_than_an_object_are_reported(claims: str) -> None:
    token = jws.sign(claims.encode(), SECRET, algorithm="HS256")
    with pytest.raises(MalformedAuthorization, match="the claims of the token are not a JSON object"):
        verifier().verify(f"Bearer {token}")


@pytest.mark.parametrize("header", ['{"alg":["HS256"]}', '{"alg":null}', "{}"])
def test_a_token_without_a_usable_algorithm_is_refused(header: str) -> None:
    with pytest.raises(Unauthenticated, match="account id is required") as refusal:
        verifier().verify(f"Bearer {segment(header.encode())}.e30.AA")
    assert refusal.value.error == "invalid_token"


def test_a_signature_by_another_secret_is_invalid() -> None:
    with pytest.raises(Unauthenticated) as refusal:
        verifier().verify(bearer({"sub": "7"}, secret="another one"))
    assert refusal.value.reason == "the signature of the token is invalid"


@pytest.mark.parametrize("header", [{"alg": "none"}, {"alg": "None"}, {"alg": "HS512"}, {"alg": "RS256"}, {}])
def test_only_configured_algorithms_are_accepted(header: dict[str, str]) -> None:
    token = ".".join([segment(json.dumps(header).encode()), segment(b'{"sub": "7"}'), "AA"])
    with pytest.raises(Unauthenticated, match="account id is required"):
        verifier().verify(f"Bearer {token}")
    if header.get("alg") == "HS512":
        with pytest.raises(Unauthenticated):
            verifier().verify(bearer({"sub": "7"}, algorithm="HS512"))
        assert verifier(jwt_algorithms="HS256,HS512").verify(bearer({"sub": "7"}, algorithm="HS512")).account_key == "7"


def test_an_unknown_critical_extension_is_refused() -> None:
    token = jwt.encode({"sub": "7"}, SECRET, headers={"crit": ["exp2"]})
    with pytest.raises(Unauthenticated) as refusal:
        verifier().verify(f"Bearer {token}")
    assert "extension" in refusal.value.reason


async def test_a_token_expires_by_the_gateway_clock_cached_or_not() -> None:
    clock = ManualClock()
    tokens = verifier(clock, jwt_leeway_s="0")
    header = bearer({"sub": "7", "exp": clock.now() + 60})
    assert tokens.verify(header).account_key == "7"
    await clock.advance(59)
    assert tokens.verify(header).account_key == "7"
    await clock.advance(1)
    for _ in range(2):
        with pytest.raises(Unauthenticated) as refusal:
            tokens.verify(header)
        assert refusal.value.reason == "the token has expired"
    with pytest.raises(Unauthenticated):
        verifier(clock, jwt_leeway_s="0").verify(header)


async def test_a_token_is_not_valid_before_nbf() -> None:
    clock = ManualClock()
    header = bearer({"sub": "7", "nbf": clock.now() + 1})
    with pytest.raises(Unauthenticated) as refusal:
        verifier(clock, jwt_leeway_s="0").verify(header)
    assert refusal.value.reason == "the token is not yet valid"
    await clock.advance(1)
    assert verifier(clock, jwt_leeway_s="0").verify(header).account_key == "7"


@pytest.mark.parametrize(
    ("settings", "leeway_s"), [({}, 5), ({"jwt_leeway_s": "0"}, 0), ({"jwt_leeway_s": "300"}, 300)]
)
async def test_exp_and_nbf_have_a_leeway_cached_or_not(settings: dict[str, str], leeway_s: int) -> None:
    clock = ManualClock()
    tokens = verifier(clock, **settings)
    early = bearer({"sub": "7", "nbf": clock.now() + leeway_s})
    too_early = bearer({"sub": "7", "nbf": clock.now() + leeway_s + 1})
    late = bearer({"sub": "7", "exp": clock.now() - leeway_s + 1})
    too_late = bearer({"sub": "7", "exp": clock.now() - leeway_s})
    for _ in range(2):
        assert (tokens.verify(early).account_key, tokens.verify(late).account_key) == ("7", "7")
        for refused in (too_early, too_late):
            with pytest.raises(Unauthenticated):
                tokens.verify(refused)
    await clock.advance(1)
    assert tokens.verify(too_early).account_key == "7"
    with pytest.raises(Unauthenticated):
        tokens.verify(late)


@pytest.mark.parametrize("value", ["-1", "301", "1.5"])
def test_a_leeway_out_of_bounds_is_refused(value: str) -> None:
    with pytest.raises(SettingsError, match="GATEWAY_JWT_LEEWAY_S"):
        load_config({"GATEWAY_JWT_LEEWAY_S": value})


@pytest.mark.parametrize("claim", ["exp", "nbf"])
@pytest.mark.parametrize("value", [None, "soon", [1], {}, True, float("inf"), float("nan"), "1e400"])
def test_times_that_are_not_numbers_are_refused(claim: str, value: object) -> None:
    with pytest.raises(Unauthenticated) as refusal:
        verifier().verify(bearer({"sub": "7", claim: value}))
    assert refusal.value.error == "invalid_token"


def test_a_huge_expiry_is_accepted() -> None:
    assert verifier().verify(bearer({"sub": "7", "exp": 10**30})).account_key == "7"


@pytest.mark.parametrize("value", ["", True, False, 1.5, [], ["7"], {}, "x" * 256, "a\x00b", "a\nb", 10**30])
def test_an_invalid_account_id_is_refused_even_if_a_later_claim_is_valid(value: object) -> None:
    with pytest.raises(Unauthenticated) as refusal:
        verifier().verify(bearer({"accountID": value, "sub": "7"}))
    assert refusal.value.reason == "the claim accountID of the token is not an account id"


@pytest.mark.parametrize("claims", [{}, {"sub": None}, [], "sub", 7, None])
def test_a_token_without_an_account_is_refused(claims: object) -> None:
    with pytest.raises(Unauthenticated):
        verifier().verify(bearer(claims))


def test_issuer_and_audience_are_checked_if_configured() -> None:
    strict = verifier(jwt_issuer="sso", jwt_audience="gateway")
    assert strict.verify(bearer({"sub": "7", "iss": "sso", "aud": "gateway"})).account_key == "7"
    assert strict.verify(bearer({"sub": "7", "iss": "sso", "aud": ["other", "gateway"]})).account_key == "7"
    for wrong in ({"iss": "sso"}, {"aud": "gateway"}, {"iss": ["sso"], "aud": "gateway"}, {"iss": "sso", "aud": {}}):
        with pytest.raises(Unauthenticated):
            strict.verify(bearer({"sub": "7"} | wrong))
    assert verifier().verify(bearer({"sub": "7", "iss": "x", "aud": ["y"]})).account_key == "7"


@pytest.fixture
def checks(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The tokens whose signatures were checked."""
    checked: list[str] = []
    verify = jws.verify

    def counting(token: str, key: Key, algorithms: list[str]) -> bytes:
        checked.append(token)
        return verify(token, key, algorithms)

    monkeypatch.setattr(jws, "verify", counting)
    return checked


def test_the_signature_is_checked_once_per_token(checks: list[str]) -> None:
    tokens = verifier()
    header = bearer({"sub": "7"})
    assert [tokens.verify(header).account_key for _ in range(3)] == ["7"] * 3
    assert len(checks) == 1


def test_a_token_is_cached_once_whatever_the_spelling_of_its_header(checks: list[str]) -> None:
    tokens = verifier()
    header = bearer({"sub": "7"})
    for spelled in (header, header.replace("Bearer ", "bearer   "), header + " " * 60_000, header):
        assert tokens.verify(spelled).account_key == "7"
    assert len(checks) == 1


def test_the_cache_keeps_the_most_recently_used_tokens(checks: list[str]) -> None:
    tokens = verifier()
    padding = "x" * 5_500
    count = TOKEN_CACHE_BYTES // len(bearer({"sub": "0", "padding": padding}))
    recent = bearer({"sub": "recent"})
    for number in range(count):
        tokens.verify(bearer({"sub": str(number), "padding": padding}))
        tokens.verify(recent)
    assert len(checks) == count + 1
    tokens.verify(bearer({"sub": "0", "padding": padding}))
    assert len(checks) == count + 2, "it was evicted"


def test_a_public_key_verifies_and_cannot_be_used_as_a_secret(tmp_path: Path) -> None:
    key = rsa.generate_private_key(65537, 2048)
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    (tmp_path / "key.pem").write_bytes(public)
    config = load_config({}, {"database": tmp_path / "g.db", "jwt_public_key_file": tmp_path / "key.pem"})
    secrets = resolve_secrets(config)
    assert secrets.jwt_secret is None
    tokens = TokenVerifier(config, secrets, ManualClock())
    assert tokens.verify(bearer({"sub": "7"}, secret=private, algorithm="RS256")).account_key == "7"
    confused = ".".join([segment(b'{"alg":"HS256"}'), segment(b'{"sub":"7"}')])
    forged = f"{confused}.{segment(hmac.new(public, confused.encode(), hashlib.sha256).digest())}"
    with pytest.raises(Unauthenticated):
        tokens.verify(f"Bearer {forged}")


def test_a_secret_is_literal_even_if_it_looks_like_json() -> None:
    for text in ('{"kty": "oct"}', "12345678", '["abcdef"]'):
        config, secrets = load_config({}, {"jwt_secret": text}), Secrets(Secret(text), bytes(32))
        token = issue_token(config, Secret(text), ManualClock(), Caller("7"), ttl_s=60)
        assert TokenVerifier(config, secrets, ManualClock()).verify(f"Bearer {token}").account_key == "7"


async def test_an_issued_token_is_accepted_until_it_expires_with_all_configured_claims() -> None:
    clock = ManualClock()
    config = load_config({}, {"jwt_issuer": "us", "jwt_audience": "gateway", "account_claim": "tenant,sub"})
    token = issue_token(config, SECRET, clock, Caller("компания"), ttl_s=60)
    tokens = TokenVerifier(config, SECRETS, clock)
    assert tokens.verify(f"Bearer {token}").account_key == "компания"
    await clock.advance(65)
    with pytest.raises(Unauthenticated):
        tokens.verify(f"Bearer {token}")


def test_a_verifier_requires_a_key() -> None:
    with pytest.raises(SettingsError, match="no key"):
        TokenVerifier(Config(jwt_algorithms=("HS256",)), Secrets(None, bytes(32)), ManualClock())


odd_claims = st.dictionaries(
    st.sampled_from(["accountID", "id", "sub", "exp", "nbf", "iat", "iss", "aud"]), json_values
)


@given(odd_claims | json_values)
def test_any_claims_identify_an_account_or_are_refused(claims: object) -> None:
    try:
        account = verifier().verify(bearer(claims))
    except Unauthenticated:
        return
    assert account
    assert isinstance(claims, dict)


@given(st.text(max_size=300))
def test_any_header_is_refused_with_a_reason(header: str) -> None:
    with pytest.raises(Unauthenticated) as refusal:
        verifier().verify(header)
    assert refusal.value.reason
