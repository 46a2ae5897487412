"""The tasks of a sandbox portal in the form of REST 3.0. REST 2 derives its form from the same rows."""

from datetime import datetime, timedelta, timezone

from gateway.sandbox.tables.generated import ComputedColumns, GeneratedTable
from gateway.sandbox.tables.table import Row

ZONE = timezone(timedelta(hours=3))
_FIRST_AT = 1_735_700_000  # Unix time
_INTERVAL_S = 977

_TITLES = (
    "Подготовить договор",
    "Call the client back ☎",
    "Собрать отзывы",
    "Замер «под ключ» 📐",
    "Prüfung der Rechnung",
    "报价",
)
STATUSES = ("pending", "in_progress", "supposedly_completed", "completed", "deferred")
PRIORITIES = ("low", "average", "high")

# The caller's rights on a task in REST 3.0.
_RIGHTS = dict.fromkeys(
    (
        "read", "watch", "mute", "createResult", "edit", "remove", "complete", "start", "delegate", "defer", "deadline",
        "datePlan", "changeResponsible", "changeAccomplices", "mark", "changeStatus", "reminder", "addAuditors",
        "elapsedTime", "favorite", "checklistAdd", "checklistEdit", "checklistSave", "checklistToggle", "automate",
        "completeResult", "admin", "createSubtask", "copy", "saveAsTemplate", "attachFile", "detachFile",
        "detachParent", "createGanttDependence",
    ),
    True,
) | dict.fromkeys(
    (
        "approve", "disapprove", "take", "renew", "changeDirector", "pause", "timeTracking", "resultEdit",
        "removeResult", "resultRead", "sort",
    ),
    False,
)  # fmt: skip

_NULL_COLUMNS = (
    "startPlan", "endPlan", "fileIds", "epicId", "storyPoints", "parentId", "started", "xmlId", "exchangeId",
    "exchangeModified", "addInReport", "deadlineCount", "declineReason", "forumTopicId", "maxDeadlineChangeDate",
    "maxDeadlineChanges", "groupId",
)  # fmt: skip
_FALSE_COLUMNS = (
    "needsControl", "containsChecklist", "containsSubTasks", "containsRelatedTasks", "containsGanttLinks",
    "containsResults", "replicate", "allowsChangeDeadline", "allowsTimeTracking", "matchesWorkTime", "isMultitask",
    "requireResult", "matchesSubTasksTime", "autocompleteSubTasks", "allowsChangeDatePlan",
    "requireDeadlineChangeReason",
)  # fmt: skip
_EMPTY_LISTS = (
    "accompliceIds", "auditorIds", "checklist", "crmItemIds", "dependsOn", "inFavorite", "inPin", "inGroupPin",
    "inMute",
)  # fmt: skip
_DEFAULTS: Row = {
    **dict.fromkeys(_NULL_COLUMNS),
    **dict.fromkeys(_FALSE_COLUMNS, False),
    **dict.fromkeys(("numberOfReminders", "plannedDuration", "actualDuration", "estimatedTime"), 0),
    "description": "",
    "deadline": None,
    "priority": "average",
    "status": "pending",
    "containsPlacements": True,
    "durationType": "days",
    "closed": None,
    "outlookVersion": 1,
    "mark": "none",
    "siteId": "s1",
}


_COMPUTED: ComputedColumns = {
    "id": lambda task_id: task_id,
    "chatId": lambda task_id: 100_000 + task_id,
    "guid": lambda task_id: f"{{00000000-0000-4000-8000-{task_id:012x}}}",
    "archiveLink": lambda task_id: (
        f"/bitrix/tools/disk/uf.php?entityId={task_id}&entity=TASKS_TASK&action=downloadArchiveByEntity"
    ),
}


def make_tasks(count: int, holes: float, seed: int, user_ids: tuple[int, ...]) -> GeneratedTable:
    """Make *count* tasks, created one after another by the users in *user_ids*."""

    def at(task_id: int, delay_s: int = 0) -> str:
        return format_time(_FIRST_AT + task_id * _INTERVAL_S + delay_s)

    def person(task_id: int, factor: int = 1) -> int:
        return user_ids[task_id * factor % len(user_ids)]

    def status(task_id: int) -> str:
        return STATUSES[task_id % len(STATUSES)]

    computed: ComputedColumns = {
        **_COMPUTED,
        **dict.fromkeys(("created", "statusChanged", "activity"), at),
        "title": lambda task_id: f"{_TITLES[task_id % len(_TITLES)]} {task_id}",
        "creatorId": lambda task_id: person(task_id, 5),
        "responsibleId": lambda task_id: person(task_id, 7),
        "link": lambda task_id: _link(task_id, person(task_id, 7)),
        "description": lambda task_id: "Первая строка\n[B]вторая[/B] & «третья»" if task_id % 4 == 1 else "",
        "deadline": lambda task_id: None if task_id % 3 == 2 else at(task_id, 5 * 86_400),
        "priority": lambda task_id: PRIORITIES[task_id % len(PRIORITIES)],
        "status": status,
        "closed": lambda task_id: at(task_id, 86_400) if status(task_id) == "completed" else None,
        "changed": lambda task_id: at(task_id, task_id % 90_000),
        "checklist": lambda task_id: [task_id * 2 + 1] if task_id % 6 == 0 else [],
        "containsChecklist": lambda task_id: task_id % 6 == 0,
        "crmItemIds": lambda task_id: [f"D_{task_id}"] if task_id % 2 else [],
        "auditorIds": lambda task_id: [person(task_id)] if task_id % 7 == 0 else [],
        "accompliceIds": lambda task_id: [person(task_id, 3)] if task_id % 5 == 0 else [],
    }
    pattern = new_task(1, _FIRST_AT, title="", creator_id=user_ids[0], responsible_id=user_ids[0])
    return GeneratedTable(count, holes, f"{seed} tasks", lambda _rng: pattern, computed)


def new_task(task_id: int, now: float, *, title: str, creator_id: int, responsible_id: int) -> Row:
    """A task as it is after its creation.

    Source: [docs] api-reference/tasks/tasks-task-add-rest-v3.md
    """
    at = format_time(now)
    return {
        **_DEFAULTS,
        **{name: [] for name in _EMPTY_LISTS},
        **{name: make(task_id) for name, make in _COMPUTED.items()},
        "title": title,
        "creatorId": creator_id,
        "responsibleId": responsible_id,
        "created": at,
        "statusChanged": at,
        "changed": at,
        "activity": at,
        "link": _link(task_id, responsible_id),
        "rights": _RIGHTS,
        "scenarios": ["default"],
    }


def _link(task_id: int, responsible_id: int) -> str:
    return f"/company/personal/user/{responsible_id}/tasks/task/view/{task_id}/"


def format_time(at: float) -> str:
    """A Unix time in the form of the portal: ISO 8601 with its offset."""
    return datetime.fromtimestamp(int(at), ZONE).isoformat()
