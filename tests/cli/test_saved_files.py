"""Files that are saved: complete when they appear, never in the place of others, never under a hostile name."""

import errno
import os
from contextlib import nullcontext
from pathlib import Path

import pytest

from gateway.cli.saved_files import Destination, NotSaved, file_name


@pytest.fixture(autouse=True)
def _empty_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def files_here() -> dict[str, bytes]:
    """The contents of all files in the working directory, hidden ones too."""
    return {path.name: path.read_bytes() for path in Path().iterdir()}


def test_a_file_that_appears_meanwhile_stays() -> None:
    destination = Destination(Path(), None, force=False)

    def store_late() -> None:
        with destination.open(Path("a")) as file:
            file.write(b"new")
            Path("a").write_bytes(b"other")

    with pytest.raises(NotSaved, match="a: File exists"):
        store_late()
    assert files_here() == {"a": b"other"}


def test_a_file_is_complete_when_it_appears(monkeypatch: pytest.MonkeyPatch) -> None:
    link = os.link
    before: list[bytes] = []

    def look_and_link(*paths: Path) -> None:
        before.extend(files_here().values())
        link(*paths)

    monkeypatch.setattr(os, "link", look_and_link)
    with Destination(Path(), None, force=False).open(Path("a")) as file:
        file.write(b"new")
    assert (before, files_here()) == ([b"new"], {"a": b"new"})


@pytest.mark.parametrize("taken", [False, True])
def test_file_systems_without_links_do(monkeypatch: pytest.MonkeyPatch, taken: bool) -> None:
    def refuse(*_paths: Path) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    destination = Destination(Path(), None, force=False)
    expected = pytest.raises(NotSaved, match="a: File exists") if taken else nullcontext()
    with expected, destination.open(Path("a")) as file:
        file.write(b"new")
        if taken:
            Path("a").write_bytes(b"other")
    assert files_here() == {"a": b"other" if taken else b"new"}


@pytest.mark.parametrize("name", [".", "..", "a/..", "/", "", " "])
def test_what_cannot_be_a_name_is_refused(name: str) -> None:
    with pytest.raises(NotSaved, match="give --output"):
        file_name(name)
