"""``*.field.list`` and ``*.field.get``: the descriptions of the fields of an object.

Source: [docs] api-reference/rest-v3/main/main-eventlog-field-list.md, main-eventlog-field-get.md and
api-reference/rest-v3/tasks/tasks-task-field-list.md, tasks-task-field-get.md
"""

from collections.abc import Callable

from gateway.sandbox.php import Value
from gateway.sandbox.rest3.dto import Dto, Field, Kind
from gateway.sandbox.rest3.errors import field_not_found, missing_field, unknown_field, unknown_select, wrong_type
from gateway.sandbox.rest3.method import Call, Method
from gateway.sandbox.tables.table import Row

DESCRIPTION = Dto.of(
    "DtoFieldDto",
    *(Field(name, Kind.STRING) for name in ("name", "type", "title", "description")),
    *(Field(name, Kind.ARRAY) for name in ("validationRules", "requiredGroups")),
    *(Field(name, Kind.BOOL) for name in ("filterable", "sortable", "editable", "multiple")),
    Field("elementType", Kind.STRING),
)


def field_methods(
    prefix: str, dto: Dto, scopes: tuple[str, ...], check_access: Callable[[Call], None] = lambda _call: None
) -> tuple[Method, Method]:
    """Make ``PREFIX.field.list`` and ``PREFIX.field.get`` for the fields and relations of *dto*.

    *check_access* raises for callers without access.
    """

    def list_fields(call: Call) -> Value:
        check_access(call)
        names = _selected(call)
        return {"items": [{name: row[name] for name in names} for row in _described(dto).values()]}

    def get_field(call: Call) -> Value:
        check_access(call)
        name = call.query.get("name")
        if name is None:
            raise missing_field("name")
        if not isinstance(name, str):
            raise wrong_type("name", "string")
        names, row = _selected(call), _described(dto).get(name)
        if row is None:
            raise field_not_found(name)
        return {"item": {name: row[name] for name in names}}

    return (
        Method(f"{prefix}.field.list", list_fields, scopes, DESCRIPTION),
        Method(f"{prefix}.field.get", get_field, scopes, DESCRIPTION),
    )


def _described(dto: Dto) -> dict[str, Row]:
    """The description of each field by name. Custom fields are omitted, as in the documented lists."""
    fields = {name: _describe(field) for name, field in dto.fields.items() if not field.custom}
    return fields | {name: _describe(Field(name, Kind.OBJECT)) for name in dto.relations}


def _describe(field: Field) -> Row:
    return {
        "name": field.name,
        "type": "object" if field.kind is Kind.DATE_TIME else field.kind.value,
        "title": field.name,
        "description": None,
        "validationRules": [],
        "requiredGroups": None,
        "filterable": field.filterable,
        "sortable": field.sortable,
        "editable": field.editable,
        "multiple": False,
        "elementType": None,
    }


def _selected(call: Call) -> list[str]:
    """The selected parts of a description, all by default.

    Raises:
        Rest3Error: the select is not a list of names, or a name is unknown.
    """
    select = call.query.get("select")
    if select is not None and not (isinstance(select, list) and all(isinstance(name, str) for name in select)):
        raise unknown_select(select)
    for name in select or ():
        if name not in DESCRIPTION.fields:
            raise unknown_field(name, DESCRIPTION.name)
    return select or list(DESCRIPTION.fields)
