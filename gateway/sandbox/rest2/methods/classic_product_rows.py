"""crm.{lead,deal,quote}.productrows.*: the same product rows as those of crm.item.productrow.*."""

from functools import partial

from gateway.sandbox.content.catalog import DEAL, LEAD, QUOTE
from gateway.sandbox.content.product_rows import rows_of
from gateway.sandbox.errors import access_denied
from gateway.sandbox.php import entries_of, is_array
from gateway.sandbox.rest2.method import Answer, Call, Method, Param
from gateway.sandbox.rest2.methods.classic import positive, refuse
from gateway.sandbox.rest2.methods.product_rows import replace_rows
from gateway.sandbox.tables.table import Row


def get_classic(type_id: int, call: Call) -> Answer:
    """Return the rows of a record.

    Source: [docs] api-reference/crm/deals/crm-deal-productrows-get.md and its siblings
    """
    return Answer([_classic(row) for row in rows_of(call.data, type_id, _classic_owner(type_id, call))])


def set_classic(type_id: int, call: Call) -> Answer:
    """Replace the rows of a record. A row with the ``ID`` of one of its rows changes that row.

    Source: [docs] api-reference/crm/deals/crm-deal-productrows-set.md and its siblings
    """
    owner_id = _classic_owner(type_id, call)
    rows = call.params.get("rows")
    if not is_array(rows):
        refuse("The parameter rows must be array.")
    replace_rows(call, type_id, owner_id, [entries_of(row) for row in entries_of(rows).values() if is_array(row)])
    return Answer(True)


def _classic_owner(type_id: int, call: Call) -> int:
    owner_id = positive(call.params.get("id"))
    if not owner_id:
        refuse("The parameter id is invalid or not defined.")
    if type_id in call.data.denied:
        raise access_denied()
    if owner_id not in call.data.records[type_id]:
        refuse("Not found.")
    return owner_id


def _classic(row: Row) -> Row:
    """A row in the form of the old methods."""
    known = {**row, "ID": str(row["ID"]), "OWNER_ID": str(row["OWNER_ID"])}
    known |= {"ORIGINAL_PRODUCT_NAME": row["PRODUCT_NAME"], "PRODUCT_DESCRIPTION": None}
    known["PRICE_ACCOUNT"] = f"{row['PRICE_ACCOUNT']:.8f}"
    return known | dict.fromkeys(("STORE_ID", "RESERVE_ID", "DATE_RESERVE_END", "RESERVE_QUANTITY"))


METHODS = tuple(
    method
    for name, type_id in (("lead", LEAD), ("deal", DEAL), ("quote", QUOTE))
    for method in (
        Method(f"crm.{name}.productrows.get", partial(get_classic, type_id), ("crm",), (Param("id"),)),
        Method(f"crm.{name}.productrows.set", partial(set_classic, type_id), ("crm",), (Param("id"), Param("rows"))),
    )
)
