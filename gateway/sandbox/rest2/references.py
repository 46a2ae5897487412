"""``$result[label][path]``: how a command of a batch takes a value out of the answers before it.

Source: [srv] rest/classes/general/rest_util.php, in the newest published generation; protocol notes 8.4
"""

import re
from collections.abc import Mapping

from gateway.sandbox.php import Value, entries_of, is_array

_REFERENCE = re.compile(r"\$(result|next|total|time|error)(\S*)", re.IGNORECASE)
_KEY = re.compile(r"\[([^\]]+)\]")


def resolve(value: Value, answers: Mapping[str, dict[str, Value]]) -> Value:
    """*value* with every reference in it replaced; *answers* are the maps by prefix, each from label to value.

    A reference that leads nowhere becomes the last value it reached, in the extreme the whole map.
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
    # The prefix is matched in any case but looked up as it is written.
    reached: Value = answers.get(reference[1])
    for key in _KEY.findall(reference[2]):
        deeper = _step(reached, key)
        if deeper is None:
            break
        reached = deeper
    return reached


def _step(value: Value, key: str) -> Value:
    """What is under *key*, None where nothing is; a number picks a character out of a string."""
    if is_array(value):
        return entries_of(value).get(key)
    if isinstance(value, str) and key.isdecimal() and int(key) < len(value):
        return value[int(key)]
    return None


def _as_text(reference: re.Match[str], answers: Mapping[str, dict[str, Value]]) -> str:
    """What stands in the place of a reference inside a longer text: itself, unless it leads to a text or a number."""
    value = _follow(reference, answers) if _KEY.search(reference[2]) else None
    if isinstance(value, str):
        return value
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return f"{value:.14g}" if isinstance(value, float) else str(value)
    return reference[0]
