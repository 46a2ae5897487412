"""The product rows of leads, deals, quotes, smart invoices and items: their owners, fields and prices."""

from collections.abc import Iterable, Mapping

from gateway.sandbox.content.catalog import DEAL, LEAD, QUOTE, SMART_INVOICE
from gateway.sandbox.content.entities import Field
from gateway.sandbox.content.portal_data import PortalData
from gateway.sandbox.php import Value, as_number, is_array
from gateway.sandbox.tables.table import Row

OWNERS = {"L": LEAD, "D": DEAL, "Q": QUOTE, "SI": SMART_INVOICE}
PERCENT, ABSOLUTE = 2, 1  # types of discounts
FIELDS = """ID integer/r; OWNER_ID integer/*i; OWNER_TYPE string/*i; PRODUCT_ID integer/*; PRODUCT_NAME string;
    PRICE double; PRICE_EXCLUSIVE double/r; PRICE_NETTO double/r; PRICE_BRUTTO double/r; QUANTITY double;
    DISCOUNT_TYPE_ID integer; DISCOUNT_RATE double; DISCOUNT_SUM double; TAX_RATE double; TAX_INCLUDED char;
    CUSTOMIZED char; MEASURE_CODE integer; MEASURE_NAME string; SORT integer; TYPE integer/r; STORE_ID integer/r"""
WRITTEN = {
    field.name: field for field in map(Field.parse, FIELDS.split(";")) if not set(field.flags).intersection("ri")
}
_DEFAULTS: Row = {
    "PRODUCT_ID": 0,
    "PRODUCT_NAME": "",
    "PRICE": 0,
    "PRICE_ACCOUNT": 0,
    "PRICE_EXCLUSIVE": 0,
    "PRICE_NETTO": 0,
    "PRICE_BRUTTO": 0,
    "QUANTITY": 1,
    "DISCOUNT_TYPE_ID": PERCENT,
    "DISCOUNT_RATE": 0,
    "DISCOUNT_SUM": 0,
    "TAX_RATE": None,
    "TAX_INCLUDED": "N",
    "CUSTOMIZED": "Y",
    "MEASURE_CODE": 796,
    "MEASURE_NAME": "pcs",
    "SORT": 0,
    "XML_ID": "",
    "TYPE": 1,
}


def owner_code(type_id: int) -> str:
    """The short code of an owner's type: ``D`` of deals, ``T80`` of the smart process 128."""
    return next((code for code, owner in OWNERS.items() if owner == type_id), f"T{type_id:x}")


def owner_type(data: PortalData, code: str) -> int | None:
    """The entityTypeId of a short code; None if it has no product rows."""
    known = {
        owner_code(type_id): type_id for type_id, entity in data.entities.items() if _has_products(entity.own_fields)
    }
    return known.get(code)


def rows_of(data: PortalData, type_id: int, owner_id: int) -> list[Row]:
    """The rows of one owner by their sort numbers."""
    owner = (owner_code(type_id), owner_id)
    rows = (row for row in data.product_rows.values() if (row["OWNER_TYPE"], row["OWNER_ID"]) == owner)
    return sorted(rows, key=lambda row: int(row["SORT"]))


def remove_rows_of(data: PortalData, type_id: int, owner_id: int) -> None:
    """Delete the rows of an owner."""
    for row in rows_of(data, type_id, owner_id):
        del data.product_rows[row["ID"]]


def copy_rows(data: PortalData, type_id: int, owner_id: int, copy_id: int) -> None:
    """Give the owner *copy_id* the same rows as *owner_id*."""
    for row in rows_of(data, type_id, owner_id):
        row_id = data.product_rows.next_id
        data.product_rows[row_id] = {**row, "ID": row_id, "OWNER_ID": copy_id}


def new_row(row_id: int, type_id: int, owner_id: int, sort: int) -> Row:
    """A row before its values are known."""
    return {"ID": row_id, "OWNER_ID": owner_id, "OWNER_TYPE": owner_code(type_id), **_DEFAULTS, "SORT": sort}


def read_values(fields: Mapping[str, Value]) -> Row:
    """The columns that *fields* write, by their upper case names."""
    values = {name: _value(WRITTEN[name], value) for name, value in fields.items() if name in WRITTEN}
    if "PRICE" not in values and "PRICE_EXCLUSIVE" in fields:
        values["PRICE"] = as_number(fields["PRICE_EXCLUSIVE"]) * _tax_factor(values)
    return values


def changed_row(row: Row, values: Row) -> Row:
    """*row* with these values and the prices that follow from them.

    Source: [docs] api-reference/crm/universal/product-rows/crm-item-productrow-add.md
    """
    new = row | values
    if not new["PRODUCT_NAME"]:
        new["PRODUCT_NAME"] = f"[{new['ID']}]"
    exclusive = round(new["PRICE"] / _tax_factor(new), 2)
    if new["DISCOUNT_TYPE_ID"] == ABSOLUTE:
        netto = exclusive + new["DISCOUNT_SUM"]
        new["DISCOUNT_RATE"] = _number(100 * new["DISCOUNT_SUM"] / netto) if netto else 0
    elif new["DISCOUNT_RATE"] == 100:
        netto = exclusive + new["DISCOUNT_SUM"]
    else:
        netto = exclusive / (1 - new["DISCOUNT_RATE"] / 100)
        new["DISCOUNT_SUM"] = _number(round(netto, 2) - exclusive)
    netto = round(netto, 2)
    prices = {"PRICE_EXCLUSIVE": exclusive, "PRICE_NETTO": netto, "PRICE_BRUTTO": netto * _tax_factor(new)}
    return new | {name: _number(price) for name, price in prices.items()} | {"PRICE_ACCOUNT": new["PRICE"]}


def totals(rows: Iterable[Row]) -> Row:
    """The columns of an owner that follow its rows: the amount and the tax in it."""
    amount = tax = 0.0
    for row in rows:
        amount += row["PRICE"] * row["QUANTITY"]
        tax += (row["PRICE"] - row["PRICE_EXCLUSIVE"]) * row["QUANTITY"]
    return {"OPPORTUNITY": f"{amount:.2f}", "TAX_VALUE": f"{abs(tax):.2f}"}


def _has_products(fields: Iterable[Field]) -> bool:
    return any(field.name == "OPPORTUNITY" for field in fields)


def _value(field: Field, value: Value) -> Value:
    if field.name == "TAX_RATE" and value in (None, ""):
        return None
    if field.type in ("integer", "double"):
        return int(as_number(value)) if field.type == "integer" else _number(as_number(value), digits=8)
    if field.type == "char":
        return "NY"[value is True or str(value).upper() == "Y"]
    return "" if value is None or is_array(value) else str(value)


def _number(value: float, digits: int = 2) -> float:
    rounded = round(value, digits)
    return int(rounded) if rounded == int(rounded) else rounded


def _tax_factor(row: Mapping[str, Value]) -> float:
    return 1 + float(row.get("TAX_RATE") or 0) / 100
