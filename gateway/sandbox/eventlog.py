"""The event log of a sandbox portal: who came in, what was changed, whole rows in the form of REST 3.0."""

from itertools import chain
from random import Random

from gateway.sandbox.ids import runs_with_holes
from gateway.sandbox.made import MadeTable
from gateway.sandbox.table import Row
from gateway.sandbox.tasks import moment

_FIRST_AT = 1_735_700_000  # Unix time
_APART_S = 611

# severity, auditTypeId, moduleId
_KINDS = (
    ("SECURITY", "USER_AUTHORIZE", "main"),
    ("SECURITY", "USER_LOGOUT", "main"),
    ("SECURITY", "USER_AUTHORIZE", "rest"),
    ("INFO", "IBLOCK_ELEMENT_EDIT", "iblock"),
    ("WARNING", "FILE_ACCESS", "fileman"),
)
_AGENTS = ("Mozilla/5.0 (X11; Linux x86_64) Firefox/128.0", "Bitrix24 Mobile", "")


def make_eventlog(count: int, holes: float, user_ids: tuple[int, ...], rng: Random) -> MadeTable:
    """*count* entries as main.eventlog.get gives them, older ones first.

    Source: [docs] api-reference/event-log/main-eventlog-get.md
    """

    def make(entry_id: int) -> Row:
        severity, audit_type, module = _KINDS[entry_id % len(_KINDS)]
        user_id = user_ids[entry_id * 7 % len(user_ids)]
        return {
            "id": entry_id,
            "timestampX": moment(_FIRST_AT + entry_id * _APART_S),
            "severity": severity,
            "auditTypeId": audit_type,
            "moduleId": module,
            "itemId": str(user_id),
            "remoteAddr": f"203.0.113.{entry_id % 250}",
            "userAgent": _AGENTS[entry_id % len(_AGENTS)],
            "requestUri": f"/stream/?page={entry_id % 9}&name=Анна" if entry_id % 4 else "/",
            "siteId": "s1",
            "userId": user_id if entry_id % 13 else None,
            "guestId": 0 if entry_id % 5 else None,
            "description": f'{{"userId":{user_id},"method":"external"}}' if entry_id % 3 else "Вход 🔑",
        }

    return MadeTable(chain.from_iterable(runs_with_holes(count, holes, rng)), make)
