"""What a form of files may have, for those that send one and for those that receive it."""

import re

MAX_FILES = 100
MAX_FILE_BYTES = 50 * 1024 * 1024
MAX_NAME_CHARACTERS = 255
TOO_LARGE = f"has more than {MAX_FILE_BYTES:,} bytes"
CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def broken_name_rule(name: str) -> str | None:
    """Return the rule that the *name* of a file breaks, or None."""
    if CONTROL.search(name):
        return "must have a name without control characters"
    if len(name) > MAX_NAME_CHARACTERS:
        return f"must have a name of at most {MAX_NAME_CHARACTERS} characters"
    return None
