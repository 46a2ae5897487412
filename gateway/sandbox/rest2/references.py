"""``$result[label][path]``: a reference from a command of a batch to the answers of earlier commands.

Source: [srv] rest/classes/general/rest_util.php, in the newest published generation; protocol notes 8.4
"""

import re
from collections.abc import Mapping

from gateway.sandbox.php import Value, entries_of, is_array

_REFERENCE = re.compile(r"\$(result|next|total|time|error)(\S*)", re.IGNORECASE)
_KEY = re.compile(r"\[([^\]]+)\]")


def resolve(value: Value, answers: Mapping[str, dict[str, Value]]) -> Value:
    """Return *value* with its references replaced. *answers* maps each prefix to a map from label to value.

    A broken reference becomes the last value on its path that exists, in the extreme the whole map.
    """
    if is_array(value):
        resolved = {key: resolve(item, answers) for key, item in entries_of(value).items()}
        return list(resolved.values()) if isinstance(value, list) else resolved
    if not isinstance(value, str):
        return value
    whole = _REFERENCE.fullmatch(value)
    if whole and _KEY.search(whole[2]):
        return _follow(whole, answers)
    return _REFERENCE.sub(lambda found: _as_text(found, answers), value)


def _follow(reference: re.Match[str], answers: Mapping[str, dict[str, Value]]) -> Value:
    # The prefix is matched case-insensitively but looked up as written.
    reached: Value = answers.get(reference[1])
    for key in _KEY.findall(reference[2]):
        deeper = _step(reached, key)
        if deeper is None:
            break
        reached = deeper
    return reached


def _step(value: Value, key: str) -> Value:
    """The value at *key*, or None. A number selects a character of a string."""
    if is_array(value):
        return entries_of(value).get(key)
    if isinstance(value, str) and key.isdecimal() and int(key) < len(value):
        return value[int(key)]
    return None


def _as_text(reference: re.Match[str], answers: Mapping[str, dict[str, Value]]) -> str:
    """The replacement of a reference inside a longer text: its string or number, otherwise the reference itself."""
    value = _follow(reference, answers) if _KEY.search(reference[2]) else None
    if isinstance(value, str):
        return value
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return f"{value:.14g}" if isinstance(value, float) else str(value)
    return reference[0]
