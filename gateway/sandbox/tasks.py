"""The tasks of a sandbox portal, in the form of REST 3.0; the older methods show the same rows in theirs."""

from datetime import datetime, timedelta, timezone
from itertools import chain
from random import Random

from gateway.sandbox.ids import runs_with_holes
from gateway.sandbox.made import MadeTable
from gateway.sandbox.table import Row

ZONE = timezone(timedelta(hours=3))
_FIRST_AT = 1_735_700_000  # Unix time
_APART_S = 977

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

# What REST 3.0 tells of the caller's rights on a task.
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

_NEVER = (
    "startPlan", "endPlan", "fileIds", "epicId", "storyPoints", "parentId", "started", "xmlId", "exchangeId",
    "exchangeModified", "addInReport", "deadlineCount", "declineReason", "forumTopicId", "maxDeadlineChangeDate",
    "maxDeadlineChanges", "groupId",
)  # fmt: skip
_NO = (
    "needsControl", "containsChecklist", "containsSubTasks", "containsRelatedTasks", "containsGanttLinks",
    "containsResults", "replicate", "allowsChangeDeadline", "allowsTimeTracking", "matchesWorkTime", "isMultitask",
    "requireResult", "matchesSubTasksTime", "autocompleteSubTasks", "allowsChangeDatePlan",
    "requireDeadlineChangeReason",
)  # fmt: skip
_NONE_OF = (
    "accompliceIds", "auditorIds", "checklist", "crmItemIds", "dependsOn", "inFavorite", "inPin", "inGroupPin",
    "inMute",
)  # fmt: skip
_ALIKE: Row = {
    **dict.fromkeys(_NEVER),
    **dict.fromkeys(_NO, False),
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


def make_tasks(count: int, holes: float, user_ids: tuple[int, ...], rng: Random) -> MadeTable:
    """*count* tasks, created one after another by the people among *user_ids*."""

    def make(task_id: int) -> Row:
        at = _FIRST_AT + task_id * _APART_S
        status = STATUSES[task_id % len(STATUSES)]
        row = new_task(
            task_id,
            at,
            title=f"{_TITLES[task_id % len(_TITLES)]} {task_id}",
            creator_id=user_ids[task_id * 5 % len(user_ids)],
            responsible_id=user_ids[task_id * 7 % len(user_ids)],
        )
        return row | {
            "description": "Первая строка\n[B]вторая[/B] & «третья»" if task_id % 4 == 1 else "",
            "deadline": None if task_id % 3 == 2 else moment(at + 5 * 86_400),
            "priority": PRIORITIES[task_id % len(PRIORITIES)],
            "status": status,
            "closed": moment(at + 86_400) if status == "completed" else None,
            "changed": moment(at + task_id % 90_000),
            "checklist": [task_id * 2 + 1] if task_id % 6 == 0 else [],
            "containsChecklist": task_id % 6 == 0,
            "crmItemIds": [f"D_{task_id}"] if task_id % 2 else [],
            "auditorIds": [user_ids[task_id % len(user_ids)]] if task_id % 7 == 0 else [],
        }

    return MadeTable(chain.from_iterable(runs_with_holes(count, holes, rng)), make)


def new_task(task_id: int, now: float, *, title: str, creator_id: int, responsible_id: int) -> Row:
    """A task as it is right after it was created.

    Source: [docs] api-reference/tasks/tasks-task-add-rest-v3.md
    """
    at = moment(now)
    return {
        **_ALIKE,
        **{name: [] for name in _NONE_OF},
        "id": task_id,
        "title": title,
        "creatorId": creator_id,
        "responsibleId": responsible_id,
        "created": at,
        "statusChanged": at,
        "changed": at,
        "activity": at,
        "chatId": 100_000 + task_id,
        "guid": f"{{00000000-0000-4000-8000-{task_id:012x}}}",
        "link": f"/company/personal/user/{responsible_id}/tasks/task/view/{task_id}/",
        "rights": _RIGHTS,
        "archiveLink": f"/bitrix/tools/disk/uf.php?entityId={task_id}&entity=TASKS_TASK&action=downloadArchiveByEntity",
        "scenarios": ["default"],
    }


def moment(at: float) -> str:
    """A time of Unix seconds as the portal writes it: ISO 8601 with its offset."""
    return datetime.fromtimestamp(int(at), ZONE).isoformat()
