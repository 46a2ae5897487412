"""Settings: sources, parsing and validation."""

import os
from contextlib import suppress
from dataclasses import fields
from ipaddress import ip_network
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import SettingsError
from gateway.settings.config import SETTINGS, Config, load_config, read_environment
from gateway.settings.setting import as_text
from tests.load.certificate import make_certificate
from tests.support.jwks import rsa_signer, write_jwk_set
from tests.support.key_files import write_public_key

KEY = "A" * 43
SECRETS = {
    "GATEWAY_JWT_SECRET": "canary-of-the-signature",
    "GATEWAY_ENCRYPTION_KEY": KEY,
    "GATEWAY_BITRIX_CLIENT_ID": "app.1",
    "GATEWAY_BITRIX_CLIENT_SECRET": "canary-of-the-client",
}


@pytest.fixture(scope="module")
def rsa_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_public_key(tmp_path_factory.mktemp("rsa") / "rsa.pem", rsa.generate_private_key(65537, 2048))


@pytest.fixture
def curve_file(tmp_path: Path) -> Path:
    return write_public_key(tmp_path / "curve.pem", ec.generate_private_key(ec.SECP256R1()))


def test_without_settings_it_listens_on_loopback_only() -> None:
    config = load_config({})
    assert (config.host, config.port, config.database) == ("127.0.0.1", 8080, Path("gateway.db"))
    assert config.jwt_algorithms == ("HS256",)
    assert config.own_origin == "http://127.0.0.1:8080"
    assert config.secrets_file == Path("gateway.db.secrets")


def test_every_default_passes_its_own_parser() -> None:
    for setting in SETTINGS:
        if setting.default:
            assert as_text(setting.parse(setting.default)) == setting.default, setting.name


def test_overrides_win_over_the_environment_as_text_or_values() -> None:
    environ = {"GATEWAY_PORT": "1", "GATEWAY_INSECURE_PORTALS": "0", "GATEWAY_HOST": "::1"}
    assert load_config(environ, {"port": "2", "host": None}).port == 2
    config = load_config(
        environ, {"port": 3, "insecure_portals": True, "database": Path("x.db"), "bucket_leak_per_s": 0.5}
    )
    assert (config.port, config.insecure_portals, config.database) == (3, True, Path("x.db"))
    assert (config.bucket_leak_per_s, config.host, config.own_origin) == (0.5, "::1", "http://[::1]:3")


def test_an_empty_value_is_the_same_as_no_value() -> None:
    assert load_config({"GATEWAY_PORT": "", "GATEWAY_JWT_SECRET": " "}) == load_config({})


def test_the_environment_wins_over_the_dotenv_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dotenv = tmp_path / ".env"
    dotenv.write_text("GATEWAY_PORT=1111\nGATEWAY_HOST=::1\nUNRELATED=1\n")
    monkeypatch.setenv("GATEWAY_PORT", "2222")
    assert read_environment(dotenv) == {"GATEWAY_PORT": "2222", "GATEWAY_HOST": "::1"}
    assert read_environment(tmp_path / "none") == {"GATEWAY_PORT": "2222"}


