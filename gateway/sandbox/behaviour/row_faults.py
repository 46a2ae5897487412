"""Faults that change the result of a call: invalid ids, a repeated row, terminal escapes, links to elsewhere."""

import re
from collections.abc import Callable
from typing import Any

from gateway.sandbox.php import Value

# A window title, colours, a cleared screen, a forged log line, reversed text direction.
ESCAPES = "\x1b]0;owned\x07\x1b[31m\x1b[2J\x9b2J\r\n2026-01-01T00:00:00Z [info     ] forged\x00\x7f\u202e\u2028"
LINKS = ("uploadUrl", "DOWNLOAD_URL", "urlMachine", "downloadUrl")
_ORIGIN = re.compile(r"^(\w+://[^/]*)?")  # none in a downloadUrl
NAMES = ("NAME", "LAST_NAME", "SECOND_NAME", "TITLE", "EDIT_FORM_LABEL")
MAX_INT64 = 2**63 - 1

# The changed id by value of the fault ``ids``. The value "doubled" repeats a row instead.
IDS: dict[str, Callable[[int], Any]] = {
    "float": float,
    "negative": lambda number: -number - 1,
    "huge": lambda number: MAX_INT64 + 1 + number,
    "boolean": lambda _number: True,
    "signed": lambda number: f"+{number}",
    "spaced": lambda number: f" {number}",
    "grouped": lambda number: f"{number}_0",
    "arabic": lambda number: str(number).translate({ord("0") + digit: 0x660 + digit for digit in range(10)}),
}
DOUBLED = "doubled"


def alter_rows(kind: str, value: str, result: Value) -> Value:
    """Return *result* changed by the fault *kind*, one of ROW_FAULTS, and its *value*."""
    if kind == "unreadable":
        return True
    if kind == "link_origin":
        return _with_links_to(value, result)
    if isinstance(result, dict):
        return {name: alter_rows(kind, value, inner) for name, inner in result.items()}
    if not isinstance(result, list) or not all(isinstance(row, dict) for row in result):
        return result
    if kind == "escapes":
        return [{name: _escaped(name, inner) for name, inner in row.items()} for row in result]
    if value == DOUBLED:
        return [*result, *result[-1:]]
    return [{name: _id(value, name, inner) for name, inner in row.items()} for row in result]


def _with_links_to(origin: str, value: Value) -> Value:
    if isinstance(value, list):
        return [_with_links_to(origin, inner) for inner in value]
    if not isinstance(value, dict):
        return value
    return {
        name: _ORIGIN.sub(origin, inner, count=1) if name in LINKS else _with_links_to(origin, inner)
        for name, inner in value.items()
    }


def _escaped(name: str, value: Value) -> Value:
    return value + ESCAPES if isinstance(value, str) and name.upper() in NAMES else value


def _id(form: str, name: str, value: Value) -> Value:
    return IDS[form](int(value)) if name in ("ID", "id") else value
