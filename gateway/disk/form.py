"""What files may be called, and what a form of them may have, for those that send one and those that receive it."""

import re

MAX_FILES = 100
MAX_FILE_BYTES = 50 * 1024 * 1024
MAX_NAME_CHARACTERS = 255
TOO_LARGE = f"has more than {MAX_FILE_BYTES:,} bytes"
NAME_RULE = (
    f"of 1 to {MAX_NAME_CHARACTERS} characters, none of them /, \\ or a control character, without blanks around it, "
    "and not . or .."
)
CONTROL = re.compile(r"[\x00-\x1f\x7f]")
SURROGATE = re.compile(r"[\ud800-\udfff]")  # what Python makes of bytes that are not UTF-8. Source: PEP 383


def broken_name_rule(name: str) -> str | None:
    """Return the rule that the *name* of a file breaks, or None."""
    if SURROGATE.search(name):
        return "must have a name in UTF-8"
    if CONTROL.search(name):
        return "must have a name without control characters"
    if len(name) > MAX_NAME_CHARACTERS:
        return f"must have a name of at most {MAX_NAME_CHARACTERS} characters"
    return None


def is_file_name(name: str) -> bool:
    """Return whether *name* is one of a file or folder, not of a place relative to another: NAME_RULE."""
    return name.strip() not in ("", ".", "..") and name == last_part(name) and broken_name_rule(name) is None


def last_part(name: str) -> str:
    """Return *name* without any path before it, and without blanks around it."""
    return re.split(r"[/\\]", name)[-1].strip()
