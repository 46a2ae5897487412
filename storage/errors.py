"""Errors of the database file, grouped by how to handle them."""

import pysqlite3

# Source: sqlite.org/rescode.html. The low byte of an extended code is its primary code.
PRIMARY_CODE = 0xFF
UNAVAILABLE_CODES = frozenset({3, 5, 6, 8, 10, 13, 14})  # PERM, BUSY, LOCKED, READONLY, IOERR, FULL, CANTOPEN
DAMAGE_CODES = frozenset({11, 26})  # CORRUPT, NOTADB


class StorageError(Exception):
    """A statement failed. The text is SQLite's message."""


class IntegrityError(StorageError):
    """A statement violates a constraint."""


class StorageUnusable(StorageError):
    """The statement failed because of the file."""

    @property
    def message(self) -> str:
        """The error message for callers."""
        return str(self)


class StorageUnavailable(StorageUnusable):
    """The file is temporarily unusable: the disk is full, failing or read-only, or another program locks the file."""

    @property
    def message(self) -> str:
        return f"the database cannot be used for now ({self}): try again later"


class StorageDamaged(StorageUnusable):
    """The content of the file is damaged. The message says what to do."""

    def __init__(self, reason: str) -> None:
        super().__init__(
            f"the database is damaged or is not an SQLite database ({reason}). Stop the gateway, then restore the file "
            "from a backup, or salvage it with the .recover command of sqlite3. Syncs rebuild the mirror; accounts, "
            "tokens and rules exist only in the file"
        )


def storage_error(error: Exception) -> StorageError:
    """Return the StorageError for a pysqlite3.Error."""
    if isinstance(error, pysqlite3.IntegrityError):
        return IntegrityError(str(error))
    code = getattr(error, "sqlite_errorcode", 0) & PRIMARY_CODE  # errors raised by pysqlite3 itself have no code
    if code in DAMAGE_CODES:
        return StorageDamaged(str(error))
    return StorageUnavailable(str(error)) if code in UNAVAILABLE_CODES else StorageError(str(error))


class DatabaseRefused(Exception):
    """The gateway refuses to open the database."""


class DatabaseInUse(DatabaseRefused):
    """Another gateway has the database open."""


class DatabaseTooNew(DatabaseRefused):
    """A newer version of the gateway wrote the database."""


class ForeignDatabase(DatabaseRefused):
    """Another program created the database."""
