"""PHP's way to read a query string, for what the encoder may write: names with brackets, every value text."""

from urllib.parse import unquote_plus


def parse(query: str) -> dict[str, object]:
    """The parameters of *query* as PHP would see them; a list is a map with keys "0", "1" and so on."""
    parsed: dict[str, object] = {}
    for pair in filter(None, query.split("&")):
        name, _, value = pair.partition("=")
        put(parsed, path(unquote_plus(name)), unquote_plus(value))
    return parsed


def path(name: str) -> list[str]:
    """The keys that *name* leads along."""
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
