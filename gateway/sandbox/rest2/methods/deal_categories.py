"""crm.dealcategory.*: the pipelines of deals by the old methods, which leave out the default one."""

from gateway.sandbox.content.catalog import DEAL, new_category
from gateway.sandbox.content.statuses import stage_entity
from gateway.sandbox.content.structure import add_pipeline, next_category_id, save_pipeline
from gateway.sandbox.errors import CallError, access_denied, not_an_array
from gateway.sandbox.php import Value, as_id, entries_of
from gateway.sandbox.query.filters import Kind, Schema, read_filter
from gateway.sandbox.query.listing import find, read_order, select_columns
from gateway.sandbox.rest2.descriptions import describe
from gateway.sandbox.rest2.method import Answer, Call, Method, Param, page_window
from gateway.sandbox.rest2.methods.categories import changed_category, delete_pipeline
from gateway.sandbox.rest2.methods.statuses import status_items
from gateway.sandbox.tables.table import Row, Table

_CRM = ("crm",)
_DEFAULT_ID = 0
_DEFAULT_SORT = 500
_CREATED = "2024-07-08T17:24:55+03:00"  # the portal does not store the time of each pipeline
_SCHEMA = Schema(
    columns={
        **dict.fromkeys(("ID", "SORT"), Kind.NUMBER),
        **dict.fromkeys(("NAME", "IS_LOCKED"), Kind.TEXT),
        "CREATED_DATE": Kind.DATE,
    },
    key="ID",
)
_FIELDS = describe("ID integer/r; CREATED_DATE datetime/r; NAME string/*; IS_LOCKED char/r; SORT integer")


def list_deal_categories(call: Call) -> Answer:
    """Return one page of the pipelines of deals, without the default one.

    Source: [docs] api-reference/crm/outdated/category-old/crm-deal-category-list.md
    """
    rows = {number: _classic(row) for number, row in call.data.categories[DEAL].items() if number != _DEFAULT_ID}
    conditions, order = read_filter(call.params.get("filter", {}), _SCHEMA), call.params.get("order") or {"SORT": "ASC"}
    page = find(Table(rows), conditions, read_order(order, _SCHEMA), _SCHEMA, page_window(call, whole_pages=True))
    names = [str(name) for name in entries_of(call.params.get("select") or ["*"]).values()]
    return Answer.of_page(page, [select_columns(row, names) for row in page.rows])


def get_deal_category(call: Call) -> Answer:
    """Return one pipeline of deals.

    Source: [docs] api-reference/crm/outdated/category-old/crm-deal-category-get.md
    """
    return Answer(_classic(_requested(call)))


def add_deal_category(call: Call) -> Answer:
    """Add a pipeline of deals with the default stages and return its id.

    Source: [docs] api-reference/crm/outdated/category-old/crm-deal-category-add.md
    """
    fields, row_id = _fields(call), next_category_id(call.data, DEAL)
    category = changed_category(new_category(DEAL, row_id, "", _DEFAULT_SORT), {"name": "", **fields})
    add_pipeline(call.data, category)
    return Answer(row_id)


def update_deal_category(call: Call) -> Answer:
    """Change a pipeline of deals.

    Source: [docs] api-reference/crm/outdated/category-old/crm-deal-category-update.md
    """
    save_pipeline(call.data, changed_category(_requested(call), _fields(call)))
    return Answer(True)


def delete_deal_category(call: Call) -> Answer:
    """Delete a pipeline without deals, and its stages.

    Source: [docs] api-reference/crm/outdated/category-old/crm-deal-category-delete.md
    """
    call.require_administrator(access_denied())
    delete_pipeline(call, _requested(call))
    return Answer(True)


def describe_deal_categories(_call: Call) -> Answer:
    """Return the fields of a pipeline of deals.

    Source: [docs] api-reference/crm/outdated/category-old/crm-deal-category-fields.md
    """
    return Answer(_FIELDS)


def get_default(call: Call) -> Answer:
    """Return the id and the name of the default pipeline of deals.

    Source: [docs] api-reference/crm/outdated/category-old/crm-deal-category-default-get.md
    """
    return Answer({"ID": _DEFAULT_ID, "NAME": call.data.categories[DEAL][_DEFAULT_ID]["name"]})


def set_default(call: Call) -> Answer:
    """Change the name of the default pipeline of deals.

    Source: [docs] api-reference/crm/outdated/category-old/crm-deal-category-default-set.md
    """
    fields = _fields(call)
    name = {"name": fields.get("name", "")}
    save_pipeline(call.data, changed_category(call.data.categories[DEAL][_DEFAULT_ID], name))
    return Answer(True)


def get_status_entity(call: Call) -> Answer:
    """Return the ENTITY_ID of the stages of a pipeline of deals.

    Source: [docs] api-reference/crm/outdated/category-old/crm-deal-category-status.md
    """
    return Answer(stage_entity(DEAL, max(0, as_id(call.params.get("id"))))[0])


def list_deal_stages(call: Call) -> Answer:
    """Return the stages of a pipeline of deals, by default of the default one; nothing if it does not exist.

    Source: [docs] api-reference/crm/outdated/category-old/crm-deal-category-stage-list.md
    """
    entity_id, _ = stage_entity(DEAL, max(0, as_id(call.params.get("id"))))
    return Answer(status_items(call, entity_id))


def _classic(category: Row) -> Row:
    return {
        "ID": str(category["id"]),
        "CREATED_DATE": _CREATED,
        "NAME": category["name"],
        "IS_LOCKED": "N",
        "SORT": str(category["sort"]),
    }


def _requested(call: Call) -> Row:
    row_id = as_id(call.params.get("id"))
    if row_id < 1:
        raise CallError("", "ID is not defined or invalid.")
    row = call.data.categories[DEAL].get(row_id)
    if row is None:
        raise CallError("", "Not found")
    return row


def _fields(call: Call) -> dict[str, Value]:
    """The writable fields, by the names of crm.category."""
    if "fields" not in call.params:
        raise not_an_array("fields")
    call.require_administrator(access_denied())
    fields = entries_of(call.params["fields"])
    return {name.lower(): fields[name] for name in ("NAME", "SORT") if name in fields}


_ID, _NEW_FIELDS = Param("id"), Param("fields", "array")
_LIST_PARAMS = (Param("order", "array"), Param("filter", "array"), Param("select", "array"), Param("start"))

METHODS = (
    Method("crm.dealcategory.list", list_deal_categories, _CRM, _LIST_PARAMS),
    Method("crm.dealcategory.get", get_deal_category, _CRM, (_ID,)),
    Method("crm.dealcategory.add", add_deal_category, _CRM, (_NEW_FIELDS,)),
    Method("crm.dealcategory.update", update_deal_category, _CRM, (_ID, _NEW_FIELDS)),
    Method("crm.dealcategory.delete", delete_deal_category, _CRM, (_ID,)),
    Method("crm.dealcategory.fields", describe_deal_categories, _CRM),
    Method("crm.dealcategory.default.get", get_default, _CRM),
    Method("crm.dealcategory.default.set", set_default, _CRM, (_NEW_FIELDS,)),
    Method("crm.dealcategory.status", get_status_entity, _CRM, (_ID,)),
    Method("crm.dealcategory.stage.list", list_deal_stages, _CRM, (_ID,)),
)
