"""Converts the values that callers send to the form that the portal takes, by the type of the field.

Source: methods.md 4.3, 5.5 and 6.4 (b24restdocs api-reference/crm/data-types.md)
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from functools import partial
from typing import Any

from gateway.bitrix.lists.list_fields import Field
from gateway.crm.choices import Ambiguous, Choices, Unlisted, text_of
from gateway.crm.numbers import INT64, parse_amount, parse_integer, parse_number
from gateway.crm.users import UserIds
from gateway.errors import FieldError
from gateway.mirror.filter_values import CALENDAR_RULE, DATE, DATE_RULE, DATE_TIME

INTEGERS = frozenset({"integer", "location", "crm_category"})
REFERENCES = frozenset(
    {
        *("crm_lead", "crm_deal", "crm_contact", "crm_company", "crm_quote", "crm_entity"),
        *("iblock_section", "iblock_element"),
    }
)
USERS = frozenset({"user", "employee"})
CURRENCIES = "crm_currency"  # type of a field, and the name that currencies have among directories
MONEY = re.compile(r"-?[0-9]{1,18}(\.[0-9]{1,18})?\|[^|]{1,64}")
ZONES = [timezone(timedelta(hours=hours)) for hours in (-12, 14)]  # portals show times in zones between these
FLAGS: Mapping[object, str] = {"Y": "Y", "N": "N", "1": "Y", "0": "N"}
MAX_VALUES = 5000  # of one field, and rows of products; so many are checked in some 20 ms
TOO_MANY_VALUES = "too_many_values"
MAX_SUGGESTIONS = 20  # errors with a suggestion, which takes time to find

NONE_RULE = f"an integer from 1 to {INT64[-1]}; for none write null, not 0, and nothing in a list"
REFERENCE_RULE = f"must be an id, which is {NONE_RULE}"
USER_RULE = f"must be the e-mail or the id of a user, {NONE_RULE}"
CURRENCY = re.compile("[A-Z]{3}")
MONEY_RULE = (
    'must be {"amount": number, "currency": code} or a text such as "1000|RUB", with at most 18 digits on each side '
    "of the point"
)
CURRENCY_RULE = "must have a currency of the portal"


@dataclass(frozen=True)
class KnownValues:
    """What values may name: the ids of *users* by their e-mails, and the choices of *directories* by ENTITY_ID.

    A directory that is not among them has unknown choices, and takes any text.
    """

    users: UserIds = field(default_factory=dict)
    directories: Mapping[str, Choices] = field(default_factory=dict)


def portal_value(value: object, field: Field, known: KnownValues, pointer: str, errors: list[FieldError]) -> Any:
    """*value* in the portal's form. None and an empty list clear the field.

    The rules that it breaks go to *errors*, each with the *pointer* to the value, or to its element.
    """
    if field.type == "file":
        errors.append(FieldError("invalid_value", "is a file, which cannot be written as JSON", pointer=pointer))
        return None
    if value is None:
        return [] if field.multiple else ""
    if field.multiple and not isinstance(value, list):
        rule = "must be a list, as the field has several values"
        errors.append(FieldError("invalid_value", rule, pointer=pointer))
        return None
    convert = _converter(field, known)
    converted: list[object] = []
    for place, item in _items(value, field, pointer):
        try:
            converted.append(convert(item))
        except ValueError as error:
            errors.append(_error(error, place, suggest=len(errors) < MAX_SUGGESTIONS))
    return converted if field.multiple else next(iter(converted), None)


def _items(value: object, field: Field, pointer: str = "") -> Iterator[tuple[str, object]]:
    """The single values in *value*, each with its pointer."""
    if not field.multiple:
        yield pointer, value
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield f"{pointer}/{index}", item


def _error(error: ValueError, pointer: str, *, suggest: bool) -> FieldError:
    suggestion = error.suggest() if suggest and isinstance(error, Unlisted) else None
    question = "" if suggestion is None else f"; did you mean {suggestion!r}?"
    code = "ambiguous_value" if isinstance(error, Ambiguous) else "invalid_value"
    return FieldError(code, f"{error}{question}", pointer=pointer)


def emails_in(body: Mapping[str, object], fields: Mapping[str, Field]) -> frozenset[str]:
    """The e-mails, in lower case, by which *body* names users."""
    named = [(fields[name], value) for name, value in body.items() if name in fields and fields[name].type in USERS]
    emails = [_email_of(item) for field, value in named for _, item in _items(value, field)]
    return frozenset(email for email in emails if email is not None)


def named_in_directories(body: Mapping[str, object], fields: Mapping[str, Field]) -> Mapping[str, set[str]]:
    """The ids and texts by which *body* names values of directories, and codes of currencies, by directory."""
    named: dict[str, set[str]] = {}
    for name, value in body.items():
        directory = _directory_of(fields[name]) if name in fields else ""
        for _, item in _items(value, fields[name]) if directory else ():
            wanted = _currency_of(_money_text(item)) if fields[name].type == "money" else text_of(item)
            if wanted:
                named.setdefault(directory, set()).add(wanted)
    return named


def _directory_of(field: Field) -> str:
    """The directory that has the values of *field*; empty if it has none."""
    if field.type in (CURRENCIES, "money"):
        return CURRENCIES
    return field.directory if field.type == "crm_status" else ""


def _converter(field: Field, known: KnownValues) -> Callable[[object], object]:
    """What gives a single value of *field* its portal's form, or raises ValueError with the rule that it breaks."""
    directory = known.directories.get(_directory_of(field))
    if field.type in USERS:
        return partial(_user, users=known.users)
    if field.type == "double":
        return parse_number if field.custom else parse_amount
    if field.type == "enumeration":
        return Choices(dict(field.choices)).find
    if field.type == "money":
        return partial(_money, currencies=directory)
    if directory is not None:
        return partial(_listed, choices=directory)
    return CONVERTERS.get(field.type, _text)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("must be a text")
    return value


