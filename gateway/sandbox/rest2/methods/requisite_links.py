"""crm.requisite.link.*: which requisites and bank details a deal, quote, invoice or item uses."""

from collections.abc import Mapping
from functools import partial

from gateway.sandbox.content.catalog import DEAL, QUOTE, SMART_INVOICE
from gateway.sandbox.content.entities import OLD_INVOICE
from gateway.sandbox.content.requisites import LINKS
from gateway.sandbox.php import Value
from gateway.sandbox.rest2.method import Answer, Call, Method, Param
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

_FIXED_OWNERS = (DEAL, OLD_INVOICE, QUOTE, SMART_INVOICE)
_SIDES = (("REQUISITE_ID", "BANK_DETAIL_ID", ""), ("MC_REQUISITE_ID", "MC_BANK_DETAIL_ID", " of your company"))


def register_link(call: Call) -> Answer:
    """Set the requisites of an object, those of the client and those of the own company. 0 means none.

    Whether a requisite belongs to the client of the object is not checked.
    Source: [docs] api-reference/crm/requisites/links/crm-requisite-link-register.md
    """
    columns = written(call.params.get("fields", {}), writable(LINKS, call.data, hidden="r"))
    type_id, record_id = _check_owner(call, columns, ("ENTITY_TYPE_ID", "ENTITY_ID"))
    if record_id not in call.data.records[type_id]:
        refuse("Entity is not found")
    for requisite_column, bank_column, whose in _SIDES:
        for column in (requisite_column, bank_column):
            if columns.get(column) is None or int(columns[column]) < 0:
                refuse_invalid(column)
        _check_side(call, int(columns[requisite_column]), int(columns[bank_column]), whose)
    number = _find(call, type_id, record_id) or call.data.requisite_links.next_id
    call.data.requisite_links[number] = {field.name: columns[field.name] for field in LINKS.own_fields}
    return Answer(True)


def get_link(call: Call) -> Answer:
    """Return the requisites of one object. The key of the object is given as numbers.

    Source: [docs] api-reference/crm/requisites/links/crm-requisite-link-get.md
    """
    type_id, record_id = _read_owner(call)
    number = _find(call, type_id, record_id)
    if number is None:
        refuse("Not found")
    return Answer({**call.data.requisite_links[number], "ENTITY_TYPE_ID": type_id, "ENTITY_ID": record_id})


def list_links(call: Call) -> Answer:
    """Return one page of links.

    Source: [docs] api-reference/crm/requisites/links/crm-requisite-link-list.md
    """
    return list_rows(LINKS, call.data.requisite_links, call, key="")


def unregister_link(call: Call) -> Answer:
    """Delete the link of an object, if it has any.

    Source: [docs] api-reference/crm/requisites/links/crm-requisite-link-unregister.md
    """
    number = _find(call, *_read_owner(call))
    if number is not None:
        del call.data.requisite_links[number]
    return Answer(True)


def _read_owner(call: Call) -> tuple[int, int]:
    return _check_owner(call, call.params, ("entityTypeId", "entityId"))


def _check_owner(call: Call, values: Mapping[str, Value], names: tuple[str, str]) -> tuple[int, int]:
    """The type and id of an object that may have requisites, from the *names* in *values*."""
    type_id, record_id = (positive(values.get(name)) for name in names)
    entity = call.data.entities.get(type_id)
    if entity is None or not (type_id in _FIXED_OWNERS or entity.is_smart_process):
        refuse_invalid(names[0])
    if not record_id:
        refuse_invalid(names[1])
    if type_id in call.data.denied:
        refuse("Access denied.")
    return type_id, record_id


def _check_side(call: Call, requisite_id: int, bank_detail_id: int, whose: str) -> None:
    """Check that a requisite and its bank detail exist and belong together."""
    if requisite_id and requisite_id not in call.data.requisites:
        refuse(f"The Requisite{whose} with ID '{requisite_id}' is not found")
    if not bank_detail_id:
        return
    detail = call.data.bank_details.get(bank_detail_id)
    if detail is None:
        refuse(f"The BankDetail{whose} with ID '{bank_detail_id}' is not found")
    if int(detail["ENTITY_ID"]) != requisite_id:
        refuse(
            f"The BankDetail{whose} with ID '{bank_detail_id}' is not assigned to Requisite{whose}"
            f" with ID '{requisite_id}'"
        )


def _find(call: Call, type_id: int, record_id: int) -> int | None:
    wanted = {"ENTITY_TYPE_ID": str(type_id), "ENTITY_ID": str(record_id)}
    rows = call.data.requisite_links.items()
    return next((number for number, row in rows if wanted.items() <= row.items()), None)


_OWNER = (Param("entityTypeId"), Param("entityId"))

METHODS = (
    Method("crm.requisite.link.register", register_link, ("crm",), (FIELDS,)),
    Method("crm.requisite.link.get", get_link, ("crm",), _OWNER),
    Method("crm.requisite.link.list", list_links, ("crm",), LIST_PARAMS),
    Method("crm.requisite.link.unregister", unregister_link, ("crm",), _OWNER),
    Method("crm.requisite.link.fields", partial(describe_fields, LINKS), ("crm",)),
)
