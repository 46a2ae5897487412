"""Adding, changing and deleting tasks, the same for both REST versions: the row and the event."""

from gateway.sandbox.content.portal_data import PortalData
from gateway.sandbox.content.tasks import format_time, new_task
from gateway.sandbox.tables.table import Row

_UNDEFINED = "undefined"  # what the portal sends for a side that does not exist


def add_task(data: PortalData, fields: Row, now: float, user_id: int) -> int:
    """Add a task with these columns, among them its title, creator and assignee. Return its id."""
    task_id = data.tasks.next_id
    row = new_task(
        task_id,
        now,
        title=fields["title"],
        creator_id=fields["creatorId"],
        responsible_id=fields["responsibleId"],
    )
    data.tasks[task_id] = row | fields | _consequences(row, fields, now, user_id) | {"tags": fields.get("tags", [])}
    _record(data, "ONTASKADD", None, task_id, now, user_id)
    return task_id


def change_task(data: PortalData, task_id: int, fields: Row, now: float, user_id: int) -> None:
    """Change these columns of a task."""
    row = data.tasks[task_id]
    change = {"changed": format_time(now), "changedBy": user_id}
    data.tasks[task_id] = row | fields | _consequences(row, fields, now, user_id) | change
    _record(data, "ONTASKUPDATE", task_id, task_id, now, user_id)


def delete_task(data: PortalData, task_id: int, now: float, user_id: int) -> None:
    """Delete a task."""
    del data.tasks[task_id]
    _record(data, "ONTASKDELETE", task_id, None, now, user_id)


def _consequences(row: Row, fields: Row, now: float, user_id: int) -> Row:
    """The columns that follow from a new status."""
    status = fields.get("status", row["status"])
    if status == row["status"]:
        return {}
    at = format_time(now)
    return {
        "statusChanged": at,
        "statusChangedBy": user_id,
        "closed": at if status == "completed" else None,
        "started": row["started"] or (at if status == "in_progress" else None),
    }


def _record(data: PortalData, name: str, before: int | None, after: int | None, now: float, user_id: int) -> None:
    """Record an event of a task with the ids of its two sides.

    Source: [docs] api-reference/tasks/events-tasks
    """
    fields = {
        "FIELDS_BEFORE": _UNDEFINED if before is None else {"ID": before},
        "FIELDS_AFTER": _UNDEFINED if after is None else {"ID": after},
        "IS_ACCESSIBLE_BEFORE": "N" if before is None else _UNDEFINED,
        "IS_ACCESSIBLE_AFTER": "N" if after is None else _UNDEFINED,
    }
    data.events.record(name, fields, now, user_id)
