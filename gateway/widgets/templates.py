"""The settings of a widget, checked against its template.

Source: contract/amocrm-widgets.md, section 5
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from gateway.errors import FieldError, InvalidInput, pointer_token
from gateway.schemas import MAX_DEPTH, TOO_DEEP, exceeds_depth

MAX_USER_ID_DIGITS = 18
REQUIRED = "is required"
NOT_EMPTY = "is required: must not be empty"
NOT_A_USER = f"must be the id of a user: at most {MAX_USER_ID_DIGITS} digits"
NOT_A_STRING = "must be a string"
EMPTY: Mapping[str, object] = {"text": "", "pass": "", "users": {}, "users_lp": {}}  # no value of a required field
UNKNOWN_KEY = "is not a key of the widget's settings_template"


@dataclass(frozen=True)
class TemplateField:
    """A field of the settings. *type* is a key of TYPES."""

    key: str
    name: str
    type: str
    is_required: bool


def check_settings(template: Sequence[TemplateField], settings: Mapping[str, object]) -> None:
    """Check the *settings* of an installation.

    Raises:
        InvalidInput: names every value that is missing, invalid or not in the *template*.
    """
    known = {each.key for each in template}
    errors = [error for each in template for error in _check_field(each, settings)]
    errors += [
        FieldError("unknown_property", UNKNOWN_KEY, pointer=f"/{pointer_token(name)}")
        for name in settings
        if name not in known
    ]
    if errors:
        raise InvalidInput.of_errors(errors)


def missing_settings(template: Iterable[TemplateField], settings: Mapping[str, object] | None) -> list[str]:
    """Return the keys of the *template* whose values *settings* miss, or have in another form.

    Without settings, all that are required are missing.
    """
    return [each.key for each in template if any(_check_field(each, settings or {}))]


def _check_field(field: TemplateField, settings: Mapping[str, object]) -> Iterator[FieldError]:
    pointer = f"/{pointer_token(field.key)}"
    value = settings.get(field.key)
    if value is None and (field.is_required or field.key not in settings):
        if field.is_required:
            yield FieldError("required", REQUIRED, pointer=pointer)
    elif field.is_required and field.type in EMPTY and value == EMPTY[field.type]:
        yield FieldError("required", NOT_EMPTY, pointer=pointer)
    else:
        yield from TYPES[field.type](pointer, value)


def _check_string(pointer: str, value: object) -> Iterator[FieldError]:
    if not isinstance(value, str):
        yield FieldError("invalid_type", NOT_A_STRING, pointer=pointer)


def _check_custom(pointer: str, value: object) -> Iterator[FieldError]:
    if exceeds_depth(value, MAX_DEPTH):
        yield FieldError("too_deep", TOO_DEEP, pointer=pointer)


def _check_users(pointer: str, value: object) -> Iterator[FieldError]:
    """An object with the extension, a string, of each user."""
    for place, extension in _users_in(pointer, value):
        yield from (extension,) if isinstance(extension, FieldError) else _check_string(place, extension)


def _check_logins(pointer: str, value: object) -> Iterator[FieldError]:
    """An object with the login and the password of each user."""
    for place, account in _users_in(pointer, value):
        if isinstance(account, FieldError):
            yield account
        elif not isinstance(account, Mapping):
            yield FieldError("invalid_type", "must be an object of login and password", pointer=place)
        else:
            for name in ("login", "password"):
                if name in account:
                    yield from _check_string(f"{place}/{name}", account[name])
                else:
                    yield FieldError("required", REQUIRED, pointer=f"{place}/{name}")
            for name in account.keys() - {"login", "password"}:
                yield FieldError("unknown_property", "unknown property", pointer=f"{place}/{pointer_token(name)}")


def _users_in(pointer: str, value: object) -> Iterator[tuple[str, object]]:
    """The place and the value of each user in an object by their ids; a FieldError in the place of a wrong value."""
    if not isinstance(value, Mapping):
        yield pointer, FieldError("invalid_type", "must be an object by the ids of users", pointer=pointer)
        return
    for user_id, each in value.items():
        place = f"{pointer}/{pointer_token(user_id)}"
        is_user = user_id.isascii() and user_id.isdigit() and len(user_id) <= MAX_USER_ID_DIGITS
        yield place, each if is_user else FieldError("invalid_value", NOT_A_USER, pointer=place)


TYPES: Mapping[str, Callable[[str, object], Iterator[FieldError]]] = {
    "text": _check_string,
    "pass": _check_string,
    "users": _check_users,
    "users_lp": _check_logins,
    "custom": _check_custom,
}
