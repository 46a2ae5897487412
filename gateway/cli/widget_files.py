"""Reads the files of manifests that an operator names."""

import os
import stat
from collections.abc import Iterable
from pathlib import Path

import orjson

from gateway.cli.local_files import open_at_once
from gateway.widgets.loading import Document, Mistake

MAX_FILE_BYTES = 10_000_000
EMPTY_DIRECTORY = "has no *.json files"


class _Unreadable(Exception):
    """A file cannot be used; the text says why."""


def read_files(paths: Iterable[Path]) -> tuple[list[Document], list[Mistake]]:
    """Return the manifests in *paths*, and what is wrong with files that cannot be read.

    A path is a file, with one manifest or a list of them, or a directory of such files, which are read in the order of
    their names: those whose name ends in .json and does not begin with a dot. Links are followed.
    """
    documents: list[Document] = []
    mistakes: list[Mistake] = []
    for path in paths:
        try:
            files = _files_of(path)
        except _Unreadable as error:
            mistakes.append(Mistake(str(path), "", str(error)))
            continue
        for file in files:
            try:
                documents += _documents(file)
            except _Unreadable as error:
                mistakes.append(Mistake(str(file), "", str(error)))
    return documents, mistakes


def _files_of(path: Path) -> list[Path]:
    """The files at *path*, without a look at them."""
    if not path.is_dir():
        return [path]
    try:
        names = sorted(name for name in os.listdir(path) if name.endswith(".json") and not name.startswith("."))
    except OSError as error:
        raise _Unreadable(f"cannot be read: {error.strerror}") from error
    if not names:
        raise _Unreadable(EMPTY_DIRECTORY)
    return [path / name for name in names]


def _documents(file: Path) -> list[Document]:
    content = _parse(_read(file))
    if not isinstance(content, list):
        return [Document(str(file), content)]
    if not content:
        raise _Unreadable("has no manifest")
    return [Document(f"{file}, manifest {number}", each) for number, each in enumerate(content, start=1)]


def _read(file: Path) -> bytes:
    try:
        with open(file, "rb", opener=open_at_once) as opened:
            if not stat.S_ISREG(os.fstat(opened.fileno()).st_mode):
                raise _Unreadable("is not a file")
            content = opened.read(MAX_FILE_BYTES + 1)
    except FileNotFoundError as error:
        missing = "is a link to a file that does not exist" if file.is_symlink() else "does not exist"
        raise _Unreadable(missing) from error
    except OSError as error:
        raise _Unreadable(f"cannot be read: {error.strerror}") from error
    if len(content) > MAX_FILE_BYTES:
        raise _Unreadable(f"must have at most {MAX_FILE_BYTES:,} bytes")
    return content


def _parse(content: bytes) -> object:
    try:
        content.decode()
    except UnicodeDecodeError as error:
        raise _Unreadable(f"is not UTF-8: byte {error.start + 1}") from error
    try:
        parsed: object = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise _Unreadable(f"is not JSON: line {error.lineno}, column {error.colno}: {error.msg}") from error
    return parsed
