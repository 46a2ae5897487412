"""crm.item.productrow.*: the products of records of all types that may have any."""

from collections.abc import Iterable, Mapping
from typing import NoReturn

from gateway.sandbox.content.product_rows import (
    ABSOLUTE,
    FIELDS,
    PERCENT,
    changed_row,
    new_row,
    owner_type,
    read_values,
    rows_of,
    totals,
)
from gateway.sandbox.content.record_writer import RecordWriter
from gateway.sandbox.errors import CallError, controller_access_denied
from gateway.sandbox.php import Value, as_number, entries_of, is_array
from gateway.sandbox.query.filters import Kind, Schema, read_filter
from gateway.sandbox.query.listing import find, read_order
from gateway.sandbox.rest2.descriptions import describe, upper_name
from gateway.sandbox.rest2.method import Answer, Call, Method, Param, page_window
from gateway.sandbox.rest2.methods.classic import positive
from gateway.sandbox.rest2.views import item_name
from gateway.sandbox.tables.table import Row, Table

_SORT_STEP = 10
_DISCOUNT = "Discount {} is required if {} Discount Type (DISCOUNT_TYPE_ID) is defined"
_RATE, _SUM = "Rate (DISCOUNT_RATE)", "Sum (DISCOUNT_SUM)"
_FULL_RATE = f"{_DISCOUNT.format(_SUM, 'Percentage')} and Discount Rate (DISCOUNT_RATE) is 100%"
_LISTED = Schema(
    {
        item_name(name): Kind.NUMBER if row["type"] in ("integer", "double") else Kind.TEXT
        for name, row in describe(FIELDS).items()
    },
    key="id",
    strict=True,
    stored={item_name(name): name for name in describe(FIELDS)},
)


def add_row(call: Call) -> Answer:
    """Add a row to its owner and return it.

    Source: [docs] api-reference/crm/universal/product-rows/crm-item-productrow-add.md
    """
    fields = _upper(call.params["fields"])
    type_id, owner_id = _owner(call, fields.get("OWNER_TYPE"), fields.get("OWNER_ID"))
    rows = rows_of(call.data, type_id, owner_id)
    row_id = call.data.product_rows.next_id
    _check_discount(fields)
    row = changed_row(new_row(row_id, type_id, owner_id, _next_sort(rows)), read_values(fields))
    call.data.product_rows[row_id] = row
    _follow_rows(call, type_id, owner_id)
    return Answer({"productRow": _camel(row)})


def get_row(call: Call) -> Answer:
    """Return one row.

    Source: [docs] api-reference/crm/universal/product-rows/crm-item-productrow-get.md
    """
    return Answer({"productRow": _camel(_found(call)[0])})


def update_row(call: Call) -> Answer:
    """Change a row and return it. The owner stays.

    Source: [docs] api-reference/crm/universal/product-rows/crm-item-productrow-update.md
    """
    row, type_id = _found(call)
    fields = _upper(call.params["fields"])
    _check_discount(fields)
    call.data.product_rows[row["ID"]] = changed_row(row, read_values(fields))
    _follow_rows(call, type_id, row["OWNER_ID"])
    return get_row(call)


def delete_row(call: Call) -> Answer:
    """Delete a row.

    Source: [docs] api-reference/crm/universal/product-rows/crm-item-productrow-delete.md
    """
    row, type_id = _found(call)
    del call.data.product_rows[row["ID"]]
    _follow_rows(call, type_id, row["OWNER_ID"])
    return Answer(None)


def list_rows(call: Call) -> Answer:
    """Return one page of the rows of one owner, which the filter must name.

    Source: [docs] api-reference/crm/universal/product-rows/crm-item-productrow-list.md
    """
    sent = call.params.get("filter", {})
    named = {name.removeprefix("="): value for name, value in entries_of(sent).items()}
    if not named.keys() >= {"ownerType", "ownerId"}:
        raise controller_access_denied()
    rows = {row["ID"]: row for row in rows_of(call.data, *_owner(call, named["ownerType"], named["ownerId"]))}
    order = read_order(call.params.get("order", {}), _LISTED)
    page = find(Table(rows), read_filter(sent, _LISTED), order, _LISTED, page_window(call, whole_pages=False))
    return Answer.of_page(page, {"productRows": [_camel(row) for row in page.rows]})


def set_rows(call: Call) -> Answer:
    """Replace the rows of an owner and return them.

    Source: [docs] api-reference/crm/universal/product-rows/crm-item-productrow-set.md
    """
    type_id, owner_id = _owner(call, call.params["ownerType"], call.params["ownerId"])
    rows = entries_of(call.params["productRows"]).values()
    replace_rows(call, type_id, owner_id, [_upper(row) for row in rows if is_array(row)])
    return _rows_answer(call, type_id, owner_id)


def rows_for_payment(call: Call) -> Answer:
    """Return the rows of an owner that are not paid for: all of them, as the sandbox has no payments.

    Source: [docs] api-reference/crm/universal/product-rows/crm-item-productrow-get-available-for-payment.md
    """
    return _rows_answer(call, *_owner(call, call.params["ownerType"], call.params["ownerId"]))


