"""Where the database lies, and the refusals to work there."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gateway.errors import SettingsError
from storage.errors import DatabaseRefused, StorageError

SETTING = "GATEWAY_DATABASE (--database)"


def ensure_directory(database: Path) -> None:
    """See that there is a directory for *database*, and nothing else than a file at its place.

    Raises:
        SettingsError: naming the setting, and the directory or what is there instead of a file.
    """
    directory = database.absolute().parent
    if not directory.is_dir():
        raise SettingsError(
            f"{SETTING} is {database}, but there is no directory {directory}: make it, or name another file"
        )
    if database.exists() and not database.is_file():
        raise SettingsError(f"{SETTING} is {database}, which is not a file: name another one")


@contextmanager
def database_refusals(database: Path) -> Iterator[None]:
    """Turn what keeps *database* from being opened within the block into a refusal to go on.

    Raises:
        SettingsError: saying why it cannot be opened.
    """
    try:
        yield
    except DatabaseRefused as error:
        raise SettingsError(str(error)) from error
    except (OSError, StorageError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise SettingsError(f"{SETTING}: {database} cannot be opened: {reason}") from error
