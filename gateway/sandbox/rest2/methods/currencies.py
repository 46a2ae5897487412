"""crm.currency.*: the currencies of the portal, its base currency, and their localizations."""

from functools import partial

from gateway.sandbox.content.currencies import (
    CURRENCIES,
    LOCALIZATIONS,
    localized,
    shown_currency,
    written_columns,
)
from gateway.sandbox.content.records import iso_time
from gateway.sandbox.errors import CallError
from gateway.sandbox.php import entries_of, is_array
from gateway.sandbox.query.filters import Kind, Schema, read_filter
from gateway.sandbox.query.listing import Window, find, read_order
from gateway.sandbox.rest2.method import Answer, Call, Method, Param
from gateway.sandbox.rest2.methods.classic import FIELDS, describe_fields, refuse
from gateway.sandbox.tables.table import Row, Table

_SCHEMA = Schema(
    {
        **dict.fromkeys(("CURRENCY", "FULL_NAME", "LID", "BASE"), Kind.TEXT),
        "SORT": Kind.NUMBER,
        "AMOUNT": Kind.NUMBER,
        "DATE_UPDATE": Kind.DATE,
    },
    key="",
)
_REQUIRED = ("CURRENCY", "AMOUNT_CNT", "AMOUNT")
_CODE_LETTERS = 3


def list_currencies(call: Call) -> Answer:
    """Return all currencies. There are no pages, no filter and no select; ``total`` is always 0.

    Source: [docs] api-reference/crm/currency/crm-currency-list.md
    """
    wanted = entries_of(call.params.get("order") or {"SORT": "ASC"})
    order = read_order({name.upper(): direction for name, direction in wanted.items()}, _SCHEMA)
    table = Table(dict(enumerate(map(shown_currency, call.data.currencies.values()), start=1)))
    page = find(table, read_filter({}, _SCHEMA), order, _SCHEMA, Window(unpaged=True))
    return Answer(page.rows, total=0)


def get_currency(call: Call) -> Answer:
    """Return one currency by its code, with its localizations.

    Source: [docs] api-reference/crm/currency/crm-currency-get.md
    """
    row = _found(call)
    return Answer({**shown_currency(row), "LANG": row["LANG"]})


def add_currency(call: Call) -> Answer:
    """Add a currency and return its code.

    Source: [docs] api-reference/crm/currency/crm-currency-add.md
    """
    _check_administrator(call)
    fields = entries_of(call.params.get("fields", {}))
    for name in _REQUIRED:
        if name not in fields:
            raise CallError("ERROR_CORE", f'Undefined array key "{name}"')
    code = str(fields["CURRENCY"]).upper()
    if len(code) != _CODE_LETTERS or code in call.data.currencies:
        raise CallError("ERROR_CORE", f"The currency {code} is invalid or already exists.")
    row = {"CURRENCY": code, "AMOUNT_CNT": "1", "AMOUNT": "1.0000", "SORT": "100", "BASE": "N"}
    call.data.currencies[code] = {**row, "DATE_UPDATE": "", "LANG": {}}
    _write(call, code, fields)
    return Answer(code)


def update_currency(call: Call) -> Answer:
    """Change the rate, the order or the localizations of a currency.

    Source: [docs] api-reference/crm/currency/crm-currency-update.md
    """
    _check_administrator(call)
    _write(call, _found(call)["CURRENCY"], entries_of(call.params.get("fields", {})))
    return Answer(True)


def delete_currency(call: Call) -> Answer:
    """Delete a currency other than the base currency. The text for an invalid code is empty.

    Source: [docs] api-reference/crm/currency/crm-currency-delete.md
    """
    _check_administrator(call)
    if len(str(call.params.get("id", ""))) != _CODE_LETTERS:
        refuse("")
    row = _found(call)
    if row["BASE"] == "Y":
        refuse("Нельзя удалить базовую валюту.")
    del call.data.currencies[row["CURRENCY"]]
    return Answer(True)


