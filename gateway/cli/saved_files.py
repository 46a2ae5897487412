"""Where downloaded files are stored on this machine."""

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO
from uuid import uuid4

from gateway.disk.form import last_part
from gateway.errors import GatewayError

CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")

NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS)  # FAT and some network file systems. Source: link(2)


class NotSaved(GatewayError):
    """the file cannot be stored"""

    code = "not_saved"


@dataclass
class Destination:
    """Where files go: to *output* if that is given, else into *directory* under their own names.

    Files that exist are replaced only with *force*, and those of the same command never.
    """

    directory: Path
    output: Path | None
    force: bool
    _written: set[Path] = field(default_factory=set, init=False)

    def place(self, name: str | None) -> Path:
        """Return where a file goes that the portal calls *name*.

        Raises:
            NotSaved: there is a file, or the name is none.
        """
        path = self.output or self.directory / file_name(name)
        with _told(path):
            if path.is_symlink() or path.exists():
                self._check_replaceable(path)
        return path

    def _check_replaceable(self, path: Path) -> None:
        if path in self._written:
            raise NotSaved(f"{path} is another file of this download: give --output")
        if not self.force:
            raise NotSaved(f"{path} exists: give --force to replace it")
        if not path.is_file():
            raise NotSaved(f"{path} exists and is not a regular file")

    @contextmanager
    def open(self, path: Path) -> Iterator[BinaryIO]:
        """Yield a file that becomes *path* at the end of the block. Nothing stays if the block fails.

        Raises:
            NotSaved: it cannot be written, or there is a file now.
        """
        partial = path.with_name(f".{uuid4().hex}.part")
        with _told(path):
            try:
                with open(partial, "xb") as file:
                    yield file
                    file.flush()
                    os.fsync(file.fileno())
                if self.force:
                    os.replace(partial, path)
                else:
                    move_to_new(partial, path)
            finally:
                partial.unlink(missing_ok=True)
        self._written.add(path)


def move_to_new(partial: Path, path: Path) -> None:
    """Give a complete file another name, which must be free. It may keep its own name too.

    Where file systems have no links, an empty file has the name for a moment, so that nobody else takes it.

    Raises:
        OSError: the name is taken, or cannot be used.
    """
    try:
        os.link(partial, path)
    except OSError as error:
        if error.errno not in NO_LINKS:
            raise
        os.close(os.open(path, os.O_CREAT | os.O_EXCL))
        os.replace(partial, path)


def file_name(offered: str | None) -> str:
    """Return the name for a file that the portal calls *offered*: its last part, without control characters.

    Raises:
        NotSaved: nothing is left that can be a name.
    """
    name = CONTROL.sub("_", last_part(offered or "")).strip()
    if name in ("", ".", ".."):
        raise NotSaved(f"the portal calls the file {offered!r}, which cannot be a name here: give --output")
    return name


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """Translate an error of the disk.

    Raises:
        NotSaved: it says why, and of which file.
    """
    try:
        yield
    except OSError as error:
        raise NotSaved(f"{path}: {error.strerror}") from error
