"""The columns of a task in REST 2: their names in requests and answers, and their values computed from a row."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gateway.sandbox.query.filters import Kind
from gateway.sandbox.tables.generated import GeneratedTable
from gateway.sandbox.tables.table import Row, Table

STATUSES = {"pending": "2", "in_progress": "3", "supposedly_completed": "4", "completed": "5", "deferred": "6"}
PRIORITIES = {"low": "0", "average": "1", "high": "2"}
MARKS = {"positive": "P", "negative": "N"}

CUSTOM = "UF_"
TAGS = ("договор", "urgent", "клиент ☎")  # on every second, third and fourth task


@dataclass(frozen=True)
class Column:
    """One column: *name* in requests, *answer_name* in answers. *value_of* computes its value from a REST 3.0 row."""

    name: str
    answer_name: str
    kind: Kind
    value_of: Callable[[Row], Any]
    title: str | None = None
    type: str = "string"


def _text(name: str) -> Callable[[Row], str | None]:
    return lambda row: None if row.get(name) is None else str(row[name])


def _number(name: str) -> Callable[[Row], str]:
    return lambda row: str(row.get(name) or 0)


def _flag(name: str) -> Callable[[Row], str]:
    return lambda row: "Y" if row.get(name) else "N"


def _texts(name: str) -> Callable[[Row], list[str]]:
    return lambda row: [str(item) for item in row.get(name) or ()]


def _always(value: Any) -> Callable[[Row], Any]:
    return lambda _row: value


def _status(row: Row) -> str:
    return STATUSES.get(row.get("status", ""), "2")


def _mark(row: Row) -> str | None:
    return MARKS.get(row.get("mark", ""))


def _priority(row: Row) -> str:
    return PRIORITIES.get(row.get("priority", ""), "1")


def _by(name: str) -> Callable[[Row], str]:
    """The user who made a change, which REST 3.0 does not show: the one stored, otherwise the creator."""
    return lambda row: str(row.get(name, row["creatorId"]))


def _closed_by(row: Row) -> str:
    return str(row.get("statusChangedBy", row["responsibleId"]) if row.get("closed") else 0)


def _files(row: Row) -> list[int]:
    return list(row.get("fileIds") or ())


def _tags(row: Row) -> list[str]:
    """The tags of a task, which REST 3.0 does not show: those set, otherwise those derived from its id."""
    generated = [tag for number, tag in enumerate(TAGS, 2) if row["id"] % number == 0]
    return list(row.get("tags", generated))


_INTEGER, _DATE, _ENUM, _ARRAY = "integer", "datetime", "enum", "array"

# The columns of tasks.task.getFields, in its order.
# Source: [docs] api-reference/tasks/tasks-task-get-fields.md, fields.md
FIELDS: tuple[Column, ...] = (
    Column("ID", "id", Kind.NUMBER, _text("id"), "ID", _INTEGER),
    Column("PARENT_ID", "parentId", Kind.NUMBER, _text("parentId"), "Base task ID", _INTEGER),
    Column("TITLE", "title", Kind.TEXT, _text("title"), "Title"),
    Column("DESCRIPTION", "description", Kind.TEXT, _text("description"), "Description"),
    Column("MARK", "mark", Kind.TEXT, _mark, "Rating", _ENUM),
    Column("PRIORITY", "priority", Kind.NUMBER, _priority, "Priority", _ENUM),
    Column("STATUS", "status", Kind.NUMBER, _status, "Status", _ENUM),
    Column("MULTITASK", "multitask", Kind.TEXT, _flag("isMultitask"), "Multitask", _ENUM),
    Column("NOT_VIEWED", "notViewed", Kind.TEXT, _always("N"), None, _ENUM),
    Column("REPLICATE", "replicate", Kind.TEXT, _flag("replicate"), "Recurring task", _ENUM),
    Column("GROUP_ID", "groupId", Kind.NUMBER, _number("groupId"), "Project", _INTEGER),
    Column("STAGE_ID", "stageId", Kind.NUMBER, _number("stageId"), "Stage", _INTEGER),
    Column("SPRINT_ID", "sprintId", Kind.NUMBER, _number("sprintId"), "Sprint", _INTEGER),
    Column("BACKLOG_ID", "backlogId", Kind.NUMBER, _number("backlogId"), "Backlog", _INTEGER),
    Column("CREATED_BY", "createdBy", Kind.NUMBER, _text("creatorId"), "Creator", _INTEGER),
    Column("CREATED_DATE", "createdDate", Kind.DATE, _text("created"), None, _DATE),
    Column("RESPONSIBLE_ID", "responsibleId", Kind.NUMBER, _text("responsibleId"), "Assignee", _INTEGER),
    Column("ACCOMPLICES", "accomplices", Kind.NUMBERS, _texts("accompliceIds"), None, _ARRAY),
    Column("AUDITORS", "auditors", Kind.NUMBERS, _texts("auditorIds"), None, _ARRAY),
    Column("CHANGED_BY", "changedBy", Kind.NUMBER, _by("changedBy"), "Changed by", _INTEGER),
    Column("CHANGED_DATE", "changedDate", Kind.DATE, _text("changed"), "Change date", _DATE),
    Column("STATUS_CHANGED_BY", "statusChangedBy", Kind.NUMBER, _by("statusChangedBy"), "Status changed by", _INTEGER),
    Column("STATUS_CHANGED_DATE", "statusChangedDate", Kind.DATE, _text("statusChanged"), "Status change date", _DATE),
    Column("CLOSED_BY", "closedBy", Kind.NUMBER, _closed_by, "Closed by", _INTEGER),
    Column("CLOSED_DATE", "closedDate", Kind.DATE, _text("closed"), "Closing date", _DATE),
    Column("ACTIVITY_DATE", "activityDate", Kind.DATE, _text("activity"), None, _DATE),
    Column("DATE_START", "dateStart", Kind.DATE, _text("started"), "Start date", _DATE),
    Column("DEADLINE", "deadline", Kind.DATE, _text("deadline"), "Deadline", _DATE),
    Column("START_DATE_PLAN", "startDatePlan", Kind.DATE, _text("startPlan"), "Planned start", _DATE),
    Column("END_DATE_PLAN", "endDatePlan", Kind.DATE, _text("endPlan"), "Planned completion", _DATE),
    Column("GUID", "guid", Kind.TEXT, _text("guid"), "GUID"),
    Column("XML_ID", "xmlId", Kind.TEXT, _text("xmlId"), "XML_ID"),
    Column("COMMENTS_COUNT", "commentsCount", Kind.NUMBER, _always("0"), "Number of comments", _INTEGER),
    Column("SERVICE_COMMENTS_COUNT", "serviceCommentsCount", Kind.NUMBER, _always("0"), None, _INTEGER),
    Column("NEW_COMMENTS_COUNT", "newCommentsCount", Kind.NUMBER, _always(0), None, _INTEGER),
    Column("ALLOW_CHANGE_DEADLINE", "allowChangeDeadline", Kind.TEXT, _flag("allowsChangeDeadline"), None, _ENUM),
    Column("ALLOW_TIME_TRACKING", "allowTimeTracking", Kind.TEXT, _flag("allowsTimeTracking"), None, _ENUM),
    Column("TASK_CONTROL", "taskControl", Kind.TEXT, _flag("needsControl"), "Accept work", _ENUM),
    Column("ADD_IN_REPORT", "addInReport", Kind.TEXT, _flag("addInReport"), "Add to report", _ENUM),
    Column("FORKED_BY_TEMPLATE_ID", "forkedByTemplateId", Kind.NUMBER, _always(None), "Created from template", _ENUM),
    Column("TIME_ESTIMATE", "timeEstimate", Kind.NUMBER, _text("estimatedTime"), "Estimated time", _INTEGER),
    Column("TIME_SPENT_IN_LOGS", "timeSpentInLogs", Kind.NUMBER, _always(None), "Time spent from history", _INTEGER),
    Column("MATCH_WORK_TIME", "matchWorkTime", Kind.TEXT, _flag("matchesWorkTime"), "Skip weekends", _INTEGER),
    Column("FORUM_TOPIC_ID", "forumTopicId", Kind.NUMBER, _text("forumTopicId"), "FORUM_TOPIC_ID", _INTEGER),
    Column("FORUM_ID", "forumId", Kind.NUMBER, _always(None), "FORUM_ID", _INTEGER),
    Column("SITE_ID", "siteId", Kind.TEXT, _text("siteId"), "SITE_ID"),
    Column("SUBORDINATE", "subordinate", Kind.TEXT, _always("N"), "Subordinate task", _ENUM),
    Column("FAVORITE", "favorite", Kind.TEXT, _flag("inFavorite"), None, _ENUM),
    Column("EXCHANGE_MODIFIED", "exchangeModified", Kind.DATE, _text("exchangeModified"), "EXCHANGE_MODIFIED", _DATE),
    Column("EXCHANGE_ID", "exchangeId", Kind.NUMBER, _text("exchangeId"), "EXCHANGE_ID", _INTEGER),
    Column("OUTLOOK_VERSION", "outlookVersion", Kind.NUMBER, _text("outlookVersion"), "OUTLOOK_VERSION", _INTEGER),
    Column("VIEWED_DATE", "viewedDate", Kind.DATE, _always(None), "Last viewed date", _DATE),
    Column("SORTING", "sorting", Kind.NUMBER, _always(None), "Sorting index", "double"),
    Column("DURATION_PLAN", "durationPlan", Kind.NUMBER, _text("plannedDuration"), "Spent (planned)", _INTEGER),
    Column("DURATION_FACT", "durationFact", Kind.NUMBER, _text("actualDuration"), "Spent (actual)", _INTEGER),
    Column("CHECKLIST", "checklist", Kind.NUMBERS, _always([]), None, _ARRAY),
    Column("DURATION_TYPE", "durationType", Kind.TEXT, _text("durationType"), "DURATION_TYPE", _ENUM),
    Column("IS_MUTED", "isMuted", Kind.TEXT, _flag("inMute"), None, _ENUM),
    Column("IS_PINNED", "isPinned", Kind.TEXT, _flag("inPin"), None, _ENUM),
    Column("IS_PINNED_IN_GROUP", "isPinnedInGroup", Kind.TEXT, _flag("inGroupPin"), None, _ENUM),
    Column("FLOW_ID", "flowId", Kind.NUMBER, _number("flowId"), "Flow", _INTEGER),
    Column("UF_CRM_TASK", "ufCrmTask", Kind.TEXT, _texts("crmItemIds"), "CRM entities", "crm"),
    Column("UF_TASK_WEBDAV_FILES", "ufTaskWebdavFiles", Kind.NUMBERS, _files, "Upload files", "disk_file"),
    Column("UF_MAIL_MESSAGE", "ufMailMessage", Kind.TEXT, _always(None), None, "mail_message"),
)  # fmt: skip
# The columns that only filters and orders accept.
_OTHERS = (
    Column("REAL_STATUS", "status", Kind.NUMBER, _status),
    Column("TAG", "tags", Kind.TEXT, _tags),
    Column("ACCOMPLICE", "accomplices", Kind.NUMBERS, _texts("accompliceIds")),
    Column("AUDITOR", "auditors", Kind.NUMBERS, _texts("auditorIds")),
    Column("DEPENDS_ON", "dependsOn", Kind.NUMBERS, _texts("dependsOn")),
)
COLUMNS: Mapping[str, Column] = {column.name: column for column in (*FIELDS, *_OTHERS)}


class ClassicTasks(Table):
    """The portal's tasks in the form of REST 2, computed one at a time, with the columns of these *names*."""

    def __init__(self, tasks: GeneratedTable, names: Iterable[str]) -> None:
        super().__init__()
        self._tasks = tasks
        self._names = tuple(names)

    def __getitem__(self, row_id: int) -> Row:
        return self._columns(row_id, self._names)

    def read_columns(self, row_id: int, columns: frozenset[str]) -> Row:
        return self._columns(row_id, columns)

    def _columns(self, row_id: int, names: Iterable[str]) -> Row:
        row = self._tasks[row_id]
        return {name: COLUMNS[name].value_of(row) for name in names}

    def __contains__(self, row_id: object) -> bool:
        return row_id in self._tasks

    def __len__(self) -> int:
        return len(self._tasks)

    def ids_between(self, above: float, below: float) -> Sequence[int]:
        return self._tasks.ids_between(above, below)
