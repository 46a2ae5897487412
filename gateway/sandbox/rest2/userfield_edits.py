"""How custom fields are made and changed, the same for all methods. Names are the classic ones."""

import re
from collections.abc import Mapping

from gateway.sandbox.content.fields import LABELS, LANGUAGES, USER_TYPES, new_choice, new_userfield
from gateway.sandbox.content.portal_data import PortalData
from gateway.sandbox.content.structure import add_userfield
from gateway.sandbox.errors import CallError
from gateway.sandbox.php import Value, as_array, as_flag, as_id, as_number, entries_of, is_array, is_whole
from gateway.sandbox.tables.table import Row

MAX_NAME = 50
_NAME = re.compile(r"[A-Z0-9_]+")
_SWITCHES = ("MANDATORY", "SHOW_IN_LIST", "EDIT_IN_LIST", "IS_SEARCHABLE")
_DEFAULT_CHOICE_SORT = 500


def create_userfield(data: PortalData, entity_id: str, name: str, given: Mapping[str, Value]) -> Row:
    """Add a custom field to an entity and to its records, and return it. Unknown keys are ignored.

    Raises:
        CallError: the name or the type is invalid, or the name is in use.
    Source: [docs] api-reference/crm/deals/user-defined-fields/crm-deal-userfield-add.md
    """
    row = make_userfield(data, entity_id, name, given)
    if any(other["FIELD_NAME"] == name for other in data.userfields[entity_id].values()):
        raise CallError("ERROR_CORE", f"Field {name} for object {entity_id} already exists.")
    add_userfield(data, row)
    return row


def make_userfield(data: PortalData, entity_id: str, name: str, given: Mapping[str, Value]) -> Row:
    """A new custom field, which is not added yet.

    Raises:
        CallError: the name or the type is invalid.
    """
    kind = given["USER_TYPE_ID"]
    if len(name) > MAX_NAME:
        raise CallError("ERROR_CORE", f"Field name is too long (more than {MAX_NAME} characters).")
    if not _NAME.fullmatch(name):
        text = "Field name contains invalid characters. Allowed characters are: A-Z, 0-9 and _."
        raise CallError("ERROR_CORE", text)
    if kind not in USER_TYPES:
        raise CallError("ERROR_CORE", "Invalid custom type specified.")
    field_id = max(data.userfields.next_id, data.user_fields.next_id)
    row = new_userfield(entity_id, field_id, name, str(kind))
    if kind != "boolean":
        row["MULTIPLE"] = as_flag(given.get("MULTIPLE"))
    return changed_userfield(data, row, given)


def changed_userfield(data: PortalData, row: Row, given: Mapping[str, Value]) -> Row:
    """A custom field with the changes that *given* asks for. The name, the type and the multiplicity never change.

    Raises:
        CallError: two choices of a list have the same XML_ID.
    Source: [docs] api-reference/crm/deals/user-defined-fields/crm-deal-userfield-update.md
    """
    changed: Row = {name: as_flag(given[name]) for name in _SWITCHES if name in given}
    if "XML_ID" in given:
        changed["XML_ID"] = str(given["XML_ID"] or "") or None
    if "SORT" in given and as_number(given["SORT"]) > 0:
        changed["SORT"] = str(int(as_number(given["SORT"])))
    if "SHOW_FILTER" in given:
        shown = str(given["SHOW_FILTER"])
        changed["SHOW_FILTER"] = shown if shown in ("I", "E", "S") else "E" if as_flag(shown) == "Y" else "N"
    if is_array(given.get("SETTINGS")):
        changed["SETTINGS"] = _changed_settings(entries_of(row["SETTINGS"]), entries_of(given["SETTINGS"]))
    if is_array(given.get("LIST")) and "LIST" in row:
        choices = _changed_choices(data, row["LIST"], entries_of(given["LIST"]))
        changed["LIST"] = _checked_choices(choices, is_multiple=row["MULTIPLE"] == "Y")
    return {**row, **changed, **_changed_labels(given)}


def _changed_settings(settings: Row, given: dict[str, Value]) -> Value:
    """Only the passed settings change. One whose default is a number becomes a number."""
    numbers = {name: as_number(given[name]) for name in given if isinstance(settings.get(name), int)}
    whole = {name: int(number) for name, number in numbers.items() if is_whole(number)}
    return as_array({**settings, **given, **numbers, **whole})


def _changed_labels(given: Mapping[str, Value]) -> Row:
    """The passed labels as maps from language to text. ``LABEL`` replaces those that are missing."""
    default = str(given.get("LABEL") or "")
    named = [name for name in LABELS if name in given or default]
    return {name: _label(given.get(name), default) for name in named}


def _label(value: Value, default: str) -> Row | None:
    """A label for all languages, or for those in *value*; the others get the *default*."""
    texts = entries_of(value) if is_array(value) else dict.fromkeys(LANGUAGES, value)
    label = {language: str(texts.get(language) or default) for language in LANGUAGES}
    return label if any(label.values()) else None


def _changed_choices(data: PortalData, choices: list[Row], given: dict[str, Value]) -> list[Row]:
    """The choices of a list after changes: those with an ID are changed or removed, the others are added."""
    by_id = {choice["ID"]: choice for choice in choices}
    for entry in given.values():
        item = entries_of(entry) if is_array(entry) else {}
        known = by_id.get(str(as_id(item.get("ID"))))
        if known is not None and as_flag(item.get("DEL")) == "Y":
            del by_id[known["ID"]]
        elif known is not None:
            by_id[known["ID"]] = _changed_choice(known, item)
        elif str(item.get("VALUE") or "").strip():
            choice = new_choice(next(data.choice_ids), "", _DEFAULT_CHOICE_SORT)
            by_id[choice["ID"]] = _changed_choice(choice, item)
    return sorted(by_id.values(), key=lambda choice: (int(choice["SORT"]), int(choice["ID"])))


def _changed_choice(choice: Row, item: dict[str, Value]) -> Row:
    texts = {name: str(item[name]) for name in ("VALUE", "XML_ID") if item.get(name)}
    changed = {**choice, **texts}
    if "SORT" in item:
        changed["SORT"] = str(max(0, int(as_number(item["SORT"]))))
    if "DEF" in item:
        changed["DEF"] = as_flag(item["DEF"])
    return changed


def _checked_choices(choices: list[Row], *, is_multiple: bool) -> list[Row]:
    """Refuse equal XML_IDs. Only the first default counts unless the field is multiple."""
    codes = set()
    has_default = False
    checked = []
    for choice in choices:
        if choice["XML_ID"] in codes:
            raise CallError("ERROR_CORE", f"List item with XML_ID={choice['XML_ID']} already exists.")
        codes.add(choice["XML_ID"])
        is_default = choice["DEF"] == "Y" and (is_multiple or not has_default)
        has_default = has_default or is_default
        checked.append({**choice, "DEF": "Y" if is_default else "N"})
    return checked
