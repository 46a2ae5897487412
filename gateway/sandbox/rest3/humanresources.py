"""humanresources.node.list: the departments as nodes of the company's structure. There are no teams."""

from collections import Counter

from gateway.sandbox.content.portal_data import PortalData
from gateway.sandbox.php import Value
from gateway.sandbox.rest3.dto import Dto, Field, Kind
from gateway.sandbox.rest3.errors import invalid_request, missing_field, unknown_field
from gateway.sandbox.rest3.fields import field_methods
from gateway.sandbox.rest3.listing import list_rows
from gateway.sandbox.rest3.method import Call, Method
from gateway.sandbox.tables.table import Row, Table

_SCOPES = ("humanresources",)
_MAX_ROWS = 200
_TYPES = ("DEPARTMENT", "TEAM")
_CREATED_AT = "2024-01-09T00:00:00+03:00"

# Source: [docs] api-reference/rest-v3/humanresources/node/humanresources-node-list.md
NODE = Dto.of(
    "NodeDto",
    *(Field(name, Kind.INT) for name in ("id", "structureId", "parentId", "userCount")),
    *(Field(name, Kind.STRING) for name in ("name", "type", "description", "accessCode", "colorName", "xmlId")),
    *(Field(name, Kind.DATE_TIME) for name in ("createdAt", "updatedAt")),
)
_SHOWN = tuple(NODE.fields)


def list_nodes(call: Call) -> Value:
    """Return one page of the departments, or of the teams. Unlike elsewhere, an unknown field in select is refused.

    Source: [docs] api-reference/rest-v3/humanresources/node/humanresources-node-list.md
    """
    kind, select = call.text_of("type"), call.query.get("select")
    if kind is None:
        raise missing_field("type")
    if kind not in _TYPES:
        raise invalid_request({"type": "An invalid value for the structure element type was provided"})
    for name in select if isinstance(select, list) else []:
        if isinstance(name, str) and name not in NODE.fields:
            raise unknown_field(name, NODE.name)
    nodes = _departments(call.data) if kind == "DEPARTMENT" else Table()
    query: dict[str, Value] = {name: call.query[name] for name in ("select", "pagination") if name in call.query}
    return {"items": list_rows(nodes, query, NODE, call.data, _SHOWN, call.max_rows)}


def _departments(data: PortalData) -> Table:
    people = Counter(number for user in data.users.values() if user["ACTIVE"] for number in user["UF_DEPARTMENT"])
    return Table({number: _node(number, row, people[number]) for number, row in data.departments.items()})


def _node(number: int, row: Row, people: int) -> Row:
    return {
        "id": number,
        "name": row["NAME"],
        "type": "DEPARTMENT",
        "structureId": 1,
        "parentId": int(row["PARENT"]) if "PARENT" in row else None,
        "description": "",
        "accessCode": f"DR{number}",
        "userCount": people,
        "colorName": None,
        "xmlId": None,
        "createdAt": _CREATED_AT,
        "updatedAt": _CREATED_AT,
    }


METHODS = (
    Method("humanresources.node.list", list_nodes, _SCOPES, NODE, max_rows=_MAX_ROWS),
    *field_methods("humanresources.node", NODE, _SCOPES),
)
