"""The secrets that the gateway makes for itself at its first start, in a file beside the database."""

import os
import secrets
import stat
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from gateway.crypto.vault import KEY_BYTES, KEY_CHECK, NO_KEY, decode_key, key_needed
from gateway.errors import SettingsError
from gateway.redaction import Secret
from gateway.settings.config import Config
from gateway.settings.database_place import database_refusals, ensure_directory
from gateway.settings.parsers import sealing_key, signing_secret
from storage.database_file import refuse_foreign
from storage.metadata import read_fact

JWT_SECRET = "GATEWAY_JWT_SECRET"
ENCRYPTION_KEY = "GATEWAY_ENCRYPTION_KEY"
KINDS = {JWT_SECRET: signing_secret, ENCRYPTION_KEY: sealing_key}


@dataclass(frozen=True)
class Secrets:
    """What signs tokens (None where a public key verifies them) and what seals; *created* names those made just now."""

    jwt_secret: Secret | None
    encryption_key: bytes = field(repr=False)
    created: tuple[str, ...] = ()


def resolve_secrets(config: Config) -> Secrets:
    """The secrets given by the settings, else those of the secrets file, else new ones, kept there from now on.

    A new encryption key is made only where there is no database yet, an empty one, or one whose credentials were
    forgotten.

    Raises:
        SettingsError: when the database must have a key and none is here, or the secrets file cannot be used.
    """
    ensure_directory(config.database)
    kept = read_secret_file(config.secrets_file)
    given = {JWT_SECRET: config.jwt_secret, ENCRYPTION_KEY: config.encryption_key}
    found = kept | {name: value for name, value in given.items() if value is not None}
    made = {}
    if JWT_SECRET not in found and config.public_keys_file is None:
        made[JWT_SECRET] = new_secret()
    if ENCRYPTION_KEY not in found:
        if needs_key(config.database):
            raise key_needed(config.database, config.secrets_file, "the encryption key is missing")
        made[ENCRYPTION_KEY] = new_secret()
    if made:
        append_secrets(config.secrets_file, made)
    found |= made
    jwt_secret = None if config.public_keys_file else found[JWT_SECRET]
    return Secrets(jwt_secret, decode_key(found[ENCRYPTION_KEY]), tuple(made))


def needs_key(database: Path) -> bool:
    """Whether something in *database* may be sealed: not in an empty one, nor where its credentials were forgotten.

    Raises:
        SettingsError: when *database* is no database, or that of another program.
    """
    if not database.exists() or not database.stat().st_size:
        return False
    with database_refusals(database):
        refuse_foreign(database)
        return read_fact(database, KEY_CHECK) != NO_KEY


def find_jwt_secret(config: Config) -> Secret:
    """The secret that signs tokens, where there is one already.

    Raises:
        SettingsError: when tokens come from elsewhere, or no secret has been made yet.
    """
    if config.public_keys_file is not None:
        raise SettingsError(
            f"tokens come from elsewhere: the key in {config.public_keys_file} verifies them, and only who has its "
            "private part can make them"
        )
    secret = config.jwt_secret or read_secret_file(config.secrets_file).get(JWT_SECRET)
    if secret is None:
        where = f"{config.secrets_file} has none" if config.database.exists() else f"{config.database} is not here"
        raise SettingsError(
            f"there is no secret to sign tokens with ({where}): name the gateway's database (--database or "
            f"GATEWAY_DATABASE), give {JWT_SECRET}, or start the gateway once, which makes a secret"
        )
    return secret


def new_secret() -> Secret:
    """32 random bytes in base64url."""
    return Secret(urlsafe_b64encode(secrets.token_bytes(KEY_BYTES)).decode().rstrip("="))


def read_secret_file(path: Path) -> dict[str, Secret]:
    """The secrets kept in *path*; none where there is no such file.

    Raises:
        SettingsError: when others than the owner can read it, or a line is no secret of ours.
    """
    try:
        with path.open(encoding="utf-8") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            lines = file.read().splitlines()
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} cannot be read: {getattr(error, 'strerror', 'it is not text')}") from None
    if mode & 0o077:
        raise SettingsError(f"{path} can be read by others (mode {mode:04o}): chmod 600 it, and start again")
    kept = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.startswith("#"):
            continue
        name, _, value = line.partition("=")
        if name not in KINDS:
            raise SettingsError(f"{path}, line {number}: must be {' or '.join(KINDS)}, = and a value")
        try:
            kept[name] = KINDS[name](value)
        except ValueError as error:
            raise SettingsError(f"{path}, line {number}: {name} {error}") from None
    return kept


def append_secrets(path: Path, made: Mapping[str, Secret]) -> None:
    """Add *made* to the file at *path*, which nobody but its owner can read from its first byte on."""
    new = not path.exists()
    try:
        begun = "" if new else path.read_text(encoding="utf-8")
        # O_EXCL: a file that appeared meanwhile, or a link laid in our way, is not written to.
        descriptor = os.open(path, os.O_WRONLY | (os.O_CREAT | os.O_EXCL if new else os.O_APPEND), 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            if new:
                file.write("# Made by bitrix-gateway. Without GATEWAY_ENCRYPTION_KEY the portals' tokens are lost.\n")
            elif begun and not begun.endswith("\n"):
                file.write("\n")  # a line that somebody else wrote and did not end
            file.writelines(f"{name}={value}\n" for name, value in made.items())
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise SettingsError(f"{path} cannot be written: {error.strerror}") from error
