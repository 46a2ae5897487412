"""crm.status.list, crm.category.list and crm.type.list."""

from gateway.sandbox.content.catalog import FIXED_TYPES, FLAGS, LEAD, QUOTE
from gateway.sandbox.errors import CallError
from gateway.sandbox.php import is_array
from gateway.sandbox.query.filters import WITH_NOT_LIKE, Kind, Schema, read_filter
from gateway.sandbox.query.listing import Window, find, read_order
from gateway.sandbox.rest2.method import Answer, Call, Method, Param, page_window
from gateway.sandbox.tables.table import Table

_CRM = ("crm",)

_STATUSES = Schema(
    columns={
        "ID": Kind.NUMBER,
        "SORT": Kind.NUMBER,
        "CATEGORY_ID": Kind.NUMBER,
        **dict.fromkeys(("ENTITY_ID", "STATUS_ID", "NAME", "NAME_INIT", "SYSTEM", "COLOR", "SEMANTICS"), Kind.TEXT),
    },
    key="ID",
)
_CATEGORIES = Schema(columns={"id": Kind.NUMBER, "sort": Kind.NUMBER}, key="id")
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
_ALL = Window(unpaged=True)


def list_statuses(call: Call) -> Answer:
    """Return all statuses that match the filter, without pages, by SORT unless another order is requested.

    Source: [docs] api-reference/crm/status/crm-status-list.md
    """
    conditions, order = call.params.get("filter", {}), call.params.get("order") or {"SORT": "ASC"}
    if not is_array(conditions) or not is_array(order):
        raise CallError("Invalid parameters.", "Incorrect parameters passed.")
    page = find(call.data.statuses, read_filter(conditions, _STATUSES), read_order(order, _STATUSES), _STATUSES, _ALL)
    return Answer.of_page(page)


def list_categories(call: Call) -> Answer:
    """Return all pipelines of one entity type, by sort.

    Source: [docs] api-reference/crm/universal/category/crm-category-list.md; [srv] crm/lib/controller/category.php
    """
    entity_type_id = call.params["entityTypeId"]
    if entity_type_id in (LEAD, QUOTE):
        raise CallError("ENTITY_TYPE_NOT_SUPPORTED", f"Entity type {entity_type_id} does not support categories")
    is_smart_process = any(row["entityTypeId"] == entity_type_id for row in call.data.types.values())
    if entity_type_id not in FIXED_TYPES and not is_smart_process:
        raise CallError("NOT_FOUND", "Smart process not found")
    table = call.data.categories.get(entity_type_id, Table())
    page = find(table, read_filter({}, _CATEGORIES), [("sort", False)], _CATEGORIES, _ALL)
    return Answer.of_page(page, {"categories": page.rows})


def list_types(call: Call) -> Answer:
    """Return one page of smart process types. Only the administrator has access.

    Source: [docs] api-reference/crm/universal/user-defined-object-types/crm-type-list.md
    """
    if not call.caller.is_administrator:
        raise CallError("ACCESS_DENIED", "Access denied")
    window = page_window(call, whole_pages=False)
    conditions, order = (
        read_filter(call.params.get("filter", {}), _TYPES),
        read_order(call.params.get("order", {}), _TYPES),
    )
    page = find(call.data.types, conditions, order, _TYPES, window)
    return Answer.of_page(page, {"types": page.rows})


METHODS = (
    Method("crm.status.list", list_statuses, _CRM, (Param("order"), Param("filter"))),
    Method("crm.category.list", list_categories, _CRM, (Param("entityTypeId", "int", required=True),), exact=True),
    Method(
        "crm.type.list",
        list_types,
        _CRM,
        (Param("order", "array"), Param("filter", "array"), Param("start", "int")),
        exact=True,
    ),
)