def test_values_in_the_dotenv_file_are_literal_and_leave_the_environment_unchanged(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("GATEWAY_JWT_SECRET=pa$$word-${HOME}\nGATEWAY_HOST='$HOME'\n")
    before = dict(os.environ)
    found = read_environment(tmp_path / ".env")
    assert found == {"GATEWAY_JWT_SECRET": "pa$$word-${HOME}", "GATEWAY_HOST": "$HOME"}
    assert os.environ == before


def test_a_binary_dotenv_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(b"GATEWAY_JWT_SECRET=canary\xff\n")
    with pytest.raises(SettingsError, match=r"\.env cannot be read: it is not text in UTF-8") as refusal:
        read_environment(tmp_path / ".env")
    assert refusal.value.__cause__ is None


@pytest.mark.parametrize(
    "line",
    [
        "GATEWAY_JWT_SECRET canary",
        "GATEWAY_JWT_SECRET: canary",
        'GATEWAY_JWT_SECRET="canary',
        '"GATEWAY_JWT_SECRET=canary',
        "GATEWAY_JWT_SECRET",
        "set GATEWAY_JWT_SECRET=canary",
    ],
)
def test_a_malformed_line_of_the_dotenv_file_is_refused_with_its_number(tmp_path: Path, line: str) -> None:
    (tmp_path / ".env").write_text(f"# settings\n\n{line}\nGATEWAY_PORT=1\n")
    with pytest.raises(SettingsError, match=r"\.env, line 3: must have the form GATEWAY_NAME=VALUE") as refusal:
        read_environment(tmp_path / ".env")
    assert "canary" not in str(refusal.value)


def test_lines_of_other_programs_in_the_dotenv_file_are_ignored(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("\ufeffGATEWAY_PORT=1\nOTHER: x\nANOTHER\n# GATEWAY_HOST\nexport GATEWAY_HOST=::1\n")
    assert read_environment(tmp_path / ".env") == {"GATEWAY_PORT": "1", "GATEWAY_HOST": "::1"}


def test_secrets_are_masked_in_the_repr() -> None:
    config = load_config(SECRETS)
    assert "canary" not in repr(config)
    assert KEY not in repr(config)
    assert config.jwt_secret == "canary-of-the-signature"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("host", "a b"),
        ("host", "a/b"),
        ("host", "a:1"),
        ("database", ":memory:"),
        ("database", "/"),
        ("port", "+5"),
        ("port", "1_000"),
        ("port", "٣"),
        ("port", "65536"),
        ("port", "8080.0"),
        ("encryption_key", "A" * 42),
        ("encryption_key", "A" * 44),
        ("encryption_key", "+" * 43),
        ("jwt_secret", "short"),
        ("jwt_secret", "-----BEGIN PUBLIC KEY-----"),
        ("jwt_algorithms", "none"),
        ("jwt_algorithms", "HS256,RS256"),
        ("jwt_public_key_file", "/nowhere/key.pem"),
        ("oauth_servers", "https://oauth.bitrix.info"),
        ("oauth_servers", "oauth.bitrix.info/token"),
        ("oauth_servers", "127.0.0.1:8081"),
        ("oauth_servers", ","),
        ("oauth_servers", "example.com:0"),
        ("oauth_servers", "example.com:65536"),
        ("account_claim", ","),
        ("account_claim", "accountID,exp"),
        ("account_claim", "aud"),
        ("user_claim", ","),
        ("user_claim", "user_id,exp"),
        ("admin_claim", "iss"),
        ("client_uuid_claim", "jti"),
        ("return_origins", ", ,"),
        ("jwt_algorithms", ","),
        ("public_url", "example.com"),
        ("public_url", "http://example.com:99999"),
        ("public_url", "https://example.com/gateway"),
        ("public_url", "https://user@example.com"),
        ("return_origins", "https://example.com,javascript:alert(1)"),
        ("return_origins", "https://exam\\ple.com"),
        ("field_language", "russian"),
        ("insecure_portals", "maybe"),
        ("private_portals", ","),
        ("private_portals", "https://crm.corp.example"),
        ("private_portals", "crm.corp.example:8443"),
        ("private_portals", "crm.corp.example/portal"),
        ("private_portals", "*"),
        ("private_portals", "*."),
        ("private_portals", "crm.*.example"),
        ("private_portals", "10.0.0.1/8"),
        ("private_portals", "10.0.0.0/33"),
        ("private_portals", "10.0.0.300"),
        ("private_portals", "10.0.0.0/8,fd00::/129"),
        ("private_portals", "пример.рф"),
        ("portal_ca_file", "/nowhere/ca.pem"),
        ("portal_ca_file", "/"),
        ("portal_ca_file", "/dev/null"),
        ("portal_ca_file", __file__),
        ("bucket_capacity", "1"),
        ("bucket_leak_per_s", "0"),
        ("bucket_leak_per_s", "inf"),
        ("portal_concurrency", "0"),
        ("max_body_bytes", "0"),
        ("sync_interval_s", "-1"),
        ("log_level", "loud"),
        ("log_format", "xml"),
        ("bitrix_client_id", "app 1"),
    ],
)
def test_an_invalid_value_is_refused_with_the_name_of_its_setting(name: str, value: str) -> None:
    with pytest.raises(SettingsError) as refusal:
        load_config({"GATEWAY_INSECURE_PORTALS": "1" if "example.com:" in value else "0"}, {name: value})
    assert f"GATEWAY_{name.upper()} " in refusal.value.detail


