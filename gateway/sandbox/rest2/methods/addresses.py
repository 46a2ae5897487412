"""crm.address.list, whose rows have no id."""

from gateway.sandbox.php import entries_of
from gateway.sandbox.query.filters import Kind, Schema, read_filter
from gateway.sandbox.query.listing import find, read_order, select_columns
from gateway.sandbox.rest2.method import Answer, Call, Method, Param, page_window

_ADDRESSES = Schema(
    columns={
        **dict.fromkeys(
            ("TYPE_ID", "ENTITY_TYPE_ID", "ENTITY_ID", "LOC_ADDR_ID", "ANCHOR_TYPE_ID", "ANCHOR_ID"), Kind.NUMBER
        ),
        **dict.fromkeys(
            ("ADDRESS_1", "ADDRESS_2", "CITY", "POSTAL_CODE", "REGION", "PROVINCE", "COUNTRY", "COUNTRY_CODE"),
            Kind.TEXT,
        ),
    },
    key="",
)


def list_addresses(call: Call) -> Answer:
    """Return one page of addresses. Unknown names in filter, order and select are ignored.

    Source: [docs] api-reference/crm/requisites/addresses/crm-address-list.md
    """
    page = find(
        call.data.addresses,
        read_filter(call.params.get("filter", {}), _ADDRESSES),
        read_order(call.params.get("order", {}), _ADDRESSES),
        _ADDRESSES,
        page_window(call, whole_pages=True),
    )
    names = [str(name) for name in entries_of(call.params.get("select", ["*"])).values()]
    return Answer.of_page(page, [select_columns(row, names) for row in page.rows])


METHODS = (
    Method(
        "crm.address.list",
        list_addresses,
        ("crm",),
        (Param("order", "array"), Param("filter", "array"), Param("select", "array"), Param("start")),
    ),
)
