"""timeman.record.list: the working days of one employee."""

from gateway.sandbox.php import Value
from gateway.sandbox.rest3.dto import Dto, Field, Kind
from gateway.sandbox.rest3.errors import access_denied, invalid_filter, missing_field
from gateway.sandbox.rest3.fields import field_methods
from gateway.sandbox.rest3.listing import list_rows
from gateway.sandbox.rest3.method import Call, Method

_SCOPES = ("timeman",)

# Source: [docs] api-reference/rest-v3/timeman/timeman-record-list.md
RECORD = Dto.of(
    "RecordDto",
    Field("id", Kind.INT, sortable=True),
    Field("userId", Kind.INT, filterable=True, sortable=True),
    Field("startTime", Kind.DATE_TIME, filterable=True, sortable=True),
    Field("endTime", Kind.DATE_TIME, sortable=True),
    Field("duration", Kind.INT, sortable=True),
    Field("breakLength", Kind.INT),
    Field("state", Kind.STRING),
    Field("isApproved", Kind.BOOL),
)
_SHOWN = tuple(RECORD.fields)


def list_records(call: Call) -> Value:
    """Return one page of an employee's records. Only the administrator may read those of others.

    Source: [docs] api-reference/rest-v3/timeman/timeman-record-list.md
    """
    user_id = _user_in(call.query.get("filter"))
    if user_id != call.caller.user_id and not call.caller.is_administrator:
        raise access_denied()
    return {"items": list_rows(call.data.work_records, call.query, RECORD, call.data, _SHOWN, call.max_rows)}


def _user_in(conditions: Value) -> Value:
    """The one user of a filter.

    Raises:
        Rest3Error: the filter names no user, more than one, or a range of users.
    """
    elements = conditions if isinstance(conditions, list) else []
    if elements and isinstance(elements[0], str):
        elements = [elements]
    users = []
    for element in elements:
        match element:
            case ["userId", value] | ["userId", "=", value] if not isinstance(value, (list, dict)):
                users.append(value)
            case ["userId", *_]:
                raise invalid_filter(element)
    if not users:
        raise missing_field("filter.userId")
    if any(user != users[0] for user in users):
        raise invalid_filter(conditions)
    return users[0]


METHODS = (
    Method("timeman.record.list", list_records, _SCOPES, RECORD),
    *field_methods("timeman.record", RECORD, _SCOPES),
)
