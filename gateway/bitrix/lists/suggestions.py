"""Guesses what a caller meant by a misspelled field name or an unsupported operator."""

import re
from collections.abc import Iterable
from difflib import get_close_matches

from gateway.bitrix.lists.field_rules import Operators

MAX_NAME_CHARACTERS = 64  # longer names get no suggestion
MIN_SIMILARITY = 0.8
# Operators of other languages and methods, and what they may mean here: the first one that is allowed.
EQUIVALENTS = {
    "<>": ("!=", "!"),
    "!=": ("!",),
    "~": ("%",),
    "*": ("%",),
    "?": ("%",),
    "@": ("=",),
    "!@": ("!",),
}


def suggest_name(name: str, names: Iterable[str]) -> str | None:
    """The one of *names* closest to *name*, ignoring case and underscores; None if none is close."""
    if len(name) > MAX_NAME_CHARACTERS:
        return None
    candidates = {candidate.replace("_", "").upper(): candidate for candidate in names}
    close = get_close_matches(name.replace("_", "").upper(), candidates, n=1, cutoff=MIN_SIMILARITY)
    return candidates[close[0]] if close else None


def suggest_operator(operator: str, allowed: Operators) -> str | None:
    """The one of the *allowed* operators that *operator* probably means; None if it resembles none.

    It is tried as an anagram (``=>``), by EQUIVALENTS, as a search by part of a text, and as a doubled sign (``==``).
    """
    operator = re.sub(r"\s", "", operator)
    for candidate in allowed:
        if sorted(candidate) == sorted(operator):
            return candidate
    for candidate in EQUIVALENTS.get(operator, ()):
        if candidate in allowed:
            return candidate
    if "%" in operator and "!" not in operator and "=" in allowed:
        return "="
    if operator[:1] == operator[1:2] and operator[:1] in allowed:
        return operator[:1]
    return None
