"""What kind of method a name stands for: whether it only reads, and whether it takes arguments by position."""

import re
from collections.abc import Mapping

from gateway.bitrix.protocol.v2 import Arguments

READ_VERBS = {
    *("aggregate", "count", "current", "documentation", "events", "fields", "find", "findbycomm", "get", "getfields"),
    *("getlist", "info", "list", "methods", "openapi", "profile", "scope", "search", "tail", "time", "types"),
}
# Methods with a read verb that write. This one marks notifications as read or unread.
# Source: b24restdocs api-reference/chats/notifications/im-notify-read-list.md
WRITE_METHODS = {"im.notify.read.list"}
OFFLINE_EVENTS = "event.offline.get"

# The server ignores the names of their parameters. Source: [srv] tasks/classes/general/restservice.php
BY_POSITION = ("task.", "tasks_extended.meta.")

# Strings that PHP's intval does not convert to 0, and references, whose value only the portal knows.
TRUE_STRING = re.compile(r"\s*[+-]?0*[1-9]|.*\$", re.DOTALL)


def is_safe_to_repeat(method: str, arguments: Arguments) -> bool:
    """Whether a call changes nothing and consumes nothing, so that it may be repeated after its answer was lost.

    A method reads if the last part of its name is one of READ_VERBS. Any other method may write. A queue that is read
    by ``offset`` (im.v2.Event.get, imbot.v2.Event.get) returns the same events for the same offset.
    """
    name = method.lower()
    if name == OFFLINE_EVENTS:
        return isinstance(arguments, Mapping) and _reads_reserved_events(arguments)
    return name.rpartition(".")[2] in READ_VERBS and name not in WRITE_METHODS


def takes_arguments_by_position(method: str) -> bool:
    """Whether *method* takes a list of arguments."""
    return method.lower().startswith(BY_POSITION)


def _reads_reserved_events(params: Mapping[str, object]) -> bool:
    """Whether event.offline.get reads events that a process has reserved; the names of *params* ignore case.

    Without a ``process_id`` it takes events from the queue. It deletes them or, with ``clear=0``, reserves them under a
    new id that only the answer contains.
    Source: protocol.md 16 (b24restdocs api-reference/events/event-offline-get.md; [srv] rest/lib/api/event.php)
    """
    lowered = [(name.lower(), value) for name, value in params.items()]
    process_ids = [value for name, value in lowered if name == "process_id"]
    clears = any(name == "clear" and _is_true(value) for name, value in lowered)
    return bool(process_ids) and all(map(_is_process_id, process_ids)) and not clears


def _is_process_id(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip()) and "$" not in value


def _is_true(value: object) -> bool:
    return TRUE_STRING.match(value) is not None if isinstance(value, str) else bool(value)
