"""Names of folders and files, which are unique within a folder regardless of case."""

import itertools
from collections.abc import Set
from pathlib import PurePosixPath


def name_key(name: str) -> str:
    """The form in which two names are compared."""
    return name.casefold()


def free_name(name: str, taken: Set[str]) -> str:
    """*name*, or the first of "name (1).ext", "name (2).ext" that is free. *taken* holds keys of names.

    Source: methods.md, section 8.3
    """
    suffix = PurePosixPath(name).suffix
    stem = name.removesuffix(suffix)
    candidates = (f"{stem} ({number}){suffix}" for number in itertools.count(1))
    return next(other for other in itertools.chain([name], candidates) if name_key(other) not in taken)
