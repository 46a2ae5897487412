"""Rights on storages, folders and files. A right is granted to an access code and applies to all that is below."""

from collections.abc import Iterator
from enum import IntEnum

from gateway.sandbox.php import Value, as_id, entries_of, is_array
from gateway.sandbox.tables.table import Row, Table

EVERYONE = "*"


class Level(IntEnum):
    """What a right allows; each level includes those before it."""

    NONE = 0
    READ = 1
    ADD = 2
    EDIT = 3
    FULL = 4


# Source: methods.md, section 8.2
LEVELS = {
    "disk_access_read": Level.READ,
    "disk_access_add": Level.ADD,
    "disk_access_edit": Level.EDIT,
    "disk_access_full": Level.FULL,
}
# The tasks in the form of disk.rights.getTasks. Source: [docs] api-reference/disk/rights/disk-rights-get-tasks.md
TASKS = (
    {"ID": "79", "NAME": "disk_access_full", "TITLE": "Full Access"},
    {"ID": "75", "NAME": "disk_access_edit", "TITLE": "Editing"},
    {"ID": "71", "NAME": "disk_access_read", "TITLE": "Reading"},
)
_LEVELS_BY_ID = {int(task["ID"]): LEVELS[task["NAME"]] for task in TASKS}


def user_code(user_id: int) -> str:
    return f"U{user_id}"


def application_code(client: str) -> str:
    """The code of all calls of an application. It never appears in answers."""
    return f"APP_{client}"


def codes_of(user_id: int, client: str, users: Table, departments: Table) -> frozenset[str]:
    """The access codes of a user who calls through *client*: the user, the departments, those above them, everyone.

    Source: methods.md, section 8.1
    """
    own = [int(number) for number in users.get(user_id, {}).get("UF_DEPARTMENT", ())]
    above = {number for department_id in own for number in _with_ancestors(department_id, departments)}
    return frozenset(
        (
            EVERYONE,
            user_code(user_id),
            application_code(client),
            *(f"D{number}" for number in own),
            *(f"DR{number}" for number in above),
        )
    )


def read_rights(value: Value) -> dict[str, Level] | None:
    """Read ``[{"TASK_ID": 71, "ACCESS_CODE": "U35"}]`` as levels by access code; None if it is malformed.

    Source: methods.md, section 8.1
    """
    if not is_array(value):
        return None
    rights: dict[str, Level] = {}
    for entry in entries_of(value).values():
        columns = entries_of(entry) if is_array(entry) else {}
        level, code = _LEVELS_BY_ID.get(as_id(columns.get("TASK_ID"))), columns.get("ACCESS_CODE")
        if level is None or not isinstance(code, str) or not code:
            return None
        rights[code] = level
    return rights


def _with_ancestors(department_id: int, departments: Table) -> Iterator[int]:
    row: Row | None = departments.get(department_id)
    while row is not None:
        yield int(row["ID"])
        row = departments.get(int(row["PARENT"])) if "PARENT" in row else None
