"""department.*: the company's structure. Everybody may read it, an administrator may change it."""

from gateway.sandbox.content.departments import FIRST_SORT, new_department
from gateway.sandbox.errors import CallError
from gateway.sandbox.php import Value, as_number, is_array
from gateway.sandbox.query.filters import Kind, Schema, read_filter
from gateway.sandbox.query.listing import find, read_order
from gateway.sandbox.rest2.method import Answer, Call, Method, Param, page_window
from gateway.sandbox.tables.table import Table

_SCOPES = ("department",)

# The columns and their titles. Source: [docs] api-reference/departments/department-fields.md
_TITLES = {
    "ID": "ID",
    "NAME": "Department Name",
    "SORT": "Sort Order",
    "PARENT": "Parent Department",
    "UF_HEAD": "Manager",
}
_DEPARTMENTS = Schema({**dict.fromkeys(_TITLES, Kind.NUMBER), "NAME": Kind.TEXT}, key="ID", operators=())


def list_departments(call: Call) -> Answer:
    """Return one page of departments. All parameters named like a column are conditions of equality.

    ``sort`` names the column to sort by; a number in it is a condition.
    Source: [docs] api-reference/departments/department-get.md
    """
    sent = _upper_names(call)
    sort = str(sent.get("SORT", "")).upper()
    order = {}
    if sort in _TITLES:
        del sent["SORT"]
        order[sort] = sent.get("ORDER", "ASC")
    conditions = {name: value for name, value in sent.items() if name in _TITLES}
    window = page_window(call, whole_pages=True)
    page = find(
        call.data.departments,
        read_filter(conditions, _DEPARTMENTS),
        read_order(order, _DEPARTMENTS),
        _DEPARTMENTS,
        window,
    )
    return Answer.of_page(page)


def describe_fields(_call: Call) -> Answer:
    """Return the columns of a department, each with its title.

    Source: [docs] api-reference/departments/department-fields.md
    """
    return Answer(dict(_TITLES))


def add_department(call: Call) -> Answer:
    """Create a department below another one and return its id.

    Source: [docs] api-reference/departments/department-add.md
    """
    sent = _checked_params(call)
    if not str(sent.get("NAME") or "").strip():
        raise _refused("Department name not provided.<br>")
    departments = call.data.departments
    parent = int(as_number(sent.get("PARENT")))
    if parent not in departments:
        raise _refused("There can only be one top-level department in the company structure")
    department_id = departments.next_id
    departments[department_id] = new_department(
        department_id,
        str(sent["NAME"]),
        parent=parent,
        head=int(as_number(sent.get("UF_HEAD"))) or None,
        sort=int(as_number(sent["SORT"])) if "SORT" in sent else FIRST_SORT,
    )
    return Answer(department_id)


def update_department(call: Call) -> Answer:
    """Change the given columns of a department.

    Source: [docs] api-reference/departments/department-update.md
    """
    sent, departments = _checked_params(call), call.data.departments
    department_id = _known_id(sent, departments)
    row = dict(departments[department_id])
    if "NAME" in sent:
        if not str(sent["NAME"] or "").strip():
            raise _refused("Department name not provided.<br>")
        row["NAME"] = str(sent["NAME"])
    if "SORT" in sent:
        row["SORT"] = int(as_number(sent["SORT"]))
    if "PARENT" in sent and "PARENT" in row:
        parent = int(as_number(sent["PARENT"]))
        if parent not in departments or department_id in _ancestors(parent, departments):
            raise _refused("Department not found")
        row["PARENT"] = str(parent)
    if "UF_HEAD" in sent:
        row.pop("UF_HEAD", None)
        if head := int(as_number(sent["UF_HEAD"])):
            row["UF_HEAD"] = str(head)
    departments[department_id] = row
    return Answer(True)


def delete_department(call: Call) -> Answer:
    """Delete a department. Its children and its people move to its parent; the root stays.

    Source: [docs] api-reference/departments/department-delete.md
    """
    departments = call.data.departments
    department_id = _known_id(_checked_params(call), departments)
    parent = departments[department_id].get("PARENT")
    if parent is None:
        raise _refused("There can only be one top-level department in the company structure")
    del departments[department_id]
    for row_id, row in list(departments.items()):
        if row.get("PARENT") == str(department_id):
            departments[row_id] = {**row, "PARENT": parent}
    for user_id, user in list(call.data.users.items()):
        if department_id in user["UF_DEPARTMENT"]:
            moved = [int(parent) if number == department_id else number for number in user["UF_DEPARTMENT"]]
            call.data.users[user_id] = {**user, "UF_DEPARTMENT": list(dict.fromkeys(moved))}
    return Answer(True)


def _upper_names(call: Call) -> dict[str, Value]:
    return {name.upper(): value for name, value in call.sent.items()}


def _checked_params(call: Call) -> dict[str, Value]:
    """The parameters of a method for administrators, by name in upper case. Arrays are not values of a column."""
    if not call.caller.is_administrator:
        raise _refused("Access denied")
    return {name: value for name, value in _upper_names(call).items() if not is_array(value)}


def _known_id(sent: dict[str, Value], departments: Table) -> int:
    department_id = int(as_number(sent.get("ID")))
    if department_id not in departments:
        raise _refused("Department not found")
    return department_id


def _ancestors(department_id: int, departments: Table) -> set[int]:
    """The department and all above it."""
    found = {department_id}
    while parent := departments[department_id].get("PARENT"):
        department_id = int(parent)
        found.add(department_id)
    return found


def _refused(text: str) -> CallError:
    return CallError("ERROR_CORE", text)


METHODS = (
    Method("department.get", list_departments, _SCOPES, (Param("start"),)),
    Method("department.fields", describe_fields, _SCOPES),
    Method("department.add", add_department, _SCOPES),
    Method("department.update", update_department, _SCOPES),
    Method("department.delete", delete_department, _SCOPES),
)
