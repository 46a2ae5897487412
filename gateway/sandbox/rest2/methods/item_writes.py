"""crm.item.add, update, delete, import and batchImport: the same methods for records of every type."""

from typing import Any

from gateway.sandbox.content.catalog import COMPANY, CONTACT
from gateway.sandbox.content.entities import MULTIFIELDS, Entity
from gateway.sandbox.content.record_writer import STAMPS, RecordWriter
from gateway.sandbox.content.records import STAGES
from gateway.sandbox.content.written_files import NotSaved, item_files
from gateway.sandbox.content.written_values import NotValid, is_choice, item_value_to_store
from gateway.sandbox.errors import CallError
from gateway.sandbox.php import Value, as_array, entries_of, is_array
from gateway.sandbox.rest2.method import Answer, Call, Method, Param
from gateway.sandbox.rest2.methods.items import TYPE, fields_of, readable_entity, schema_of, shown_item
from gateway.sandbox.rest2.methods.record_writes import choices_of
from gateway.sandbox.rest2.multifields import changed_by_fm, changed_values
from gateway.sandbox.tables.table import Row

MAX_IMPORTED = 20
_REQUIRED = {CONTACT: (("NAME", "LAST_NAME", "SECOND_NAME"), "Name"), COMPANY: (("TITLE",), "Company Name")}


def add_item(call: Call) -> Answer:
    """Add an item and return it. Unknown and read-only fields are ignored.

    Source: [docs] api-reference/crm/universal/crm-item-add.md; [srv] crm/lib/controller/item.php
    """
    entity = readable_entity(call)
    row_id = _add(call, entity, call.params["fields"])
    return Answer({"item": shown_item(call, entity, call.data.records[entity.type_id][row_id])})


def update_item(call: Call) -> Answer:
    """Change the given fields of an item and return it. ``categoryId`` moves it to another pipeline.

    Source: [docs] api-reference/crm/universal/crm-item-update.md; [srv] crm/lib/controller/item.php
    """
    entity, row = _existing(call)
    writer = _writer(call, entity)
    values = _values(call, entity, call.params["fields"], row)
    category = str(values.get("CATEGORY_ID", row.get("CATEGORY_ID")) or writer.default_category)
    if "CATEGORY_ID" in values and category not in writer.categories:
        raise _not_valid("CATEGORY_ID")
    _check_stage(writer, values, category)
    if "CATEGORY_ID" in values:
        values = {**dict.fromkeys(_stage_names(row), writer.first_stage(category)), **values, "CATEGORY_ID": category}
    if values.keys() & _required_of(entity) and not any({**row, **values}.get(name) for name in _required_of(entity)):
        raise _missing(entity)
    writer.update(call.params["id"], values)
    return Answer({"item": shown_item(call, entity, call.data.records[entity.type_id][call.params["id"]])})


def delete_item(call: Call) -> Answer:
    """Delete an item.

    Source: [docs] api-reference/crm/universal/crm-item-delete.md
    """
    entity, _ = _existing(call)
    _writer(call, entity).delete(call.params["id"])
    return Answer([])


def import_item(call: Call) -> Answer:
    """Add an item as it was elsewhere: with multifields by their names, and for administrators with its times.

    Source: [docs] api-reference/crm/universal/import/crm-item-import.md
    """
    entity = readable_entity(call)
    return Answer({"item": {"id": _add(call, entity, call.params["fields"], imported=True)}})


def import_items(call: Call) -> Answer:
    """Import up to 20 items. One that is refused does not stop the others.

    Source: [docs] api-reference/crm/universal/import/crm-item-batch-import.md
    """
    entity = readable_entity(call)
    data = entries_of(call.params["data"])
    if len(data) > MAX_IMPORTED:
        raise CallError("MAX_IMPORT_BATCH_SIZE_EXCEEDED", f"The maximum batch size is {MAX_IMPORTED}")
    rows: dict[str, Value] = {}
    for key, fields in data.items():
        try:
            rows[key] = {"item": {"id": _add(call, entity, fields if is_array(fields) else {}, imported=True)}}
        except CallError as error:
            rows[key] = error.body()
    return Answer({"items": as_array(rows)})


