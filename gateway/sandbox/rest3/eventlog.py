"""main.eventlog.*, which exist only in REST 3.0. Only the administrator has access."""

from gateway.sandbox.php import Value
from gateway.sandbox.rest3.dto import Dto, Field, Kind
from gateway.sandbox.rest3.errors import access_denied, record_not_found
from gateway.sandbox.rest3.fields import field_methods
from gateway.sandbox.rest3.listing import list_rows, read_select, tail_rows
from gateway.sandbox.rest3.method import Call, Method

_SCOPES = ("main",)
_STRINGS = (
    "severity", "auditTypeId", "moduleId", "itemId", "remoteAddr", "userAgent", "requestUri", "siteId", "description",
)  # fmt: skip

# Source: [docs] api-reference/event-log/main-eventlog-list.md
ENTRY = Dto.of(
    "EventLogDto",
    Field("id", Kind.INT, filterable=True, sortable=True),
    Field("timestampX", Kind.DATE_TIME, filterable=True, sortable=True),
    *(Field(name, Kind.STRING, filterable=True, sortable=True) for name in _STRINGS),
    Field("userId", Kind.INT, filterable=True, sortable=True),
    Field("guestId", Kind.INT, filterable=True, sortable=True),
)
_SHOWN = tuple(ENTRY.fields)


def list_entries(call: Call) -> Value:
    """Return one page of the event log.

    Source: [docs] api-reference/event-log/main-eventlog-list.md
    """
    _check_access(call)
    return {"items": list_rows(call.data.eventlog, call.query, ENTRY, call.data, _SHOWN, call.max_rows)}


def tail_entries(call: Call) -> Value:
    """Return the entries after a cursor.

    Source: [docs] api-reference/event-log/main-eventlog-tail.md
    """
    _check_access(call)
    return {"items": tail_rows(call.data.eventlog, call.query, ENTRY, call.data, _SHOWN, call.max_rows)}


def get_entry(call: Call) -> Value:
    """Return one entry.

    Source: [docs] api-reference/event-log/main-eventlog-get.md
    """
    _check_access(call)
    entry_id = call.int_of("id")
    select = read_select(call.query.get("select"), ENTRY, _SHOWN)
    row = call.data.eventlog.get(entry_id)
    if row is None:
        raise record_not_found(entry_id, "Entry")
    return {"item": select(row, call.data)}


def _check_access(call: Call) -> None:
    if not call.caller.is_administrator:
        raise access_denied()


METHODS = (
    Method("main.eventlog.list", list_entries, _SCOPES, ENTRY),
    Method("main.eventlog.tail", tail_entries, _SCOPES, ENTRY),
    Method("main.eventlog.get", get_entry, _SCOPES, ENTRY),
    *field_methods("main.eventlog", ENTRY, _SCOPES, _check_access),
)
