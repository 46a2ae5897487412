"""The values of PHONE, EMAIL and the other multifields of a record, as clients change them."""

import re
from collections.abc import Iterator, Mapping

from gateway.sandbox.content.entities import MULTIFIELDS
from gateway.sandbox.errors import CallError
from gateway.sandbox.php import Value, entries_of, is_array
from gateway.sandbox.tables.table import Row

# Source: [docs] api-reference/crm/data-types.md
_TYPES = {
    "PHONE": ("WORK", "MOBILE", "FAX", "HOME", "PAGER", "MAILING", "OTHER"),
    "EMAIL": ("WORK", "HOME", "MAILING", "OTHER"),
    "WEB": ("WORK", "HOME", "FACEBOOK", "VK", "LIVEJOURNAL", "TWITTER", "OTHER"),
    "IM": (
        *("TELEGRAM", "FACEBOOK", "VK", "SKYPE", "VIBER", "INSTAGRAM", "BITRIX24", "OPENLINE", "IMOL", "ICQ", "MSN"),
        *("JABBER", "OTHER"),
    ),
    "LINK": ("USER",),
}
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")


def changed_values(name: str, old: list[Row] | None, entries: Value, ids: Iterator[int]) -> list[Row] | None:
    """The values of the multifield *name* after the change *entries*, in the form of the old methods.

    An entry without an ID adds a value, one with an ID changes it, and deletes it without a VALUE or with DELETE.

    Raises:
        CallError: an e-mail address is invalid.
    Source: [docs] api-reference/crm/contacts/crm-contact-update.md; [srv] crm/classes/general/restservice.php
    """
    values = {str(row["ID"]): row for row in old or []}
    for entry in entries_of(entries).values() if is_array(entries) else [{"VALUE": entries}]:
        sent = entries_of(entry) if is_array(entry) else {"VALUE": entry}
        value_id, value = str(sent.get("ID") or ""), sent.get("VALUE")
        is_empty = value in (None, "") or is_array(value) or sent.get("DELETE") == "Y"
        if is_empty:
            values.pop(value_id, None)
            continue
        if name == "EMAIL" and not _EMAIL.fullmatch(str(value)):
            raise CallError("ERROR_CORE", 'The field "Work e-mail" contains an invalid address')
        known = _TYPES[name]
        kind = str(sent.get("VALUE_TYPE") or "")
        if value_id not in values:
            value_id = str(next(ids))
        values[value_id] = {
            "ID": value_id,
            "VALUE_TYPE": kind if kind in known else known[0],
            "VALUE": str(value),
            "TYPE_ID": name,
        }
    return list(values.values()) or None


def changed_by_fm(row: Mapping[str, Value], fm: Value, ids: Iterator[int]) -> Row:
    """The multifields of *row* after the change *fm*, in the form of crm.item: by ``n0``… or by id.

    Raises:
        CallError: an e-mail address is invalid.
    Source: [docs] api-reference/crm/universal/crm-item-update.md; [srv] crm/lib/controller/item.php
    """
    by_name: dict[str, list[Row]] = {}
    for key, entry in entries_of(fm).items() if is_array(fm) else ():
        sent = entries_of(entry) if is_array(entry) else {}
        name = str(sent.get("typeId") or _type_of(row, key))
        if name in MULTIFIELDS:
            value_id = key if isinstance(fm, dict) and key.isdecimal() else str(sent.get("id") or "")
            by_name.setdefault(name, []).append(
                {"ID": value_id, "VALUE": sent.get("value"), "VALUE_TYPE": sent.get("valueType")}
            )
    return {name: changed_values(name, row.get(name), entries, ids) for name, entries in by_name.items()}


def _type_of(row: Mapping[str, Value], value_id: str) -> str:
    return next((name for name in MULTIFIELDS for value in row.get(name) or [] if value["ID"] == value_id), "")
