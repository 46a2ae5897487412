"""crm.item.list, get and fields: one face for the records of every type."""

from gateway.sandbox.entities import MULTIFIELDS, OLD_INVOICE, Entity, Field
from gateway.sandbox.errors import CallError
from gateway.sandbox.filters import Kind, Schema, read_filter
from gateway.sandbox.listing import Window, find, read_order
from gateway.sandbox.method import Answer, Call, Method, Param, page_start
from gateway.sandbox.methods.records import described
from gateway.sandbox.php import entries_of
from gateway.sandbox.views import ItemView, item_names

_CRM = ("crm",)


def list_items(call: Call) -> Answer:
    """One page of items; a name that is no field is refused in filter and order, and passed over in select.

    Source: [docs] api-reference/crm/universal/crm-item-list.md; [srv] crm/lib/controller/item.php
    """
    entity = _entity(call)
    named = _fields(call, entity)
    schema = Schema(
        columns={name: _kind(field) for name, field in named.items()},
        key="id",
        strict=True,
        nested=True,
        stored={name: field.name for name, field in named.items()},
    )
    names = {str(name) for name in entries_of(call.params.get("select", {})).values()} or {"*"}
    everything = "*" in names
    page = find(
        call.data.records[entity.type_id],
        read_filter(call.params.get("filter", {}), schema),
        read_order(call.params.get("order", {}), schema),
        schema,
        Window.at(page_start(call), whole_pages=False),
        _view({name: field for name, field in named.items() if everything or name in names}, multifields=everything),
    )
    if everything:
        for row in page.rows:
            row["entityTypeId"] = entity.type_id
    return Answer.of_page(page, {"items": page.rows})


def get_item(call: Call) -> Answer:
    """One item with all its fields.

    Source: [docs] api-reference/crm/universal/crm-item-get.md
    """
    entity = _entity(call)
    row = call.data.records[entity.type_id].get(call.params["id"])
    if row is None:
        raise CallError("NOT_FOUND", "Element not found")
    item = _view(_fields(call, entity), multifields=True)(row)
    return Answer({"item": {**item, "entityTypeId": entity.type_id}})


def describe_item_fields(call: Call) -> Answer:
    """All fields of a type by their names in crm.item.

    Source: [docs] api-reference/crm/universal/crm-item-fields.md
    """
    named = _fields(call, _entity(call))
    return Answer({"fields": {name: {**described(field), "upperName": field.name} for name, field in named.items()}})


def _entity(call: Call) -> Entity:
    entity: Entity | None = call.data.entities.get(call.params["entityTypeId"])
    if entity is None or entity.type_id == OLD_INVOICE:
        raise CallError("NOT_FOUND", "Smart process not found")
    return entity


def _fields(call: Call, entity: Entity) -> dict[str, Field]:
    original = str(call.params.get("useOriginalUfNames", "N")).upper() == "Y"
    return item_names(entity.fields(call.data.userfields), original_userfields=original)


def _kind(field: Field) -> Kind:
    # Conditions on custom flags are written 1 and 0 here.
    return Kind.BOOL if field.type == "boolean" and field.is_custom else field.kind


def _view(named: dict[str, Field], *, multifields: bool) -> ItemView:
    columns = tuple((name, field.name, field.type) for name, field in named.items() if field.name not in MULTIFIELDS)
    return ItemView(columns, multifields)


_TYPE = (Param("entityTypeId", "int", required=True), Param("useOriginalUfNames"))

METHODS = (
    Method(
        "crm.item.list",
        list_items,
        _CRM,
        (*_TYPE, Param("select", "array"), Param("order", "array"), Param("filter", "array"), Param("start", "int")),
        exact=True,
    ),
    Method("crm.item.get", get_item, _CRM, (*_TYPE, Param("id", "int", required=True)), exact=True),
    Method("crm.item.fields", describe_item_fields, _CRM, _TYPE, exact=True),
)
