"""user.userfield.*: the custom fields of users. Only an administrator has access."""

import hashlib
import re
from collections.abc import Mapping

from gateway.sandbox.content.fields import LABELS, TYPES, choice
from gateway.sandbox.content.portal_data import PortalData
from gateway.sandbox.errors import CallError
from gateway.sandbox.php import Value, as_array, as_number, entries_of, is_array
from gateway.sandbox.rest2.method import Answer, Call, Method, Param
from gateway.sandbox.rest2.methods.userfields import fields_page
from gateway.sandbox.tables.table import Row

_SCOPES = ("user.userfield",)
_PREFIX = "UF_USR_"
_MAX_NAME = 50
_LANGUAGES = ("ru", "en")

# The switches and their initial values. Source: methods.md 6.5
_SWITCHES = {
    "MULTIPLE": "N",
    "MANDATORY": "N",
    "SHOW_FILTER": "N",
    "SHOW_IN_LIST": "N",
    "EDIT_IN_LIST": "Y",
    "IS_SEARCHABLE": "N",
}
_FIXED = ("FIELD_NAME", "USER_TYPE_ID", "MULTIPLE")  # not changed by an update


def list_fields(call: Call) -> Answer:
    """Return one page of the custom fields of users.

    Source: [docs] api-reference/user/userfields/user-userfield-list.md
    """
    _check_access(call)
    return fields_page(call.data.user_fields, call)


def add_field(call: Call) -> Answer:
    """Create a custom field and return its id. Its name gets the prefix ``UF_USR_``.

    Source: [docs] api-reference/user/userfields/user-userfield-add.md
    """
    _check_access(call)
    fields, data = _read_fields(call), call.data
    for required in ("FIELD_NAME", "USER_TYPE_ID"):
        if not fields.get(required):
            raise CallError("", f"The '{required}' field is not found.")
    name, kind = _field_name(str(fields["FIELD_NAME"])), str(fields["USER_TYPE_ID"])
    if kind not in TYPES:
        raise CallError("ERROR_CORE", "Invalid custom type specified.")
    if name in (row["FIELD_NAME"] for row in data.user_fields.values()):
        raise CallError("ERROR_CORE", f"Field {name} for USER object already exists")
    field_id = _next_id(data)
    row: Row = {
        "ID": str(field_id),
        "ENTITY_ID": "USER",
        "FIELD_NAME": name,
        "USER_TYPE_ID": kind,
        "XML_ID": None,
        "SORT": "100",
        **_SWITCHES,
        "SETTINGS": as_array(dict(TYPES[kind][2])),
        **dict.fromkeys(LABELS),
        **({"LIST": []} if kind == "enumeration" else {}),
    }
    data.user_fields[field_id] = _changed(row, fields)
    return Answer(field_id)


def update_field(call: Call) -> Answer:
    """Change a custom field. Its name, type and multiplicity stay.

    Source: [docs] api-reference/user/userfields/user-userfield-update.md
    """
    field_id = _checked_id(call)
    fields = {name: value for name, value in _read_fields(call).items() if name not in _FIXED}
    call.data.user_fields[field_id] = _changed(call.data.user_fields[field_id], fields)
    return Answer(True)


def delete_field(call: Call) -> Answer:
    """Delete a custom field with its values.

    Source: [docs] api-reference/user/userfields/user-userfield-delete.md
    """
    field_id, users = _checked_id(call), call.data.users
    name = call.data.user_fields.pop(field_id)["FIELD_NAME"]
    for user_id, row in list(users.items()):
        if name in row:
            users[user_id] = {column: value for column, value in row.items() if column != name}
    return Answer(True)


def _check_access(call: Call) -> None:
    if not call.caller.is_administrator:
        raise CallError("", "Access denied.")


def _checked_id(call: Call) -> int:
    """The id of an existing field. The portal answers the same for an unknown one as for missing rights."""
    _check_access(call)
    field_id = int(as_number(call.params.get("id")))
    if field_id <= 0:
        raise CallError("", "ID is not defined or invalid")
    if field_id not in call.data.user_fields:
        raise CallError("", "Access denied.")
    return field_id


def _next_id(data: PortalData) -> int:
    """The ids of custom fields are unique in the portal."""
    return max(table.next_id for table in (data.user_fields, *data.userfields.values()))


def _read_fields(call: Call) -> dict[str, Value]:
    return {name.upper(): value for name, value in entries_of(call.params.get("fields", {})).items()}


def _field_name(sent: str) -> str:
    """``X`` and ``UF_X`` as ``UF_USR_X``."""
    name = _PREFIX + sent.upper().removeprefix(_PREFIX).removeprefix("UF_")
    if len(name) > _MAX_NAME:
        raise CallError("ERROR_CORE", f"Field name is too long (more than {_MAX_NAME} characters).")
    if not re.fullmatch(r"[A-Z0-9_]+", name):
        text = "Field name contains invalid characters. Allowed characters are: A-Z, 0-9 and _."
        raise CallError("ERROR_CORE", text)
    return name


def _changed(row: Row, fields: Mapping[str, Value]) -> Row:
    """The row with the changes that *fields* hold."""
    changed: Row = {name: _switch(name, fields[name]) for name in _SWITCHES if name in fields}
    if "XML_ID" in fields:
        changed["XML_ID"] = str(fields["XML_ID"]) if fields["XML_ID"] else None
    if as_number(fields.get("SORT")) > 0:
        changed["SORT"] = str(int(as_number(fields["SORT"])))
    if is_array(fields.get("SETTINGS")):
        changed["SETTINGS"] = as_array({**entries_of(row["SETTINGS"]), **entries_of(fields["SETTINGS"])})
    for name in LABELS:
        label = fields.get(name) or (fields.get("LABEL") if not row[name] else None)
        if label:
            changed[name] = _label(label)
    if "LIST" in row and is_array(fields.get("LIST")):
        changed["LIST"] = _choices(int(row["ID"]), entries_of(fields["LIST"]).values())
    return row | changed


def _switch(name: str, value: Value) -> str:
    sent = "Y" if value is True else str(value).upper()
    if name == "SHOW_FILTER":
        return sent if sent in ("I", "E", "S") else "E" if sent == "Y" else "N"
    return "Y" if sent == "Y" else "N"


def _label(value: Value) -> dict[str, Value]:
    """A label by language. A text is the label in all languages."""
    return dict(entries_of(value)) if is_array(value) else dict.fromkeys(_LANGUAGES, str(value))


def _choices(field_id: int, sent: Value) -> list[Row]:
    """The values of a list. Entries without a value are ignored."""
    given = [entry for entry in sent if isinstance(entry, dict) and entry.get("VALUE")]
    choices = []
    for place, entry in enumerate(given):
        choice_id = int(as_number(entry.get("ID"))) or field_id * 1000 + place
        row = choice(choice_id, place, str(entry["VALUE"]))
        digest = hashlib.md5(str(choice_id).encode(), usedforsecurity=False).hexdigest()
        own = {name: str(entry[name]) for name in ("SORT", "DEF", "XML_ID") if entry.get(name)}
        choices.append({**row, "XML_ID": digest, **own})
    return choices


METHODS = (
    Method(
        "user.userfield.list", list_fields, _SCOPES, (Param("order", "array"), Param("filter", "array"), Param("start"))
    ),
    Method("user.userfield.add", add_field, _SCOPES, (Param("fields", "array"),)),
    Method("user.userfield.update", update_field, _SCOPES, (Param("id"), Param("fields", "array"))),
    Method("user.userfield.delete", delete_field, _SCOPES, (Param("id"),)),
)
