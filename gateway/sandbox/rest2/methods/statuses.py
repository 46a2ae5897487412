"""crm.status.*: the values of directories and the stages of pipelines."""

from collections.abc import Iterable

from gateway.sandbox.content.status_entities import StatusEntity, status_entities
from gateway.sandbox.content.statuses import COLOURS, as_stage, new_status
from gateway.sandbox.errors import CallError, access_denied, not_an_array
from gateway.sandbox.php import Value, as_id, as_number, entries_of, is_array
from gateway.sandbox.query.filters import Kind, Schema, read_filter
from gateway.sandbox.query.listing import Window, find, has_row_with, read_order
from gateway.sandbox.rest2.descriptions import describe
from gateway.sandbox.rest2.method import Answer, Call, Method, Param
from gateway.sandbox.tables.table import Row

_CRM = ("crm",)
_DEFAULT_SORT = 10
_STATUSES = Schema(
    columns={
        "ID": Kind.NUMBER,
        "SORT": Kind.NUMBER,
        "CATEGORY_ID": Kind.NUMBER,
        **dict.fromkeys(("ENTITY_ID", "STATUS_ID", "NAME", "NAME_INIT", "SYSTEM", "COLOR", "SEMANTICS"), Kind.TEXT),
    },
    key="ID",
)
_FIELDS = describe(
    """ID integer/r; ENTITY_ID string/*i; STATUS_ID string/*i; SORT integer; NAME string/*; NAME_INIT string/r;
    SYSTEM char/r; CATEGORY_ID integer/i; COLOR string; SEMANTICS char/i; EXTRA crm_status_extra"""
)
_STAGE_COLUMNS = ("STATUS_ID", "STAGE_ID")


def list_statuses(call: Call) -> Answer:
    """Return all statuses that match the filter, without pages, by SORT unless another order is requested.

    Source: [docs] api-reference/crm/status/crm-status-list.md
    """
    conditions, order = call.params.get("filter", {}), call.params.get("order") or {"SORT": "ASC"}
    if not is_array(conditions) or not is_array(order):
        raise CallError("Invalid parameters.", "Incorrect parameters passed.")
    filtered, window = read_filter(conditions, _STATUSES), Window(unpaged=True)
    return Answer.of_page(find(call.data.statuses, filtered, read_order(order, _STATUSES), _STATUSES, window))


def get_status(call: Call) -> Answer:
    """Return one status, without the additional columns of stages.

    Source: [docs] api-reference/crm/status/crm-status-get.md
    """
    return Answer({name: value for name, value in _requested(call).items() if name != "EXTRA"})


def add_status(call: Call) -> Answer:
    """Add a value to a directory or a stage to a pipeline and return its id.

    Source: [docs] api-reference/crm/status/crm-status-add.md
    """
    fields = _fields(call)
    entity_id, code = (str(fields.get(name) or "") for name in ("ENTITY_ID", "STATUS_ID"))
    missing = [name for name, value in (("ENTITY_ID", entity_id), ("STATUS_ID", code)) if not value]
    if missing:
        raise CallError("", "<br>".join(f"The field {name} is required." for name in missing))
    if not str(fields.get("NAME") or "").strip():
        raise CallError("", "The field Title is required.")
    entity = status_entities(call.data.types, call.data.categories).get(entity_id)
    if entity is None:
        raise CallError("", "Specified entity type is not supported.")
    row_id = call.data.statuses.next_id
    row = _new_row(entity, code.removeprefix(entity.prefix), fields, _statuses_of(call, entity_id))
    call.data.statuses[row_id] = {"ID": str(row_id), **row}
    return Answer(row_id)


def _new_row(entity: StatusEntity, code: str, fields: dict[str, Value], others: list[Row]) -> Row:
    if not entity.is_valid(code):
        raise CallError("", "Error on creating status.")
    code = entity.prefix + code
    if any(row["STATUS_ID"] == code for row in others):
        raise CallError("ERROR_CORE", "The specified status ID already exists.")
    sort = int(as_number(fields.get("SORT", _DEFAULT_SORT)))
    row = new_status(entity.entity_id, code, str(fields["NAME"]), sort)
    if entity.type_id is None:
        return row
    group = str(fields.get("SEMANTICS") or "").upper()
    semantics = group if group in ("S", "F") else None
    _check_place(semantics, sort, others)
    row = as_stage(row, semantics, str(fields.get("COLOR") or COLOURS[semantics]))
    return {**row, "CATEGORY_ID": entity.category_id}


def _check_place(semantics: str | None, sort: int, others: Iterable[Row]) -> None:
    """Check the order of stages: in progress, then the one success, then failures.

    Source: [docs] api-reference/crm/status/crm-status-add.md
    """
    success = next((int(row["SORT"]) for row in others if row["SEMANTICS"] == "S"), None)
    if success is None:
        return
    if semantics == "S" or (semantics is None and sort > success):
        raise CallError(
            "",
            "Cannot create more stages after the final stage because the final successful stage already exists. "
            "Try using sort order values less than that of the final stage.",
        )
    if semantics == "F" and sort <= success:
        raise CallError("", "Cannot add semantics with the specified sort order")


