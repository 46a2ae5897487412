"""crm.category.*: the pipelines of every type that has any."""

from gateway.sandbox.content.catalog import COMPANY, CONTACT, DEAL, FIXED_TYPES, LEAD, QUOTE, new_category
from gateway.sandbox.content.structure import add_pipeline, next_category_id, remove_pipeline, save_pipeline
from gateway.sandbox.errors import CallError, controller_access_denied
from gateway.sandbox.php import Value, as_flag, as_number, entries_of
from gateway.sandbox.query.filters import Kind, Schema, read_filter
from gateway.sandbox.query.listing import Window, find, has_row_with
from gateway.sandbox.rest2.descriptions import describe_camel
from gateway.sandbox.rest2.method import Answer, Call, Method, Param
from gateway.sandbox.tables.table import Row, Table

_CRM = ("crm",)
_CATEGORIES = Schema(columns={"id": Kind.NUMBER, "sort": Kind.NUMBER}, key="id")
_WITHOUT_CATEGORIES = {LEAD: "LEAD", QUOTE: "QUOTE"}
_DEFAULT_SORT = 500
_MAX_NAME = 255

_COMMON_FIELDS = "ID integer/r; NAME string; SORT integer; ENTITY_TYPE_ID integer/*r; IS_DEFAULT boolean"
_DEAL_FIELDS = describe_camel(f"{_COMMON_FIELDS}/r; ORIGIN_ID string; ORIGINATOR_ID string")
_OTHER_FIELDS = describe_camel(f"{_COMMON_FIELDS}; CODE string; IS_SYSTEM boolean/r")


def list_categories(call: Call) -> Answer:
    """Return all pipelines of one entity type, by sort.

    Source: [docs] api-reference/crm/universal/category/crm-category-list.md; [srv] crm/lib/controller/category.php
    """
    page = find(_table(call), read_filter({}, _CATEGORIES), [("sort", False)], _CATEGORIES, Window(unpaged=True))
    return Answer.of_page(page, {"categories": page.rows})


def get_category(call: Call) -> Answer:
    """Return one pipeline.

    Source: [docs] api-reference/crm/universal/category/crm-category-get.md
    """
    return Answer({"category": _requested(call)})


def add_category(call: Call) -> Answer:
    """Add a pipeline with the default stages and return it.

    Source: [docs] api-reference/crm/universal/category/crm-category-add.md
    """
    _table(call)
    call.require_administrator(controller_access_denied())
    type_id, fields = call.params["entityTypeId"], entries_of(call.params["fields"])
    category = new_category(type_id, next_category_id(call.data, type_id), "", _DEFAULT_SORT)
    category = changed_category(category, {"name": "", **fields})
    add_pipeline(call.data, category)
    return Answer({"category": category})


def update_category(call: Call) -> Answer:
    """Change a pipeline and return it.

    Source: [docs] api-reference/crm/universal/category/crm-category-update.md
    """
    category = _requested(call)
    call.require_administrator(controller_access_denied())
    category = changed_category(category, entries_of(call.params["fields"]))
    save_pipeline(call.data, category)
    return Answer({"category": category})


def delete_category(call: Call) -> Answer:
    """Delete a pipeline without records, and its stages.

    Source: [docs] api-reference/crm/universal/category/crm-category-delete.md
    """
    category = _requested(call)
    call.require_administrator(controller_access_denied())
    delete_pipeline(call, category)
    return Answer(None)


def delete_pipeline(call: Call, category: Row) -> None:
    """Delete a pipeline without records, and its stages.

    Raises:
        CallError: it is the default one or a system one, or it has records.
    """
    type_id, category_id = category["entityTypeId"], category["id"]
    if category.get("isSystem") == "Y":
        raise CallError("REMOVING_DISABLED", "Deletion of system category is prohibited")
    if category["isDefault"] == "Y":
        if type_id == DEAL:
            raise CallError(0, "Default deal category cannot be deleted")
        raise CallError("BX_ERROR", "This funnel is the default funnel")
    if type_id in call.data.records and has_row_with(call.data.records[type_id], "CATEGORY_ID", category_id):
        if type_id == DEAL:
            raise CallError(0, f"Deals related to the funnel {category['name']} found")
        raise CallError("BX_ERROR", "Elements related to the funnel found")
    remove_pipeline(call.data, type_id, category_id)


def describe_categories(call: Call) -> Answer:
    """Return the fields of the pipelines of a type. Those of deals have an origin, others a code.

    Source: [docs] api-reference/crm/universal/category/crm-category-fields.md
    """
    _table(call)
    return Answer({"fields": _DEAL_FIELDS if call.params["entityTypeId"] == DEAL else _OTHER_FIELDS})


def changed_category(category: Row, fields: dict[str, Value]) -> Row:
    """A pipeline with the writable ones of *fields*.

    Raises:
        CallError: the name is invalid, or the default pipeline of the type cannot change so.
    Source: [docs] api-reference/crm/universal/category/crm-category-add.md
    """
    changed = dict(category)
    if "name" in fields:
        changed["name"] = _valid_name(fields["name"])
    if "sort" in fields:
        changed["sort"] = max(0, int(as_number(fields["sort"])))
    if "isDefault" in fields and category["entityTypeId"] != DEAL:
        changed["isDefault"] = _valid_default(category, as_flag(fields["isDefault"]))
    for name in {"originId", "originatorId", "code"} & fields.keys() & category.keys():
        changed[name] = str(fields[name] or "")
    return changed


def _valid_name(value: Value) -> str:
    name = str(value or "")
    if not name.strip():
        raise CallError(0, "Field 'NAME' is required")
    if len(name) > _MAX_NAME:
        raise CallError(0, f"The field 'NAME' is longer than {_MAX_NAME} characters")
    return name


def _valid_default(category: Row, flag: str) -> str:
    if flag != category["isDefault"]:
        if category["entityTypeId"] in (CONTACT, COMPANY):
            raise CallError(0, "Default client category does not support updating default state")
        if flag == "N":
            raise CallError("BX_ERROR", "This funnel is the default funnel")
    return flag


def _table(call: Call) -> Table:
    """The pipelines of the requested type."""
    type_id = call.params["entityTypeId"]
    if type_id in _WITHOUT_CATEGORIES:
        raise CallError("ENTITY_TYPE_NOT_SUPPORTED", f"Entity type {_WITHOUT_CATEGORIES[type_id]} is not supported")
    is_smart_process = any(row["entityTypeId"] == type_id for row in call.data.types.values())
    if type_id not in FIXED_TYPES and not is_smart_process:
        raise CallError("NOT_FOUND", "Smart process not found")
    return call.data.categories.get(type_id, Table())


def _requested(call: Call) -> Row:
    row = _table(call).get(call.params["id"])
    if row is None:
        raise CallError("NOT_FOUND", "Element not found")
    return row


_TYPE, _ID = Param("entityTypeId", "int", required=True), Param("id", "int", required=True)
_NEW_FIELDS = Param("fields", "array", required=True)

METHODS = (
    Method("crm.category.list", list_categories, _CRM, (_TYPE,), exact=True),
    Method("crm.category.get", get_category, _CRM, (_TYPE, _ID), exact=True),
    Method("crm.category.add", add_category, _CRM, (_TYPE, _NEW_FIELDS), exact=True),
    Method("crm.category.update", update_category, _CRM, (_TYPE, _ID, _NEW_FIELDS), exact=True),
    Method("crm.category.delete", delete_category, _CRM, (_TYPE, _ID), exact=True),
    Method("crm.category.fields", describe_categories, _CRM, (_TYPE,), exact=True),
)
