"""The secrets made at first start: where they are kept, who can read them, when none is made."""

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


def test_the_first_start_makes_both_secrets_and_the_next_one_finds_them(config: Config) -> None:
    first, second = resolve_secrets(config), resolve_secrets(config)
    assert first.created == ("GATEWAY_JWT_SECRET", "GATEWAY_ENCRYPTION_KEY")
    assert second.created == ()
    assert (first.jwt_secret, first.encryption_key) == (second.jwt_secret, second.encryption_key)
    assert len(first.encryption_key) == 32
    assert first.jwt_secret == find_jwt_secret(config)


def test_every_gateway_makes_its_own(tmp_path: Path) -> None:
    one = resolve_secrets(load_config({}, {"database": tmp_path / "1.db"}))
    other = resolve_secrets(load_config({}, {"database": tmp_path / "2.db"}))
    assert one.encryption_key != other.encryption_key
    assert one.jwt_secret != other.jwt_secret


def test_nobody_but_the_owner_can_read_the_file_whatever_the_umask(config: Config) -> None:
    before = os.umask(0)
    try:
        resolve_secrets(config)
    finally:
        os.umask(before)
    assert stat.S_IMODE(config.secrets_file.stat().st_mode) == 0o600


def test_secrets_do_not_show_in_the_repr(config: Config) -> None:
    made = resolve_secrets(config)
    assert made.jwt_secret is not None
    assert str.__str__(made.jwt_secret) not in repr(made)
    assert repr(made.encryption_key) not in repr(made)


def test_given_secrets_are_taken_and_nothing_is_written(config: Config) -> None:
    given = load_config({}, {"database": config.database, "jwt_secret": "a-given-one", "encryption_key": KEY})
    secrets = resolve_secrets(given)
    assert (secrets.jwt_secret, secrets.encryption_key, secrets.created) == ("a-given-one", bytes(32), ())
    assert not config.secrets_file.exists()


def test_given_secrets_win_over_kept_ones(config: Config) -> None:
    resolve_secrets(config)
    secrets = resolve_secrets(load_config({}, {"database": config.database, "jwt_secret": "a-given-one"}))
    assert secrets.jwt_secret == "a-given-one"


def test_only_what_is_missing_is_made_and_the_file_is_added_to(config: Config) -> None:
    partly = resolve_secrets(load_config({}, {"database": config.database, "jwt_secret": "a-given-one"}))
    assert partly.created == ("GATEWAY_ENCRYPTION_KEY",)
    whole = resolve_secrets(config)
    assert whole.created == ("GATEWAY_JWT_SECRET",)
    assert whole.encryption_key == partly.encryption_key


@pytest.mark.parametrize("last", [f"GATEWAY_ENCRYPTION_KEY={KEY}", f"GATEWAY_ENCRYPTION_KEY={KEY}\n# mine"])
@pytest.mark.parametrize("end", ["", "\n"])
def test_what_is_made_begins_a_line_of_its_own_whoever_wrote_the_last_one(config: Config, last: str, end: str) -> None:
    config.secrets_file.write_text(last + end)
    config.secrets_file.chmod(0o600)
    first, second = resolve_secrets(config), resolve_secrets(config)
    assert (first.created, second.created) == (("GATEWAY_JWT_SECRET",), ())
    assert first.encryption_key == second.encryption_key == bytes(32)
    assert first.jwt_secret == second.jwt_secret
    assert config.secrets_file.read_text().startswith(f"{last}\nGATEWAY_JWT_SECRET=")


async def test_no_new_encryption_key_is_made_for_a_database_that_holds_something(config: Config) -> None:
    async with Database.open(config.database):
        pass
    with pytest.raises(SettingsError) as refusal:
        resolve_secrets(config)
    for word in ("GATEWAY_ENCRYPTION_KEY", str(config.secrets_file), "authorized again", "mirrored stays"):
        assert word in refusal.value.detail
    assert not config.secrets_file.exists()


def test_no_key_is_asked_for_where_the_file_is_no_database_of_ours(config: Config) -> None:
    config.database.write_text("Dear Sir or Madam" * 100)
    with pytest.raises(SettingsError, match=r"g\.db cannot be opened: .*\(file is not a database\)"):
        resolve_secrets(config)
    config.database.unlink()
    with closing(sqlite3.connect(config.database)) as connection:
        connection.execute("CREATE TABLE songs (name TEXT)")
    with pytest.raises(SettingsError, match=r"g\.db is the database of another program"):
        resolve_secrets(config)
    assert not config.secrets_file.exists()


def test_an_empty_database_file_counts_as_a_first_start(config: Config) -> None:
    config.database.touch()
    assert "GATEWAY_ENCRYPTION_KEY" in resolve_secrets(config).created


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620])
def test_a_file_open_to_others_is_refused(config: Config, mode: int) -> None:
    resolve_secrets(config)
    config.secrets_file.chmod(mode)
    with pytest.raises(SettingsError, match=r"chmod 600"):
        resolve_secrets(config)


@pytest.mark.parametrize(
    "line", ["hello", "GATEWAY_PORT=8080", "GATEWAY_ENCRYPTION_KEY=short", "GATEWAY_JWT_SECRET=", "GATEWAY_JWT_SECRET"]
)
def test_a_line_that_is_no_secret_is_refused_by_its_number(config: Config, line: str) -> None:
    config.secrets_file.write_text(f"# comment\n\n{line}\n")
    config.secrets_file.chmod(0o600)
    with pytest.raises(SettingsError, match=r"g\.db\.secrets, line 3: "):
        resolve_secrets(config)


def test_a_file_that_is_not_text_is_refused(config: Config) -> None:
    config.secrets_file.write_bytes(b"\xff\xfe")
    with pytest.raises(SettingsError, match="cannot be read: it is not text"):
        read_secret_file(config.secrets_file)


def test_a_directory_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"GATEWAY_DATABASE .* there is no directory \S+/missing: "):
        resolve_secrets(load_config({}, {"database": tmp_path / "missing" / "g.db"}))


def test_a_link_to_nowhere_in_the_place_of_the_file_is_not_followed(config: Config, tmp_path: Path) -> None:
    config.secrets_file.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(SettingsError, match="cannot be written"):
        resolve_secrets(config)
    assert not (tmp_path / "elsewhere").exists()


def test_looking_for_the_signing_secret_makes_none(config: Config) -> None:
    with pytest.raises(SettingsError, match="start the gateway once"):
        find_jwt_secret(config)
    assert not config.secrets_file.exists()
