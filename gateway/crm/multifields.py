"""The values of PHONE, EMAIL and the other multifields of a record, compared with those that a caller wants.

Source: methods.md 4.2 (b24restdocs api-reference/crm/contacts/crm-contact-update.md)
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gateway.crm.choices import MAX_SHOWN
from gateway.errors import FieldError, pointer_token

DEFAULT_TYPE = "WORK"
# The portal takes any other type for its default one. The pages in Russian and in English name different ones.
# Source: methods.md 4.2 (b24restdocs api-reference/crm/data-types.md)
TYPES = {
    "PHONE": ("WORK", "MOBILE", "FAX", "HOME", "PAGER", "MAILING", "OTHER"),
    "EMAIL": ("WORK", "HOME", "MAILING", "OTHER"),
    "WEB": ("WORK", "HOME", "FACEBOOK", "VK", "LIVEJOURNAL", "TWITTER", "OTHER"),
    "IM": (
        *("FACEBOOK", "TELEGRAM", "VK", "SKYPE", "VIBER", "INSTAGRAM", "BITRIX24", "OPENLINE", "IMOL", "ICQ", "MSN"),
        *("JABBER", "OTHER"),
    ),
    "LINK": ("USER",),
}
KEYS = ("ID", "VALUE", "VALUE_TYPE", "TYPE_ID")  # a value as a record shows it
RULE = "must be a text, or an object with VALUE and, if needed, VALUE_TYPE and ID"


@dataclass(frozen=True)
class MultiValue:
    """A wanted value. Its *kind* is None if the caller does not care, its *value_id* if it may be a new one.

    *place* is the pointer to it in the request.
    """

    value: str
    kind: str | None = None
    value_id: str | None = None
    place: str = field(default="", compare=False)


def parse_values(name: str, sent: object, *, creates: bool) -> tuple[list[MultiValue], list[FieldError]]:
    """The values that a caller sent for the multifield *name*: a text, a list of texts or objects, or null for none.

    The request *creates* a record, or changes one, of which it may name values by their ids.
    """
    if sent is None:
        return [], []
    entries = sent if isinstance(sent, list) else [sent]
    values: list[MultiValue] = []
    errors: list[FieldError] = []
    ids: set[object] = set()
    for index, entry in enumerate(entries):
        place = f"/{name}/{index}" if isinstance(sent, list) else f"/{name}"
        if isinstance(entry, dict):
            broken = _broken_rules(name, entry, creates=creates)
            value_id = _id_of(entry)
            if value_id in ids:
                broken["ID"] = "is the id of an earlier value in the list"
            ids |= {value_id} - {None}
            values.append(MultiValue(str(entry.get("VALUE")), entry.get("VALUE_TYPE"), value_id, place))
            errors += [
                FieldError("invalid_value", rule, pointer=f"{place}/{pointer_token(key)}")
                for key, rule in broken.items()
            ]
        elif isinstance(entry, str) and entry.strip():
            values.append(MultiValue(entry, place=place))
        else:
            rule = "must not be empty" if isinstance(entry, str) else RULE
            errors.append(FieldError("invalid_value", rule, pointer=place))
    return values, errors


def _broken_rules(name: str, entry: Mapping[str, object], *, creates: bool) -> dict[str, str]:
    """The rules that one value of the multifield *name* breaks, by the keys to blame."""
    broken = {key: f"must not be there: a value has {', '.join(KEYS)}" for key in entry if key not in KEYS}
    value, kind, type_id, value_id = (entry.get(key) for key in ("VALUE", "VALUE_TYPE", "TYPE_ID", "ID"))
    if not isinstance(value, str) or not value.strip():
        broken["VALUE"] = "must be a text that is not empty"
    kinds = TYPES.get(name)
    if kind is not None and (not isinstance(kind, str) or (kinds is not None and kind not in kinds)):
        broken["VALUE_TYPE"] = f"must be one of {', '.join(kinds)}" if kinds else "must be a text"
    if type_id not in (None, name):
        broken["TYPE_ID"] = f"must be {name}, the field that the value is in"
    if value_id is not None and creates:
        broken["ID"] = "can only be given to change a value of a record, by PATCH"
    elif isinstance(value_id, bool) or not isinstance(value_id, str | int | None):
        broken["ID"] = "must be the id of a value"
    return broken


def _id_of(entry: Mapping[str, object]) -> str | None:
    value_id = entry.get("ID")
    return None if value_id is None else str(value_id)


def unknown_ids(current: Sequence[dict[str, Any]], wanted: Sequence[MultiValue]) -> list[FieldError]:
    """An error for each of the *wanted* values whose id is none of the *current* values."""
    known = {str(row.get("ID")) for row in current}
    listed = ", ".join(sorted(known)[:MAX_SHOWN]) or "there is none"
    return [
        FieldError("invalid_value", f"must be the id of a value of this field: {listed}", pointer=f"{each.place}/ID")
        for each in wanted
        if each.value_id is not None and each.value_id not in known
    ]


def added(values: Sequence[MultiValue]) -> list[dict[str, Any]]:
    """What the portal gets to add all *values* to a record that has none."""
    return [{"VALUE": each.value, "VALUE_TYPE": each.kind or DEFAULT_TYPE} for each in values]


def changes(current: Sequence[dict[str, Any]], wanted: Sequence[MultiValue]) -> list[dict[str, Any]]:
    """What the portal gets to make the *current* values the *wanted* ones. Values that stay keep their ids."""
    left = {str(row.get("ID")): row for row in current}
    named = {each.value_id: left.pop(each.value_id) for each in wanted if each.value_id in left}
    sent: list[dict[str, Any]] = []
    new: list[MultiValue] = []
    for each in wanted:
        row = _take(left, each) if each.value_id is None else named.get(each.value_id)
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
