"""The documented answers and the comparison with them: the same keys, the same types."""

import json
from pathlib import Path
from typing import Any, TypeAlias

EXAMPLES = Path(__file__).parents[1] / "data" / "bitrix24"
Shape: TypeAlias = dict[str, set[str]]
# Keys whose content depends on the portal, not on the method.
FREE = (".SETTINGS.", ".settings.", ".languageId.", "Label.", "Message.", "_LABEL.", "_MESSAGE.")
# What the documentation allows beyond its examples: other types, and optional keys.
MAY_BE: dict[str, set[str]] = {
    "result[].CATEGORY_ID": {"string", "null"},
    "result[].COLOR": {"string", "null"},
    "result[].SEMANTICS": {"string", "null"},
    "result[].XML_ID": {"string", "null"},
    "result[].ERROR_MESSAGE": {"string", "null"},
    "result[].HELP_MESSAGE": {"string", "null"},
    "result[].EDIT_FORM_LABEL": {"string", "null"},
    "result[].LIST_COLUMN_LABEL": {"string", "null"},
    "result[].LIST_FILTER_LABEL": {"string", "null"},
    "result.fields[].xmlId": {"string", "null"},
    "result.fields[].editFormLabel": {"object", "null"},
    "result.fields[].listColumnLabel": {"object", "null"},
    "result.fields[].listFilterLabel": {"object", "null"},
    "result.fields[].settings": {"list", "object"},
    "result[].SETTINGS": {"list", "object"},
}
OPTIONAL = {
    "next",
    "time.operating",
    "time.operating_reset_at",
    "time.processing",
    "result[].XML_ID",
    "result.XML_ID",
    "result[].UF_HEAD",
    "result[].UF_PHONE_INNER",
    "result.UF_PHONE_INNER",
    "result.LAST_ACTIVITY_DATE",
    "result.categories[].code",
    "result.categories[].isSystem",
    "result.category.code",
    "result.category.isSystem",
    "result.type.code",
}


def documented(example: str) -> Any:
    """The documented answer."""
    return json.loads((EXAMPLES / f"{example}.json").read_text())


def shape(value: Any, path: str = "") -> Shape:
    """The types at every path of a JSON value. The rows of a list share one path."""
    if isinstance(value, dict):
        found: Shape = {path: {"object"}}
        inner = [(f"{path}.{key}".lstrip("."), item) for key, item in value.items()]
    elif isinstance(value, list):
        found = {path: {"list"}}
        inner = [(f"{path}[]", item) for item in value]
    else:
        return {path: {_type(value)}}
    for inner_path, item in inner:
        for deeper_path, types in shape(item, inner_path).items():
            found[deeper_path] = found.get(deeper_path, set()) | types
    return found


def _type(value: Any) -> str:
    if value is None:
        return "null"
    return {bool: "boolean", int: "number", float: "number", str: "string"}[type(value)]


def compare(ours: Any, example: str) -> None:
    expected = shape(documented(example))
    answered = shape(ours)
    for found in (expected, answered):
        for path in [path for path in found if any(part in path for part in FREE)]:
            del found[path]
    assert set(answered) - set(expected) - OPTIONAL == set()
    assert set(expected) - set(answered) - OPTIONAL == set()
    for path in set(answered) & set(expected):
        assert answered[path] <= expected[path] | MAY_BE.get(path, set()), path
