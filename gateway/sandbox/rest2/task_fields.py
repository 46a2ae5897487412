"""The writable fields of a task in REST 2, read into the columns of REST 3.0."""

from collections.abc import Callable, Mapping
from datetime import datetime

from gateway.sandbox.content.task_columns import MARKS, PRIORITIES, STATUSES
from gateway.sandbox.content.tasks import ZONE, format_time
from gateway.sandbox.content.written_values import TimeOutOfRange
from gateway.sandbox.php import Value, as_number, entries_of, is_array
from gateway.sandbox.tables.table import Row


def _text(value: Value) -> str:
    return "" if value is None or is_array(value) else str(value)


def _number(value: Value) -> int | None:
    return int(as_number(value)) or None


def _flag(value: Value) -> bool:
    return value in (True, 1, "1", "Y", "y", "true")


def _time(value: Value) -> str | None:
    """An ISO time, in the portal's time zone by default; None for anything else.

    Raises:
        TimeOutOfRange: the portal cannot store this time.
    """
    try:
        moment = datetime.fromisoformat(_text(value))
    except ValueError:
        return None
    try:
        return format_time((moment if moment.tzinfo else moment.replace(tzinfo=ZONE)).timestamp())
    except (OverflowError, ValueError):
        raise TimeOutOfRange from None


def _items(value: Value) -> list[Value]:
    return list(entries_of(value).values()) if is_array(value) else [item for item in [value] if item]


def _numbers(value: Value) -> list[int]:
    return [int(as_number(item)) for item in _items(value)]


def _texts(value: Value) -> list[str]:
    return [str(item).strip() for item in _items(value)]


def _tags(value: Value) -> list[str]:
    return _texts(value.split(",") if isinstance(value, str) else value)


def _files(value: Value) -> list[int]:
    """The ids of files: ``n12`` attaches a file of the Drive, a number keeps an attachment."""
    return [int(as_number(text.removeprefix("n"))) for text in _texts(value) if text]


def _word(words: Mapping[str, str]) -> Callable[[Value], str | None]:
    """What reads a code as the word of REST 3.0; None for an unknown code."""
    by_code = {code: word for word, code in words.items()}
    return lambda value: by_code.get(_text(value))


# The writable fields: their column in a row and what reads their value.
# Source: [docs] api-reference/tasks/fields.md, tasks-task-add.md
_FIELDS: Mapping[str, tuple[str, Callable[[Value], Value]]] = {
    "TITLE": ("title", lambda value: _text(value).strip()),
    "DESCRIPTION": ("description", _text),
    "XML_ID": ("xmlId", lambda value: _text(value) or None),
    "SITE_ID": ("siteId", _text),
    "DURATION_TYPE": ("durationType", _text),
    "RESPONSIBLE_ID": ("responsibleId", _number),
    "CREATED_BY": ("creatorId", _number),
    "PARENT_ID": ("parentId", _number),
    "GROUP_ID": ("groupId", _number),
    "STAGE_ID": ("stageId", _number),
    "FLOW_ID": ("flowId", _number),
    "TIME_ESTIMATE": ("estimatedTime", lambda value: int(as_number(value))),
    "DURATION_PLAN": ("plannedDuration", lambda value: int(as_number(value))),
    "PRIORITY": ("priority", lambda value: _word(PRIORITIES)(value) or "average"),
    "STATUS": ("status", _word(STATUSES)),
    "MARK": ("mark", lambda value: _word(MARKS)(value) or "none"),
    "DEADLINE": ("deadline", _time),
    "START_DATE_PLAN": ("startPlan", _time),
    "END_DATE_PLAN": ("endPlan", _time),
    "ACCOMPLICES": ("accompliceIds", _numbers),
    "AUDITORS": ("auditorIds", _numbers),
    "DEPENDS_ON": ("dependsOn", _numbers),
    "TAGS": ("tags", _tags),
    "UF_CRM_TASK": ("crmItemIds", _texts),
    "UF_TASK_WEBDAV_FILES": ("fileIds", _files),
    "TASK_CONTROL": ("needsControl", _flag),
    "ALLOW_CHANGE_DEADLINE": ("allowsChangeDeadline", _flag),
    "ALLOW_TIME_TRACKING": ("allowsTimeTracking", _flag),
    "MATCH_WORK_TIME": ("matchesWorkTime", _flag),
    "ADD_IN_REPORT": ("addInReport", _flag),
    "MULTITASK": ("isMultitask", _flag),
    "REPLICATE": ("replicate", _flag),
}
_PARAMETERS = {1: "matchesSubTasksTime", 2: "autocompleteSubTasks", 3: "requireResult"}  # the codes of SE_PARAMETER


def read_fields(entries: Mapping[str, Value]) -> Row:
    """The columns that the fields of a request set. Other names are ignored; a wrong status is None."""
    columns: Row = {}
    for name, item in entries.items():
        if name.upper() in _FIELDS:
            column, read = _FIELDS[name.upper()]
            columns[column] = read(item)
        elif name.upper() == "SE_PARAMETER":
            columns |= _read_parameters(item)
    return columns


def _read_parameters(value: Value) -> Row:
    given = [entry for entry in _items(value) if isinstance(entry, dict)]
    codes = [(int(as_number(entry.get("CODE"))), entry.get("VALUE")) for entry in given]
    return {_PARAMETERS[code]: _flag(flag) for code, flag in codes if code in _PARAMETERS}
