"""The values of PHONE, EMAIL and the other multifields of a record, compared with those that a caller wants.

Source: methods.md 4.2 (b24restdocs api-reference/crm/contacts/crm-contact-update.md)
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from gateway.errors import FieldError

DEFAULT_TYPE = "WORK"
KEYS = ("ID", "VALUE", "VALUE_TYPE", "TYPE_ID")  # a value as a record shows it; TYPE_ID says what we know
RULE = "must be a text, or an object with VALUE and, if needed, VALUE_TYPE and ID"


@dataclass(frozen=True)
class MultiValue:
    """A wanted value. Its *kind* is None if the caller does not care, its *value_id* if it may be a new one."""

    value: str
    kind: str | None = None
    value_id: str | None = None


def parse_values(name: str, sent: object) -> tuple[list[MultiValue], list[FieldError]]:
    """The values that a caller sent for the multifield *name*: a text, a list of texts or objects, or null for none."""
    if sent is None:
        return [], []
    entries = sent if isinstance(sent, list) else [sent]
    values: list[MultiValue] = []
    errors: list[FieldError] = []
    for index, entry in enumerate(entries):
        pointer = f"/{name}/{index}" if isinstance(sent, list) else f"/{name}"
        found = _parse(entry)
        if isinstance(found, MultiValue):
            values.append(found)
        else:
            errors.append(FieldError("invalid_value", found, pointer=pointer))
    return values, errors


def _parse(entry: object) -> MultiValue | str:
    """The value of one entry, or the rule that it breaks."""
    if isinstance(entry, str):
        return MultiValue(entry) if entry.strip() else "must not be empty"
    if not isinstance(entry, dict):
        return RULE
    unknown = next((key for key in entry if key not in KEYS), None)
    if unknown is not None:
        return f"must have no other keys than {', '.join(KEYS)}, not {unknown[:64]!r}"
    value, kind, value_id = entry.get("VALUE"), entry.get("VALUE_TYPE"), entry.get("ID")
    if not isinstance(value, str) or not (kind is None or isinstance(kind, str)):
        return RULE
    if not value.strip():
        return "VALUE must not be empty"
    if isinstance(value_id, bool) or not (value_id is None or isinstance(value_id, str | int)):
        return "ID must be the id of a value"
    return MultiValue(value, kind, None if value_id is None else str(value_id))


def added(values: Sequence[MultiValue]) -> list[dict[str, Any]]:
    """What the portal gets to add all *values* to a record that has none."""
    return [{"VALUE": each.value, "VALUE_TYPE": each.kind or DEFAULT_TYPE} for each in values]


def changes(current: Sequence[dict[str, Any]], wanted: Sequence[MultiValue]) -> list[dict[str, Any]]:
    """What the portal gets to make the *current* values the *wanted* ones. Values that stay keep their ids."""
    left = {str(row.get("ID")): row for row in current}
    sent: list[dict[str, Any]] = []
    new: list[MultiValue] = []
    for each in wanted:
        row = left.pop(each.value_id or "", None) or _take(left, each)
        if row is None:
            new.append(each)
            continue
        kind = each.kind or row.get("VALUE_TYPE") or DEFAULT_TYPE
        if (row.get("VALUE"), row.get("VALUE_TYPE")) != (each.value, kind):
            sent.append({"ID": str(row.get("ID")), "VALUE": each.value, "VALUE_TYPE": kind})
    gone = [{"ID": value_id, "DELETE": "Y"} for value_id in left]
    return [*sent, *gone, *added(new)]


def _take(left: dict[str, dict[str, Any]], wanted: MultiValue) -> dict[str, Any] | None:
    """Remove and return the row that has the wanted value, best of the wanted type; None if there is none."""
    same = [value_id for value_id, row in left.items() if row.get("VALUE") == wanted.value]
    of_kind = [value_id for value_id in same if wanted.kind in (None, left[value_id].get("VALUE_TYPE"))]
    chosen = next(iter(of_kind or same), None)
    return None if chosen is None else left.pop(chosen)
