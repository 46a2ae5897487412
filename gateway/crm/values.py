"""Converts the values that callers send to the form that the portal takes, by the type of the field.

Every converter returns the value, or raises ValueError with the rule that it breaks.
Source: methods.md 4.3, 5.5 and 6.4 (b24restdocs api-reference/crm/data-types.md)
"""

import math
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial

from gateway.bitrix.lists.list_fields import Field
from gateway.crm.users import UserIds
from gateway.mirror.filter_values import CALENDAR_RULE, DATE, DATE_RULE, DATE_TIME

REFERENCES = frozenset(
    {
        *("integer", "location", "crm_lead", "crm_deal", "crm_contact", "crm_company", "crm_quote"),
        *("crm_category", "crm_entity", "iblock_section", "iblock_element"),
    }
)
USERS = frozenset({"user", "employee"})
INTEGER = re.compile(r"-?[0-9]{1,18}", re.ASCII)
NUMBER = re.compile(r"-?[0-9]{1,18}(\.[0-9]{1,18})?", re.ASCII)
MONEY = re.compile(r"(-?[0-9]{1,18}(?:\.[0-9]{1,18})?)\|([A-Z]{3})", re.ASCII)
FLAGS: Mapping[object, str] = {"Y": "Y", "N": "N", "1": "Y", "0": "N"}

MONEY_RULE = 'must be {"amount": number, "currency": code} or a text such as "1000|RUB"'


class Ambiguous(ValueError):
    """several choices have this text, or several users this e-mail"""


def portal_value(value: object, field: Field, users: UserIds) -> object:
    """*value* in the portal's form. None and an empty list clear the field. *users* are those named by their e-mails.

    Raises:
        ValueError: with the rule that the value breaks.
    """
    if field.type == "file":
        raise ValueError("is a file, which cannot be written as JSON")
    if value is None:
        return [] if field.multiple else ""
    convert = partial(_user, users=users) if field.type in USERS else CONVERTERS.get(field.type, _text)
    if not field.multiple:
        return convert(value, field)
    if not isinstance(value, list):
        raise ValueError("must be a list, as the field has several values")
    return [convert(item, field) for item in value]


def _text(value: object, _field: Field) -> str:
    if not isinstance(value, str):
        raise ValueError("must be a text")
    return value


def _integer(value: object, _field: Field) -> int:
    if isinstance(value, str) and INTEGER.fullmatch(value):
        return int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError("must be an integer")
    return value


def email_of(value: object) -> str | None:
    """The e-mail in lower case by which *value* names a user; None if it does not."""
    return value.lower() if isinstance(value, str) and "@" in value else None


def _user(value: object, field: Field, users: UserIds) -> int:
    """The id of a user, found by the id or by the e-mail."""
    if (email := email_of(value)) is None:
        return _integer(value, field)
    ids = users.get(email, ())
    if len(ids) > 1:
        raise Ambiguous(f"is the e-mail of several users: use one of the ids {', '.join(map(str, ids))}")
    if not ids:
        raise ValueError("must be the id or the e-mail of a user: no user has this e-mail")
    return ids[0]


def _number(value: object, _field: Field) -> object:
    if isinstance(value, str) and NUMBER.fullmatch(value):
        return value
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError("must be a number")
    return value


def _flag(value: object, field: Field) -> str:
    """Source: methods.md 5.5: crm.item takes nothing but Y for true."""
    if isinstance(value, bool) or (isinstance(value, int) and value in (0, 1)):
        return "Y" if value else "N"
    if isinstance(value, str) and value in FLAGS:
        return FLAGS[value]
    if field.type == "char" and isinstance(value, str) and len(value) == 1:
        return value  # some have other letters
    raise ValueError("must be true or false (or Y or N, 1 or 0)")


def _day(value: object, _field: Field) -> str:
    return _moment(value).date().isoformat()


def _time(value: object, _field: Field) -> str:
    return _moment(value).isoformat(timespec="seconds")


def _moment(value: object) -> datetime:
    if not isinstance(value, str) or not (DATE.fullmatch(value) or DATE_TIME.fullmatch(value)):
        raise ValueError(DATE_RULE)
    try:
        return datetime.fromisoformat(value.upper())
    except ValueError:
        raise ValueError(CALENDAR_RULE) from None


def _money(value: object, _field: Field) -> str:
    if isinstance(value, str) and MONEY.fullmatch(value):
        return value
    if isinstance(value, dict) and value.keys() == {"amount", "currency"}:
        amount, currency = value["amount"], value["currency"]
        is_number = isinstance(amount, int | float | str) and not isinstance(amount, bool)
        if is_number and isinstance(currency, str) and MONEY.fullmatch(text := f"{amount}|{currency}"):
            return text
    raise ValueError(MONEY_RULE)


def _choice(value: object, field: Field) -> str:
    """The id of a choice, found by its id or by its text, which is compared without case."""
    shown = str(value) if isinstance(value, str | int) and not isinstance(value, bool) else None
    if shown is None:
        raise ValueError("must be the id or the text of a choice")
    if any(shown == choice_id for choice_id, _ in field.choices):
        return shown
    ids = [choice_id for choice_id, text in field.choices if text.casefold() == shown.casefold()]
    if len(ids) > 1:
        raise Ambiguous(f"is the text of several choices: use one of the ids {', '.join(ids)}")
    if not ids:
        known = ", ".join(f"{choice_id} ({text})" for choice_id, text in field.choices[:10])
        more = " and others" if len(field.choices) > 10 else ""
        raise ValueError(f"must be the id or the text of a choice: {known}{more}")
    return ids[0]


CONVERTERS: dict[str, Callable[[object, Field], object]] = {
    **dict.fromkeys(REFERENCES, _integer),
    "double": _number,
    "char": _flag,
    "boolean": _flag,
    "date": _day,
    "datetime": _time,
    "money": _money,
    "enumeration": _choice,
}
