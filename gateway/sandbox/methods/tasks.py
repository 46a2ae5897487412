"""tasks.task.list, get and getFields in their older form: strings, Y and N, names in capitals on the way in."""

from collections.abc import Callable, Sequence
from typing import Any

from gateway.sandbox.data import PortalData
from gateway.sandbox.errors import CallError, missing_parameter, wrong_parameter
from gateway.sandbox.filters import Kind, Schema, read_filter
from gateway.sandbox.generated import GeneratedTable
from gateway.sandbox.listing import Order, find
from gateway.sandbox.method import Answer, Call, Method, Param, page_window
from gateway.sandbox.php import Value, entries_of, is_array
from gateway.sandbox.table import Row, Table

_SCOPES = ("task",)

_STATUSES = {"pending": "2", "in_progress": "3", "supposedly_completed": "4", "completed": "5", "deferred": "6"}
_PRIORITIES = {"low": "0", "average": "1", "high": "2"}
_MARKS = {"positive": "P", "negative": "N"}


def _text(name: str) -> Callable[[Row], str | None]:
    return lambda row: None if row.get(name) is None else str(row[name])


def _flag(name: str) -> Callable[[Row], str]:
    return lambda row: "Y" if row.get(name) else "N"


def _texts(name: str) -> Callable[[Row], list[str]]:
    return lambda row: [str(item) for item in row.get(name) or ()]


# Name in requests, name in answers, how it compares, its value out of a row.
_COLUMNS: tuple[tuple[str, str, Kind, Callable[[Row], Any]], ...] = (
    ("ID", "id", Kind.NUMBER, _text("id")),
    ("PARENT_ID", "parentId", Kind.NUMBER, _text("parentId")),
    ("TITLE", "title", Kind.TEXT, _text("title")),
    ("DESCRIPTION", "description", Kind.TEXT, _text("description")),
    ("MARK", "mark", Kind.TEXT, lambda row: _MARKS.get(row.get("mark", ""))),
    ("PRIORITY", "priority", Kind.NUMBER, lambda row: _PRIORITIES.get(row.get("priority", ""), "1")),
    ("MULTITASK", "multitask", Kind.TEXT, _flag("isMultitask")),
    ("REPLICATE", "replicate", Kind.TEXT, _flag("replicate")),
    ("GROUP_ID", "groupId", Kind.NUMBER, lambda row: str(row.get("groupId") or 0)),
    ("CREATED_BY", "createdBy", Kind.NUMBER, _text("creatorId")),
    ("CREATED_DATE", "createdDate", Kind.DATE, _text("created")),
    ("RESPONSIBLE_ID", "responsibleId", Kind.NUMBER, _text("responsibleId")),
    ("ACCOMPLICES", "accomplices", Kind.NUMBERS, _texts("accompliceIds")),
    ("AUDITORS", "auditors", Kind.NUMBERS, _texts("auditorIds")),
    ("CHANGED_DATE", "changedDate", Kind.DATE, _text("changed")),
    ("CLOSED_DATE", "closedDate", Kind.DATE, _text("closed")),
    ("ACTIVITY_DATE", "activityDate", Kind.DATE, _text("activity")),
    ("DEADLINE", "deadline", Kind.DATE, _text("deadline")),
    ("START_DATE_PLAN", "startDatePlan", Kind.DATE, _text("startPlan")),
    ("END_DATE_PLAN", "endDatePlan", Kind.DATE, _text("endPlan")),
    ("GUID", "guid", Kind.TEXT, _text("guid")),
    ("XML_ID", "xmlId", Kind.TEXT, _text("xmlId")),
    ("ALLOW_CHANGE_DEADLINE", "allowChangeDeadline", Kind.TEXT, _flag("allowsChangeDeadline")),
    ("ALLOW_TIME_TRACKING", "allowTimeTracking", Kind.TEXT, _flag("allowsTimeTracking")),
    ("TASK_CONTROL", "taskControl", Kind.TEXT, _flag("needsControl")),
    ("MATCH_WORK_TIME", "matchWorkTime", Kind.TEXT, _flag("matchesWorkTime")),
    ("TIME_ESTIMATE", "timeEstimate", Kind.NUMBER, _text("estimatedTime")),
    ("SITE_ID", "siteId", Kind.TEXT, _text("siteId")),
    ("DURATION_TYPE", "durationType", Kind.TEXT, _text("durationType")),
    ("FAVORITE", "favorite", Kind.TEXT, _flag("inFavorite")),
    ("STATUS", "status", Kind.NUMBER, lambda row: _STATUSES.get(row.get("status", ""), "2")),
    ("REAL_STATUS", "realStatus", Kind.NUMBER, lambda row: _STATUSES.get(row.get("status", ""), "2")),
)
_SHOWN_NAMES = {name: shown for name, shown, _, _ in _COLUMNS}
_DEFAULT = tuple(name for name in _SHOWN_NAMES if name != "REAL_STATUS")
_TASKS = Schema({name: kind for name, _, kind, _ in _COLUMNS}, key="ID")