def _reference(value: object, rule: str = REFERENCE_RULE) -> int:
    """An id. Portals show 0 in the place of none (examples/crm.deal.get), and also write null as 0: methods.md 4.3"""
    try:
        number = parse_integer(value)
    except ValueError:
        raise ValueError(rule) from None
    if number <= 0:
        raise ValueError(rule)
    return number


def _email_of(value: object) -> str | None:
    """The e-mail in lower case by which *value* names a user; None if it does not."""
    return value.lower() if isinstance(value, str) and "@" in value else None


def _user(value: object, users: UserIds) -> int:
    """The id of a user, found by the id or by the e-mail."""
    if (email := _email_of(value)) is None:
        return _reference(value, USER_RULE)
    ids = users.get(email, ())
    if len(ids) > 1:
        raise Ambiguous(f"is the e-mail of several users: use one of the ids {', '.join(map(str, ids))}")
    if not ids:
        raise ValueError("must be the id or the e-mail of a user: no user has this e-mail")
    return ids[0]


def _listed(value: object, choices: Choices) -> str:
    """The id of a value of a directory. An empty text clears the field."""
    return "" if value == "" else choices.find(value)


def _flag(value: object) -> str:
    """Source: methods.md 5.5: crm.item takes nothing but Y for true. Portals store any other letter as no."""
    if isinstance(value, bool) or (isinstance(value, int) and value in (0, 1)):
        return "Y" if value else "N"
    if isinstance(value, str) and value in FLAGS:
        return FLAGS[value]
    raise ValueError("must be true or false (or Y or N, 1 or 0)")


def _day(value: object) -> str:
    return _moment(value).date().isoformat()


def _time(value: object) -> str:
    return _moment(value).isoformat(timespec="seconds")


def _moment(value: object) -> datetime:
    if not isinstance(value, str) or not (DATE.fullmatch(value) or DATE_TIME.fullmatch(value)):
        raise ValueError(DATE_RULE)
    try:
        moment = datetime.fromisoformat(value.upper())
        for zone in ZONES if moment.tzinfo is not None else ():
            moment.astimezone(zone)
    except (ValueError, OverflowError):
        raise ValueError(CALENDAR_RULE) from None
    return moment


def _money(value: object, currencies: Choices | None) -> str:
    text = _money_text(value)
    if text is None:
        raise ValueError(MONEY_RULE)
    amount, _, currency = text.partition("|")
    if currencies is None:
        if CURRENCY.fullmatch(currency) is None:
            raise ValueError("must have the code of a currency, such as RUB")
        return text
    try:
        return f"{amount}|{currencies.find(currency)}"
    except Unlisted:
        raise Unlisted(CURRENCY_RULE, currency, currencies) from None


def _money_text(value: object) -> str | None:
    """An amount and a code of a currency as the portal takes them; None if *value* is something else."""
    text = value
    if isinstance(value, dict) and value.keys() == {"amount", "currency"}:
        amount, currency = value["amount"], value["currency"]
        is_number = isinstance(amount, int | float | str) and not isinstance(amount, bool)
        text = f"{amount}|{currency}" if is_number and isinstance(currency, str) else None
    return text if isinstance(text, str) and MONEY.fullmatch(text) else None


def _currency_of(money: str | None) -> str:
    return "" if money is None else money.rpartition("|")[2]


CONVERTERS: dict[str, Callable[[object], object]] = {
    **dict.fromkeys(INTEGERS, parse_integer),
    **dict.fromkeys(REFERENCES, _reference),
    **dict.fromkeys(("char", "boolean"), _flag),
    "date": _day,
    "datetime": _time,
}
