"""The currencies of a sandbox portal and their localizations."""

from collections.abc import Mapping

from gateway.sandbox.content.other_entities import other_entity
from gateway.sandbox.php import Value, as_number, entries_of
from gateway.sandbox.tables.table import Row

LANGUAGE = "ru"  # the language whose localization a currency shows

# Source: [docs] api-reference/crm/currency/crm-currency-fields.md, localizations/crm-currency-localizations-fields.md
CURRENCIES = other_entity(
    "currencies",
    """CURRENCY string; AMOUNT_CNT int; AMOUNT double; BASE char/r; SORT int; DATE_UPDATE datetime/r; LID string/r;
    FORMAT_STRING string/r; FULL_NAME string/r; DEC_POINT string/r; THOUSANDS_SEP string/r; DECIMALS int/r;
    LANG currency_localization/m""",
)
LOCALIZATIONS = other_entity(
    "localizations",
    """FULL_NAME string; FORMAT_STRING string; DEC_POINT string; THOUSANDS_VARIANT string; THOUSANDS_SEP string;
    DECIMALS int; HIDE_ZERO char""",
)
_DEFAULT: Row = {
    "FULL_NAME": "",
    "FORMAT_STRING": "#",
    "DEC_POINT": ".",
    "THOUSANDS_VARIANT": "S",
    "THOUSANDS_SEP": None,
    "DECIMALS": "2",
    "HIDE_ZERO": "Y",
}
# Code, rate, order, Russian and English name, Russian and English format.
_CURRENCIES = (
    ("RUB", 1, 100, "Российский рубль", "Russian Ruble", "# &#8381;", "&#8381;#"),
    ("USD", 68.79, 200, "Доллар США", "US Dollar", "$#", "$#"),
    ("EUR", 78.32, 300, "Евро", "Euro", "# &euro;", "&euro;#"),
    ("KZT", 0.17, 400, "Казахстанский тенге", "Kazakhstani Tenge", "# &#8376;", "#&#8376;"),
)


def make_currencies() -> dict[str, Row]:
    """Make the currencies by code. The first one is the base currency.

    Source: [docs] api-reference/crm/currency/crm-currency-list.md
    """
    currencies: dict[str, Row] = {}
    for code, rate, order, name, english_name, format_string, english_format in _CURRENCIES:
        columns = {"AMOUNT_CNT": "1", **written_columns({"AMOUNT": rate, "SORT": order})}
        languages = {
            "en": localization({"FULL_NAME": english_name, "FORMAT_STRING": english_format, "THOUSANDS_VARIANT": "C"}),
            "ru": localization({"FULL_NAME": name, "FORMAT_STRING": format_string, "THOUSANDS_SEP": "&nbsp;"}),
        }
        is_base = "N" if currencies else "Y"
        row = {"CURRENCY": code, **columns, "BASE": is_base, "DATE_UPDATE": "2024-01-29T12:28:40+03:00"}
        currencies[code] = {**row, "LANG": languages}
    return currencies


def written_columns(fields: Mapping[str, Value]) -> Row:
    """The numbers that a client may write, in the form of the portal."""
    numbers = {name: str(int(as_number(fields[name]))) for name in ("AMOUNT_CNT", "SORT") if name in fields}
    return {**numbers, "AMOUNT": f"{as_number(fields['AMOUNT']):.4f}"} if "AMOUNT" in fields else numbers


def localization(fields: Mapping[str, Value], old: Row | None = None) -> Row:
    """The localization *old*, or the default one, with the *fields* of a client."""
    known = {name: None if value is None else str(value) for name, value in fields.items() if name in _DEFAULT}
    return {**(old or _DEFAULT), **known}


def localized(languages: Value, old: Mapping[str, Row]) -> dict[str, Row]:
    """The localizations *old* with those of a client by language."""
    given = entries_of(languages)
    return {**old, **{language: localization(entries_of(row), old.get(language)) for language, row in given.items()}}


def shown_currency(row: Row) -> Row:
    """A currency in the form of crm.currency.list, without its other languages."""
    texts = row["LANG"].get(LANGUAGE, _DEFAULT)
    names = ("FULL_NAME", "FORMAT_STRING", "DEC_POINT", "THOUSANDS_SEP", "DECIMALS")
    own = {name: value for name, value in row.items() if name != "LANG"}
    return {**own, "LID": LANGUAGE, **{name: texts[name] for name in names}}
