"""The event log of a sandbox portal, in the form of REST 3.0."""

from random import Random

from gateway.sandbox.content.tasks import format_time
from gateway.sandbox.tables.generated import ComputedColumns, GeneratedTable
from gateway.sandbox.tables.table import Row

_SPAN_S = 182 * 86_400  # six months

# severity, auditTypeId, moduleId
_KINDS = (
    ("SECURITY", "USER_AUTHORIZE", "main"),
    ("SECURITY", "USER_LOGOUT", "main"),
    ("SECURITY", "USER_AUTHORIZE", "rest"),
    ("INFO", "IBLOCK_ELEMENT_EDIT", "iblock"),
    ("WARNING", "FILE_ACCESS", "fileman"),
)
_AGENTS = ("Mozilla/5.0 (X11; Linux x86_64) Firefox/128.0", "Bitrix24 Mobile", "")


def make_eventlog(count: int, holes: float, seed: int, user_ids: tuple[int, ...], now: float) -> GeneratedTable:
    """Make *count* entries of the last six months in the form of main.eventlog.get, oldest first.

    Source: [docs] api-reference/event-log/main-eventlog-get.md
    """

    def pattern(rng: Random) -> Row:
        severity, audit_type, module = rng.choice(_KINDS)
        user_id = rng.choice(user_ids)
        return {
            "id": 0,
            "timestampX": "",
            "severity": severity,
            "auditTypeId": audit_type,
            "moduleId": module,
            "itemId": str(user_id),
            "remoteAddr": f"203.0.113.{rng.randrange(250)}",
            "userAgent": rng.choice(_AGENTS),
            "requestUri": rng.choice(("/", f"/stream/?page={rng.randrange(9)}&name=Анна")),
            "siteId": "s1",
            "userId": rng.choice((user_id, user_id, None)),
            "guestId": rng.choice((0, None)),
            "description": rng.choice((f'{{"userId":{user_id},"method":"external"}}', "Вход 🔑")),
        }

    def at(entry_id: int) -> str:
        return format_time(now - _SPAN_S * max(next_id - entry_id, 0) / next_id)

    computed: ComputedColumns = {"id": lambda entry_id: entry_id, "timestampX": at}
    table = GeneratedTable(count, holes, f"{seed} eventlog", pattern, computed)
    next_id = table.next_id  # fixed here, so times do not change when entries are added
    return table
