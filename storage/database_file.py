"""The database file before it is opened: its lock, its owner, and whose database it is."""

import fcntl
import logging
import os
import stat
from contextlib import closing
from pathlib import Path

import pysqlite3

from storage.errors import DatabaseInUse, ForeignDatabase, storage_error

logger = logging.getLogger(__name__)

APPLICATION_ID = int.from_bytes(b"BxGw", "big")  # in the file's header, from the second migration on
OWNER_ALONE = 0o600  # people's names and addresses; SQLite gives -wal and -shm the mode of the file
OTHERS = 0o077
NEIGHBOURS = ("", "-wal", "-shm", ".lock")


class LockFile:
    """The lock file beside a database, locked until closed; never removed: nobody shall lock a dead name.

    Its time of modification is kept for a mark: setting it needs no room on the disk.
    """

    def __init__(self, descriptor: int, *, new: bool) -> None:
        self._descriptor = descriptor
        if new:
            self.touch(0)
        self.touched_at = os.fstat(descriptor).st_mtime
        """The mark that was found when the file was opened, 0 where there was none."""

    def touch(self, at: float) -> None:
        """Set the mark to the Unix time *at*."""
        os.utime(self._descriptor, (at, at))

    def close(self) -> None:
        """Give the database free."""
        os.close(self._descriptor)


def lock_database(path: Path) -> LockFile:
    """The lock of the database that *path* leads to, under this name or through a link.

    Raises:
        DatabaseInUse: when another process holds it.
    """
    name = f"{path.resolve()}.lock"
    new = not os.path.exists(name)
    descriptor = os.open(name, os.O_RDWR | os.O_CREAT, OWNER_ALONE)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        raise DatabaseInUse(
            f"{path} is in use by another running gateway: stop that one first, or name another database"
        ) from error
    return LockFile(descriptor, new=new)


def make_file(path: Path) -> Path:
    """What *path* leads to, where there is a file afterwards, and none beside it that others than its owner can read.

    Raises:
        OSError: when it cannot be made.
    """
    path = path.resolve()
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, OWNER_ALONE))
    for neighbour in NEIGHBOURS:
        _keep_to_owner(Path(f"{path}{neighbour}"))
    return path


def _keep_to_owner(path: Path) -> None:
    if not path.exists():
        return
    mode = stat.S_IMODE(path.stat().st_mode)
    if not mode & OTHERS:
        return
    told = {"file": str(path), "mode": f"{mode:04o}"}
    try:
        path.chmod(OWNER_ALONE)
    except OSError as error:
        reason = error.strerror
        logger.warning("others can read a file of the database: chmod 600 it", extra=told | {"reason": reason})
    else:
        logger.warning("others could read a file of the database: it has mode 0600 now", extra=told)


MARKS_OF_A_FILE = """
SELECT application_id, user_version, count(name), coalesce(max(name = 'facts'), 0)
FROM pragma_application_id, pragma_user_version LEFT JOIN sqlite_schema ON type = 'table'
"""


def refuse_foreign(path: Path) -> None:
    """Look whose database the file at *path* is.

    Raises:
        ForeignDatabase: when another program made it.
        StorageError: when it cannot be read, or is no database.
    """
    try:
        with closing(pysqlite3.connect(str(path))) as connection:
            application_id, version, tables, ours_before_the_mark = connection.execute(MARKS_OF_A_FILE).fetchone()
    except pysqlite3.Error as error:
        raise storage_error(error) from error
    unmarked = application_id == 0 and (ours_before_the_mark if version else not tables)
    if application_id != APPLICATION_ID and not unmarked:
        raise ForeignDatabase(f"{path} is the database of another program: name another file")
