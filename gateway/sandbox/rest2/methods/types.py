"""crm.type.*: the smart processes of the portal. Only the administrator has access."""

from gateway.sandbox.content.catalog import COMPANY, CONTACT, FLAGS
from gateway.sandbox.content.records import iso_time
from gateway.sandbox.content.structure import remove_smart_process, update_smart_process
from gateway.sandbox.errors import CallError, controller_access_denied
from gateway.sandbox.php import Value, as_flag, as_id, entries_of, is_array
from gateway.sandbox.query.filters import WITH_NOT_LIKE, Kind, Schema, read_filter
from gateway.sandbox.query.listing import find, read_order
from gateway.sandbox.rest2.descriptions import describe_camel, upper_name
from gateway.sandbox.rest2.method import Answer, Call, Method, Param, page_window
from gateway.sandbox.tables.table import Row

_CRM = ("crm",)
_TYPES = Schema(
    columns={
        **dict.fromkeys(("id", "entityTypeId", "createdBy", "updatedBy", "customSectionId"), Kind.NUMBER),
        **dict.fromkeys(("title", "code", *FLAGS), Kind.TEXT),
        **dict.fromkeys(("createdTime", "updatedTime"), Kind.DATE),
    },
    key="id",
    strict=True,
    operators=WITH_NOT_LIKE,
    logic="logic",
)
_UNDESCRIBED = ("isPaymentsEnabled", "isCountersEnabled")
_FIELDS = describe_camel(
    "; ".join(
        (
            "ID integer/r; TITLE string/*; CODE string; CREATED_BY user/r; ENTITY_TYPE_ID integer/*i",
            "CUSTOM_SECTION_ID integer/i",
            *(f"{upper_name(flag)} boolean" for flag in FLAGS if flag not in _UNDESCRIBED),
            "CREATED_TIME datetime; UPDATED_TIME datetime; UPDATED_BY user/r",
        )
    )
)
_LINKED_FIELDS = ("CALENDAR_EVENT|UF_CRM_CAL_EVENT", "TASKS_TASK|UF_CRM_TASK", "TASKS_TASK_TEMPLATE|UF_CRM_TASK")


def list_types(call: Call) -> Answer:
    """Return one page of smart process types.

    Source: [docs] api-reference/crm/universal/user-defined-object-types/crm-type-list.md
    """
    call.require_administrator(controller_access_denied())
    conditions = read_filter(call.params.get("filter", {}), _TYPES)
    order = read_order(call.params.get("order", {}), _TYPES)
    page = find(call.data.types, conditions, order, _TYPES, page_window(call, whole_pages=False))
    return Answer.of_page(page, {"types": page.rows})


def get_type(call: Call) -> Answer:
    """Return one type with its relations.

    Source: [docs] api-reference/crm/universal/user-defined-object-types/crm-type-get.md
    """
    return _answer(call, _requested(call))


def get_type_by_entity_type(call: Call) -> Answer:
    """Return the type with an entityTypeId.

    Source: [docs] api-reference/crm/universal/user-defined-object-types/crm-type-get-by-entity-type-id.md
    """
    call.require_administrator(controller_access_denied())
    for row in call.data.types.values():
        if row["entityTypeId"] == call.params["entityTypeId"]:
            return _answer(call, row)
    raise CallError(0, "Smart process not found")


def add_type(call: Call) -> Answer:
    """Add a type with its pipelines and stages, and return it. All switches are off unless they are passed.

    Source: [docs] api-reference/crm/universal/user-defined-object-types/crm-type-add.md
    """
    call.require_administrator(controller_access_denied())
    fields, row_id = entries_of(call.params["fields"]), call.data.types.next_id
    columns = {
        **dict.fromkeys(FLAGS, "N"),
        "isSetOpenPermissions": "Y",
        "createdBy": call.caller.user_id,
        "updatedBy": call.caller.user_id,
        **_changes({"title": "", **fields}),
    }
    if fields.get("entityTypeId"):
        columns["entityTypeId"] = _free_entity_type_id(call, fields["entityTypeId"])
    call.data.write("types", row_id, columns, call.now)
    _save_links(call, row_id, fields)
    return _answer(call, call.data.types[row_id])


def update_type(call: Call) -> Answer:
    """Change the passed fields of a type and return it. Relations are replaced as a whole.

    Source: [docs] api-reference/crm/universal/user-defined-object-types/crm-type-update.md
    """
    row, fields = _requested(call), entries_of(call.params["fields"])
    stamp = {"updatedTime": iso_time(int(call.now)), "updatedBy": call.caller.user_id}
    row = {**row, **_changes(fields), **stamp}
    update_smart_process(call.data, row)
    _save_links(call, row["id"], fields)
    return _answer(call, row)


