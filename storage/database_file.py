"""Checks on the database file before it is opened: its lock, permissions and application id."""

import fcntl
import logging
import os
import stat
from contextlib import closing
from pathlib import Path

import pysqlite3

from storage.errors import DatabaseInUse, ForeignDatabase, storage_error

logger = logging.getLogger(__name__)

APPLICATION_ID = int.from_bytes(b"BxGw", "big")  # in the file header since the second migration
OWNER_ONLY = 0o600  # the data is personal; SQLite gives -wal and -shm the mode of the file
GROUP_AND_OTHERS = 0o077
SUFFIXES = ("", "-wal", "-shm", ".lock")


class LockFile:
    """The lock file beside a database, locked until closed.

    It is never removed: another process could hold a lock on the removed file. Its modification time stores a mark,
    because setting it needs no disk space.
    """

    def __init__(self, descriptor: int, *, new: bool) -> None:
        self._descriptor = descriptor
        if new:
            self.touch(0)
        self.touched_at = os.fstat(descriptor).st_mtime
        """The mark found when the file was opened; 0 if there was none."""

    def touch(self, at: float) -> None:
        """Set the mark to the Unix time *at*."""
        os.utime(self._descriptor, (at, at))

    def close(self) -> None:
        """Release the lock."""
        os.close(self._descriptor)


def lock_database(path: Path) -> LockFile:
    """Lock the database at *path*, which may be a link to it.

    Raises:
        DatabaseInUse: another process holds the lock.
    """
    name = f"{path.resolve()}.lock"
    new = not os.path.exists(name)
    descriptor = os.open(name, os.O_RDWR | os.O_CREAT, OWNER_ONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        raise DatabaseInUse(
            f"{path} is in use by another running gateway: stop that one first, or use another database"
        ) from error
    return LockFile(descriptor, new=new)


def is_locked(path: Path) -> bool:
    """Return whether a gateway has the database at *path* open."""
    try:
        lock_database(path).close()
    except DatabaseInUse:
        return True
    return False


def create_file(path: Path) -> Path:
    """Create the file at *path* if it does not exist, and return its path with links resolved.

    Restricts the file and those beside it to their owner.

    Raises:
        OSError: the file cannot be created.
    """
    path = path.resolve()
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, OWNER_ONLY))
    for suffix in SUFFIXES:
        _restrict_to_owner(Path(f"{path}{suffix}"))
    return path


def _restrict_to_owner(path: Path) -> None:
    if not path.exists():
        return
    mode = stat.S_IMODE(path.stat().st_mode)
    if not mode & GROUP_AND_OTHERS:
        return
    fields = {"file": str(path), "mode": f"{mode:04o}"}
    try:
        path.chmod(OWNER_ONLY)
    except OSError as error:
        reason = error.strerror
        logger.warning("others can read a file of the database: chmod 600 it", extra=fields | {"reason": reason})
    else:
        logger.warning("others could read a file of the database: it has mode 0600 now", extra=fields)


READ_FILE_MARKS = """
SELECT application_id, user_version, count(name), coalesce(max(name = 'facts'), 0)
FROM pragma_application_id, pragma_user_version LEFT JOIN sqlite_schema ON type = 'table'
"""


def refuse_foreign(path: Path) -> int:
    """Verify that the file at *path* is empty or a database of the gateway. Return its version, 0 if it is empty.

    Raises:
        ForeignDatabase: another program created it.
        StorageError: it cannot be read or is not a database.
    """
    try:
        with closing(pysqlite3.connect(str(path))) as connection:
            application_id, version, tables, has_facts = connection.execute(READ_FILE_MARKS).fetchone()
    except pysqlite3.Error as error:
        raise storage_error(error) from error
    unmarked = application_id == 0 and (has_facts if version else not tables)
    if application_id != APPLICATION_ID and not unmarked:
        raise ForeignDatabase(f"{path} is the database of another program: use another file")
    return int(version)


def existing_version(path: Path) -> int:
    """Return the version of the database at *path*; 0 if there is no file.

    Raises:
        ForeignDatabase, StorageError: as `refuse_foreign`.
    """
    return refuse_foreign(path) if path.exists() else 0
