"""How PHP reads a query string and writes an array: every parameter and every answer of a portal passes through it."""

import re
from collections.abc import Iterable, Iterator
from typing import Any, TypeAlias
from urllib.parse import unquote_to_bytes

# What JSON and PHP arrays share: str, int, float, bool, None, list, dict with str keys.
Value: TypeAlias = Any
Pair: TypeAlias = tuple[str, str]

_Array: TypeAlias = dict[int | str, Any]

MAX_NESTING = 64  # deeper names are dropped


def parse_query(query: str) -> dict[str, Value]:
    """The parameters that PHP makes of a query string or an urlencoded body."""
    return parse_pairs(iter_pairs(query))


def iter_pairs(query: str) -> Iterator[Pair]:
    """Decoded (name, value) pairs; a pair is split at its first raw ``=``, before anything is decoded."""
    for part in query.split("&"):
        if part:
            name, _, value = part.partition("=")
            yield _decode(name), _decode(value)


def parse_pairs(pairs: Iterable[Pair]) -> dict[str, Value]:
    """Nested parameters out of names in bracket notation; of equal names the last one wins.

    Source: [srv] rest.server; the rules are those of PHP's own variable parser.
    """
    top: _Array = {}
    for name, value in pairs:
        path = _split_name(name)
        if path:
            _store(top, path, value)
    return {str(key): _finished(value) for key, value in top.items()}


def as_array(entries: dict[str, Value]) -> Value:
    """*entries* as PHP's encoder writes them: a list where the keys count up from zero, ``[]`` where there are none."""
    if all(key == str(position) for position, key in enumerate(entries)):
        return list(entries.values())
    return entries


def is_array(value: Value) -> bool:
    return isinstance(value, (list, dict))


def entries_of(value: Value) -> dict[str, Value]:
    """The keys and values of a PHP array that came as a list or an object."""
    if isinstance(value, list):
        return {str(position): item for position, item in enumerate(value)}
    return dict(value)


def as_bool(value: Value) -> bool:
    """PHP's truth: ``"false"`` and ``"N"`` are true, ``"0"`` and an empty array are not."""
    return bool(value) and value != "0"


def as_number(value: Value) -> float:
    """PHP's cast to a number: the leading digits of a string, 1 for an array that holds anything."""
    if is_array(value):
        return 1.0 if value else 0.0
    if isinstance(value, (bool, int, float)):
        return float(value)
    return _leading_number(value) if isinstance(value, str) else 0.0


def _decode(text: str) -> str:
    return unquote_to_bytes(text.replace("+", " ")).decode("utf-8", "replace")


def _split_name(name: str) -> list[str | None]:
    """``a[b][]`` as ``["a", "b", None]``; empty where PHP takes no notice of the name."""
    name = name.lstrip(" ")
    head, bracket, rest = name.partition("[")
    head = head.replace(".", "_").replace(" ", "_")
    if not head:
        return []
    path: list[str | None] = [head]
    while bracket:
        key, closing, rest = rest.partition("]")
        if not closing:
            # A bracket that never closes becomes a part of the name, if it is the first; further ones are lost.
            return [f"{head}_{_plain(key)}"] if len(path) == 1 else path
        path.append(None if not key or (len(key) == 1 and key.isspace()) else key)
        bracket, rest = rest[:1], rest[1:]
        if bracket != "[":
            break
    return path if len(path) <= MAX_NESTING else []


def _plain(text: str) -> str:
    return text.replace("[", "_").replace(".", "_").replace(" ", "_")


def _store(array: _Array, path: list[str | None], value: str) -> None:
    *parents, last = path
    for key in parents:
        index = _index(array, key)
        if not isinstance(array.get(index), dict):
            array[index] = {}
        array = array[index]
    array[_index(array, last)] = value


def _index(array: _Array, key: str | None) -> int | str:
    if key is None:
        return max((taken for taken in array if isinstance(taken, int)), default=-1) + 1
    return int(key) if _is_integer(key) else key


def _is_integer(key: str) -> bool:
    """Whether PHP turns an array key into a number: "7" and "-7", not "07", "+7" or "-0"."""
    digits = key.removeprefix("-")
    return digits.isascii() and digits.isdigit() and len(digits) < 19 and (digits[0] != "0" or key == "0")


def _finished(value: _Array | str) -> Value:
    if isinstance(value, str):
        return value
    return as_array({str(key): _finished(item) for key, item in value.items()})


_NUMBER = re.compile(r"\s*([+-]?\d+(?:\.\d*)?)", re.ASCII)


def _leading_number(text: str) -> float:
    found = _NUMBER.match(text)
    return float(found[1]) if found else 0.0