def get_base(call: Call) -> Answer:
    """Return the code of the base currency.

    Source: [docs] api-reference/crm/currency/crm-currency-base-get.md
    """
    return Answer(next(code for code, row in call.data.currencies.items() if row["BASE"] == "Y"))


def set_base(call: Call) -> Answer:
    """Make a currency the base currency. Return false for an unknown one.

    Source: [docs] api-reference/crm/currency/crm-currency-base-set.md
    """
    _check_administrator(call)
    code = str(call.params.get("id"))
    if code in call.data.currencies:
        _set_base(call, code)
    return Answer(code in call.data.currencies)


def get_localizations(call: Call) -> Answer:
    """Return the localizations of a currency by language; an empty list if there are none.

    Source: [docs] api-reference/crm/currency/localizations/crm-currency-localizations-get.md
    """
    return Answer(_localizable(call)["LANG"] or [])


def set_localizations(call: Call) -> Answer:
    """Add or change localizations. Return false if none is given.

    Source: [docs] api-reference/crm/currency/localizations/crm-currency-localizations-set.md
    """
    _check_administrator(call)
    row, given = _localizable(call), entries_of(call.params.get("localizations", {}))
    call.data.currencies[row["CURRENCY"]] = {**row, "LANG": localized(given, row["LANG"])}
    return Answer(bool(given))


def delete_localizations(call: Call) -> Answer:
    """Delete the localizations of some languages. Return false if there are none of them.

    Source: [docs] api-reference/crm/currency/localizations/crm-currency-localizations-delete.md
    """
    _check_administrator(call)
    row, languages = _localizable(call), set(map(str, entries_of(call.params.get("lids", [])).values()))
    remaining = {language: texts for language, texts in row["LANG"].items() if language not in languages}
    call.data.currencies[row["CURRENCY"]] = {**row, "LANG": remaining}
    return Answer(remaining != row["LANG"])


def _check_administrator(call: Call) -> None:
    if not call.caller.is_administrator:
        refuse("Access denied.")


def _found(call: Call) -> Row:
    row = call.data.currencies.get(str(call.params.get("id")))
    if row is None:
        refuse("Not found")
    return row


def _localizable(call: Call) -> Row:
    if not call.params.get("id") or is_array(call.params["id"]):
        refuse("The parameter id is invalid or not defined.")
    return _found(call)


def _write(call: Call, code: str, fields: Row) -> None:
    row = call.data.currencies[code]
    languages = localized(fields.get("LANG", {}), row["LANG"])
    stamp = iso_time(int(call.now))
    call.data.currencies[code] = {**row, **written_columns(fields), "DATE_UPDATE": stamp, "LANG": languages}
    if fields.get("BASE") == "Y":
        _set_base(call, code)


def _set_base(call: Call, code: str) -> None:
    for other, row in call.data.currencies.items():
        call.data.currencies[other] = {**row, "BASE": "Y" if other == code else "N"}


_ID = Param("id")

METHODS = (
    Method("crm.currency.list", list_currencies, ("crm",), (Param("order", "array"),)),
    Method("crm.currency.get", get_currency, ("crm",), (_ID,)),
    Method("crm.currency.add", add_currency, ("crm",), (FIELDS,)),
    Method("crm.currency.update", update_currency, ("crm",), (_ID, FIELDS)),
    Method("crm.currency.delete", delete_currency, ("crm",), (_ID,)),
    Method("crm.currency.fields", partial(describe_fields, CURRENCIES), ("crm",)),
    Method("crm.currency.base.get", get_base, ("crm",)),
    Method("crm.currency.base.set", set_base, ("crm",), (_ID,)),
    Method("crm.currency.localizations.get", get_localizations, ("crm",), (_ID,)),
    Method("crm.currency.localizations.set", set_localizations, ("crm",), (_ID, Param("localizations", "array"))),
    Method("crm.currency.localizations.delete", delete_localizations, ("crm",), (_ID, Param("lids", "array"))),
    Method("crm.currency.localizations.fields", partial(describe_fields, LOCALIZATIONS), ("crm",)),
)
