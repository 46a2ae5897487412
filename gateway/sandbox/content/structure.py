"""Changes of a portal's structure: pipelines, smart processes and custom fields, with all that belongs to them."""

from gateway.sandbox.content.catalog import DEAL
from gateway.sandbox.content.entities import make_smart_process
from gateway.sandbox.content.portal_data import PortalData
from gateway.sandbox.content.records import blank_custom_value, blank_value
from gateway.sandbox.content.statuses import stage_entity
from gateway.sandbox.tables.table import Row


def next_category_id(data: PortalData, type_id: int) -> int:
    """The id of a new pipeline. Deals have their own numbers."""
    return data.categories[DEAL].next_id if type_id == DEAL else data.categories.next_id


def add_pipeline(data: PortalData, category: Row) -> None:
    """Add a pipeline with its stages. A new default one replaces the old one."""
    save_pipeline(data, category)
    data.add_stages(category["entityTypeId"], category["id"])


def save_pipeline(data: PortalData, category: Row) -> None:
    """Store a pipeline. If it is the default one, no other pipeline of its type is."""
    table = data.categories[category["entityTypeId"]]
    if category["isDefault"] == "Y":
        for category_id, other in table.items():
            table[category_id] = {**other, "isDefault": "N"}
    table[category["id"]] = category


def remove_pipeline(data: PortalData, type_id: int, category_id: int) -> None:
    """Remove a pipeline and its stages."""
    entity_id, _ = stage_entity(type_id, category_id)
    for status_id in [number for number, row in data.statuses.items() if row["ENTITY_ID"] == entity_id]:
        del data.statuses[status_id]
    del data.categories[type_id][category_id]


def update_smart_process(data: PortalData, type_row: Row) -> None:
    """Store a changed type. The fields of its items follow the switches; a new field is empty in every item."""
    type_id = type_row["entityTypeId"]
    data.types[type_row["id"]] = type_row
    known = {field.name for field in data.entities[type_id].own_fields}
    data.entities[type_id] = make_smart_process(type_row, data.categories[type_id])
    for field in data.entities[type_id].own_fields:
        if field.name not in known:
            data.records[type_id].set_column(field.name, blank_value(field))


def remove_smart_process(data: PortalData, type_row: Row) -> None:
    """Remove a type with its pipelines, stages, custom fields and table of items."""
    type_id = type_row["entityTypeId"]
    for category_id in list(data.categories[type_id]):
        remove_pipeline(data, type_id, category_id)
    del data.categories[type_id], data.userfields[data.entities[type_id].userfields], data.records[type_id]
    del data.entities[type_id], data.types[type_row["id"]]
    data.type_links.pop(type_row["id"], None)
    data.denied.discard(type_id)


def add_userfield(data: PortalData, userfield: Row) -> None:
    """Add a custom field, empty in every record."""
    data.userfields[userfield["ENTITY_ID"]][int(userfield["ID"])] = userfield
    for entity in data.entities.values():
        if entity.userfields == userfield["ENTITY_ID"]:
            data.records[entity.type_id].set_column(userfield["FIELD_NAME"], blank_custom_value(userfield))


def remove_userfield(data: PortalData, userfield: Row) -> None:
    """Remove a custom field and its values."""
    del data.userfields[userfield["ENTITY_ID"]][int(userfield["ID"])]
    for entity in data.entities.values():
        if entity.userfields == userfield["ENTITY_ID"]:
            data.records[entity.type_id].drop_column(userfield["FIELD_NAME"])
