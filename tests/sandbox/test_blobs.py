"""The contents of files in a temporary directory."""

import gc
import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.sandbox.blobs import Blob, Blobs


def write(blobs: Blobs, *pieces: bytes) -> Blob:
    return blobs.store(pieces)


def pieces_with_error() -> Iterator[bytes]:
    yield b"1"
    raise ValueError


def stored(blobs: Blobs) -> list[str]:
    return sorted(path.name for path in blobs.directory.iterdir())


def test_a_content_is_measured_and_kept_under_ascending_numbers() -> None:
    blobs = Blobs()
    first, second = write(blobs, b"ab", b"c"), write(blobs)
    assert (first.size, first.sha256) == (3, hashlib.sha256(b"abc").hexdigest())
    assert [blobs.keep(second), blobs.keep(first)] == [30_001, 30_002]
    assert (blobs[30_002].path.read_bytes(), blobs[30_001].size) == (b"abc", 0)


def test_a_content_that_is_not_finished_or_kept_leaves_no_file() -> None:
    blobs = Blobs()
    with blobs.writer() as writer:
        writer.write(b"x")
    with pytest.raises(ValueError):
        blobs.store(pieces_with_error())
    dropped, kept = write(blobs, b"1"), write(blobs, b"2")
    blobs.keep(kept)
    dropped.discard()
    kept.discard()  # has been taken over
    assert (stored(blobs), len(blobs)) == (["30001"], 1)


def test_a_copy_outlives_its_source() -> None:
    blobs = Blobs()
    number = blobs.keep(write(blobs, b"abc"))
    copy = blobs.copy(number)
    blobs.remove(number)
    assert (copy, blobs[copy].path.read_bytes(), stored(blobs)) == (30_002, b"abc", ["30002"])


def test_the_directory_is_made_at_first_need_and_removed_with_the_last_reference() -> None:
    blobs = Blobs()
    directory: Path = write(blobs, b"abc").path.parent
    assert directory.is_dir()
    del blobs
    gc.collect()
    assert not directory.exists()
