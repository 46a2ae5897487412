"""tasks.task.list, get and getFields of REST 2: values are strings, Y and N; requests use names in capitals."""

from collections.abc import Sequence

from gateway.sandbox.content.portal_data import PortalData
from gateway.sandbox.content.task_columns import COLUMNS, CUSTOM, FIELDS, ClassicTasks
from gateway.sandbox.errors import CallError, missing_parameter, wrong_parameter
from gateway.sandbox.php import Value, entries_of, is_array
from gateway.sandbox.query.filters import CustomTest, Schema, read_filter
from gateway.sandbox.query.listing import Order, find
from gateway.sandbox.rest2.method import Answer, Call, Method, Param, page_window
from gateway.sandbox.tables.table import Row, Test

_SCOPES = ("task",)
_DEFAULT = tuple(column.name for column in FIELDS if not column.name.startswith(CUSTOM))
_CUSTOM = tuple(column.name for column in FIELDS if column.name.startswith(CUSTOM))
_FURTHER = ("TAGS", "COUNTERS")  # can be selected, but are not fields
_SORTED = {name: column.kind for name, column in COLUMNS.items() if name not in ("TAG", "ACCOMPLICE", "AUDITOR")}
_TASKS = Schema(_SORTED, key="ID")
_COUNTERS = (
    "expired", "newComments", "projectExpired", "projectNewComments", "mutedExpired", "mutedNewComments",
)  # fmt: skip


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


def _with_tags(value: Value) -> Test | None:
    """The test that a task has all of the tags."""
    wanted = {str(tag).strip() for tag in (entries_of(value).values() if is_array(value) else [value]) if tag}
    return (lambda row: wanted.issubset(row["TAG"])) if wanted else None


def _at_the_root(value: Value) -> Test | None:
    """The test that a task has no parent."""
    return (lambda row: row["PARENT_ID"] in (None, "0")) if value == "Y" else None


# Filter conditions that are ignored when empty. Source: [docs] api-reference/tasks/tasks-task-list.md; [srv]
# tasks/lib/provider/taskfilterbuilder.php
_DROPPED_EMPTY = _words(
    "PRIORITY CREATED_BY RESPONSIBLE_ID STAGE_ID TIME_ESTIMATE FORKED_BY_TEMPLATE_ID GUID TITLE MARK XML_ID SITE_ID"
    " ADD_IN_REPORT ALLOW_TIME_TRACKING ALLOW_CHANGE_DEADLINE MATCH_WORK_TIME ACCOMPLICE AUDITOR DEPENDS_ON"
)
_FILTERED = _DROPPED_EMPTY.union(
    _CUSTOM,
    _words(
        "ID PARENT_ID GROUP_ID STATUS_CHANGED_BY CHANGED_BY FORUM_TOPIC_ID REAL_STATUS STATUS DATE_START DEADLINE"
        " CREATED_DATE CLOSED_DATE CHANGED_DATE ACTIVITY_DATE START_DATE_PLAN END_DATE_PLAN SPRINT_ID BACKLOG_ID"
        " FAVORITE IS_MUTED IS_PINNED IS_PINNED_IN_GROUP"
    ),
)
FILTERS = Schema(
    {name: column.kind for name, column in COLUMNS.items() if name in _FILTERED},
    key="ID",
    operators=("!=", "!%", ">=", "<=", "!", "=", "%", ">", "<"),
    logic="::LOGIC",
    group="::SUBFILTER-",
    drops_empty=_DROPPED_EMPTY,
    custom_tests={
        "TAG": CustomTest(frozenset({"TAG"}), _with_tags),
        "ONLY_ROOT_TASKS": CustomTest(frozenset({"PARENT_ID"}), _at_the_root),
    },
)


def list_tasks(call: Call) -> Answer:
    """Return one page of tasks, newest first by default. Conditions on unknown names are ignored.

    Source: [docs] api-reference/tasks/tasks-task-list.md
    """
    conditions = read_filter(_in_capitals(_entries(call, "filter")), FILTERS)
    window = page_window(call, whole_pages=False)
    names = _read_select(call)
    tasks = ClassicTasks(call.data.tasks, (*_named(names), "TAG"))
    page = find(tasks, conditions, _read_order(_entries(call, "order")), _TASKS, window)
    return Answer.of_page(page, {"tasks": [_shown(row, names, call.data) for row in page.rows]})


def get_task(call: Call) -> Answer:
    """Return one task by ``taskId`` or, as clients have observed, ``id``; an empty list if it does not exist.

    Source: [docs] api-reference/tasks/tasks-task-get.md
    """
    task_id = call.params.get("taskId", call.params.get("id"))
    if task_id is None:
        raise missing_parameter("taskId")
    names = _read_select(call)
    tasks = ClassicTasks(call.data.tasks, (*_named(names), "TAG"))
    if task_id not in tasks:
        return Answer([])
    return Answer({"task": _shown(tasks[task_id], names, call.data)})


def full_task(task_id: int, data: PortalData) -> Row:
    """A task with all columns that are shown without a select."""
    return _shown(ClassicTasks(data.tasks, (*_DEFAULT, "TAG"))[task_id], _DEFAULT, data)


def describe_task_fields(_call: Call) -> Answer:
    """Return the columns of a task by their names in requests.

    Source: [docs] api-reference/tasks/tasks-task-get-fields.md
    """
    return Answer({"fields": {column.name: {"title": column.title, "type": column.type} for column in FIELDS}})


def _entries(call: Call, name: str) -> dict[str, Value]:
    value = call.params.get(name, {})
    if not is_array(value):
        error = wrong_parameter(name, value, "array")
        raise CallError(error.code, f"{error.description} (internal error)")
    return entries_of(value)


def _in_capitals(conditions: dict[str, Value]) -> dict[str, Value]:
    """*conditions* with names in upper case, groups included."""
    return {
        name.upper(): _in_capitals(value) if name.startswith("::") and isinstance(value, dict) else value
        for name, value in conditions.items()
    }


def _named(names: Sequence[str]) -> list[str]:
    """The *names* that are columns."""
    return [name for name in names if name in COLUMNS]


def _read_order(value: dict[str, Value]) -> Order:
    order = []
    for column, direction in (value or {"ID": "DESC"}).items():
        if column.upper() not in _TASKS.columns:
            raise CallError("0", "Invalid sorting key (internal error)")
        order.append((column.upper(), str(direction).upper() == "DESC"))
    return order


def _read_select(call: Call) -> list[str]:
    """The selected names that exist. The id is always included; one custom field includes all of them.

    Source: [docs] api-reference/tasks/fields.md
    """
    wanted = [str(name).upper() for name in _entries(call, "select").values()]
    everything = not wanted or "*" in wanted
    known = (*_DEFAULT, *_FURTHER)
    names = [name for name in ("ID", *(_DEFAULT if everything else ()), *wanted) if name in known]
    if any(name in _CUSTOM for name in wanted):
        names += _CUSTOM
    return list(dict.fromkeys(names))


def _shown(row: Row, names: Sequence[str], data: PortalData) -> Row:
    """A row under the names of answers, with the keys that the portal derives from some columns."""
    shown: Row = {COLUMNS[name].answer_name: row[name] for name in _named(names)}
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
    if "TAGS" in names:
        tags = {35 + place: title for place, title in enumerate(row["TAG"])}
        shown["tags"] = {str(tag_id): {"id": tag_id, "title": title} for tag_id, title in tags.items()} or []
    if "COUNTERS" in names:
        shown["counter"] = {"counters": dict.fromkeys(_COUNTERS, 0), "color": "gray", "value": 0}
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
