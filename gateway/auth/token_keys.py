"""The keys that the signatures of the callers' tokens are checked with, as they are now."""

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

LOOK_INTERVAL_S = 1.0


class TokenKeys(Protocol):
    """Keys by what a token says of its signature."""

    def look(self) -> None:
        """Notice keys that have changed."""

    def find(self, algorithm: str, kid: object, /) -> Key | None:
        """What verifies a token with *algorithm* and *kid* (None: none) in its header; None where nothing does."""


def open_token_keys(config: Config, secrets: Secrets, clock: Clock, *, on_change: Callable[[], None]) -> TokenKeys:
    """The keys that the settings name; *on_change* is called whenever others have taken their place.

    Raises:
        SettingsError: when there is no key.
    """
    if config.jwks_file is not None:
        return WatchedKeys(config.jwks_file, config.jwt_algorithms, clock, on_change)
    if config.jwt_public_key_file is not None:
        return FixedKeys([read_public_key(config.jwt_public_key_file).pem], config.jwt_algorithms)
    if secrets.jwt_secret is None:
        raise SettingsError("there is no key that verifies the callers' tokens")
    return FixedKeys([secrets.jwt_secret, *config.jwt_previous_secrets], config.jwt_algorithms)


class AnyOf(Key):
    """Several keys as one, which verifies what one of them does."""

    def __init__(self, keys: Sequence[Key]) -> None:
        self._keys = keys

    def verify(self, msg: bytes, sig: bytes) -> bool:
        return any(key.verify(msg, sig) for key in self._keys)


class FixedKeys:
    """Keys that stay until the next start and have no names: any of them may have signed a token."""

    def __init__(self, keys: Sequence[str], algorithms: Sequence[str]) -> None:
        self._keys = {algorithm: AnyOf([jwk.construct(key, algorithm) for key in keys]) for algorithm in algorithms}

    def look(self) -> None:
        """They do not change."""

    def find(self, algorithm: str, _kid: object, /) -> Key | None:
        return self._keys.get(algorithm)


@dataclass(frozen=True)
class FileMark:
    """What tells one state of a file from another without reading it."""

    inode: int
    size_bytes: int
    modified_ns: int
    changed_ns: int

    @classmethod
    def of(cls, path: Path) -> "FileMark | None":
        """The mark of the file at *path*; None where there is none to be had."""
        try:
            found = path.stat()
        except OSError:
            return None
        return cls(found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


class WatchedKeys:
    """The keys of a JWK set in a file, which may change at any time.

    The file is looked at when a token comes, at most once a second; besides, and as seldom, when a token names a key
    that is not there. What cannot be used is logged, and the last good set stays.
    """

    def __init__(self, path: Path, algorithms: Sequence[str], clock: Clock, on_change: Callable[[], None]) -> None:
        self._path = path
        self._algorithms = algorithms
        self._clock = clock
        self._on_change = on_change
        self._mark = FileMark.of(path)
        self._found = read_jwk_set(path)
        self._keys = self._construct()
        self._look_at = self._look_for_kid_at = clock.monotonic()

    def look(self) -> None:
        now = self._clock.monotonic()
        if now >= self._look_at:
            self._look_at = now + LOOK_INTERVAL_S
            self._reread()

    def find(self, algorithm: str, kid: object, /) -> Key | None:
        """The key of that name, or without a name the only one there is, among those that fit *algorithm*."""
        now = self._clock.monotonic()
        if kid is not None and now >= self._look_for_kid_at and all(key.kid != kid for key in self._found):
            self._look_for_kid_at = now + LOOK_INTERVAL_S
            self._reread()
        fitting = [key for name, key in self._keys.get(algorithm, ()) if kid is None or name == kid]
        return fitting[0] if len(fitting) == 1 else None

    def _reread(self) -> None:
        mark = FileMark.of(self._path)
        if mark == self._mark:
            return
        self._mark = mark
        try:
            found = read_jwk_set(self._path)
        except ValueError as error:
            logger.error("cannot use the JWK set, the last good one stays", file=str(self._path), reason=str(error))
            return
        if found != self._found:
            self._found = found
            self._keys = self._construct()
            logger.info("read a changed JWK set", file=str(self._path), kids=[key.kid for key in found])
            self._on_change()

    def _construct(self) -> dict[str, list[tuple[str | None, Key]]]:
        """The keys with their names, by the algorithms that are both theirs and ours."""
        return {
            algorithm: [
                (key.kid, jwk.construct(key.pem, algorithm)) for key in self._found if algorithm in key.algorithms
            ]
            for algorithm in self._algorithms
        }