@pytest.mark.parametrize(
    "pattern",
    ["[", "]", "[]", "crm.[", "crm.[^0-1]]", "crm deal", "crm/*", "сrm.*", "crm.[z-a]", ".crm", "crm.", "crm..get",
     "1*", "_*", "*.", ".*", "[.]get", "user.get!"],
)  # fmt: skip
@pytest.mark.parametrize("name", ["GATEWAY_METHODS_ALLOW", "GATEWAY_METHODS_DENY"])
def test_a_pattern_that_no_method_can_match_is_refused_and_named(name: str, pattern: str) -> None:
    with pytest.raises(SettingsError) as refusal:
        load_config({name: f"crm.*,{pattern}"})
    rule = f"must be patterns of method names, like crm.*; no method can match {pattern!r}"
    assert refusal.value.detail == f"{name} {rule}"


def test_patterns_of_methods_may_use_wildcards_and_sets() -> None:
    patterns = ("crm.*", "*.get", "USER.?et", "*", "t[aeiou]sks.*", "crm.[!a-c]*", "[!.]*", "x_1.2", "a**.[0-9]")
    assert load_config({"GATEWAY_METHODS_ALLOW": ",".join(patterns)}).methods_allow == patterns


def test_an_error_does_not_contain_an_invalid_secret() -> None:
    with pytest.raises(SettingsError) as refusal:
        load_config({"GATEWAY_ENCRYPTION_KEY": "canary", "GATEWAY_JWT_SECRET": "canary"})
    assert "canary" not in refusal.value.detail
    assert refusal.value.__cause__ is None


def test_all_invalid_values_are_reported_together() -> None:
    with pytest.raises(SettingsError) as refusal:
        load_config({"GATEWAY_PORT": "x", "GATEWAY_LOG_LEVEL": "x", "GATEWAY_BITRIX_CLIENT_ID": "app"})
    named = [part.split()[0] for part in refusal.value.detail.split("; ")]
    assert named == ["GATEWAY_PORT", "GATEWAY_BITRIX_CLIENT_SECRET", "GATEWAY_LOG_LEVEL"]


def test_a_secret_cannot_be_combined_with_a_public_key(rsa_file: Path) -> None:
    with pytest.raises(SettingsError, match="GATEWAY_JWT_PUBLIC_KEY_FILE cannot be combined with GATEWAY_JWT_SECRET"):
        load_config({}, {"jwt_secret": "12345678", "jwt_public_key_file": rsa_file})


def test_a_jwk_set_cannot_be_combined_with_a_public_key_or_a_secret(rsa_file: Path, tmp_path: Path) -> None:
    keys = write_jwk_set(tmp_path / "keys.json", rsa_signer("r"))
    for name, value in (("GATEWAY_JWT_SECRET", "12345678"), ("GATEWAY_JWT_PUBLIC_KEY_FILE", str(rsa_file))):
        with pytest.raises(SettingsError, match=f"GATEWAY_JWKS_FILE cannot be combined with {name}: "):
            load_config({"GATEWAY_JWKS_FILE": str(keys), name: value})


def test_a_jwk_set_is_read_at_start(tmp_path: Path) -> None:
    keys = tmp_path / "keys.json"
    with pytest.raises(SettingsError, match="GATEWAY_JWKS_FILE must be a readable file"):
        load_config({}, {"jwks_file": keys})
    assert load_config({}, {"jwks_file": write_jwk_set(keys, rsa_signer("r"))}).jwt_algorithms == (
        "RS256", "RS384", "RS512", "ES256", "ES384", "ES512",
    )  # fmt: skip
    assert load_config({}, {"jwks_file": keys, "jwt_algorithms": "ES256"}).jwt_algorithms == ("ES256",)
    with pytest.raises(SettingsError, match="GATEWAY_JWT_ALGORITHMS must be algorithms that fit the key"):
        load_config({}, {"jwks_file": keys, "jwt_algorithms": "HS256"})