def describe_fields(_call: Call) -> Answer:
    """Return the fields of a row.

    Source: [docs] api-reference/crm/universal/product-rows/crm-item-productrow-fields.md
    """
    return Answer({"fields": {item_name(name): row for name, row in describe(FIELDS).items()}})


def _owner(call: Call, code: Value, owner_id: Value) -> tuple[int, int]:
    """The type and the id of an owner that the caller may use."""
    type_id = owner_type(call.data, str(code))
    if type_id is None:
        if str(code) in ("C", "CO"):
            raise CallError("ENTITY_TYPE_NOT_SUPPORTED", f"Entity type '{code}' is not supported")
        _fail_without_owner()
    if type_id in call.data.denied:
        raise controller_access_denied()
    if positive(owner_id) not in call.data.records[type_id]:
        _fail_without_owner()
    return type_id, positive(owner_id)


def _found(call: Call) -> tuple[Row, int]:
    """The row that the call names with ``id``, and the type of its owner."""
    row = call.data.product_rows.get(call.params["id"])
    if row is None:
        raise CallError("NOT_FOUND", "Item not found")
    return row, _owner(call, row["OWNER_TYPE"], row["OWNER_ID"])[0]


def replace_rows(call: Call, type_id: int, owner_id: int, sent: Iterable[Mapping[str, Value]]) -> None:
    """Give an owner the rows *sent*, by upper case names. A row with the ``ID`` of one of its rows changes that row."""
    bound = {row["ID"]: row for row in rows_of(call.data, type_id, owner_id)}
    kept: list[Row] = []
    next_id = call.data.product_rows.next_id
    for fields in sent:
        _check_discount(fields)
        row = bound.get(positive(fields.get("ID")))
        if row is None:
            row = new_row(next_id, type_id, owner_id, _next_sort(kept))
            next_id += 1
        kept.append(changed_row(row, read_values(fields)))
    for row_id in bound:
        del call.data.product_rows[row_id]
    for row in kept:
        call.data.product_rows[row["ID"]] = row
    _follow_rows(call, type_id, owner_id)


def _follow_rows(call: Call, type_id: int, owner_id: int) -> None:
    """Give the owner the amount of its rows, unless its amount is manual.

    Source: [docs] api-reference/crm/universal/product-rows/index.md
    """
    if call.data.records[type_id][owner_id].get("IS_MANUAL_OPPORTUNITY") != "Y":
        writer = RecordWriter(call.data, call.data.entities[type_id], call.caller.user_id, call.now)
        writer.update(owner_id, totals(rows_of(call.data, type_id, owner_id)))


def _check_discount(fields: Mapping[str, Value]) -> None:
    if "DISCOUNT_TYPE_ID" not in fields:
        return
    kind, has_sum = int(as_number(fields["DISCOUNT_TYPE_ID"])), "DISCOUNT_SUM" in fields
    if kind == ABSOLUTE and not has_sum:
        _fail_discount(_DISCOUNT.format(_SUM, "Monetary"))
    if kind == PERCENT and "DISCOUNT_RATE" not in fields:
        _fail_discount(_DISCOUNT.format(_RATE, "Percentage"))
    if kind == PERCENT and as_number(fields["DISCOUNT_RATE"]) == 100 and not has_sum:
        _fail_discount(_FULL_RATE)


def _next_sort(rows: Iterable[Row]) -> int:
    return max((int(row["SORT"]) for row in rows), default=0) + _SORT_STEP


def _camel(row: Row) -> Row:
    return {item_name(name): value for name, value in row.items()}


def _upper(fields: Value) -> dict[str, Value]:
    return {upper_name(name): value for name, value in entries_of(fields).items()}


def _rows_answer(call: Call, type_id: int, owner_id: int) -> Answer:
    return Answer({"productRows": [_camel(row) for row in rows_of(call.data, type_id, owner_id)]})


def _fail_discount(text: str) -> NoReturn:
    raise CallError("ERROR_CORE", f"{text}<br>")


def _fail_without_owner() -> NoReturn:
    raise CallError("OWNER_NOT_FOUND", "Owner was not found")


_ID, _FIELDS = Param("id", "int", required=True), Param("fields", "array", required=True)
_OWNER = (Param("ownerId", "int", required=True), Param("ownerType", "string", required=True))
_LIST = (Param("filter", "array"), Param("order", "array"), Param("start", "int"))
_CONTROLLERS = (
    ("add", add_row, (_FIELDS,)),
    ("get", get_row, (_ID,)),
    ("list", list_rows, _LIST),
    ("update", update_row, (_ID, _FIELDS)),
    ("delete", delete_row, (_ID,)),
    ("set", set_rows, (*_OWNER, Param("productRows", "array", required=True))),
    ("getavailableforpayment", rows_for_payment, _OWNER),
    ("fields", describe_fields, ()),
)

METHODS = tuple(
    Method(f"crm.item.productrow.{name}", run, ("crm",), params, exact=True) for name, run, params in _CONTROLLERS
)