def delete_type(call: Call) -> Answer:
    """Delete a type that has no items, with all that belongs to it.

    Source: [docs] api-reference/crm/universal/user-defined-object-types/crm-type-delete.md
    """
    call.require_administrator(controller_access_denied())
    if "id" not in call.params:
        return Answer(None)
    row = _requested(call)
    if call.data.records[row["entityTypeId"]]:
        raise CallError("BX_ERROR", "You cannot delete an entity type that has elements")
    remove_smart_process(call.data, row)
    return Answer([])


def describe_types(call: Call) -> Answer:
    """Return the fields of a type.

    Source: [docs] api-reference/crm/universal/user-defined-object-types/crm-type-fields.md
    """
    call.require_administrator(controller_access_denied())
    return Answer({"fields": _FIELDS})


def _changes(fields: dict[str, Value]) -> Row:
    """The changed columns of a type."""
    changed: Row = {flag: as_flag(fields[flag]) for flag in FLAGS if flag in fields}
    if "title" in fields:
        changed["title"] = str(fields["title"] or "")
        if not changed["title"].strip():
            raise CallError(0, "Field 'TITLE' is required")
    if "code" in fields:
        changed["code"] = str(fields["code"] or "")
    return changed


def _free_entity_type_id(call: Call, value: Value) -> int:
    number = as_id(value)
    used = {row["entityTypeId"] for row in call.data.types.values()}
    is_allowed = 128 <= number <= 192 or (number >= 1030 and number % 2 == 0)
    if not is_allowed or number in used:
        raise CallError("INVALID_ARG_VALUE", "entityTypeId is out of allowed range")
    return number


def _save_links(call: Call, row_id: int, fields: dict[str, Value]) -> None:
    """Store the passed relations and user fields. Invalid relations are ignored."""
    links = call.data.type_links.setdefault(row_id, {"parent": [], "child": [], "linkedUserFields": {}})
    relations = fields.get("relations")
    if is_array(relations):
        given = entries_of(relations)
        links |= {side: _relations(given.get(side)) for side in ("parent", "child")}
    if is_array(fields.get("linkedUserFields")) and call.data.types[row_id]["isUseInUserfieldEnabled"] == "Y":
        links["linkedUserFields"] = entries_of(fields["linkedUserFields"])


def _relations(given: Value) -> list[Row]:
    entries = [entries_of(entry) for entry in entries_of(given).values() if is_array(entry)] if is_array(given) else []
    return [
        _relation(as_id(entry["entityTypeId"]), _from_boolean(entry.get("isChildrenListEnabled")))
        for entry in entries
        if as_id(entry.get("entityTypeId")) > 0
    ]


def _relation(type_id: int, is_list_enabled: str, is_predefined: str = "N") -> Row:
    return {"entityTypeId": type_id, "isChildrenListEnabled": is_list_enabled, "isPredefined": is_predefined}


def _from_boolean(value: Value) -> str:
    """``Y`` or ``N`` for a value that must be sent as ``true`` or ``false``; ``Y`` does not work."""
    return "Y" if value in (True, "true") else "N"


def _answer(call: Call, row: Row) -> Answer:
    """A type with its relations. Those of its clients exist if their switch is on."""
    links = call.data.type_links.get(row["id"], {})
    clients = (CONTACT, COMPANY) if row["isClientEnabled"] == "Y" else ()
    parents = [relation for relation in links.get("parent", []) if relation["entityTypeId"] not in clients]
    linked = links.get("linkedUserFields", {})
    details = {
        "relations": {
            "parent": [*(_relation(client, "Y", "Y") for client in clients), *parents],
            "child": links.get("child", []),
        },
        "linkedUserFields": {name: _from_boolean(linked.get(name)) for name in _LINKED_FIELDS},
        "customSections": [],
    }
    return Answer({"type": {**row, **details}})


def _requested(call: Call) -> Row:
    call.require_administrator(controller_access_denied())
    row = call.data.types.get(call.params["id"])
    if row is None:
        raise CallError(0, "SPA not found")
    return row


_ID, _NEW_FIELDS = Param("id", "int", required=True), Param("fields", "array", required=True)
_LIST_PARAMS = (Param("order", "array"), Param("filter", "array"), Param("start", "int"))
_ENTITY_TYPE = Param("entityTypeId", "int", required=True)

METHODS = (
    Method("crm.type.list", list_types, _CRM, _LIST_PARAMS, exact=True),
    Method("crm.type.get", get_type, _CRM, (_ID,), exact=True),
    Method("crm.type.getbyentitytypeid", get_type_by_entity_type, _CRM, (_ENTITY_TYPE,), exact=True),
    Method("crm.type.add", add_type, _CRM, (_NEW_FIELDS,), exact=True),
    Method("crm.type.update", update_type, _CRM, (_ID, _NEW_FIELDS), exact=True),
    Method("crm.type.delete", delete_type, _CRM, (Param("id", "int"),), exact=True),
    Method("crm.type.fields", describe_types, _CRM, exact=True),
)