@pytest.mark.parametrize(
    ("settings", "violation"),
    [
        ({"user_claim": "uid,sub"}, "GATEWAY_USER_CLAIM cannot contain sub, which GATEWAY_ACCOUNT_CLAIM contains"),
        (
            {"account_claim": "user_id"},
            "GATEWAY_ACCOUNT_CLAIM cannot contain user_id, which GATEWAY_USER_CLAIM contains",
        ),
        (
            {"admin_claim": "a", "user_claim": "a"},
            "GATEWAY_ADMIN_CLAIM cannot contain a, which GATEWAY_USER_CLAIM contains",
        ),
        (
            {"client_uuid_claim": "admin"},
            "GATEWAY_CLIENT_UUID_CLAIM cannot contain admin, which GATEWAY_ADMIN_CLAIM contains",
        ),
    ],
)
def test_a_claim_has_one_meaning(settings: dict[str, str], violation: str) -> None:
    with pytest.raises(SettingsError) as refusal:
        load_config({}, settings)
    assert str(refusal.value) == violation


def test_names_of_claims_are_lists_and_may_be_exchanged() -> None:
    names = {"account_claim": "accountID", "user_claim": "sub, uid", "admin_claim": "client_uuid"}
    config = load_config({}, names | {"client_uuid_claim": "admin"})
    assert (config.account_claim, config.user_claim) == (("accountID",), ("sub", "uid"))
    assert (config.admin_claim, config.client_uuid_claim) == (("client_uuid",), ("admin",))


def test_previous_secrets_can_only_be_combined_with_a_secret(rsa_file: Path) -> None:
    config = load_config({}, {"jwt_previous_secrets": "canary-1, canary-2,canary-1"})
    assert config.jwt_previous_secrets == ("canary-1", "canary-2")
    assert "canary" not in repr(config)
    with pytest.raises(SettingsError, match="PREVIOUS_SECRETS cannot be combined with GATEWAY_JWT_PUBLIC_KEY_FILE"):
        load_config({}, {"jwt_previous_secrets": "12345678", "jwt_public_key_file": rsa_file})


ALL_NAMES = [name for setting in SETTINGS for name in setting.environment_names]
SECRET_SETTINGS = [setting.environment_names[0] for setting in SETTINGS if setting.secret]


def test_every_setting_of_type_secret_accepts_a_file() -> None:
    assert {"GATEWAY_JWT_SECRET", "GATEWAY_ENCRYPTION_KEY", "GATEWAY_BITRIX_CLIENT_SECRET"} <= set(SECRET_SETTINGS)
    for field in fields(Config):
        assert field.metadata["secret"] == ("Secret" in str(field.type)), field.name


@pytest.mark.parametrize("name", SECRET_SETTINGS)
def test_a_secret_from_a_file_equals_the_secret_itself(name: str, tmp_path: Path) -> None:
    file = tmp_path / "secret"
    for end in (b"", b"\n", b"\r\n"):
        file.write_bytes(KEY.encode() + end)
        others = {key: value for key, value in SECRETS.items() if key != name}
        assert load_config(others | {f"{name}_FILE": str(file)}) == load_config(others | {name: KEY})


@pytest.mark.parametrize(
    ("content", "rule"),
    [
        (None, r"must be a readable file \(No such file or directory\)"),
        (b"", "must be a file that is not empty"),
        (b" \n", "must be a file that is not empty"),
        (b"\xff\xfecanary", "must be a text file"),
        (b"canary-1\ncanary-2\n", "must be "),
        (b"canary", "must be "),
    ],
)
@pytest.mark.parametrize("name", SECRET_SETTINGS)
def test_a_file_without_a_valid_secret_is_refused_with_the_name_of_its_setting(
    name: str, content: bytes | None, rule: str, tmp_path: Path
) -> None:
    file = tmp_path / "secret"
    if content is not None:
        file.write_bytes(content)
    others = {key: value for key, value in SECRETS.items() if key != name}
    with pytest.raises(SettingsError, match=f"^{name}_FILE {rule}[^;]*$") as refusal:
        load_config(others | {f"{name}_FILE": str(file)})
    assert "canary" not in str(refusal.value)