class _Classic(Table):
    """The portal's tasks as they look from here, one at a time."""

    def __init__(self, tasks: GeneratedTable) -> None:
        super().__init__()
        self._tasks = tasks

    def __getitem__(self, row_id: int) -> Row:
        row = self._tasks[row_id]
        return {name: value_of(row) for name, _, _, value_of in _COLUMNS}

    def __contains__(self, row_id: object) -> bool:
        return row_id in self._tasks

    def __len__(self) -> int:
        return len(self._tasks)

    def ids_between(self, above: float, below: float) -> Sequence[int]:
        return self._tasks.ids_between(above, below)


def list_tasks(call: Call) -> Answer:
    """One page of tasks, the newest first where no order is given; a filter on what it does not know is dropped.

    Source: [docs] api-reference/tasks/tasks-task-list.md
    """
    conditions = read_filter({name.upper(): value for name, value in _entries(call, "filter").items()}, _TASKS)
    window = page_window(call, whole_pages=False)
    page = find(_Classic(call.data.tasks), conditions, _read_order(_entries(call, "order")), _TASKS, window)
    names = _read_select(call)
    return Answer.of_page(page, {"tasks": [_shown(row, names, call.data) for row in page.rows]})


def get_task(call: Call) -> Answer:
    """One task by ``taskId`` or, as clients have seen it work too, ``id``; nothing where there is none.

    Source: [docs] api-reference/tasks/tasks-task-get.md
    """
    task_id = call.params.get("taskId", call.params.get("id"))
    if task_id is None:
        raise missing_parameter("taskId")
    names, tasks = _read_select(call), _Classic(call.data.tasks)
    if task_id not in tasks:
        return Answer([])
    return Answer({"task": _shown(tasks[task_id], names, call.data)})


def describe_task_fields(_call: Call) -> Answer:
    """The columns of a task, by their names in requests.

    Source: [docs] api-reference/tasks/tasks-task-get-fields.md
    """
    return Answer({"fields": {name: {"title": name.replace("_", " ").capitalize()} for name in _DEFAULT}})


def _entries(call: Call, name: str) -> dict[str, Value]:
    given = call.params.get(name, {})
    if not is_array(given):
        refusal = wrong_parameter(name, given, "array")
        raise CallError(refusal.code, f"{refusal.description} (internal error)")
    return entries_of(given)


def _read_order(given: dict[str, Value]) -> Order:
    order = []
    for column, direction in (given or {"ID": "DESC"}).items():
        if column.upper() not in _TASKS.columns:
            raise CallError("0", "Invalid sorting key (internal error)")
        order.append((column.upper(), str(direction).upper() == "DESC"))
    return order


def _read_select(call: Call) -> list[str]:
    """The columns asked for among those there are; the id comes always."""
    wanted = [str(name).upper() for name in _entries(call, "select").values()]
    if not wanted or "*" in wanted:
        return list(_DEFAULT)
    return list(dict.fromkeys(("ID", *(name for name in wanted if name in _SHOWN_NAMES))))


def _shown(row: Row, names: Sequence[str], data: PortalData) -> Row:
    """A row under the names of answers, with what the portal adds of its own to some of the columns."""
    shown: Row = {_SHOWN_NAMES[name]: row[name] for name in names}
    shown["group"] = []
    if "DESCRIPTION" in names:
        shown["descriptionInBbcode"] = "Y"
    if "STATUS" in names:
        shown["subStatus"] = row["STATUS"]
    for column, name in (("CREATED_BY", "creator"), ("RESPONSIBLE_ID", "responsible")):
        if column in names:
            shown[name] = _person(row[column], data)
    for column, name in (("ACCOMPLICES", "accomplicesData"), ("AUDITORS", "auditorsData")):
        if column in names:
            shown[name] = {user_id: _person(user_id, data) for user_id in row[column]} or []
    return shown


def _person(user_id: str, data: PortalData) -> Row:
    user = data.users.get(int(user_id), {})
    return {
        "id": user_id,
        "name": " ".join(filter(None, (user.get("NAME"), user.get("LAST_NAME")))),
        "link": f"/company/personal/user/{user_id}/",
        "icon": "/bitrix/images/tasks/default_avatar.png",
        "workPosition": user.get("WORK_POSITION", ""),
    }


METHODS = (
    Method(
        "tasks.task.list",
        list_tasks,
        _SCOPES,
        (Param("order"), Param("filter"), Param("select"), Param("start", "int")),
        exact=True,
    ),
    Method("tasks.task.getfields", describe_task_fields, _SCOPES),
    Method(
        "tasks.task.get", get_task, _SCOPES, (Param("taskId", "int"), Param("id", "int"), Param("select")), exact=True
    ),
)
