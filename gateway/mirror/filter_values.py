"""Reads the values of a filter into the normal form of a field's kind; see `storage.json_values`.

Every reader returns the value, or raises ValueError with the rule that it breaks.
"""

import math
import re
from collections.abc import Callable
from datetime import date, datetime, timedelta, timezone

from storage.json_values import Kind, SqlValue

MAX_CHARACTERS = 10_000  # of a text
NUMBER = re.compile(r"[-+]?(\d{1,400}(\.\d{0,400})?|\.\d{1,400})([eE][-+]?\d{1,4})?", re.ASCII)
INTEGER = re.compile(r"[-+]?\d{1,18}", re.ASCII)
DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
DATE_TIME = re.compile(
    r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d(:\d\d(\.\d{1,9})?)?([Zz]|[-+]\d\d:\d\d)?",
    re.ASCII,
)
CALENDAR_RULE = "must be a day and time that exist"
DATE_RULE = "must be a date (YYYY-MM-DD) or a date and time (RFC 3339, with or without a zone)"
FLAGS: dict[object, int] = {"Y": 1, "N": 0, "1": 1, "0": 0, 1: 1, 0: 0}  # true and false are 1 and 0


def read_value(value: object, kind: Kind, portal_type: str, zone_s: int) -> SqlValue:
    """The single *value* for a field of *kind*. *zone_s* is how far the portal's times are ahead of UTC.

    A `char` is Y or N in most fields, and another letter in some: what is neither Y, N, true, false, 1 nor 0 is text.

    Raises:
        ValueError: with the rule that the value breaks.
    """
    if isinstance(value, str) and len(value) > MAX_CHARACTERS:
        raise ValueError(f"must have at most {MAX_CHARACTERS} characters")
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError("must be a finite number")
    if portal_type == "char" and isinstance(value, str) and value not in FLAGS:
        return value
    return READERS[kind](value, zone_s)


def _read_text(value: object, _zone_s: int) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    raise ValueError("must be a text or a number")


def _read_number(value: object, _zone_s: int) -> int | float:
    if isinstance(value, str) and NUMBER.fullmatch(value):
        value = int(value) if INTEGER.fullmatch(value) else float(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("must be a number")
    if isinstance(value, int) and -(2**63) <= value < 2**63:
        return value
    try:
        number = float(value)  # SQLite too keeps larger integers so
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise ValueError("must be a finite number")
    return number


def _read_time(value: object, zone_s: int) -> int | float:
    seconds = _moment(value, zone_s).timestamp()
    return int(seconds) if seconds.is_integer() else seconds


def _read_day(value: object, zone_s: int) -> str:
    """The calendar day of the portal on which the date or time is."""
    if isinstance(value, str) and DATE.fullmatch(value):
        try:
            return date.fromisoformat(value).isoformat()
        except ValueError:
            raise ValueError(CALENDAR_RULE) from None
    moment = _moment(value, zone_s)
    try:
        return moment.astimezone(_zone(zone_s)).date().isoformat()
    except OverflowError:
        raise ValueError(CALENDAR_RULE) from None


def _moment(value: object, zone_s: int) -> datetime:
    """The instant; a date is its midnight. What has no zone is in the portal's."""
    if not isinstance(value, str) or not (DATE.fullmatch(value) or DATE_TIME.fullmatch(value)):
        raise ValueError(DATE_RULE)
    try:
        moment = datetime.fromisoformat(value.upper())
    except ValueError:
        raise ValueError(CALENDAR_RULE) from None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=_zone(zone_s))


def _zone(zone_s: int) -> timezone:
    return timezone(timedelta(seconds=zone_s))


def _read_flag(value: object, _zone_s: int) -> int:
    if not isinstance(value, str | int | float) or value not in FLAGS:
        raise ValueError("must be true or false (or Y or N, 1 or 0)")
    return FLAGS[value]


READERS: dict[Kind, Callable[[object, int], SqlValue]] = {
    Kind.TEXT: _read_text,
    Kind.NUMBER: _read_number,
    Kind.TIME: _read_time,
    Kind.DAY: _read_day,
    Kind.FLAG: _read_flag,
    Kind.FILE: _read_text,
}
