"""crm.address.*: rows without an id, identified by TYPE_ID, ENTITY_TYPE_ID and ENTITY_ID."""

from functools import partial

from gateway.sandbox.content.addresses import REQUISITE
from gateway.sandbox.content.catalog import LEAD
from gateway.sandbox.content.requisites import ADDRESS_KINDS, ADDRESSES
from gateway.sandbox.rest2.method import Answer, Call, Method
from gateway.sandbox.rest2.methods.classic import (
    FIELDS,
    LIST_PARAMS,
    describe_fields,
    list_rows,
    positive,
    refuse,
    refuse_invalid,
    writable,
    written,
)
from gateway.sandbox.rest2.methods.requisites import check_owner
from gateway.sandbox.tables.table import Row

_KEY = ("TYPE_ID", "ENTITY_TYPE_ID", "ENTITY_ID")
_TEXTS = ("ADDRESS_1", "ADDRESS_2", "CITY", "POSTAL_CODE", "REGION", "PROVINCE", "COUNTRY")
_FIRST_LOCATION_ID = 1000  # those below belong to generated addresses


def add_address(call: Call) -> Answer:
    """Add the address of one kind to a requisite or a lead. A location's address is copied if no text is given.

    Source: [docs] api-reference/crm/requisites/addresses/crm-address-add.md
    """
    columns = _read_fields(call)
    anchor = _check_owner(call, columns)
    if _find(call, columns) is not None:
        refuse("TypeAddress exists.")
    number = call.data.addresses.next_id
    texts = {name: columns.get(name) or "" for name in _TEXTS}
    location_id = columns.get("LOC_ADDR_ID") or str(_FIRST_LOCATION_ID + number)
    if not any(texts.values()):
        texts |= _address_at(call, location_id)
    call.data.addresses[number] = {
        **{name: columns[name] for name in _KEY},
        **texts,
        "COUNTRY_CODE": columns.get("COUNTRY_CODE"),
        "LOC_ADDR_ID": location_id,
        **anchor,
    }
    return Answer(True)


def update_address(call: Call) -> Answer:
    """Change the given fields of an address.

    Source: [docs] api-reference/crm/requisites/addresses/crm-address-update.md
    """
    columns = _read_fields(call)
    number = _existing(call, columns)
    call.data.addresses[number] = {**call.data.addresses[number], **columns}
    return Answer(True)


def delete_address(call: Call) -> Answer:
    """Delete an address.

    Source: [docs] api-reference/crm/requisites/addresses/crm-address-delete.md
    """
    del call.data.addresses[_existing(call, _read_fields(call))]
    return Answer(True)


def list_addresses(call: Call) -> Answer:
    """Return one page of addresses. Unknown names in filter, order and select are ignored.

    Source: [docs] api-reference/crm/requisites/addresses/crm-address-list.md
    """
    return list_rows(ADDRESSES, call.data.addresses, call, key="")


def _read_fields(call: Call) -> Row:
    """The columns of the request, whose key is valid. New portals have addresses of requisites and leads only.

    Source: [docs] api-reference/crm/requisites/addresses/crm-address-add.md
    """
    columns = written(call.params.get("fields", {}), writable(ADDRESSES, call.data, hidden="r"))
    if positive(columns.get("TYPE_ID")) not in ADDRESS_KINDS:
        refuse_invalid("TYPE_ID")
    if positive(columns.get("ENTITY_TYPE_ID")) not in (REQUISITE, LEAD):
        refuse_invalid("ENTITY_TYPE_ID")
    if not positive(columns.get("ENTITY_ID")):
        refuse_invalid("ENTITY_ID")
    return columns


def _check_owner(call: Call, columns: Row) -> Row:
    """Check the right to the requisite or lead of an address. Return its anchor: the owner of the requisite."""
    owner_id = int(columns["ENTITY_ID"])
    if int(columns["ENTITY_TYPE_ID"]) == LEAD:
        if LEAD in call.data.denied or owner_id not in call.data.records[LEAD]:
            refuse("Access denied.")
        return {"ANCHOR_TYPE_ID": str(LEAD), "ANCHOR_ID": str(owner_id)}
    requisite = call.data.requisites.get(owner_id)
    if requisite is None:  # nobody has a right to a missing requisite
        refuse("Access denied.")
    check_owner(call, requisite)
    return {"ANCHOR_TYPE_ID": requisite["ENTITY_TYPE_ID"], "ANCHOR_ID": requisite["ENTITY_ID"]}


def _existing(call: Call, columns: Row) -> int:
    number = _find(call, columns)
    if number is None:
        refuse("TypeAddress not found.")
    _check_owner(call, columns)
    return number


def _find(call: Call, columns: Row) -> int | None:
    """The number of the address with the key of *columns*."""
    key = [columns[name] for name in _KEY]
    rows = call.data.addresses.items()
    return next((number for number, row in rows if [row[name] for name in _KEY] == key), None)


def _address_at(call: Call, location_id: str) -> Row:
    """The texts of a location, known from the addresses that refer to it."""
    rows = (row for row in call.data.addresses.values() if row["LOC_ADDR_ID"] == location_id)
    return {name: row[name] for row in rows for name in _TEXTS}


METHODS = (
    Method("crm.address.add", add_address, ("crm",), (FIELDS,)),
    Method("crm.address.list", list_addresses, ("crm",), LIST_PARAMS),
    Method("crm.address.update", update_address, ("crm",), (FIELDS,)),
    Method("crm.address.delete", delete_address, ("crm",), (FIELDS,)),
    Method("crm.address.fields", partial(describe_fields, ADDRESSES), ("crm",)),
)
