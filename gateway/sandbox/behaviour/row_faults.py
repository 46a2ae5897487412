"""What a scripted fault makes of the rows of an answer: ids that are none, names that a terminal would obey."""

from collections.abc import Callable
from typing import Any

from gateway.sandbox.php import Value

# The title of a window, colours, a cleared screen, a forged log line, a reversed direction of writing.
ESCAPES = "\x1b]0;owned\x07\x1b[31m\x1b[2J\x9b2J\r\n2026-01-01T00:00:00Z [info     ] forged\x00\x7f\u202e\u2028"
NAMES = ("NAME", "LAST_NAME", "SECOND_NAME", "TITLE", "EDIT_FORM_LABEL")
MAX_INT64 = 2**63 - 1

# What becomes of an id, by the value of the fault ``ids``; "doubled" is of rows, not of ids.
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
    """*result* with all its rows as the fault *kind*, with its *value*, has them: ``ids`` or ``escapes``."""
    if isinstance(result, dict):
        return {name: alter_rows(kind, value, inner) for name, inner in result.items()}
    if not isinstance(result, list) or not all(isinstance(row, dict) for row in result):
        return result
    if kind == "escapes":
        return [{name: _escaped(name, inner) for name, inner in row.items()} for row in result]
    if value == DOUBLED:
        return [*result, *result[-1:]]
    return [{name: _id(value, name, inner) for name, inner in row.items()} for row in result]


def _escaped(name: str, value: Value) -> Value:
    return value + ESCAPES if isinstance(value, str) and name.upper() in NAMES else value


def _id(how: str, name: str, value: Value) -> Value:
    return IDS[how](int(value)) if name in ("ID", "id") else value