@pytest.mark.parametrize("name", SECRET_SETTINGS)
def test_a_secret_cannot_be_combined_with_its_file(name: str, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(KEY)
    with pytest.raises(SettingsError, match=f"^{name}_FILE cannot be combined with {name}$"):
        load_config(SECRETS | {name: KEY, f"{name}_FILE": str(tmp_path / "secret")})


def test_flags_win_over_the_environment_for_secrets_and_their_files(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("in the file\n")
    in_file = str(tmp_path / "secret")
    assert load_config({"GATEWAY_JWT_SECRET_FILE": in_file}, {"jwt_secret": "by the flag"}).jwt_secret == "by the flag"
    assert load_config({"GATEWAY_JWT_SECRET": "12345678"}, {"jwt_secret_file": in_file}).jwt_secret == "in the file"


def test_the_dotenv_file_may_contain_paths_of_secrets(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("GATEWAY_JWT_SECRET_FILE=/run/secrets/jwt\n")
    assert read_environment(tmp_path / ".env") == {"GATEWAY_JWT_SECRET_FILE": "/run/secrets/jwt"}


@pytest.mark.parametrize("alone", ["bitrix_client_id", "bitrix_client_secret"])
def test_an_application_requires_an_id_and_a_secret(alone: str) -> None:
    with pytest.raises(SettingsError, match="is required: an application has an id and a secret"):
        load_config({}, {alone: "12345678"})


def test_the_algorithms_depend_on_the_key(rsa_file: Path, curve_file: Path) -> None:
    assert load_config({}, {"jwt_public_key_file": rsa_file}).jwt_algorithms == ("RS256",)
    assert load_config({}, {"jwt_public_key_file": curve_file}).jwt_algorithms == ("ES256",)
    chosen = load_config({}, {"jwt_public_key_file": rsa_file, "jwt_algorithms": "RS512, RS256"})
    assert chosen.jwt_algorithms == ("RS512", "RS256")
    for key_file, algorithm in ((rsa_file, "HS256"), (curve_file, "RS256"), (rsa_file, "none")):
        with pytest.raises(SettingsError, match="GATEWAY_JWT_ALGORITHMS must be algorithms that fit the key"):
            load_config({}, {"jwt_public_key_file": key_file, "jwt_algorithms": algorithm})


def test_files_without_a_usable_key_are_refused(tmp_path: Path) -> None:
    other_kind = write_public_key(tmp_path / "ed.pem", ed25519.Ed25519PrivateKey.generate())
    no_key = tmp_path / "no.pem"
    no_key.write_text("hello")
    for path, rule in ((other_kind, "must be an RSA key"), (no_key, "one public key in PEM")):
        with pytest.raises(SettingsError, match=rule):
            load_config({}, {"jwt_public_key_file": path})


def test_origins_are_normalized_and_the_own_origin_is_always_allowed() -> None:
    config = load_config(
        {}, {"public_url": "HTTPS://Example.com:443/", "return_origins": "http://a.b:80, https://c.d:1"}
    )
    assert config.allowed_origins == {"https://example.com", "http://a.b", "https://c.d:1"}


def test_authorization_servers_may_have_a_port_for_the_sandbox() -> None:
    config = load_config({}, {"oauth_servers": "127.0.0.1:8081", "insecure_portals": "on"})
    assert config.oauth_servers == ("127.0.0.1:8081",)


@given(st.dictionaries(st.sampled_from(ALL_NAMES), st.text(max_size=60)))
def test_any_text_is_parsed_or_refused(environ: dict[str, str]) -> None:
    with suppress(SettingsError):
        assert isinstance(load_config(environ), Config)


def test_private_portals_are_host_names_and_networks() -> None:
    config = load_config(
        {"GATEWAY_PRIVATE_PORTALS": "CRM.Corp.example, *.boxes.example,10.0.0.0/8,fd00::/8,192.168.1.7"}
    )
    assert config.private_portals == (
        "crm.corp.example",
        "*.boxes.example",
        ip_network("10.0.0.0/8"),
        ip_network("fd00::/8"),
        ip_network("192.168.1.7/32"),
    )


def test_a_file_of_certificate_authorities_is_read_at_start(tmp_path: Path, rsa_file: Path) -> None:
    certificate, key = make_certificate(tmp_path)
    assert load_config({"GATEWAY_PORTAL_CA_FILE": str(certificate)}).portal_ca_file == certificate
    for wrong in (key, rsa_file):
        with pytest.raises(SettingsError, match=r"^GATEWAY_PORTAL_CA_FILE must be a PEM file with certificates$"):
            load_config({"GATEWAY_PORTAL_CA_FILE": str(wrong)})
