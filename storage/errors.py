"""What can go wrong with the database file, sorted by what can be done about it."""

import pysqlite3

# Source: sqlite.org/rescode.html. The low byte of an extended code is its primary code.
PRIMARY_CODE = 0xFF
UNAVAILABLE_CODES = frozenset({3, 5, 6, 8, 10, 13, 14})  # PERM, BUSY, LOCKED, READONLY, IOERR, FULL, CANTOPEN
DAMAGE_CODES = frozenset({11, 26})  # CORRUPT, NOTADB


class StorageError(Exception):
    """A statement failed; the message is SQLite's."""


class IntegrityError(StorageError):
    """A constraint of a table was violated."""


class StorageUnusable(StorageError):
    """The file is to blame, not the statement."""

    @property
    def told(self) -> str:
        """The sentence for callers."""
        return str(self)


class StorageUnavailable(StorageUnusable):
    """The file cannot be used for now: the disk is full, fails or is read-only, or another program holds the file."""

    @property
    def told(self) -> str:
        return f"the database cannot be used for now ({self}): try again later"


class StorageDamaged(StorageUnusable):
    """The content of the file is damaged; the message says what to do."""

    def __init__(self, reason: str) -> None:
        super().__init__(
            f"the database is damaged, or is no SQLite database ({reason}). Stop the gateway, then restore the file "
            "from a backup, or salvage it with the .recover command of sqlite3. Syncs rebuild the mirror; accounts, "
            "tokens and rules exist only in the file"
        )


def storage_error(error: Exception) -> StorageError:
    """The error of ours for a pysqlite3.Error."""
    if isinstance(error, pysqlite3.IntegrityError):
        return IntegrityError(str(error))
    code = getattr(error, "sqlite_errorcode", 0) & PRIMARY_CODE  # pysqlite3's own refusals have none
    if code in DAMAGE_CODES:
        return StorageDamaged(str(error))
    return StorageUnavailable(str(error)) if code in UNAVAILABLE_CODES else StorageError(str(error))


class DatabaseRefused(Exception):
    """The database is not to be opened by this gateway, or not now."""


class DatabaseInUse(DatabaseRefused):
    """Another gateway has this database open."""


class DatabaseTooNew(DatabaseRefused):
    """The database was written by a newer version of the gateway."""


class ForeignDatabase(DatabaseRefused):
    """The database is another program's."""
