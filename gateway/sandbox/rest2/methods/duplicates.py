"""crm.duplicate.findbycomm and crm.entity.mergebatch."""

from gateway.sandbox.content.catalog import COMPANY, CONTACT, DEAL, LEAD, QUOTE, SMART_INVOICE
from gateway.sandbox.content.communications import comparable_value, find_records
from gateway.sandbox.content.merge import merged
from gateway.sandbox.content.portal_data import PortalData
from gateway.sandbox.content.record_files import file_ids
from gateway.sandbox.errors import CallError
from gateway.sandbox.php import Value, as_array, entries_of, is_array
from gateway.sandbox.rest2.method import Answer, Call, Method, Param
from gateway.sandbox.rest2.methods.classic import positive
from gateway.sandbox.tables.table import Row

MAX_VALUES = 20
ENOUGH_HITS = 20  # after so many records of one type the portal does not search the next types
_SEARCHED = {"LEAD": LEAD, "CONTACT": CONTACT, "COMPANY": COMPANY}
_KINDS = ("EMAIL", "PHONE")
_MERGED_TYPES = (LEAD, DEAL, CONTACT, COMPANY, QUOTE, SMART_INVOICE)


def find_by_communication(call: Call) -> Answer:
    """Return the ids of leads, contacts and companies with one of the phones or e-mail addresses.

    Source: [docs] api-reference/crm/duplicates/crm-duplicate-find-by-comm.md
    """
    kind, wanted = _read_search(call)
    name = str(call.params.get("entity_type")).upper()
    searched = {name: _SEARCHED[name]} if name in _SEARCHED else _SEARCHED
    if call.data.denied.issuperset(searched.values()):
        raise CallError("Access denied", "Access denied.", 403)
    hits: dict[str, Value] = {}
    for type_name, type_id in searched.items():
        if type_id in call.data.denied:
            continue
        found = find_records(call.data.entities[type_id], call.data.records[type_id], kind, wanted)
        if found:
            hits[type_name] = found
        if len(found) >= ENOUGH_HITS:
            break
    return Answer(as_array(hits))


def _read_search(call: Call) -> tuple[str, set[str]]:
    """The kind of communication and the values to find, in comparable form."""
    kind, values = str(call.params.get("type") or "").upper(), call.params.get("values")
    if not kind:
        raise CallError("Communication type is not defined", "Parameter 'type' is required.")
    if kind not in _KINDS:
        text = f"Communication type '{kind}' is not supported in current context"
        raise CallError(text, "Parameter 'type' is not supported.")
    if not is_array(values) or not values:
        raise CallError("Communication values is not defined", "Parameter 'values' is required.")
    given = list(entries_of(values).values())[:MAX_VALUES]
    return kind, {comparable_value(kind, str(value)) for value in given} - {""}


def merge_records(call: Call) -> Answer:
    """Merge records of one type into the first one and delete the others, unless their values are in conflict.

    Source: [docs] api-reference/crm/duplicates/crm-entity-merge-batch.md
    """
    type_id, ids = _read_merge(call)
    entity, table = call.data.entities[type_id], call.data.records[type_id]
    fields = entity.fields(call.data.userfields)
    changes = merged(fields, [table[row_id] for row_id in ids])
    if changes is None:
        return Answer({"STATUS": "CONFLICT", "ENTITY_IDS": []})
    main_id, *deleted = ids
    files = set().union(*(file_ids(table[row_id], fields) for row_id in ids))
    call.data.write(entity.table, main_id, changes, call.now)
    for row_id in deleted:
        _move_dependents(call.data, (type_id, row_id), (type_id, main_id))
        del table[row_id]
    call.data.record_files.remove(files - file_ids(table[main_id], fields))
    return Answer({"STATUS": "SUCCESS", "ENTITY_IDS": deleted})


def _move_dependents(data: PortalData, old: tuple[int, int], new: tuple[int, int]) -> None:
    """Give the requisites, their addresses and the comments of a record to another one."""
    owner, target = tuple(map(str, old)), str(new[1])
    for number, row in data.requisites.items():
        if (row["ENTITY_TYPE_ID"], row["ENTITY_ID"]) == owner:
            data.requisites[number] = {**row, "ENTITY_ID": target}
    for number, row in data.addresses.items():
        if (row["ANCHOR_TYPE_ID"], row["ANCHOR_ID"]) == owner:
            data.addresses[number] = {**row, "ANCHOR_ID": target}
    for number, row in data.comments.items():
        if old in row["OWNERS"]:
            data.comments[number] = {**row, "OWNERS": [new if other == old else other for other in row["OWNERS"]]}


def _read_merge(call: Call) -> tuple[int, list[int]]:
    """The entityTypeId and the ids of existing records, at least two."""
    if not call.caller.is_administrator:
        raise CallError(0, "Access denied", 403)
    params: Row = entries_of(call.params.get("params", {}))
    type_id = positive(params.get("entityTypeId"))
    if not type_id:
        raise CallError(0, "The parameter entityTypeId is required.")
    entity = call.data.entities.get(type_id)
    if entity is None or not (type_id in _MERGED_TYPES or entity.is_smart_process):
        raise CallError(0, f"Entity type {type_id} is not supported")
    if type_id in call.data.denied:
        raise CallError(0, "Access denied", 403)
    values = params.get("entityIds")
    ids = list(dict.fromkeys(map(positive, entries_of(values).values() if is_array(values) else ())))
    ids = [row_id for row_id in ids if row_id]
    if not ids:
        raise CallError(0, "The parameter entityIds does not contains valid elements.")
    if len(ids) < 2:
        raise CallError(0, "The parameter entityIds must contains at least two elements.")
    if not all(row_id in call.data.records[type_id] for row_id in ids):
        raise CallError(0, "Owner was not found")
    return type_id, ids


METHODS = (
    Method(
        "crm.duplicate.findbycomm",
        find_by_communication,
        ("crm",),
        (Param("type"), Param("values"), Param("entity_type")),
    ),
    Method("crm.entity.mergebatch", merge_records, ("crm",), (Param("params", "array"),)),
)
