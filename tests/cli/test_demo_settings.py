"""Settings of `demo`: which apply, which it replaces, which databases it refuses."""

import re
from collections.abc import Callable
from pathlib import Path

from jose import jwt

from gateway.cli.demo_servers import SANDBOX_SETTINGS, TOKEN_SETTINGS, choose_settings
from gateway.sandbox.settings import SandboxSettings
from gateway.settings.config import SETTINGS
from storage.accounts import AccountStore
from storage.database import Database
from tests.cli.conftest import Invoke, Spawn
from tests.support.jwks import rsa_signer, write_jwk_set

Ports = Callable[[], int]
ONCE = ("demo", "--once", "--portal-port=0", "--users=5")


def test_flags_win_over_the_environment_and_the_dotenv_file(invoke: Invoke, tmp_path: Path, ports: Ports) -> None:
    port, other = ports(), ports()
    (tmp_path / ".env").write_text("GATEWAY_DATABASE=kept.db\nGATEWAY_HOST=localhost\n")
    result = invoke(*ONCE, GATEWAY_PORT=str(port))
    assert result.exit_code == 0, result.output
    assert f"gateway at http://localhost:{port}\n" in result.stdout
    assert (tmp_path / "kept.db").exists()
    result = invoke(*ONCE, f"--port={other}", "--database=flag.db", GATEWAY_PORT=str(port))
    assert f"gateway at http://localhost:{other}\n" in result.stdout
    assert (tmp_path / "flag.db").exists()
    assert result.stderr == ""


def test_an_invalid_setting_is_refused_before_anything_starts(invoke: Invoke) -> None:
    result = invoke(*ONCE, GATEWAY_MAX_WAIT_S="never")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("Error: GATEWAY_MAX_WAIT_S must be")


def test_settings_apply_unless_the_sandbox_determines_them() -> None:
    environ = {
        setting.environment_names[0]: str(int(setting.default) + 1)
        for setting in SETTINGS
        if re.fullmatch("[0-9]{2,}", setting.default)
    } | {"GATEWAY_LOG_LEVEL": "error", "GATEWAY_DRAIN_S": "7", "GATEWAY_METHODS_DENY": "crm.*", "GATEWAY_HOST": "::1"}
    settings = choose_settings(environ, {"port": None, "database": None}, 0, SandboxSettings())
    for name, value in environ.items():
        chosen = getattr(settings.config, name.removeprefix("GATEWAY_").lower())
        assert value == ",".join(chosen) if isinstance(chosen, tuple) else value == str(chosen)
    assert (settings.replaced, settings.temporary) == ((), True)


def test_defaults_log_warnings_only_and_stop_without_draining() -> None:
    config = choose_settings({}, {}, 0, SandboxSettings()).config
    assert (config.log_level, config.drain_s, config.port) == ("warning", 0, 8080)


def test_replaced_settings_are_named(invoke: Invoke, tmp_path: Path) -> None:
    keys = write_jwk_set(tmp_path / "keys.json", rsa_signer("r"))
    (tmp_path / "secret").write_text("12345678")
    replaced = {
        "GATEWAY_BITRIX_CLIENT_ID": "app.real",
        "GATEWAY_BITRIX_CLIENT_SECRET_FILE": "secret",
        "GATEWAY_OAUTH_SERVERS": "oauth.bitrix.info",
        "GATEWAY_PUBLIC_URL": "https://gateway.example.com",
        "GATEWAY_INSECURE_PORTALS": "0",
        "GATEWAY_JWKS_FILE": str(keys),
        "GATEWAY_JWT_ALGORITHMS": "RS256",
    }
    result = invoke(*ONCE, "--port=0", **replaced)
    assert result.exit_code == 0, result.output
    assert result.stderr.count("\n") == 1
    assert set(re.findall("GATEWAY_[A-Z_]+", result.stderr)) == set(replaced)
    assert {name.removesuffix("_FILE") for name in replaced} <= {
        setting.environment_names[0].removesuffix("_FILE")
        for setting in SETTINGS
        if setting.name in (*SANDBOX_SETTINGS, *TOKEN_SETTINGS)
    }


async def test_its_token_is_signed_with_the_configured_secret(spawn: Spawn, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("GATEWAY_JWT_SECRET=12345678\nGATEWAY_JWT_ALGORITHMS=HS512\n")
    demo = await spawn("demo", "--port=0", "--portal-port=0", "--users=5")
    token = (await demo.until("TOKEN=")).strip().removeprefix("TOKEN=")
    assert jwt.decode(token, "12345678", algorithms=["HS512"])["accountID"] == "demo"


async def test_a_database_with_real_portals_is_refused(spawn: Spawn, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(f"GATEWAY_DATABASE=real.db\nGATEWAY_ENCRYPTION_KEY={'A' * 43}\n")
    async with Database.open(tmp_path / "real.db") as database:
        for host in ("127.0.0.1:8081", "real.bitrix24.ru"):
            await AccountStore(database).connect(
                host, host=host, origin=f"https://{host}", sealed_webhook=b"sealed", now=0
            )
    status, output = await (await spawn(*ONCE, "--port=0")).end()
    assert status == 1
    assert output == (
        "Error: real.db contains accounts of real portals (real.bitrix24.ru): choose another database for the demo "
        "(GATEWAY_DATABASE or --database)\n"
    )
