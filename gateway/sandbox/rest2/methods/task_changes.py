"""tasks.task.add, update and delete of REST 2: fields in capitals, stored in the form of REST 3.0."""

from datetime import datetime

from gateway.sandbox.content import task_changes
from gateway.sandbox.content.portal_data import PortalData
from gateway.sandbox.errors import CallError, missing_parameter, wrong_parameter
from gateway.sandbox.php import entries_of, is_array
from gateway.sandbox.rest2.method import Answer, Call, Method, Param
from gateway.sandbox.rest2.methods.tasks import full_task
from gateway.sandbox.rest2.task_fields import read_fields
from gateway.sandbox.tables.table import Row

_SCOPES = ("task",)
_LONGEST_PLAN_S = 2**31 - 1

_ALLOWED = (
    "complete", "start", "delegate", "remove", "edit", "defer", "create", "changeDeadline", "checklistAddItems",
    "addFavorite", "rate", "checklist.reorder", "elapsedtime.add", "edit.plan", "checklist.add", "favorite.add",
)  # fmt: skip
_NOT_ALLOWED = (
    "accept", "decline", "approve", "disapprove", "pause", "renew", "deleteFavorite", "edit.originator",
    "dayplan.timer.toggle", "favorite.delete",
)  # fmt: skip


def add_task(call: Call) -> Answer:
    """Create a task and return all of it. Without a creator the caller is the creator.

    Source: [docs] api-reference/tasks/tasks-task-add.md
    """
    fields = {"title": "", "responsibleId": None, **_read_fields(call)}
    fields["creatorId"] = fields.get("creatorId") or call.caller.user_id
    _check(fields, call.data)
    task_id = task_changes.add_task(call.data, fields, call.now, call.caller.user_id)
    return Answer({"task": _with_actions(task_id, call)})


def update_task(call: Call) -> Answer:
    """Change the given fields of a task and return all of it. An array replaces the set.

    Source: [docs] api-reference/tasks/tasks-task-update.md
    """
    task_id = _read_id(call)
    fields = _read_fields(call)
    if task_id not in call.data.tasks:
        raise CallError("0", "Action on the task is not allowed (internal error)")
    _check(fields, call.data, task_id)
    task_changes.change_task(call.data, task_id, fields, call.now, call.caller.user_id)
    return Answer({"task": _with_actions(task_id, call)})


def delete_task(call: Call) -> Answer:
    """Delete a task.

    Source: [docs] api-reference/tasks/tasks-task-delete.md
    """
    task_id = _read_id(call)
    if task_id not in call.data.tasks:
        raise CallError("1048582", "No access to delete the task")
    task_changes.delete_task(call.data, task_id, call.now, call.caller.user_id)
    return Answer({"task": True})


def _read_id(call: Call) -> int:
    value = call.params.get("taskId", call.params.get("id"))
    if value is None:
        text = "CTaskItem All parameters in the constructor must have real class type (internal error)"
        raise CallError("100", text)
    if is_array(value) or not str(value).strip().isdecimal():
        raise CallError("0", "wrong task id")
    return int(value)


def _read_fields(call: Call) -> Row:
    """The fields of the request as columns of a row.

    Raises:
        CallError: there are none.
    """
    value = call.params.get("fields")
    if value in (None, "", [], {}):
        error = missing_parameter("fields")
    elif not is_array(value):
        error = wrong_parameter("fields", value, "array")
    else:
        return read_fields(entries_of(value))
    raise CallError(error.code, f"{error.description} (internal error)")


def _check(fields: Row, data: PortalData, task_id: int | None = None) -> None:
    """Check the fields of a new task, or the changes of the task *task_id*.

    Raises:
        CallError: a field has a value that the portal refuses.
    """
    if fields.get("title") == "":
        raise _refused("Task title is not specified")
    if "responsibleId" in fields and not fields["responsibleId"]:
        raise _refused("Assignee not specified")
    if fields.get("responsibleId", 1) not in data.users:
        raise _refused('User specified in the "Assignee" field not found')
    if "status" in fields and fields["status"] is None:
        raise _refused("Invalid status")
    _check_parent(fields.get("parentId"), data, task_id)
    start, end = (fields.get(name) for name in ("startPlan", "endPlan"))
    if start and end:
        planned = datetime.fromisoformat(end) - datetime.fromisoformat(start)
        if planned.total_seconds() < 0:
            raise _refused("End date specified earlier than start date in scheduling")
        if planned.total_seconds() > _LONGEST_PLAN_S:
            raise _refused("Task duration specified is too long in scheduling")


def _check_parent(parent: int | None, data: PortalData, task_id: int | None) -> None:
    if parent is None:
        return
    if parent not in data.tasks:
        raise _refused('Task specified in the "Parent Task" field not found')
    if parent == task_id:
        raise _refused("Cannot bind the node to itself")
    above: set[int | None] = set()
    while parent in data.tasks and parent not in above:
        above.add(parent)
        parent = data.tasks[parent]["parentId"]
    if task_id in above:
        raise _refused("Creating cyclic links in tasks is prohibited")


def _refused(text: str) -> CallError:
    return CallError("ERROR_CORE", f"{text}<br>")


def _with_actions(task_id: int, call: Call) -> Row:
    """The whole task with what the caller may do with it and its empty checklist."""
    return {
        **full_task(task_id, call.data),
        "action": {**dict.fromkeys(_ALLOWED, True), **dict.fromkeys(_NOT_ALLOWED, False)},
        "checkListTree": {
            "nodeId": 0,
            "fields": {
                **dict.fromkeys(("id", "copiedId", "entityId", "createdBy", "parentId", "sortIndex")),
                "userId": call.caller.user_id,
                "title": "",
                "displaySortIndex": "",
                "isComplete": False,
                "isImportant": False,
                "completedCount": 0,
                "members": [],
                "attachments": [],
            },
            "action": [],
            "descendants": [],
        },
        "checkListCanAdd": True,
    }


METHODS = (
    Method("tasks.task.add", add_task, _SCOPES, (Param("fields"),), exact=True),
    Method("tasks.task.update", update_task, _SCOPES, (Param("taskId"), Param("id"), Param("fields")), exact=True),
    Method("tasks.task.delete", delete_task, _SCOPES, (Param("taskId"), Param("id")), exact=True),
)
