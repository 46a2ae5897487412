"""What files and folders may be called."""

import re

MAX_NAME_CHARACTERS = 255
CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def is_file_name(name: str) -> bool:
    """Return whether *name* is one of a file or folder, not of a place relative to another."""
    return (
        name.strip() not in ("", ".", "..")
        and len(name) <= MAX_NAME_CHARACTERS
        and not CONTROL.search(name)
        and not re.search(r"[/\\]", name)
    )


def last_part(name: str) -> str:
    """Return *name* without any path before it."""
    return re.split(r"[/\\]", name)[-1].strip()
