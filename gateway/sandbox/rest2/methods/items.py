"""crm.item.list, get and fields: the same methods for records of every type."""

from functools import lru_cache

from gateway.sandbox.content.entities import MULTIFIELDS, OLD_INVOICE, Entity, Fields
from gateway.sandbox.errors import CallError
from gateway.sandbox.php import entries_of
from gateway.sandbox.query.filters import WITH_NOT_LIKE, Schema, read_filter
from gateway.sandbox.query.listing import find, read_order
from gateway.sandbox.rest2.file_addresses import FileAddresses
from gateway.sandbox.rest2.method import Answer, Call, Method, Param, page_window
from gateway.sandbox.rest2.methods.records import described
from gateway.sandbox.rest2.views import ItemView, item_names
from gateway.sandbox.tables.table import Row

_CRM = ("crm",)


def list_items(call: Call) -> Answer:
    """Return one page of items. Unknown fields are refused in filter and order, and ignored in select.

    Field names may be those of crm.item or those of the old lists.

    Source: [docs] api-reference/crm/universal/{crm-item-list,index}.md; [srv] crm/lib/controller/item.php
    """
    entity = readable_entity(call)
    fields, original = fields_of(call, entity)
    schema = schema_of(fields, original)
    selected = map(str, entries_of(call.params.get("select", {})).values())
    names = frozenset(map(schema.name_of, selected)) or frozenset("*")
    view = _view(names, fields, original)
    page = find(
        call.data.records[entity.type_id],
        read_filter(call.params.get("filter", {}), schema),
        read_order(call.params.get("order", {}), schema),
        schema,
        page_window(call, whole_pages=False),
        view,
    )
    if call.data.record_files:
        FileAddresses(call.request, call.data.links).show_item_files(
            entity.type_id, view.files, dict(zip(page.ids, page.rows, strict=True))
        )
    if "*" in names:
        for row in page.rows:
            row["entityTypeId"] = entity.type_id
    return Answer.of_page(page, {"items": page.rows})


def get_item(call: Call) -> Answer:
    """Return one item with all its fields.

    Source: [docs] api-reference/crm/universal/crm-item-get.md
    """
    entity = readable_entity(call)
    row = call.data.records[entity.type_id].get(call.params["id"])
    if row is None:
        raise CallError("NOT_FOUND", "Element not found")
    return Answer({"item": shown_item(call, entity, row)})


def shown_item(call: Call, entity: Entity, row: Row) -> Row:
    """All fields of a record in the form of crm.item."""
    view = _view(frozenset("*"), *fields_of(call, entity))
    item = view(row)
    FileAddresses(call.request, call.data.links).show_item_files(entity.type_id, view.files, {int(row["ID"]): item})
    return {**item, "entityTypeId": entity.type_id}


def describe_item_fields(call: Call) -> Answer:
    """Return all fields of a type by their names in crm.item.

    Source: [docs] api-reference/crm/universal/crm-item-fields.md
    """
    entity = _entity(call)
    descriptions = described(entity, call.data.userfields)
    named = item_names(*fields_of(call, entity))
    return Answer({"fields": {name: {**descriptions[field], "upperName": field.name} for name, field in named.items()}})


def _entity(call: Call) -> Entity:
    entity: Entity | None = call.data.entities.get(call.params["entityTypeId"])
    types = {row["entityTypeId"] for row in call.data.types.values()}
    if entity is None or entity.type_id == OLD_INVOICE or (entity.is_smart_process and entity.type_id not in types):
        raise CallError("NOT_FOUND", "Smart process not found")
    return entity


def readable_entity(call: Call) -> Entity:
    """The entity of the parameter ``entityTypeId``.

    Raises:
        CallError: there is no such type, or nobody may use its records.
    """
    entity = _entity(call)
    if entity.type_id in call.data.denied:
        raise CallError("ACCESS_DENIED", "Access denied")
    return entity


def fields_of(call: Call, entity: Entity) -> tuple[Fields, bool]:
    """The fields, and whether custom fields keep their original names."""
    return entity.fields(call.data.userfields), str(call.params.get("useOriginalUfNames", "N")).upper() == "Y"


@lru_cache(64)
def schema_of(fields: Fields, original: bool) -> Schema:
    """The columns of crm.item by their names there."""
    named = item_names(fields, original)
    return Schema(
        columns={name: field.kind for name, field in named.items()},
        key="id",
        strict=True,
        operators=WITH_NOT_LIKE,
        logic="logic",
        stored={name: field.name for name, field in named.items()},
    )


@lru_cache(256)
def _view(names: frozenset[str], fields: Fields, original: bool) -> ItemView:
    """The columns that a ``select`` of these *names* returns. Multifields are included only with ``*``.

    Source: [docs] settings/how-to-call-rest-api/list-methods-pecularities.md
    """
    everything = "*" in names
    return ItemView(
        tuple(
            (name, field.name, field.type)
            for name, field in item_names(fields, original).items()
            if field.name not in MULTIFIELDS and (everything or name in names)
        ),
        everything,
    )


TYPE = (Param("entityTypeId", "int", required=True), Param("useOriginalUfNames"))

METHODS = (
    Method(
        "crm.item.list",
        list_items,
        _CRM,
        (*TYPE, Param("select", "array"), Param("order", "array"), Param("filter", "array"), Param("start", "int")),
        exact=True,
    ),
    Method("crm.item.get", get_item, _CRM, (*TYPE, Param("id", "int", required=True)), exact=True),
    Method("crm.item.fields", describe_item_fields, _CRM, TYPE, exact=True),
)
