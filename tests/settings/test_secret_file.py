"""The secrets file: generation, permissions and validation."""

import os
import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest

from gateway.errors import SettingsError
from gateway.settings.config import Config, load_config
from gateway.settings.secret_file import find_jwt_secret, read_secret_file, resolve_secrets
from storage.database import Database

KEY = "A" * 43


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return load_config({}, {"database": tmp_path / "g.db"})


def test_the_first_start_generates_both_secrets_and_the_next_reads_them(config: Config) -> None:
    first, second = resolve_secrets(config), resolve_secrets(config)
    assert first.created == ("GATEWAY_JWT_SECRET", "GATEWAY_ENCRYPTION_KEY")
    assert second.created == ()
    assert (first.jwt_secret, first.encryption_key) == (second.jwt_secret, second.encryption_key)
    assert len(first.encryption_key) == 32
    assert first.jwt_secret == find_jwt_secret(config)


def test_every_gateway_generates_different_secrets(tmp_path: Path) -> None:
    first = resolve_secrets(load_config({}, {"database": tmp_path / "1.db"}))
    other = resolve_secrets(load_config({}, {"database": tmp_path / "2.db"}))
    assert first.encryption_key != other.encryption_key
    assert first.jwt_secret != other.jwt_secret


def test_only_the_owner_can_read_the_file_whatever_the_umask(config: Config) -> None:
    before = os.umask(0)
    try:
        resolve_secrets(config)
    finally:
        os.umask(before)
    assert stat.S_IMODE(config.secrets_file.stat().st_mode) == 0o600


def test_the_repr_masks_secrets(config: Config) -> None:
    secrets = resolve_secrets(config)
    assert secrets.jwt_secret is not None
    assert str.__str__(secrets.jwt_secret) not in repr(secrets)
    assert repr(secrets.encryption_key) not in repr(secrets)


def test_configured_secrets_are_used_and_nothing_is_written(config: Config) -> None:
    configured = load_config({}, {"database": config.database, "jwt_secret": "configured", "encryption_key": KEY})
    secrets = resolve_secrets(configured)
    assert (secrets.jwt_secret, secrets.encryption_key, secrets.created) == ("configured", bytes(32), ())
    assert not config.secrets_file.exists()


def test_configured_secrets_win_over_the_file(config: Config) -> None:
    resolve_secrets(config)
    secrets = resolve_secrets(load_config({}, {"database": config.database, "jwt_secret": "configured"}))
    assert secrets.jwt_secret == "configured"


def test_only_missing_secrets_are_generated_and_appended(config: Config) -> None:
    partial = resolve_secrets(load_config({}, {"database": config.database, "jwt_secret": "configured"}))
    assert partial.created == ("GATEWAY_ENCRYPTION_KEY",)
    complete = resolve_secrets(config)
    assert complete.created == ("GATEWAY_JWT_SECRET",)
    assert complete.encryption_key == partial.encryption_key


@pytest.mark.parametrize("last", [f"GATEWAY_ENCRYPTION_KEY={KEY}", f"GATEWAY_ENCRYPTION_KEY={KEY}\n# mine"])
@pytest.mark.parametrize("end", ["", "\n"])
def test_generated_secrets_start_on_a_new_line(config: Config, last: str, end: str) -> None:
    config.secrets_file.write_text(last + end)
    config.secrets_file.chmod(0o600)
    first, second = resolve_secrets(config), resolve_secrets(config)
    assert (first.created, second.created) == (("GATEWAY_JWT_SECRET",), ())
    assert first.encryption_key == second.encryption_key == bytes(32)
    assert first.jwt_secret == second.jwt_secret
    assert config.secrets_file.read_text().startswith(f"{last}\nGATEWAY_JWT_SECRET=")


async def test_no_encryption_key_is_generated_for_a_database_in_use(config: Config) -> None:
    async with Database.open(config.database):
        pass
    with pytest.raises(SettingsError) as refusal:
        resolve_secrets(config)
    for word in ("GATEWAY_ENCRYPTION_KEY", str(config.secrets_file), "authorized again", "mirror stays"):
        assert word in refusal.value.detail
    assert not config.secrets_file.exists()


def test_a_foreign_database_is_refused_before_a_key_is_required(config: Config) -> None:
    config.database.write_text("Dear Sir or Madam" * 100)
    with pytest.raises(SettingsError, match=r"g\.db cannot be opened: .*\(file is not a database\)"):
        resolve_secrets(config)
    config.database.unlink()
    with closing(sqlite3.connect(config.database)) as connection:
        connection.execute("CREATE TABLE songs (name TEXT)")
    with pytest.raises(SettingsError, match=r"g\.db is the database of another program"):
        resolve_secrets(config)
    assert not config.secrets_file.exists()


def test_an_empty_database_file_is_a_first_start(config: Config) -> None:
    config.database.touch()
    assert "GATEWAY_ENCRYPTION_KEY" in resolve_secrets(config).created


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620])
def test_a_file_readable_by_others_is_refused(config: Config, mode: int) -> None:
    resolve_secrets(config)
    config.secrets_file.chmod(mode)
    with pytest.raises(SettingsError, match=r"chmod 600"):
        resolve_secrets(config)


@pytest.mark.parametrize(
    "line", ["hello", "GATEWAY_PORT=8080", "GATEWAY_ENCRYPTION_KEY=short", "GATEWAY_JWT_SECRET=", "GATEWAY_JWT_SECRET"]
)
def test_an_invalid_line_is_refused_with_its_number(config: Config, line: str) -> None:
    config.secrets_file.write_text(f"# comment\n\n{line}\n")
    config.secrets_file.chmod(0o600)
    with pytest.raises(SettingsError, match=r"g\.db\.secrets, line 3: "):
        resolve_secrets(config)


def test_a_binary_file_is_refused(config: Config) -> None:
    config.secrets_file.write_bytes(b"\xff\xfe")
    with pytest.raises(SettingsError, match="cannot be read: it is not text"):
        read_secret_file(config.secrets_file)


def test_a_missing_directory_is_reported(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"GATEWAY_DATABASE .* there is no directory \S+/missing: "):
        resolve_secrets(load_config({}, {"database": tmp_path / "missing" / "g.db"}))


def test_a_dangling_link_is_not_followed(config: Config, tmp_path: Path) -> None:
    config.secrets_file.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(SettingsError, match="cannot be written"):
        resolve_secrets(config)
    assert not (tmp_path / "elsewhere").exists()


def test_finding_the_signing_secret_generates_none(config: Config) -> None:
    with pytest.raises(SettingsError, match="start the gateway once"):
        find_jwt_secret(config)
    assert not config.secrets_file.exists()
