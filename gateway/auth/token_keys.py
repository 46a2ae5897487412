"""Keys that verify the signatures of callers' tokens."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import structlog
from jose import jwk
from jose.backends.base import Key

from gateway.clock import Clock
from gateway.crypto.jwk_set import read_jwk_set
from gateway.crypto.public_keys import read_public_key
from gateway.errors import SettingsError
from gateway.settings.config import Config
from gateway.settings.secret_file import Secrets

logger = structlog.get_logger(__name__)

CHECK_INTERVAL_S = 1.0


class TokenKeys(Protocol):
    """Keys by algorithm and key id."""

    def refresh(self) -> None:
        """Load changed keys."""

    def find(self, algorithm: str, kid: object, /) -> Key | None:
        """The key for a token with this *algorithm* and *kid* (None if absent) in its header; None if unknown."""


def open_token_keys(config: Config, secrets: Secrets, clock: Clock, *, on_change: Callable[[], None]) -> TokenKeys:
    """The keys that the settings define; *on_change* is called whenever they change.

    Raises:
        SettingsError: when there is no key.
    """
    if config.jwks_file is not None:
        return JwkSetFile(config.jwks_file, config.jwt_algorithms, clock, on_change)
    if config.jwt_public_key_file is not None:
        return FixedKeys([read_public_key(config.jwt_public_key_file).pem], config.jwt_algorithms)
    if secrets.jwt_secret is None:
        raise SettingsError("there is no key that verifies callers' tokens")
    return FixedKeys([secrets.jwt_secret, *config.jwt_previous_secrets], config.jwt_algorithms)


class AnyKey(Key):
    """A key that verifies what at least one of several keys verifies."""

    def __init__(self, keys: Sequence[Key]) -> None:
        self._keys = keys

    def verify(self, msg: bytes, sig: bytes) -> bool:
        return any(key.verify(msg, sig) for key in self._keys)


class FixedKeys:
    """Keys without ids that do not change; any of them may have signed a token."""

    def __init__(self, keys: Sequence[str], algorithms: Sequence[str]) -> None:
        self._keys = {algorithm: AnyKey([jwk.construct(key, algorithm) for key in keys]) for algorithm in algorithms}

    def refresh(self) -> None:
        """Do nothing."""

    def find(self, algorithm: str, _kid: object, /) -> Key | None:
        return self._keys.get(algorithm)


@dataclass(frozen=True)
class FileVersion:
    """File metadata that differs between versions of a file."""

    inode: int
    size_bytes: int
    modified_ns: int
    changed_ns: int

    @classmethod
    def of(cls, path: Path) -> "FileVersion | None":
        """The version of the file at *path*; None if there is no such file."""
        try:
            found = path.stat()
        except OSError:
            return None
        return cls(found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


class JwkSetFile:
    """The keys of a JWK set in a file that may change at any time.

    The file is checked when a token arrives, at most once a second. A token with an unknown key id causes an additional
    check, also at most once a second. If the new content is invalid, that is logged and the last valid keys stay.
    """

    def __init__(self, path: Path, algorithms: Sequence[str], clock: Clock, on_change: Callable[[], None]) -> None:
        self._path = path
        self._algorithms = algorithms
        self._clock = clock
        self._on_change = on_change
        self._version = FileVersion.of(path)
        self._keys = read_jwk_set(path)
        self._by_algorithm = self._construct()
        self._next_check_at = self._next_kid_check_at = clock.monotonic()

    def refresh(self) -> None:
        now = self._clock.monotonic()
        if now >= self._next_check_at:
            self._next_check_at = now + CHECK_INTERVAL_S
            self._reload()

    def find(self, algorithm: str, kid: object, /) -> Key | None:
        """The key with the id *kid* among those that fit *algorithm*; without an id, the only key that fits."""
        now = self._clock.monotonic()
        if kid is not None and now >= self._next_kid_check_at and all(key.kid != kid for key in self._keys):
            self._next_kid_check_at = now + CHECK_INTERVAL_S
            self._reload()
        fitting = [key for key_id, key in self._by_algorithm.get(algorithm, ()) if kid is None or key_id == kid]
        return fitting[0] if len(fitting) == 1 else None

    def _reload(self) -> None:
        version = FileVersion.of(self._path)
        if version == self._version:
            return
        self._version = version
        try:
            keys = read_jwk_set(self._path)
        except ValueError as error:
            logger.error("invalid JWK set, keeping the last valid one", file=str(self._path), reason=str(error))
            return
        if keys != self._keys:
            self._keys = keys
            self._by_algorithm = self._construct()
            logger.info("reloaded the JWK set", file=str(self._path), kids=[key.kid for key in keys])
            self._on_change()

    def _construct(self) -> dict[str, list[tuple[str | None, Key]]]:
        """The keys with their ids, by each accepted algorithm that they support."""
        return {
            algorithm: [
                (key.kid, jwk.construct(key.pem, algorithm)) for key in self._keys if algorithm in key.algorithms
            ]
            for algorithm in self._algorithms
        }
