"""user.add and user.update. Only an administrator has access; the fields stand beside the id."""

import hashlib
import re
from datetime import UTC, datetime

from gateway.sandbox.content.people import new_user
from gateway.sandbox.content.portal_data import PortalData
from gateway.sandbox.content.user_fields import DATES, FILES, READ_ONLY, TITLES
from gateway.sandbox.errors import CallError
from gateway.sandbox.php import Value, as_number, entries_of, is_array
from gateway.sandbox.rest2.method import Answer, Call, Method
from gateway.sandbox.tables.table import Row

_SCOPES = ("user",)
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
_EMAIL_TAKEN = "A user with this email already exists"


def add_user(call: Call) -> Answer:
    """Invite a person and return the id. An employee needs departments, an extranet user groups.

    The event ONUSERADD follows only when the person registers.
    Source: [docs] api-reference/user/user-add.md
    """
    sent, data = _checked_params(call), call.data
    columns = _read_columns(sent, data)
    if not _EMAIL.fullmatch(str(columns.get("EMAIL", ""))):
        raise _wrong("wrong_email")
    if _is_taken(columns["EMAIL"], data):
        raise _wrong(_EMAIL_TAKEN)
    if sent.get("EXTRANET") == "Y":
        _check_groups(sent.get("SONET_GROUP_ID"))
        columns |= {"UF_DEPARTMENT": [], "USER_TYPE": "extranet"}
    elif columns.get("UF_DEPARTMENT"):
        columns["USER_TYPE"] = "employee"
    else:
        raise _wrong("no_extranet_field")
    user_id = data.users.next_id
    data.users[user_id] = new_user(user_id, call.now, columns)
    return Answer(user_id)


def update_user(call: Call) -> Answer:
    """Change the given fields of a user. ``ACTIVE=N`` dismisses the user.

    Source: [docs] api-reference/user/user-update.md
    """
    sent, data = _checked_params(call), call.data
    user_id = int(as_number(sent.get("ID")))
    if user_id not in data.users:
        raise _denied()
    columns = _read_columns(sent, data)
    if "EMAIL" in columns and _is_taken(columns["EMAIL"], data, but=user_id):
        raise CallError("ERROR_CORE", _EMAIL_TAKEN)
    if "ACTIVE" in sent:
        columns["ACTIVE"] = sent["ACTIVE"] in (True, 1, "1", "Y", "true")
    data.users[user_id] = {**data.users[user_id], **columns}
    return Answer(True)


def _checked_params(call: Call) -> dict[str, Value]:
    """The parameters by name in upper case.

    Raises:
        CallError: the caller is no administrator.
    """
    if not call.caller.is_administrator:
        raise _denied()
    return {name.upper(): value for name, value in call.sent.items()}


def _read_columns(sent: dict[str, Value], data: PortalData) -> Row:
    """The writable columns that a request sets. Other names are ignored."""
    custom = {row["FIELD_NAME"]: row["MULTIPLE"] == "Y" for row in data.user_fields.values()}
    return {
        name: _read_column(name, value, is_multiple=custom.get(name, False))
        for name, value in sent.items()
        if name in custom or (name in TITLES and name not in READ_ONLY)
    }


def _read_column(name: str, value: Value, *, is_multiple: bool) -> Value:
    if name == "UF_DEPARTMENT":
        return [int(as_number(item)) for item in _items(value)]
    if name in FILES:
        return _read_file(value)
    if name in DATES:
        return _read_date(value)
    if is_multiple:
        return [str(item) for item in _items(value)]
    return "" if value is None or is_array(value) else str(value)


def _items(value: Value) -> list[Value]:
    return list(entries_of(value).values()) if is_array(value) else [item for item in [value] if item]


def _read_file(value: Value) -> str:
    """The address of an image that was sent as its name and content. Anything else removes the image.

    Source: [docs] api-reference/files/how-to-update-files.md
    """
    items = [str(item) for item in _items(value)]
    if len(items) != 2:
        return ""
    name, content = items
    digest = hashlib.md5(content.encode(), usedforsecurity=False).hexdigest()
    return f"/upload/main/{digest[:3]}/{digest}/{name}"


def _read_date(value: Value) -> str:
    """A date in the form of user.get, empty if it is none."""
    try:
        day = datetime.fromisoformat(str(value))
    except ValueError:
        return ""
    return datetime(day.year, day.month, day.day, tzinfo=UTC).isoformat()


def _is_taken(email: str, data: PortalData, but: int = 0) -> bool:
    return bool(email) and any(
        str(row.get("EMAIL", "")).casefold() == email.casefold()
        for user_id, row in data.users.items()
        if user_id != but
    )


def _check_groups(value: Value) -> None:
    if not _items(value):
        raise CallError("ERROR_GROUPID", "Group code not specified")
    if not all(as_number(item) > 0 for item in _items(value)):
        raise CallError("ERROR_NO_GROUP", "Group specified incorrectly")


def _wrong(text: str) -> CallError:
    return CallError("ERROR_ARGUMENT", text, argument="")


def _denied() -> CallError:
    return CallError("ERROR_CORE", "access_denied")


METHODS = (
    Method("user.add", add_user, _SCOPES),
    Method("user.update", update_user, _SCOPES),
)
