"""Files on this machine, as they are checked and read to be uploaded."""

import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from gateway.disk.form import MAX_FILE_BYTES, TOO_LARGE, broken_name_rule
from gateway.errors import GatewayError

State = tuple[int, int, int, int]
"""What changes with a file: its device, number, size and time of change."""


class FileFailed(GatewayError):
    """a file cannot be read as it was"""

    def __init__(self, file: "LocalFile", detail: str, *, code: str) -> None:
        super().__init__(detail)
        self.file = file
        self.code = code


class _Refused(Exception):
    """A file cannot be uploaded; the text says why."""


@dataclass(frozen=True)
class LocalFile:
    """A file, as it was when it was checked."""

    path: Path
    size: int
    state: State

    @property
    def name(self) -> str:
        return self.path.name

    def read(self, offset: int, length: int) -> bytes:
        """Return *length* bytes from *offset* on; fewer only at the end of the file.

        Raises:
            FileFailed: the file has changed since it was checked, or cannot be read.
        """
        try:
            with open(self.path, "rb", opener=open_at_once) as opened:
                if _state(os.fstat(opened.fileno())) == self.state:
                    opened.seek(offset)
                    data = opened.read(length)
                    if len(data) == min(length, self.size - offset):
                        return data
        except OSError as error:
            raise FileFailed(self, f"cannot be read: {error.strerror}", code="file_unreadable") from error
        raise FileFailed(self, "has changed while it was uploaded; nothing of it was stored", code="file_changed")


def check_files(paths: Iterable[Path]) -> tuple[list[LocalFile], list[str]]:
    """Return the files at *paths*, and what is wrong with those that cannot be uploaded. Links are followed."""
    files: list[LocalFile] = []
    mistakes: list[str] = []
    seen: set[str] = set()
    for path in paths:
        place = os.path.abspath(path)
        try:
            if place in seen:
                raise _Refused("is given twice")
            seen.add(place)
            files.append(_check(path))
        except _Refused as refused:
            mistakes.append(f"{path}: {refused}")
    return files, mistakes


def _check(path: Path) -> LocalFile:
    if str(path) == "-":
        raise _Refused("standard input cannot be uploaded: its size is not known beforehand")
    try:
        with open(path, "rb", opener=open_at_once) as opened:
            found = os.fstat(opened.fileno())
    except IsADirectoryError:
        raise _Refused("is a directory") from None
    except FileNotFoundError:
        missing = "is a link to a file that does not exist" if path.is_symlink() else "does not exist"
        raise _Refused(missing) from None
    except OSError as error:
        raise _Refused(f"cannot be read: {error.strerror}") from error
    if not stat.S_ISREG(found.st_mode):
        raise _Refused("is not a regular file")
    if found.st_size > MAX_FILE_BYTES:
        raise _Refused(TOO_LARGE)
    _check_name(path.name)
    return LocalFile(path, found.st_size, _state(found))


def _check_name(name: str) -> None:
    if "\\" in name:
        raise _Refused("must have a name without a backslash, which separates directories elsewhere")
    if not name.strip():
        raise _Refused("must have a name that is not only spaces")
    if rule := broken_name_rule(name):
        raise _Refused(rule)


def open_at_once(name: str, flags: int) -> int:
    """Open a file without waiting for the writer of a named pipe."""
    return os.open(name, flags | os.O_NONBLOCK)


def _state(found: os.stat_result) -> State:
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns
