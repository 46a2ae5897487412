"""The command `token`."""

import os
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from gateway.auth.caller import Caller
from gateway.auth.tokens import TokenVerifier
from gateway.clock import SystemClock
from gateway.errors import Unauthenticated
from gateway.settings.config import load_config
from gateway.settings.secret_file import resolve_secrets
from tests.cli.conftest import Invoke
from tests.clock import ManualClock
from tests.support.key_files import write_public_key

UUID = "0b8ac3f1-6f5e-4d0c-9f0d-2a7c5e1b9d43"


def test_it_prints_one_line_that_the_gateway_accepts(invoke: Invoke) -> None:
    secrets = resolve_secrets(load_config({}))
    result = invoke("token", "--account", "7")
    assert result.exit_code == 0
    assert result.stdout.count("\n") == 1
    verifier = TokenVerifier(load_config({}), secrets, SystemClock())
    assert verifier.verify(f"Bearer {result.stdout.strip()}").account_key == "7"


def test_it_is_valid_for_an_hour_or_the_given_ttl(invoke: Invoke) -> None:
    config = load_config({}, {"jwt_secret": "12345678"})
    secrets = resolve_secrets(config)
    now = SystemClock().now()
    for ttl, arguments in ((3600, ()), (60, ("--ttl", "60"))):
        token = invoke("token", "--account", "7", "--jwt-secret", "12345678", *arguments).stdout.strip()
        assert TokenVerifier(config, secrets, ManualClock(now + ttl - 30)).verify(f"Bearer {token}").account_key == "7"
        with pytest.raises(Unauthenticated):
            TokenVerifier(config, secrets, ManualClock(now + ttl + 30)).verify(f"Bearer {token}")


@pytest.mark.parametrize(
    ("arguments", "caller"),
    [
        ((), Caller("7")),
        (("--user", "5"), Caller("7", user_id="5")),
        (("--admin",), Caller("7", is_admin=True)),
        (("--user", "Иван", "--admin", "--client-uuid", UUID), Caller("7", "Иван", True, UUID)),
        (("--client-uuid", UUID.upper()), Caller("7", client_uuid=UUID)),
    ],
)
@pytest.mark.parametrize(
    "names", [{}, {"GATEWAY_USER_CLAIM": "uid", "GATEWAY_ADMIN_CLAIM": "root", "GATEWAY_CLIENT_UUID_CLAIM": "azp"}]
)
def test_it_identifies_a_user_an_administrator_and_an_integration(
    invoke: Invoke, arguments: tuple[str, ...], caller: Caller, names: dict[str, str]
) -> None:
    token = invoke("token", "--account", "7", "--jwt-secret", "12345678", *arguments, **names).stdout.strip()
    config = load_config(names, {"jwt_secret": "12345678"})
    assert TokenVerifier(config, resolve_secrets(config), SystemClock()).verify(f"Bearer {token}") == caller


@pytest.mark.parametrize(
    ("existing", "reason"), [((), "gateway.db does not exist"), (("gateway.db",), "not in gateway.db.secrets")]
)
def test_a_missing_secret_is_reported_in_one_line(
    invoke: Invoke, tmp_path: Path, existing: tuple[str, ...], reason: str
) -> None:
    for name in existing:
        (tmp_path / name).touch()
    result = invoke("token", "--account", "7")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith(f"Error: the secret that signs tokens is missing ({reason}): ")
    assert "start the gateway once" in result.stderr
    assert result.stderr.count("\n") == 1
    assert tuple(os.listdir()) == existing


def test_it_cannot_sign_when_a_public_key_is_configured(invoke: Invoke, tmp_path: Path) -> None:
    key_file = write_public_key(tmp_path / "key.pem", ec.generate_private_key(ec.SECP256R1()))
    result = invoke("token", "--account", "7", "--jwt-public-key-file", str(key_file))
    assert result.exit_code == 1
    assert "cannot issue tokens" in result.stderr


def test_the_secret_may_come_from_a_file(invoke: Invoke, tmp_path: Path) -> None:
    (tmp_path / "jwt").write_text("12345678\n")
    token = invoke("token", "--account", "7", "--jwt-secret-file", "jwt").stdout.strip()
    config = load_config({}, {"jwt_secret": "12345678"})
    assert TokenVerifier(config, resolve_secrets(config), SystemClock()).verify(f"Bearer {token}").account_key == "7"
    assert invoke("token", "--account", "7", GATEWAY_JWT_SECRET_FILE="jwt").exit_code == 0


def test_settings_may_come_from_the_dotenv_file(invoke: Invoke, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("GATEWAY_JWT_SECRET=12345678\n")
    assert invoke("token", "--account", "7").exit_code == 0


def test_the_account_is_required(invoke: Invoke) -> None:
    assert invoke("token").exit_code == 2


@pytest.mark.parametrize("account", ["", "a" * 256, "a\nb", "a\x00"])
@pytest.mark.parametrize("command", [("token",), ("sync", "users")])
def test_an_invalid_account_is_refused(invoke: Invoke, command: tuple[str, ...], account: str) -> None:
    result = invoke(*command, "--account", account, "--jwt-secret", "12345678")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "must be one line of 1 to 255 printable characters" in result.stderr


@pytest.mark.parametrize("user", ["", "a" * 256, "a\nb", "a\x00"])
def test_an_invalid_user_is_refused(invoke: Invoke, user: str) -> None:
    result = invoke("token", "--account", "7", "--user", user, "--jwt-secret", "12345678")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "Invalid value for '--user': must be one line of 1 to 255 printable characters" in result.stderr


@pytest.mark.parametrize("uuid", ["", "5", UUID.replace("-", ""), f"{{{UUID}}}", f"{UUID}0"])
def test_an_integration_that_is_not_a_uuid_is_refused(invoke: Invoke, uuid: str) -> None:
    result = invoke("token", "--account", "7", "--client-uuid", uuid, "--jwt-secret", "12345678")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "Invalid value for '--client-uuid': must be a UUID, like " in result.stderr
