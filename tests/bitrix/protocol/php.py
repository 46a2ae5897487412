"""Decode a query string as PHP does: names with brackets, every value a string."""

from urllib.parse import unquote_plus


def parse(query: str) -> dict[str, object]:
    """Return the parameters of *query* as PHP decodes them. A list is a map with the keys "0", "1" and so on."""
    parsed: dict[str, object] = {}
    for pair in filter(None, query.split("&")):
        name, _, value = pair.partition("=")
        put(parsed, path(unquote_plus(name)), unquote_plus(value))
    return parsed


def path(name: str) -> list[str]:
    """Return the nested keys of *name*."""
    top, bracket, rest = name.partition("[")
    keys = [top.replace(".", "_").replace(" ", "_")]
    while bracket:
        key, closed, after = rest.partition("]")
        assert closed, f"a bracket that never closes: {name}"
        keys.append(key.lstrip(" ") if key.strip() == "" else key)
        _, bracket, rest = after.partition("[")
    return keys


def put(parsed: dict[str, object], keys: list[str], value: str) -> None:
    """Store *value* at the end of *keys*; an empty key appends."""
    level = parsed
    for key in keys[:-1]:
        below = level.setdefault(key or str(len(level)), {})
        assert isinstance(below, dict)
        level = below
    level[keys[-1] or str(len(level))] = value
