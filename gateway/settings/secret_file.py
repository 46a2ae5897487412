"""Secrets that the gateway generates at its first start, in a file beside the database."""

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
from gateway.settings.database_place import database_refusals, ensure_directory, is_missing
from gateway.settings.parsers import sealing_key, signing_secret
from storage.database_file import refuse_foreign
from storage.metadata import read_fact

JWT_SECRET = "GATEWAY_JWT_SECRET"
ENCRYPTION_KEY = "GATEWAY_ENCRYPTION_KEY"
PARSERS = {JWT_SECRET: signing_secret, ENCRYPTION_KEY: sealing_key}


@dataclass(frozen=True)
class Secrets:
    """The secret that signs tokens and the key that encrypts credentials.

    *jwt_secret* is None if public keys verify tokens, or if it is not needed. *created* names the secrets generated
    just now.
    """

    jwt_secret: Secret | None
    encryption_key: bytes = field(repr=False)
    created: tuple[str, ...] = ()


def resolve_secrets(config: Config) -> Secrets:
    """The secrets from the settings, else from the secrets file, else new ones, which are added to that file.

    A new encryption key is generated only if the database contains nothing encrypted.

    Raises:
        SettingsError: when the database needs a key that is missing, or the secrets file cannot be used.
    """
    if config.public_keys_file is not None:
        return resolve_encryption_key(config)
    found, created = _resolve(config, JWT_SECRET, ENCRYPTION_KEY)
    return Secrets(found[JWT_SECRET], decode_key(found[ENCRYPTION_KEY]), created)


def resolve_encryption_key(config: Config) -> Secrets:
    """As `resolve_secrets`, without a secret that signs tokens.

    Raises:
        SettingsError: as `resolve_secrets`.
    """
    found, created = _resolve(config, ENCRYPTION_KEY)
    return Secrets(None, decode_key(found[ENCRYPTION_KEY]), created)


def _resolve(config: Config, *names: str) -> tuple[dict[str, Secret], tuple[str, ...]]:
    """The secrets called *names*, perhaps with others, and the names of those generated just now."""
    ensure_directory(config.database)
    stored = read_secret_file(config.secrets_file)
    configured = {JWT_SECRET: config.jwt_secret, ENCRYPTION_KEY: config.encryption_key}
    found = stored | {name: value for name, value in configured.items() if value is not None}
    missing = [name for name in names if name not in found]
    if ENCRYPTION_KEY in missing and needs_key(config.database):
        raise key_needed(config.database, config.secrets_file, "the encryption key is missing")
    created = {name: new_secret() for name in missing}
    if created:
        append_secrets(config.secrets_file, created)
    return found | created, tuple(created)


def needs_key(database: Path) -> bool:
    """Whether *database* may contain encrypted values: not if it is missing or empty, or its credentials were deleted.

    Raises:
        SettingsError: when *database* is not a database, or belongs to another program.
    """
    if is_missing(database):
        return False
    with database_refusals(database):
        refuse_foreign(database)
        return read_fact(database, KEY_CHECK) != NO_KEY


def find_jwt_secret(config: Config) -> Secret:
    """The existing secret that signs tokens.

    Raises:
        SettingsError: when public keys verify tokens, or no secret exists yet.
    """
    if config.public_keys_file is not None:
        raise SettingsError(
            f"cannot issue tokens: the public key in {config.public_keys_file} verifies them, and issuing one needs "
            "the private key"
        )
    secret = config.jwt_secret or read_secret_file(config.secrets_file).get(JWT_SECRET)
    if secret is None:
        reason = f"not in {config.secrets_file}" if config.database.exists() else f"{config.database} does not exist"
        raise SettingsError(
            f"the secret that signs tokens is missing ({reason}): set the gateway's database (--database or "
            f"GATEWAY_DATABASE) or {JWT_SECRET}, or start the gateway once, which generates a secret"
        )
    return secret


def new_secret() -> Secret:
    """32 random bytes in base64url."""
    return Secret(urlsafe_b64encode(secrets.token_bytes(KEY_BYTES)).decode().rstrip("="))


def read_secret_file(path: Path) -> dict[str, Secret]:
    """The secrets in the file at *path*; empty if there is no file.

    Raises:
        SettingsError: when other users have access to the file, it cannot be read, or a line is not a secret.
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
        raise SettingsError(f"other users can read {path} (mode {mode:04o}): run chmod 600 and start again")
    found = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.startswith("#"):
            continue
        name, _, value = line.partition("=")
        if name not in PARSERS:
            raise SettingsError(f"{path}, line {number}: must be {' or '.join(PARSERS)}, = and a value")
        try:
            found[name] = PARSERS[name](value)
        except ValueError as error:
            raise SettingsError(f"{path}, line {number}: {name} {error}") from None
    return found


def append_secrets(path: Path, created: Mapping[str, Secret]) -> None:
    """Add secrets to the file at *path*; only its owner can read it, from the first byte on.

    Raises:
        SettingsError: when the file cannot be written.
    """
    new = not path.exists()
    try:
        before = "" if new else path.read_text(encoding="utf-8")
        # O_EXCL: never write to a file that appeared meanwhile, or through a link.
        descriptor = os.open(path, os.O_WRONLY | (os.O_CREAT | os.O_EXCL if new else os.O_APPEND), 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            if new:
                file.write("# Generated by bitrix-gateway. Without GATEWAY_ENCRYPTION_KEY, portal tokens are lost.\n")
            elif before and not before.endswith("\n"):
                file.write("\n")  # end the last line
            file.writelines(f"{name}={value}\n" for name, value in created.items())
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise SettingsError(f"{path} cannot be written: {error.strerror}") from error