def update_status(call: Call) -> Answer:
    """Change the name, the place or the colour of a status. Other fields are ignored.

    Source: [docs] api-reference/crm/status/crm-status-update.md
    """
    fields, row = _fields(call), _requested(call)
    if "NAME" in fields and not str(fields["NAME"] or "").strip():
        raise CallError("", "Error on updating status.")
    changed: Row = {name: str(fields[name]) for name in ("NAME", "COLOR") if name in fields}
    if "SORT" in fields:
        changed["SORT"] = str(int(as_number(fields["SORT"])))
    row = {**row, **changed}
    if "EXTRA" in row:
        row["EXTRA"] = {**row["EXTRA"], "COLOR": row["COLOR"]}
    call.data.statuses[int(row["ID"])] = row
    return Answer(True)


def delete_status(call: Call) -> Answer:
    """Delete a status that no record has. A system one needs ``params[FORCED]``.

    Source: [docs] api-reference/crm/status/crm-status-delete.md
    """
    call.require_administrator(access_denied())
    row, params = _requested(call), call.params.get("params")
    is_forced = is_array(params) and entries_of(params).get("FORCED") == "Y"
    if row["SYSTEM"] == "Y" and not is_forced:
        raise CallError("", 'CRM System Status can be deleted only if parameter FORCED is specified and equal to "Y".')
    if _is_used(call, row):
        raise CallError("", "There are active items in this status.")
    del call.data.statuses[int(row["ID"])]
    return Answer(True)


def _is_used(call: Call, row: Row) -> bool:
    """Whether a record is in this stage. The values of directories may be deleted while they are used."""
    entity = status_entities(call.data.types, call.data.categories).get(row["ENTITY_ID"])
    table = call.data.records.get(entity.type_id) if entity and entity.type_id else None
    if table is None:
        return False
    return any(has_row_with(table, name, row["STATUS_ID"]) for name in _STAGE_COLUMNS if name in table.columns)


def describe_statuses(_call: Call) -> Answer:
    """Return the fields of a status.

    Source: [docs] api-reference/crm/status/crm-status-fields.md
    """
    return Answer(_FIELDS)


def list_entity_types(call: Call) -> Answer:
    """Return all directories and sets of stages.

    Source: [docs] api-reference/crm/status/crm-status-entity-types.md
    """
    entities = status_entities(call.data.types, call.data.categories)
    return Answer([entity.described for entity in entities.values()])


def list_entity_items(call: Call) -> Answer:
    """Return the values of one directory or the stages of one pipeline.

    Source: [docs] api-reference/crm/status/crm-status-entity-items.md
    """
    entity_id = call.params.get("entityId")
    if not entity_id or is_array(entity_id):
        raise CallError("", "The parameter entityId is not defined or invalid.")
    return Answer(status_items(call, str(entity_id)))


def status_items(call: Call, entity_id: str) -> list[Row]:
    """The values of a directory or the stages of a pipeline in their order, with a name, a place and a code."""
    rows = sorted(_statuses_of(call, entity_id), key=lambda row: int(row["SORT"]))
    return [{"NAME": row["NAME"], "SORT": int(row["SORT"]), "STATUS_ID": row["STATUS_ID"]} for row in rows]


def _statuses_of(call: Call, entity_id: str) -> list[Row]:
    return [row for row in call.data.statuses.values() if row["ENTITY_ID"] == entity_id]


def _fields(call: Call) -> dict[str, Value]:
    if "fields" not in call.params:
        raise not_an_array("fields")
    call.require_administrator(access_denied())
    return entries_of(call.params["fields"])


def _requested(call: Call) -> Row:
    """The status with the requested id. The pages print the texts of its errors as codes."""
    row_id = as_id(call.params.get("id"))
    if row_id < 1:
        raise CallError("", "Invalid identifier.")
    if row_id not in call.data.statuses:
        raise CallError("", "Status is not found.")
    return call.data.statuses[row_id]


METHODS = (
    Method("crm.status.list", list_statuses, _CRM, (Param("order"), Param("filter"))),
    Method("crm.status.get", get_status, _CRM, (Param("id"),)),
    Method("crm.status.add", add_status, _CRM, (Param("fields", "array"),)),
    Method("crm.status.update", update_status, _CRM, (Param("id"), Param("fields", "array"))),
    Method("crm.status.delete", delete_status, _CRM, (Param("id"), Param("params"))),
    Method("crm.status.fields", describe_statuses, _CRM),
    Method("crm.status.entity.types", list_entity_types, _CRM),
    Method("crm.status.entity.items", list_entity_items, _CRM, (Param("entityId"),)),
)
