"""Finds the requisite or address that a caller means, and shows addresses to callers."""

from collections.abc import Mapping, Sequence
from typing import Any

from gateway.bitrix.lists.list_specs import Row
from gateway.crm.address_bodies import AddressTypes
from gateway.crm.address_calls import AddressCalls, AddressKey, requisite_id_of
from gateway.errors import NotFound, StateConflict

MAX_SHOWN = 20  # requisites that an error names


def shown(row: Mapping[str, Any], types: AddressTypes) -> dict[str, Any]:
    """The JSON of an address of a requisite: the portal's columns, and its type by name."""
    key = AddressKey.of(dict(row))
    return {"type": types.name_of(key.type_id), "requisite": key.requisite_id, "source": "requisite", **row}


async def choose_requisite(calls: AddressCalls, rows: Sequence[Row], wanted: int | None) -> int | None:
    """The id of the *wanted* one of *rows*, the requisites of a record, else of the only one; None if there is none.

    Raises:
        RecordNotFound: there is no such requisite, because the portal does not have the record, as *calls* find out.
        NotFound: there is no such requisite.
        StateConflict: there are several.
    """
    ids = [requisite_id_of(row) for row in rows]
    if wanted is not None:
        if wanted not in ids:
            await calls.check_record()
            raise NotFound(f"requisite: the record has no requisite {wanted}", code="requisite_not_found")
        return wanted
    if len(ids) > 1:
        names = {requisite_id_of(row): str(row.get("NAME")) for row in rows}
        raise _several("the record has several requisites", names)
    return next(iter(ids), None)


async def choose_address(
    calls: AddressCalls, rows: Sequence[Row], type_id: int, requisite: int | None, types: AddressTypes
) -> AddressKey:
    """The address of a type among *rows*, the addresses of all requisites of a record, or of the wanted *requisite*.

    If there is none, *calls* find out what is missing.

    Raises:
        RecordNotFound: the portal does not have the record.
        NotFound: the record has no such requisite, or there is no address of the type.
        StateConflict: several requisites have one.
    """
    keys = [key for row in rows if (key := AddressKey.of(row)).type_id == type_id]
    if requisite is not None:
        keys = [key for key in keys if key.requisite_id == requisite]
    name = types.name_of(type_id)
    if not keys:
        if requisite is None:
            await calls.check_record()
            place = "the record"
        else:
            place = f"the requisite {await choose_requisite(calls, await calls.requisites(), requisite)}"
        raise NotFound(f"type: {place} has no address of the type {name}", code="address_not_found")
    if len(keys) > 1:
        raise _several(f"several requisites have an address of the type {name}", {key.requisite_id: "" for key in keys})
    return keys[0]


def _several(fault: str, names: Mapping[int, str]) -> StateConflict:
    listed = ", ".join(f"{each} ({name})" if name else str(each) for each, name in list(names.items())[:MAX_SHOWN])
    more = " and others" if len(names) > MAX_SHOWN else ""
    return StateConflict(f"{fault}: choose one by the parameter requisite: {listed}{more}", code="several_match")
