"""Checks of the database path, and errors of the database as settings errors."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gateway.errors import SettingsError
from storage.errors import DatabaseRefused, StorageError

SETTING = "GATEWAY_DATABASE (--database)"


def ensure_directory(database: Path) -> None:
    """Check that the directory of *database* exists, and that *database* is a file if it exists.

    Raises:
        SettingsError: when one of them is wrong; its text names the setting and the path.
    """
    directory = database.absolute().parent
    if not directory.is_dir():
        raise SettingsError(
            f"{SETTING} is {database}, but there is no directory {directory}: create it, or choose another file"
        )
    if database.exists() and not database.is_file():
        raise SettingsError(f"{SETTING} is {database}, which is not a file: choose another path")


def is_missing(database: Path) -> bool:
    """Whether there is no *database*, or only an empty file in its place."""
    return not database.exists() or not database.stat().st_size


def require_database(database: Path) -> None:
    """Check that there is a *database*.

    Raises:
        SettingsError: there is none; the text names the setting and the path.
    """
    if is_missing(database):
        raise SettingsError(f"{SETTING}: there is no database {database}")
    ensure_directory(database)


@contextmanager
def database_refusals(database: Path) -> Iterator[None]:
    """Turn errors that occur while *database* is opened into settings errors.

    Raises:
        SettingsError: when the block fails to open it; its text says why.
    """
    try:
        yield
    except DatabaseRefused as error:
        raise SettingsError(str(error)) from error
    except (OSError, StorageError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise SettingsError(f"{SETTING}: {database} cannot be opened: {reason}") from error
