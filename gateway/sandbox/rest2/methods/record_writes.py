"""The old CRM methods that write: crm.lead.add and its siblings, update and delete."""

import re
from functools import partial

from gateway.sandbox.content.catalog import COMPANY, CONTACT, DEAL, LEAD, QUOTE
from gateway.sandbox.content.entities import MULTIFIELDS, Entity, Field
from gateway.sandbox.content.record_writer import STAMPS, RecordWriter
from gateway.sandbox.content.records import STAGES
from gateway.sandbox.content.written_files import classic_files
from gateway.sandbox.content.written_values import NotValid, classic_value, is_choice
from gateway.sandbox.errors import CallError, not_an_array
from gateway.sandbox.php import Value, as_bool, entries_of
from gateway.sandbox.rest2.method import Answer, Call, Method, Param
from gateway.sandbox.rest2.methods.records import check_access, positive_id
from gateway.sandbox.rest2.multifields import changed_values
from gateway.sandbox.tables.table import Row

_WRITTEN = {"lead": LEAD, "deal": DEAL, "contact": CONTACT, "company": COMPANY, "quote": QUOTE}
_REQUIRED = {CONTACT: ("NAME", "LAST_NAME", "SECOND_NAME"), COMPANY: ("TITLE",), QUOTE: ("TITLE",)}  # one of them
_IMPORTED = {CONTACT, COMPANY, QUOTE, LEAD}
_CURRENCY = re.compile(r"[A-Z]{3}")
_NOT_FOUND = CallError("", "Not found")
# By entity: what update, and what delete answers for an unknown id.
_UNKNOWN = {
    CONTACT: (CallError("", "Contact is not found"), CallError("ERROR_CORE", "Element not found")),
    COMPANY: (CallError("", "Company is not found"), CallError("", "Company is not found")),
    QUOTE: (CallError("", "Quote is not found"), CallError("ERROR_CORE", "Element not found")),
}


def add_record(type_id: int, call: Call) -> Answer:
    """Add a record and return its id. Unknown and read-only fields are ignored.

    Source: [docs] api-reference/crm/deals/crm-deal-add.md and its siblings; [srv] crm/classes/general/restservice.php
    """
    check_access(type_id, call)
    is_import = type_id in _IMPORTED and as_bool(entries_of(call.params.get("params", {})).get("IMPORT"))
    values = _values(type_id, call, {}, STAMPS if is_import else ())
    required = _REQUIRED.get(type_id, ())
    if required and not any(values.get(name) for name in required):
        raise CallError("", f'The field "{required[0].capitalize()}" is required.')
    return Answer(_writer(type_id, call).add(values))


def update_record(type_id: int, call: Call) -> Answer:
    """Change the given fields of a record. Unknown, read-only and immutable fields are ignored.

    Source: [docs] api-reference/crm/deals/crm-deal-update.md and its siblings
    """
    row_id = positive_id(call)
    check_access(type_id, call)
    row = call.data.records[type_id].get(row_id)
    if row is None:
        raise _UNKNOWN.get(type_id, (_NOT_FOUND,))[0]
    writer = _writer(type_id, call)
    values = _values(type_id, call, row, ())
    stages = writer.stages(str(row.get("CATEGORY_ID") or "0"))
    values = {name: value for name, value in values.items() if name not in STAGES or value in stages}
    writer.update(row_id, values)
    return Answer(True)


def delete_record(type_id: int, call: Call) -> Answer:
    """Delete a record.

    Source: [docs] api-reference/crm/deals/crm-deal-delete.md and its siblings
    """
    row_id = positive_id(call)
    check_access(type_id, call)
    if row_id not in call.data.records[type_id]:
        raise _UNKNOWN.get(type_id, (_NOT_FOUND, _NOT_FOUND))[1]
    _writer(type_id, call).delete(row_id)
    return Answer(True)


def _writer(type_id: int, call: Call) -> RecordWriter:
    return RecordWriter(call.data, call.data.entities[type_id], call.caller.user_id, call.now)


def _values(type_id: int, call: Call, row: Row, writable: tuple[str, ...]) -> Row:
    """The stored values of the fields that the call writes to *row*, which is empty for a new record.

    *writable* are read-only fields that may be written all the same.
    """
    if "fields" not in call.params:
        raise not_an_array("fields")
    entity = call.data.entities[type_id]
    fields = {field.name: field for field in entity.fields(call.data.userfields)}
    values: Row = {}
    for name, value in entries_of(call.params["fields"]).items():
        field = fields.get(name.upper())
        if field is None or not _is_writable(field, is_new=not row, writable=writable):
            continue
        if field.name in MULTIFIELDS:
            values[field.name] = changed_values(field.name, row.get(field.name), value, call.data.value_ids)
            continue
        try:
            if field.type == "file":
                values[field.name] = classic_files(field, value, row.get(field.name))
                continue
            stored = classic_value(field, value)
        except NotValid:
            continue
        if is_choice(choices_of(entity, field, call), stored):
            values[field.name] = stored
    if type_id == DEAL and values.get("CURRENCY_ID") and not _CURRENCY.fullmatch(values["CURRENCY_ID"]):
        raise CallError("", 'Invalid value for the "Currency" field')
    return values


def _is_writable(field: Field, *, is_new: bool, writable: tuple[str, ...]) -> bool:
    if field.name in writable:
        return True
    return "r" not in field.flags and (is_new or "i" not in field.flags)


def choices_of(entity: Entity, field: Field, call: Call) -> dict[str, Value] | None:
    """The items of an enumeration by id; None for a field that has none."""
    if not field.is_custom:
        return None
    rows = call.data.userfields[entity.userfields].values()
    row = next((row for row in rows if row["FIELD_NAME"] == field.name), {})
    return {str(choice["ID"]): choice["VALUE"] for choice in row["LIST"]} if "LIST" in row else None


_FIELDS = (Param("fields", "array"), Param("params", "array"))

METHODS = tuple(
    method
    for name, type_id in _WRITTEN.items()
    for method in (
        Method(f"crm.{name}.add", partial(add_record, type_id), ("crm",), _FIELDS),
        Method(f"crm.{name}.update", partial(update_record, type_id), ("crm",), (Param("id"), *_FIELDS)),
        Method(f"crm.{name}.delete", partial(delete_record, type_id), ("crm",), (Param("id"),)),
    )
)
