"""``{"$ref": "task.id"}`` and ``{"$refArray": "list.id"}``: references to the results of earlier calls of a batch.

Source: [srv] rest/lib/v3; protocol notes 9.9
"""

from collections.abc import Mapping
from typing import Any

from gateway.sandbox.php import Value
from gateway.sandbox.rest3.errors import invalid_select

_WRAPPERS = ("item", "items")


def context_of(result: Value) -> Value:
    """The part of a *result* that later calls can refer to: its item or items, otherwise None.

    A path may include them (``task.item.id``, ``list.items.0.id``) or omit them.
    """
    return next((result[name] for name in _WRAPPERS if result.get(name)), None) if isinstance(result, dict) else None


def resolve(value: Value, context: Mapping[str, Value]) -> Value:
    """Return *value* with its references replaced. A reference replaces the object that contains it.

    Raises:
        Rest3Error: the path of a reference does not exist.
    """
    match value:
        case {"$ref": path}:
            return _follow(str(path), context)
        case {"$refArray": path}:
            return _column(str(path), context)
        case dict():
            return {key: resolve(item, context) for key, item in value.items()}
        case list():
            return [resolve(item, context) for item in value]
    return value


def _follow(path: str, context: Mapping[str, Value]) -> Value:
    alias, *keys = path.split(".")
    reached: Any = context.get(alias)
    if keys and keys[0] in _WRAPPERS and not (isinstance(reached, Mapping) and keys[0] in reached):
        del keys[0]  # the context is already the wrapped part
    for key in keys:
        if isinstance(reached, list) and key.isdecimal() and int(key) < len(reached):
            reached = reached[int(key)]
        else:
            reached = reached.get(key) if isinstance(reached, Mapping) else None
    if reached is None:
        raise invalid_select(f"Path '{path}' not found in context")
    return reached


def _column(path: str, context: Mapping[str, Value]) -> list[Value]:
    parent, dot, name = path.rpartition(".")
    if not dot:
        raise invalid_select("Invalid $refArray format - expected 'path.to.array.field'")
    rows = _follow(parent, context)
    if not isinstance(rows, list):
        raise invalid_select(f"Invalid context path '{path}' - expected array at '{parent}'")
    if not all(isinstance(row, dict) and name in row for row in rows):
        raise invalid_select(f"Field '{name}' not found in items")
    return [row[name] for row in rows]
