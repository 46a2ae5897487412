"""Values that a client writes into a CRM record, in the form in which the tables store them: that of the old lists."""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from gateway.sandbox.content.entities import DATES, NUMERIC, Field
from gateway.sandbox.content.records import blank_value, iso_time
from gateway.sandbox.content.tasks import ZONE
from gateway.sandbox.php import Value, as_number, entries_of, is_array

_RUSSIAN_DATE = re.compile(r"(\d{1,2})\.(\d{1,2})\.(\d{4})(.*)", re.ASCII | re.DOTALL)


class NotValid(Exception):
    """The field cannot have this value."""


class TimeOutOfRange(Exception):
    """The portal cannot store this time: in its zone, it is after the year 9999 or before the year 1."""


def classic_value(field: Field, value: Value) -> Value:
    """The stored form of *value*, as the old methods read it.

    An enumeration is not checked against its items, see `is_choice`.

    Raises:
        NotValid: the old methods leave the field as it is.
        TimeOutOfRange: the portal cannot store this time.
    Source: [srv] crm/classes/general/restservice.php, internalizeFields
    """
    if field.is_multiple:
        values = entries_of(value).values() if is_array(value) else [] if value in (None, "") else [value]
        return _many(field, [_scalar(field, item) for item in values if item not in (None, "")])
    if value is None and field.type in DATES:
        raise NotValid
    if field.type == "integer" and value is None:
        return "0"
    return blank_value(field) if value in (None, "") else _scalar(field, value)


def item_value_to_store(field: Field, value: Value) -> Value:
    """The stored form of *value*, as crm.item reads it: an empty value of PHP clears the field, whatever its type.

    Raises:
        NotValid: the field stays as it is.
        TimeOutOfRange: the portal cannot store this time.
        TypeError: a multiple field got a single value.
    Source: [srv] crm/lib/controller/item.php
    """
    if value in (None, "", 0, "0", False) or value in ([], {}):
        return _many(field, []) if field.is_multiple else blank_value(field)
    if field.is_multiple:
        if not is_array(value):
            raise TypeError
        return _many(field, [_scalar(field, item) for item in entries_of(value).values() if item not in (None, "")])
    if field.type in ("boolean", "char"):
        is_true = value is True or str(value).lower() in ("y", "true")
        return is_true if field.is_custom else "NY"[is_true]
    return _scalar(field, value)


def is_choice(choices: Mapping[str, Value] | None, value: Value) -> bool:
    """Whether *choices*, the items of an enumeration, have all that *value* names. A field without items has any."""
    named = value if isinstance(value, list) else [value]
    return choices is None or all(item in choices for item in named if item not in (None, False, ""))


def _many(field: Field, values: list[Value]) -> Value:
    return values or (False if field.is_custom else [])


def _scalar(field: Field, value: Value) -> Value:
    if is_array(value):
        raise NotValid
    return _WRITTEN.get(field.type, _text)(field, value)


def _text(_field: Field, value: Value) -> str:
    if isinstance(value, bool):
        return "1" if value else ""
    return f"{value:.14g}" if isinstance(value, float) else str(value)


def _number(field: Field, value: Value) -> str | None:
    number = int(as_number(value))
    is_reference = field.type not in ("integer", "enumeration")
    return None if number == 0 and is_reference else str(number)


def _amount(field: Field, value: Value) -> str:
    number = as_number(value)
    return f"{number:.14g}" if field.is_custom else f"{number:.2f}"


def _flag(field: Field, value: Value) -> Value:
    is_set = value is True or str(value).upper() in ("Y", "1", "TRUE")
    return is_set if field.is_custom else "NY"[is_set]


def _date(_field: Field, value: Value) -> str:
    """A day, as midnight in UTC. Source: [docs] api-reference/crm/deals/crm-deal-list.md"""
    moment = _moment(value)
    return _stored(datetime(moment.year, moment.month, moment.day, tzinfo=UTC))


def _datetime(_field: Field, value: Value) -> str:
    return _stored(_moment(value))


def _stored(moment: datetime) -> str:
    try:
        return iso_time(int(moment.timestamp()))
    except ValueError:
        raise TimeOutOfRange from None


def _moment(value: Value) -> datetime:
    """The time that a client wrote: ISO 8601 or the Russian form, in the portal's zone where it has none."""
    found = _RUSSIAN_DATE.fullmatch(str(value))
    text = f"{found[3]}-{found[2]:0>2}-{found[1]:0>2}{found[4]}" if found else str(value)
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        raise NotValid from None
    return moment if moment.tzinfo else moment.replace(tzinfo=ZONE)


_WRITTEN: Mapping[str, Callable[[Field, Value], Value]] = {
    **dict.fromkeys(NUMERIC - {"double"}, _number),
    "double": _amount,
    "char": _flag,
    "boolean": _flag,
    "date": _date,
    "datetime": _datetime,
}
