"""The contents of files, each in a file of a temporary directory. Memory holds only sizes and digests."""

import hashlib
import itertools
import os
import shutil
import tempfile
import weakref
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Self

FIRST_NUMBER = 30_001


@dataclass(frozen=True)
class Blob:
    """A stored content: where it is, its size in bytes and its SHA-256 in hexadecimal."""

    path: Path
    size: int
    sha256: str

    def discard(self) -> None:
        """Remove the content, unless `Blobs.keep` has taken it."""
        self.path.unlink(missing_ok=True)


@dataclass(frozen=True)
class StoredFile:
    """A stored content, and the name under which it was sent or a client saves it."""

    name: str
    blob: Blob


class BlobWriter:
    """Writes one content in pieces, as a context manager. Without `finish` nothing stays stored."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = path.open("xb")
        self._digest = hashlib.sha256()
        self._is_finished = False
        self.size = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
        if not self._is_finished:
            self._path.unlink()

    def write(self, piece: bytes) -> None:
        self._file.write(piece)
        self._digest.update(piece)
        self.size += len(piece)

    def finish(self) -> Blob:
        """Close the file and return the content."""
        self._file.close()
        self._is_finished = True
        return Blob(self._path, self.size, self._digest.hexdigest())


class Blobs:
    """The contents of a portal by ascending number.

    The directory is made at first need. It is removed when the object is collected or the process exits.
    """

    def __init__(self) -> None:
        self._directory: Path | None = None
        self._kept: dict[int, Blob] = {}
        self._numbers = itertools.count(FIRST_NUMBER)
        self._drafts = itertools.count(1)

    def writer(self) -> BlobWriter:
        """Return a writer of a new content, which gets a number only from `keep`."""
        return BlobWriter(self._draft_path())

    def store(self, pieces: Iterable[bytes]) -> Blob:
        """Store a content that comes in *pieces*. If they raise an exception, nothing is stored."""
        with self.writer() as writer:
            for piece in pieces:
                writer.write(piece)
            return writer.finish()

    def keep(self, blob: Blob) -> int:
        """Take over a finished content and return its number."""
        number = next(self._numbers)
        path = self.directory / str(number)
        blob.path.replace(path)
        self._kept[number] = replace(blob, path=path)
        return number

    def copy(self, number: int) -> int:
        """Store the same content under a new number. Contents never change, so both share one file."""
        blob, path = self._kept[number], self._draft_path()
        os.link(blob.path, path)
        return self.keep(replace(blob, path=path))

    def remove(self, number: int) -> None:
        self._kept.pop(number).discard()

    def __getitem__(self, number: int) -> Blob:
        return self._kept[number]

    def __len__(self) -> int:
        return len(self._kept)

    @property
    def directory(self) -> Path:
        """The temporary directory."""
        if self._directory is None:
            self._directory = Path(tempfile.mkdtemp(prefix="bitrix-sandbox-"))
            weakref.finalize(self, shutil.rmtree, self._directory, ignore_errors=True)
        return self._directory

    def _draft_path(self) -> Path:
        return self.directory / f"draft-{next(self._drafts)}"
