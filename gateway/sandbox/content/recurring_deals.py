"""Recurring deals: settings by which a portal makes deals from a template, and the dates that follow from them."""

import calendar
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta

from gateway.sandbox.content.catalog import DEAL
from gateway.sandbox.content.portal_data import PortalData
from gateway.sandbox.content.product_rows import copy_rows
from gateway.sandbox.content.record_writer import STAMPS, RecordWriter
from gateway.sandbox.content.records import iso_time
from gateway.sandbox.php import Value, as_number, entries_of, is_array
from gateway.sandbox.tables.table import Row

_NOT_COPIED = {"ID", *STAMPS, "MOVED_BY_ID", "MOVED_TIME", "LAST_ACTIVITY_BY", "LAST_ACTIVITY_TIME"}
_PERIODS = ("day", "week", "month", "year")
BLANK_PARAMS: Row = {
    "MODE": "multiple",
    "SINGLE_BEFORE_START_DATE_TYPE": None,
    "SINGLE_BEFORE_START_DATE_VALUE": 0,
    "MULTIPLE_TYPE": "day",
    "MULTIPLE_INTERVAL": 1,
    "OFFSET_BEGINDATE_TYPE": None,
    "OFFSET_BEGINDATE_VALUE": 0,
    "OFFSET_CLOSEDATE_TYPE": None,
    "OFFSET_CLOSEDATE_VALUE": 0,
}


def read_params(sent: Value, known: Row) -> Row:
    """The *known* parameters with those that the client *sent*. A period that does not exist becomes a day."""
    params = dict(known)
    for name, value in entries_of(sent).items() if is_array(sent) else ():
        if name not in params or is_array(value):
            continue
        if name == "MODE":
            params[name] = "single" if value == "single" else "multiple"
        elif name.endswith("_TYPE"):
            params[name] = value if value in _PERIODS else "day"
        else:
            params[name] = max(int(as_number(value)), 0)
    return params


def next_execution(row: Mapping[str, Value], now: float) -> str:
    """The day of the next deal, "" for none.

    Source: [docs] api-reference/crm/deals/recurring-deals/index.md
    """
    params, done = row["PARAMS"], int(row["COUNTER_REPEAT"] or 0)
    if row["ACTIVE"] != "Y" or not row["START_DATE"]:
        return ""
    start, earliest = _day(row["START_DATE"]), _today(now)
    if row["LAST_EXECUTION"]:
        earliest = max(earliest, _day(row["LAST_EXECUTION"]) + timedelta(days=1))
    if params["MODE"] == "single":
        day = _shifted(start, params, "SINGLE_BEFORE_START_DATE", -1)
        return "" if done or day < earliest else _text(day)
    day, steps = start, 0
    while day < earliest:
        steps += max(params["MULTIPLE_INTERVAL"], 1)
        day = _plus(start, params["MULTIPLE_TYPE"], steps)
    if row["IS_LIMIT"] == "T" and done >= int(row["LIMIT_REPEAT"] or 0):
        return ""
    if row["IS_LIMIT"] == "D" and row["LIMIT_DATE"] and day > _day(row["LIMIT_DATE"]):
        return ""
    return _text(day)


def make_template(data: PortalData, writer: RecordWriter, deal_id: int) -> int:
    """Copy a deal as the template of recurring ones and return the copy's id."""
    return _copy(data, writer, deal_id, {"IS_RECURRING": "Y"})


def make_deal(data: PortalData, writer: RecordWriter, row: Row) -> int:
    """Make a deal from the template of the settings *row* and return its id."""
    today = _today(writer.now)
    dates = {name: _text(_shifted(today, row["PARAMS"], f"OFFSET_{name}", 1)) for name in ("BEGINDATE", "CLOSEDATE")}
    place = {"CATEGORY_ID": row["CATEGORY_ID"], "STAGE_ID": writer.first_stage(row["CATEGORY_ID"])}
    deal_id = _copy(data, writer, int(row["DEAL_ID"]), {"IS_RECURRING": "N", **dates, **place})
    counter = str(int(row["COUNTER_REPEAT"] or 0) + 1)
    made = {**row, "COUNTER_REPEAT": counter, "LAST_EXECUTION": _text(today)}
    data.recurring_deals[int(row["ID"])] = {**made, "NEXT_EXECUTION": next_execution(made, writer.now)}
    return deal_id


def _copy(data: PortalData, writer: RecordWriter, deal_id: int, changes: Row) -> int:
    row = data.records[DEAL][deal_id]
    files = {field.name for field in writer.entity.fields(data.userfields) if field.type == "file"}
    copied = {name: value for name, value in row.items() if name not in _NOT_COPIED and name not in files}
    copy_id = writer.add(copied | changes)
    copy_rows(data, DEAL, deal_id, copy_id)
    return copy_id


def _shifted(day: date, params: Mapping[str, Value], name: str, sign: int) -> date:
    return _plus(day, params[f"{name}_TYPE"] or "day", sign * params[f"{name}_VALUE"])


def _plus(day: date, period: str, count: int) -> date:
    """*day* and *count* periods. A day that the month does not have becomes its last one."""
    if period in ("day", "week"):
        return day + timedelta(days=count * (7 if period == "week" else 1))
    months = day.year * 12 + day.month - 1 + count * (12 if period == "year" else 1)
    year, month = divmod(months, 12)
    return date(year, month + 1, min(day.day, calendar.monthrange(year, month + 1)[1]))


def _today(now: float) -> date:
    return datetime.fromtimestamp(now, UTC).date()


def _day(text: str) -> date:
    return datetime.fromisoformat(text).astimezone(UTC).date()


def _text(day: date) -> str:
    return iso_time(int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()))
