"""PHP's rules for query strings, arrays and casts, which apply to all parameters and answers of a portal."""

import re
from collections.abc import Iterable, Iterator
from typing import Any, TypeAlias
from urllib.parse import unquote_to_bytes

import orjson

# A value of JSON or a PHP array: str, int, float, bool, None, list, dict with str keys.
Value: TypeAlias = Any
Pair: TypeAlias = tuple[str, str]

_Array: TypeAlias = dict[int | str, Any]

MAX_NESTING = 64  # deeper names are ignored
MAX_UNQUOTED = 65_536
_PARTS = re.compile(rf".{{1,{MAX_UNQUOTED}}}(?<!%)(?<!%.)|..?", re.DOTALL)  # of a text, with whole escapes


def parse_query(query: str) -> dict[str, Value]:
    """Parse a query string or an urlencoded body into parameters, like PHP."""
    return parse_pairs(iter_pairs(query))


def iter_pairs(query: str) -> Iterator[Pair]:
    """Yield decoded (name, value) pairs. A pair is split at its first raw ``=`` before decoding."""
    for part in query.split("&"):
        if part:
            name, _, value = part.partition("=")
            yield _decode(name), _decode(value)


def parse_pairs(pairs: Iterable[Pair]) -> dict[str, Value]:
    """Build nested parameters from names in bracket notation. The last of equal names wins.

    Source: [srv] rest.server; the rules of PHP's variable parser.
    """
    top: _Array = {}
    for name, value in pairs:
        path = _split_name(name)
        if path:
            _store(top, path, value)
    return {str(key): _to_value(value) for key, value in top.items()}


def as_array(entries: dict[str, Value]) -> Value:
    """*entries* as PHP's JSON encoder writes them: a list if the keys count up from zero, ``[]`` if empty."""
    if entries and "0" not in entries:
        return entries
    is_list = all(key == str(position) for position, key in enumerate(entries))
    return list(entries.values()) if is_list else entries


def encode_json(value: Value) -> bytes:
    """*value* as JSON with escaped slashes, as PHP's encoder writes it."""
    return orjson.dumps(value).replace(b"/", b"\\/")


def is_array(value: Value) -> bool:
    return isinstance(value, (list, dict))


def entries_of(value: Value) -> dict[str, Value]:
    """The entries of a PHP array that was sent as a list or an object."""
    if isinstance(value, list):
        return {str(position): item for position, item in enumerate(value)}
    return dict(value)


def as_bool(value: Value) -> bool:
    """PHP's cast to bool: ``"false"`` and ``"N"`` are true, ``"0"`` and an empty array are false."""
    return bool(value) and value != "0"


def as_number(value: Value) -> float:
    """PHP's cast to a number: the leading digits of a string, 1 for a non-empty array.

    Whole numbers of 64 bits are integers, all others are floats.
    """
    if is_array(value) or isinstance(value, bool):
        return 1 if value else 0
    if isinstance(value, int):
        return value if value in _INTEGERS else float(value)
    if isinstance(value, float):
        return value
    return _leading_number(value) if isinstance(value, str) else 0


def is_whole(number: float) -> bool:
    """Whether a number has no fraction."""
    return isinstance(number, int) or number.is_integer()


def as_id(value: Value) -> int:
    """The id in a parameter of a classic method; not positive if it is invalid."""
    return 0 if is_array(value) else int(as_number(value))


def as_flag(value: Value) -> str:
    """``Y`` or ``N`` for a switch, which may also be sent as ``1``, ``true`` or a boolean."""
    return "Y" if str(value).upper() in ("Y", "1", "TRUE") else "N"


def _decode(text: str) -> str:
    # By parts: of the base64 of a file with all its escapes, unquoting would take twenty times the memory.
    parts = _PARTS.findall(text) if len(text) > MAX_UNQUOTED else (text,)
    return b"".join(unquote_to_bytes(part.replace("+", " ")) for part in parts).decode("utf-8", "replace")


def _split_name(name: str) -> list[str | None]:
    """``a[b][]`` as ``["a", "b", None]``; empty if PHP ignores the name."""
    name = name.lstrip(" ")
    head, bracket, rest = name.partition("[")
    head = head.replace(".", "_").replace(" ", "_")
    if not head:
        return []
    path: list[str | None] = [head]
    while bracket:
        key, closing, rest = rest.partition("]")
        if not closing:
            # If the first bracket is not closed, it becomes part of the name. Later unclosed brackets are dropped.
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
        return max((index for index in array if isinstance(index, int)), default=-1) + 1
    return int(key) if _is_integer(key) else key


def _is_integer(key: str) -> bool:
    """Whether PHP converts an array key to an integer: "7" and "-7", not "07", "+7" or "-0"."""
    digits = key.removeprefix("-")
    return digits.isascii() and digits.isdigit() and len(digits) < 19 and (digits[0] != "0" or key == "0")


def _to_value(value: _Array | str) -> Value:
    if isinstance(value, str):
        return value
    return as_array({str(key): _to_value(item) for key, item in value.items()})


_NUMBER = re.compile(r"\s*([+-]?\d+)(\.\d*)?", re.ASCII)
_INTEGERS = range(-(2**63), 2**63)
_MAX_DIGITS = 64  # more are no integer, whatever zeros they begin with


def _leading_number(text: str) -> float:
    found = _NUMBER.match(text)
    if found is None:
        return 0
    digits, fraction = found.groups()
    if fraction is None and len(digits) <= _MAX_DIGITS and int(digits) in _INTEGERS:
        return int(digits)
    return float(digits + (fraction or ""))
