"""The departments of a sandbox portal: a tree whose ids are those in the ``UF_DEPARTMENT`` of users."""

from gateway.sandbox.tables.table import Row, Table

FIRST_SORT = 500

# Name, parent and head by id. The first is the root.
_DEPARTMENTS: dict[int, tuple[str, int | None, int | None]] = {
    1: ("Sandbox «Портал»", None, 1),
    2: ("Отдел продаж", 1, None),
    3: ("Accounting", 1, None),
    4: ("Поддержка 24/7 ☎", 2, None),
    7: ("R&D", 1, None),
}


def make_departments() -> Table:
    """Make the departments in the form of department.get.

    Source: [docs] api-reference/departments/department-get.md
    """
    return Table(
        {
            department_id: new_department(department_id, name, parent=parent, head=head)
            for department_id, (name, parent, head) in _DEPARTMENTS.items()
        }
    )


def new_department(
    department_id: int, name: str, *, parent: int | None, head: int | None = None, sort: int = FIRST_SORT
) -> Row:
    """A department. The root has no ``PARENT``, a department without a head no ``UF_HEAD``."""
    row: Row = {"ID": str(department_id), "NAME": name, "SORT": sort}
    if parent is not None:
        row["PARENT"] = str(parent)
    if head is not None:
        row["UF_HEAD"] = str(head)
    return row