def _add(call: Call, entity: Entity, fields: Value, *, imported: bool = False) -> int:
    writer = _writer(call, entity)
    values = _values(call, entity, fields, {}, imported=imported)
    category = str(values.get("CATEGORY_ID") or writer.default_category)
    if "CATEGORY_ID" in values and values["CATEGORY_ID"] and category not in writer.categories:
        raise _not_valid("CATEGORY_ID")
    _check_stage(writer, values, category)
    if _required_of(entity) and not any(values.get(name) for name in _required_of(entity)):
        raise _missing(entity)
    return writer.add({name: value for name, value in values.items() if name not in STAGES or value})


def _existing(call: Call) -> tuple[Entity, Row]:
    entity = readable_entity(call)
    row = call.data.records[entity.type_id].get(call.params["id"])
    if row is None:
        raise CallError("NOT_FOUND", "Item not found")
    return entity, row


def _writer(call: Call, entity: Entity) -> RecordWriter:
    return RecordWriter(call.data, entity, call.caller.user_id, call.now)


def _values(call: Call, entity: Entity, sent: Value, row: Row, *, imported: bool = False) -> Row:
    """The stored values of the fields that the call writes to *row*, which is empty for a new item."""
    schema = schema_of(*fields_of(call, entity))
    fields = {field.name: field for field in entity.fields(call.data.userfields)}
    values: Row = {}
    for name, value in entries_of(sent).items():
        if name == "fm":
            values |= changed_by_fm(row, value, call.data.value_ids)
            continue
        field = fields.get(schema.stored.get(schema.name_of(name), ""))
        if field is None:
            continue
        if field.name in MULTIFIELDS:
            if imported:
                values[field.name] = changed_values(field.name, None, value, call.data.value_ids)
            continue
        if imported and field.name in STAMPS and not call.caller.is_administrator:
            raise _not_valid(field.name)
        if "r" in field.flags and not (imported and field.name in STAMPS):
            continue
        try:
            if field.type == "file":
                values[field.name] = item_files(field, value, row.get(field.name))
                continue
            stored = item_value_to_store(field, value)
        except NotValid:
            continue
        except TypeError:
            raise _not_iterable(value) from None
        except NotSaved:
            raise _not_valid(field.name) from None
        if not is_choice(choices_of(entity, field, call), stored):
            raise _not_valid(field.name)
        values[field.name] = stored
    return values


def _check_stage(writer: RecordWriter, values: Row, category: str) -> None:
    for name in STAGES:
        if values.get(name) and values[name] not in writer.stages(category):
            raise _not_valid(name)


def _stage_names(row: Row) -> list[str]:
    return [name for name in STAGES if name in row]


def _required_of(entity: Entity) -> tuple[str, ...]:
    return _REQUIRED.get(entity.type_id, ((), ""))[0]


def _missing(entity: Entity) -> CallError:
    return CallError("CRM_FIELD_ERROR_REQUIRED", f'The "{_REQUIRED[entity.type_id][1]}" field is required')


def _not_valid(name: str) -> CallError:
    return CallError("CRM_FIELD_ERROR_VALUE_NOT_VALID", f'Invalid value of the field "{name}"')


def _not_iterable(value: Any) -> CallError:
    kind = {bool: "boolean", int: "integer", float: "double"}.get(type(value), "string")
    return CallError("100", f"Expected iterable value for multiple field, but got `{kind}` instead")


_FIELDS = Param("fields", "array", required=True)

METHODS = (
    Method("crm.item.add", add_item, ("crm",), (*TYPE, _FIELDS), exact=True),
    Method("crm.item.update", update_item, ("crm",), (*TYPE, Param("id", "int", required=True), _FIELDS), exact=True),
    Method("crm.item.delete", delete_item, ("crm",), (*TYPE, Param("id", "int", required=True)), exact=True),
    Method("crm.item.import", import_item, ("crm",), (*TYPE, _FIELDS), exact=True),
    Method("crm.item.batchimport", import_items, ("crm",), (*TYPE, Param("data", "array", required=True)), exact=True),
)
