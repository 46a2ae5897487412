"""user.userfield.*: the custom fields of users. Only an administrator has access."""

from gateway.sandbox.errors import CallError, access_denied
from gateway.sandbox.php import Value, as_id, entries_of
from gateway.sandbox.rest2.method import Answer, Call, Method, Param
from gateway.sandbox.rest2.methods.userfields import fields_page
from gateway.sandbox.rest2.userfield_edits import changed_userfield, make_userfield

_SCOPES = ("user.userfield",)
_PREFIX = "UF_USR_"


def list_fields(call: Call) -> Answer:
    """Return one page of the custom fields of users.

    Source: [docs] api-reference/user/userfields/user-userfield-list.md
    """
    call.require_administrator(access_denied())
    return fields_page(call.data.user_fields, call)


def add_field(call: Call) -> Answer:
    """Create a custom field and return its id. Its name gets the prefix ``UF_USR_``.

    Source: [docs] api-reference/user/userfields/user-userfield-add.md
    """
    call.require_administrator(access_denied())
    fields, data = _read_fields(call), call.data
    for required in ("FIELD_NAME", "USER_TYPE_ID"):
        if not fields.get(required):
            raise CallError("", f"The '{required}' field is not found.")
    name = _PREFIX + str(fields["FIELD_NAME"]).upper().removeprefix(_PREFIX).removeprefix("UF_")
    row = make_userfield(data, "USER", name, fields)
    if name in (other["FIELD_NAME"] for other in data.user_fields.values()):
        raise CallError("ERROR_CORE", f"Field {name} for USER object already exists")
    data.user_fields[int(row["ID"])] = row
    return Answer(int(row["ID"]))


def update_field(call: Call) -> Answer:
    """Change a custom field. Its name, type and multiplicity stay.

    Source: [docs] api-reference/user/userfields/user-userfield-update.md
    """
    field_id = _checked_id(call)
    row = call.data.user_fields[field_id]
    call.data.user_fields[field_id] = changed_userfield(call.data, row, _read_fields(call))
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


def _checked_id(call: Call) -> int:
    """The id of an existing field. The portal answers the same for an unknown one as for missing rights."""
    call.require_administrator(access_denied())
    field_id = as_id(call.params.get("id"))
    if field_id <= 0:
        raise CallError("", "ID is not defined or invalid")
    if field_id not in call.data.user_fields:
        raise access_denied()
    return field_id


def _read_fields(call: Call) -> dict[str, Value]:
    return {name.upper(): value for name, value in entries_of(call.params.get("fields", {})).items()}


METHODS = (
    Method(
        "user.userfield.list", list_fields, _SCOPES, (Param("order", "array"), Param("filter", "array"), Param("start"))
    ),
    Method("user.userfield.add", add_field, _SCOPES, (Param("fields", "array"),)),
    Method("user.userfield.update", update_field, _SCOPES, (Param("id"), Param("fields", "array"))),
    Method("user.userfield.delete", delete_field, _SCOPES, (Param("id"),)),
)
