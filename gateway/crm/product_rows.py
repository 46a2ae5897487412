"""The product rows of a record: how they are read and replaced, and what callers may write to them.

Source: methods.md 4.5 (b24restdocs api-reference/crm/universal/product-rows/, crm-{lead,deal,quote}-productrows-*.md)
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from gateway.bitrix.client import PortalClient
from gateway.bitrix.errors import PortalBroken
from gateway.bitrix.lists.list_fields import Field
from gateway.bitrix.lists.list_specs import Row
from gateway.bitrix.lists.page import ListCall
from gateway.bitrix.protocol.v2 import Command
from gateway.bitrix.rows.records import decode_integer
from gateway.crm.bodies import unknown_field
from gateway.crm.catalog import read_lists
from gateway.crm.values import MAX_SUGGESTIONS, MAX_VALUES, TOO_MANY_VALUES, KnownValues, portal_value
from gateway.crm.writes import Call
from gateway.errors import FieldError, InvalidInput, pointer_token
from gateway.mirror.resources import RecordType
from gateway.mirror.stage_directories import SMART_INVOICE

PRODUCT_FIELDS = Command("crm.item.productrow.fields")
WITHOUT_PRODUCTS = ("contacts", "companies")
# Of a smart process, the amount is a field only if its type has products.
# Source: methods.md 5.5 (b24restdocs api-reference/crm/universal/object-fields.md)
AMOUNT = "opportunity"
NO_PRODUCTS = "must be a type that has products: its settings on the portal (isLinkWithProductsEnabled) switch them off"
OWN_ID = "must be the id of a row of this record; a new row has none"
OWNER = ("OWNER_ID", "OWNER_TYPE", "ownerId", "ownerType")  # given by the address
PRICE, PRICE_NAMES = "PRICE", {"PRICE", "price"}
# What rows show besides the fields that are described.
SHOWN_BY_CLASSIC_METHODS = (
    *("ORIGINAL_PRODUCT_NAME", "PRODUCT_DESCRIPTION", "PRICE_ACCOUNT", "XML_ID"),
    *("RESERVE_ID", "DATE_RESERVE_END", "RESERVE_QUANTITY"),
)
SHOWN_OF_ITEMS = ("priceAccount", "xmlId")
WORD = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


def row_fields(fields: Mapping[str, Field], record: RecordType) -> dict[str, Field]:
    """The fields of the rows of *record*: those of *fields*, which the portal describes, and those that rows only show.

    Classic methods have PRODUCT_NAME for productName, and no description of their own: the rows are the same.
    """
    if record.is_item:
        return {**_shown(SHOWN_OF_ITEMS), **fields}
    names = {name: WORD.sub("_", name).upper() for name in fields}
    described = {names[name]: replace(field, name=names[name]) for name, field in fields.items()}
    return _shown(SHOWN_BY_CLASSIC_METHODS) | described


def _shown(names: Iterable[str]) -> dict[str, Field]:
    return {name: Field(name, read_only=True) for name in names}


def id_name(record: RecordType) -> str:
    """The name of the field that names the row that changes, although it is described as read-only."""
    return "id" if record.is_item else "ID"


def check_rows(rows: Sequence[object], fields: Mapping[str, Field], record: RecordType) -> list[dict[str, Any]]:
    """Check and convert the product *rows* of a request for *record*. *fields* are those that the portal describes.

    What the portal shows in rows and does not take is left out, so that rows that were read can be written again.

    Raises:
        InvalidInput: there are too many rows; or with an error for each row that is not an object, each unknown name,
            each wrong value, each id of an earlier row, which would replace that, each computed price of a row without
            a price, which would be 0 then, and each new row without a product or a name.
    """
    if len(rows) > MAX_VALUES:
        raise InvalidInput.of_field("/items", TOO_MANY_VALUES, f"must have at most {MAX_VALUES} rows")
    known = row_fields(fields, record)
    errors: list[FieldError] = []
    checked: list[dict[str, Any]] = []
    places: dict[int, str] = {}
    key = id_name(record)
    named = (key, *(("productId", "productName") if record.is_item else ("PRODUCT_ID", "PRODUCT_NAME")))
    for index, row in enumerate(rows):
        place = f"/items/{index}"
        if not isinstance(row, dict):
            errors.append(FieldError("invalid_value", "must be an object", pointer=place))
            continue
        before = len(errors)
        values = _check_row(row, known, key, place, errors)
        if len(errors) == before and not any(values.get(name) for name in named):
            rule = f"must have {' or '.join(named[1:])}, or the {key} of a row of the record"
            errors.append(FieldError("required", rule, pointer=place))
        row_id = values.get(key)
        if row_id is not None and places.setdefault(row_id, place) != place:
            rule = f"must not be the id of another row: {places[row_id]} has it too"
            errors.append(FieldError("invalid_value", rule, pointer=f"{place}/{key}"))
        checked.append(values)
    if errors:
        raise InvalidInput.of_errors(errors)
    return checked


def _check_row(
    row: Mapping[str, object], known: Mapping[str, Field], key: str, place: str, errors: list[FieldError]
) -> dict[str, Any]:
    """The converted values of the *row* at the pointer *place* that can be written. Its mistakes go to *errors*.

    *key* is the name of its id.
    """
    values: dict[str, Any] = {}
    for name, value in row.items():
        field, pointer = known.get(name), f"{place}/{pointer_token(name)}"
        if field is None:
            errors.append(unknown_field(name, known, suggest=len(errors) < MAX_SUGGESTIONS, parent=place))
        elif field.read_only and name.upper().startswith(PRICE) and not row.keys() & PRICE_NAMES:
            rule = "is computed from the price, which the row does not have"
            errors.append(FieldError("read_only", rule, pointer=pointer))
        elif name == key or not (field.read_only or name in OWNER):
            # null is not the same as an empty text: a tax rate of null is no tax
            values[name] = None if value is None else portal_value(value, field, KnownValues(), pointer, errors)
    return values


def owner_code(entity_type_id: int) -> str:
    """The code of a type of items among the owners of product rows: SI of invoices, T80 of the smart process 128."""
    return "SI" if entity_type_id == SMART_INVOICE else f"T{entity_type_id:x}"


@dataclass(frozen=True)
class ProductRows:
    """Reads the product rows of one record through *client*, and replaces them by *call*, which makes no batches."""

    client: PortalClient
    call: Call
    record: RecordType
    owner_id: int

    async def read(self) -> list[Row]:
        """The rows in the portal's order.

        Raises:
            PortalError: the portal does not have the record, refused or failed.
        """
        if not self.record.is_item:
            result = (await self.client.call(self.record.command("productrows.get", id=self.owner_id))).result
            return _rows(result)
        owner = {"=ownerType": owner_code(self.record.entity_type_id), "=ownerId": self.owner_id}
        (rows,) = await read_lists(self.client, [ListCall("crm.item.productrow.list", {"filter": owner})])
        rows.sort(key=lambda row: decode_integer(row.get("sort")) or 0)
        return rows

    async def check_ids(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Check that each id in the checked *rows* is that of a row of the record. Without ids, nothing is read.

        Portals silently make a new row for another id.

        Raises:
            InvalidInput: with an error for each id that no row has.
            PortalError: the portal does not have the record, refused or failed.
        """
        name = id_name(self.record)
        given = {index: row[name] for index, row in enumerate(rows) if row.get(name) is not None}
        if not given:
            return
        known = {decode_integer(row.get(name)) for row in await self.read()}
        errors = [
            FieldError("invalid_value", OWN_ID, pointer=f"/items/{index}/{name}")
            for index, row_id in given.items()
            if row_id not in known
        ]
        if errors:
            raise InvalidInput.of_errors(errors)

    async def replace(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Give the record these rows in the place of all others.

        Raises:
            PortalError: the portal refused the rows; OutcomeUnknown if they may have been stored.
        """
        if not self.record.is_item:
            command = self.record.command("productrows.set", write=True, id=self.owner_id, rows=rows)
        else:
            code = owner_code(self.record.entity_type_id)
            params = {"ownerType": code, "ownerId": self.owner_id, "productRows": rows}
            command = Command("crm.item.productrow.set", params, write=True)
        await self.call(command)


def _rows(result: object) -> list[Row]:
    if not isinstance(result, list) or not all(isinstance(row, dict) for row in result):
        raise PortalBroken("the product rows are not a list of objects")
    return result
