"""crm.currency.list and crm.currency.get. The sandbox's currencies do not change."""

from gateway.sandbox.content.currencies import make_currencies
from gateway.sandbox.php import entries_of
from gateway.sandbox.query.filters import Kind, Schema, read_filter
from gateway.sandbox.query.listing import Window, find, read_order
from gateway.sandbox.rest2.method import Answer, Call, Method, Param
from gateway.sandbox.rest2.methods.classic import refuse
from gateway.sandbox.tables.table import Table

_CURRENCIES = make_currencies()
_TABLE = Table(
    {
        number: {name: value for name, value in row.items() if name != "LANG"}
        for number, row in enumerate(_CURRENCIES.values(), start=1)
    }
)
_COLUMNS = ("CURRENCY", "FULL_NAME", "LID", "BASE")
_SCHEMA = Schema(
    {**dict.fromkeys(_COLUMNS, Kind.TEXT), "SORT": Kind.NUMBER, "AMOUNT": Kind.NUMBER, "DATE_UPDATE": Kind.DATE},
    key="",
)


def list_currencies(call: Call) -> Answer:
    """Return all currencies. There are no pages, no filter and no select; ``total`` is always 0.

    Source: [docs] api-reference/crm/currency/crm-currency-list.md
    """
    wanted = call.params.get("order") or {"SORT": "ASC"}
    order = read_order({name.upper(): direction for name, direction in entries_of(wanted).items()}, _SCHEMA)
    page = find(_TABLE, read_filter({}, _SCHEMA), order, _SCHEMA, Window(unpaged=True))
    return Answer(page.rows, total=0)


def get_currency(call: Call) -> Answer:
    """Return one currency by its code, with its localizations.

    Source: [docs] api-reference/crm/currency/crm-currency-get.md
    """
    currency = _CURRENCIES.get(str(call.params.get("id")))
    if currency is None:
        refuse("Not found")
    return Answer(currency)


METHODS = (
    Method("crm.currency.list", list_currencies, ("crm",), (Param("order", "array"),)),
    Method("crm.currency.get", get_currency, ("crm",), (Param("id"),)),
)
