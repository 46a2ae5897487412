"""The methods about REST 3.0 itself: the available methods and the OpenAPI document."""

from collections.abc import Iterable
from typing import Any

from gateway.sandbox.php import Value
from gateway.sandbox.rest3.dto import Dto, Field, Kind
from gateway.sandbox.rest3.method import Call, Method

_SCHEMAS: dict[Kind, dict[str, str]] = {
    Kind.INT: {"type": "integer"},
    Kind.STRING: {"type": "string"},
    Kind.BOOL: {"type": "boolean"},
    Kind.DATE_TIME: {"type": "string", "format": "date-time"},
    Kind.ARRAY: {"type": "array"},
    Kind.OBJECT: {"type": "object"},
}


def list_scopes(call: Call) -> Value:
    """Return the methods that the caller may call, as a map of module, controller, method and its description.

    Source: [docs] api-reference/rest-v3.md; [srv] rest/lib/v3
    """
    wanted = [call.text_of(name) for name in ("filterModule", "filterController", "filterMethod")]
    found: dict[str, Any] = {}
    for method in call.methods.values():
        parts = method.name.split(".")
        if len(parts) != 3 or not call.caller.has_access(method.scopes):
            continue
        if any(name is not None and name != part for name, part in zip(wanted, parts, strict=True)):
            continue
        module, controller, action = parts
        item = {"scope": method.name, "title": method.name, "description": "", "fields": None}
        found.setdefault(module, {}).setdefault(controller, {})[action] = item
    return found or []


def openapi(call: Call) -> Value:
    """Return the OpenAPI document of the portal, without an envelope.

    Source: [docs] api-reference/rest-v3.md
    """
    methods = [method for method in call.methods.values() if "." in method.name]
    modules = dict.fromkeys(method.name.partition(".")[0] for method in methods)
    return {
        "openapi": "3.0.0",
        "info": {"title": "Bitrix24 REST V3 API", "version": "1.0.0"},
        "tags": [{"name": module, "description": f"{module} module methods"} for module in modules],
        "paths": {f"/{method.name}": {"post": _operation(method)} for method in methods},
        "components": {"schemas": {dto.name: _schema(dto) for dto in _dtos(methods)}},
    }


def _operation(method: Method) -> dict[str, Any]:
    answer: dict[str, Any] = {"description": "Success"}
    if method.dto:
        schema = {"$ref": f"#/components/schemas/{method.dto.name}"}
        answer["content"] = {"application/json": {"schema": schema}}
    return {"tags": [method.name.partition(".")[0]], "operationId": method.name, "responses": {"200": answer}}


def _dtos(methods: Iterable[Method]) -> list[Dto]:
    own = [method.dto for method in methods if method.dto]
    return [*own, *(relation.dto for dto in own for relation in dto.relations.values())]


def _schema(dto: Dto) -> dict[str, Any]:
    related = {name: {"$ref": f"#/components/schemas/{relation.dto.name}"} for name, relation in dto.relations.items()}
    return {"type": "object", "properties": {name: _property(field) for name, field in dto.fields.items()} | related}


def _property(field: Field) -> dict[str, Any]:
    schema: dict[str, Any] = {**_SCHEMAS[field.kind], "nullable": field.name != "id"}
    return {**schema, "items": {}} if field.kind is Kind.ARRAY else schema


METHODS = (
    Method("rest.scope.list", list_scopes),
    Method("rest.documentation.openapi", openapi, bare=True),
    Method("documentation", openapi, bare=True),
)
