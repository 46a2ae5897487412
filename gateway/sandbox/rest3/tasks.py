"""tasks.task.* in REST 3.0."""

from gateway.sandbox.content import task_changes
from gateway.sandbox.content.portal_data import PortalData
from gateway.sandbox.php import Value
from gateway.sandbox.rest3.dto import Dto, Field, Kind, Relation
from gateway.sandbox.rest3.errors import (
    access_denied,
    invalid_request,
    missing_field,
    not_allowed_in,
    record_not_found,
    unknown_field,
)
from gateway.sandbox.rest3.fields import field_methods
from gateway.sandbox.rest3.listing import PAGE_ROWS, list_rows, read_select
from gateway.sandbox.rest3.method import Call, Method
from gateway.sandbox.tables.table import Row

_SCOPES = ("tasks",)

USER = Dto.of(
    "UserDto",
    Field("id", Kind.INT),
    *(Field(name, Kind.STRING) for name in ("name", "lastName", "secondName", "email", "gender", "workPosition")),
)
GROUP = Dto.of("GroupDto", Field("id", Kind.INT), Field("title", Kind.STRING))


def _user(user_id: int, data: PortalData) -> Row | None:
    row = data.users.get(user_id)
    return row and {
        "id": user_id,
        "name": row.get("NAME"),
        "lastName": row.get("LAST_NAME"),
        "secondName": row.get("SECOND_NAME"),
        "email": row.get("EMAIL"),
        "gender": row.get("PERSONAL_GENDER"),
        "workPosition": row.get("WORK_POSITION"),
    }


def _fields(kind: Kind, names: str, *, editable: bool = False, by_default: bool = True) -> list[Field]:
    return [Field(name, kind, editable=editable, by_default=by_default) for name in names.split()]


# Only the id is filterable. Source: [docs] api-reference/tasks/tasks-task-list-rest-v3.md, fields-rest-v3.md
TASK = Dto.of(
    "TaskDto",
    Field("id", Kind.INT, filterable=True, sortable=True),
    *(
        Field(name, kind, sortable=True, editable=True)
        for name, kind in (("title", Kind.STRING), ("deadline", Kind.DATE_TIME), ("priority", Kind.STRING))
    ),
    *(Field(name, Kind.STRING, sortable=True) for name in ("status", "mark")),
    *_fields(Kind.INT, "responsibleId groupId", editable=True, by_default=False),
    *_fields(Kind.INT, "creatorId", by_default=False),
    *_fields(Kind.ARRAY, "accompliceIds auditorIds", editable=True, by_default=False),
    *_fields(Kind.DATE_TIME, "created", by_default=False),
    *_fields(Kind.STRING, "description xmlId declineReason", editable=True),
    *_fields(Kind.DATE_TIME, "startPlan endPlan", editable=True),
    *_fields(Kind.INT, "parentId estimatedTime", editable=True),
    *_fields(Kind.ARRAY, "fileIds crmItemIds", editable=True),
    *_fields(
        Kind.BOOL,
        "needsControl allowsChangeDeadline allowsTimeTracking matchesWorkTime isMultitask requireResult"
        " matchesSubTasksTime autocompleteSubTasks allowsChangeDatePlan requireDeadlineChangeReason",
        editable=True,
    ),
    *_fields(
        Kind.INT,
        "epicId storyPoints numberOfReminders chatId plannedDuration actualDuration exchangeId outlookVersion"
        " deadlineCount forumTopicId maxDeadlineChanges",
    ),
    *_fields(Kind.STRING, "durationType guid siteId link archiveLink"),
    *_fields(Kind.DATE_TIME, "statusChanged started changed closed activity exchangeModified maxDeadlineChangeDate"),
    *_fields(
        Kind.BOOL,
        "containsChecklist containsSubTasks containsRelatedTasks containsGanttLinks containsPlacements containsResults"
        " replicate addInReport",
    ),
    *_fields(Kind.ARRAY, "checklist inFavorite inPin inGroupPin inMute dependsOn scenarios"),
    *_fields(Kind.OBJECT, "rights"),
    Field("UF_CRM_TASK", Kind.ARRAY, by_default=False, shows="crmItemIds"),
    Field("UF_TASK_WEBDAV_FILES", Kind.ARRAY, by_default=False, shows="fileIds"),
    relations={
        "responsible": Relation(USER, lambda row, data: _user(row["responsibleId"], data)),
        "creator": Relation(USER, lambda row, data: _user(row["creatorId"], data)),
        "group": Relation(GROUP, lambda _row, _data: None),
    },
)
_SHOWN = tuple(field.name for field in TASK.fields.values() if field.by_default)
_REQUIRED = ("title", "creatorId", "responsibleId")


