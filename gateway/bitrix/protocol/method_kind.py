"""What the name and the arguments of a call say of it: may it be repeated, and does it take arguments by position."""

import re
from collections.abc import Mapping

from gateway.bitrix.protocol.v2 import Arguments

READING = {
    *("aggregate", "count", "current", "documentation", "events", "fields", "find", "findbycomm", "get", "getfields"),
    *("getlist", "info", "list", "methods", "openapi", "profile", "scope", "search", "tail", "time", "types"),
}
# Marks notifications as read or unread. Source: b24restdocs api-reference/chats/notifications/im-notify-read-list.md
WRITING = {"im.notify.read.list"}
OFFLINE_EVENTS = "event.offline.get"

# The server drops the names of their parameters. Source: [srv] tasks/classes/general/restservice.php
BY_POSITION = ("task.", "tasks_extended.meta.")

# What PHP's intval does not make 0 of, and references, whose value only the portal knows.
SET = re.compile(r"\s*[+-]?0*[1-9]|.*\$", re.DOTALL)


def is_safe_to_repeat(method: str, arguments: Arguments) -> bool:
    """Whether a call may be sent again after its answer was lost: it changes nothing and uses nothing up.

    A method reads if the last part of its name is one of READING; an unknown one may write. Queues that are read by
    ``offset`` (im.v2.Event.get, imbot.v2.Event.get) return the same events for the same offset.
    """
    name = method.lower()
    if name == OFFLINE_EVENTS:
        return isinstance(arguments, Mapping) and _reads_reserved_events(arguments)
    return name.rpartition(".")[2] in READING and name not in WRITING


def takes_arguments_by_position(method: str) -> bool:
    """Whether *method* takes a list of arguments."""
    return method.lower().startswith(BY_POSITION)


def _reads_reserved_events(params: Mapping[str, object]) -> bool:
    """Whether an event.offline.get with *params*, whose names count in any case, reads what a process has reserved.

    Without a ``process_id`` it takes events from the queue: it deletes them or, with ``clear=0``, reserves them under a
    new id that only the answer tells.
    Source: protocol.md 16 (b24restdocs api-reference/events/event-offline-get.md; [srv] rest/lib/api/event.php)
    """
    given = [(name.lower(), value) for name, value in params.items()]
    process_ids = [value for name, value in given if name == "process_id"]
    clears = any(name == "clear" and _is_set(value) for name, value in given)
    return bool(process_ids) and all(map(_is_process_id, process_ids)) and not clears


def _is_process_id(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip()) and "$" not in value


def _is_set(value: object) -> bool:
    return SET.match(value) is not None if isinstance(value, str) else bool(value)
