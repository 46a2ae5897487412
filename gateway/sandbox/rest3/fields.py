"""``*.field.list`` and ``*.field.get``: what REST 3.0 says of the fields of an object.

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
    prefix: str, dto: Dto, scopes: tuple[str, ...], admit: Callable[[Call], None] = lambda _call: None
) -> tuple[Method, Method]:
    """``PREFIX.field.list`` and ``PREFIX.field.get``, of the fields and relations of *dto*.

    *admit* refuses callers as the other methods of the object do.
    """

    def list_fields(call: Call) -> Value:
        admit(call)
        names = _selected(call)
        return {"items": [{name: row[name] for name in names} for row in _described(dto).values()]}

    def get_field(call: Call) -> Value:
        admit(call)
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
    """A description of each field by its name; custom fields are left out, as the documented lists have none."""
    own = {name: _describe(field) for name, field in dto.fields.items() if not field.custom}
    return own | {name: _describe(Field(name, Kind.OBJECT)) for name in dto.relations}


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
    """The parts of a description that are asked for, all where none are.

    Raises:
        Rest3Error: the select is no list of names, or names another part.
    """
    given = call.query.get("select")
    if given is not None and not (isinstance(given, list) and all(isinstance(name, str) for name in given)):
        raise unknown_select(given)
    for name in given or ():
        if name not in DESCRIPTION.fields:
            raise unknown_field(name, DESCRIPTION.name)
    return given or list(DESCRIPTION.fields)