def list_tasks(call: Call) -> Value:
    """Return one page of tasks, by default only their ids.

    Source: [docs] api-reference/tasks/tasks-task-list-rest-v3.md
    """
    return {"items": list_rows(call.data.tasks, call.query, TASK, call.data, (), call.max_rows)}


def get_task(call: Call) -> Value:
    """Return one task, by default with all fields except the related objects.

    Source: [docs] api-reference/tasks/tasks-task-get-rest-v3.md
    """
    task_id = call.int_of("id")
    select = read_select(call.query.get("select"), TASK, _SHOWN)
    row = call.data.tasks.get(task_id)
    if row is None:
        raise record_not_found(task_id)
    return {"item": select(row, call.data)}


def add_task(call: Call) -> Value:
    """Create a task from the fields and return it.

    Source: [docs] api-reference/tasks/tasks-task-add-rest-v3.md
    """
    fields = call.object_of("fields")
    for name in _REQUIRED:
        if fields.get(name) in (None, ""):
            raise missing_field(name)
    _check(fields, call, allowed=_REQUIRED)
    task_id = task_changes.add_task(call.data, fields, call.now, call.caller.user_id)
    return {"item": read_select(None, TASK, _SHOWN)(call.data.tasks[task_id], call.data)}


def update_task(call: Call) -> Value:
    """Update the given fields of a task.

    Source: [docs] api-reference/tasks/tasks-task-update-rest-v3.md
    """
    task_id, fields = call.int_of("id"), call.object_of("fields")
    if task_id not in call.data.tasks:
        raise access_denied()
    _check(fields, call)
    task_changes.change_task(call.data, task_id, fields, call.now, call.caller.user_id)
    return {"result": True}


def delete_task(call: Call) -> Value:
    """Delete a task.

    Source: [docs] api-reference/tasks/tasks-task-delete-rest-v3.md
    """
    task_id = call.int_of("id")
    if task_id not in call.data.tasks:
        raise access_denied()
    task_changes.delete_task(call.data, task_id, call.now, call.caller.user_id)
    return {"result": True}


def _check(fields: dict[str, Value], call: Call, allowed: tuple[str, ...] = ()) -> None:
    """Check that every field is known, writable and of its type, and that the users exist."""
    for name, value in fields.items():
        field = TASK.fields.get(name)
        if field is None:
            raise unknown_field(name, TASK.name)
        if not field.editable and name not in allowed:
            raise not_allowed_in(TASK.name, name, "Editable")
        field.checked(value)
    for name in ("creatorId", "responsibleId"):
        if name in fields and fields[name] not in call.data.users:
            raise invalid_request({name: f"The user specified in the `{name}` field was not found"})


METHODS = (
    Method("tasks.task.list", list_tasks, _SCOPES, TASK, max_rows=PAGE_ROWS),  # protocol notes 9.5
    Method("tasks.task.get", get_task, _SCOPES, TASK),
    Method("tasks.task.add", add_task, _SCOPES, TASK, writes=True),
    Method("tasks.task.update", update_task, _SCOPES, TASK, writes=True),
    Method("tasks.task.delete", delete_task, _SCOPES, TASK, writes=True),
    *field_methods("tasks.task", TASK, _SCOPES),
)
