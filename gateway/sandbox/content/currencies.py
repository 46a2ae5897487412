"""The currencies of a sandbox portal; the first one is its base currency."""

from gateway.sandbox.tables.table import Row

# Code, rate, order, English and Russian name, English and Russian format.
_CURRENCIES = (
    ("RUB", "1.0000", 100, "Russian Ruble", "Российский рубль", "&#8381;#", "# &#8381;"),
    ("USD", "68.7900", 200, "US Dollar", "Доллар США", "$#", "$#"),
    ("EUR", "78.3200", 300, "Euro", "Евро", "&euro;#", "# &euro;"),
    ("KZT", "0.1700", 400, "Kazakhstani Tenge", "Казахстанский тенге", "#&#8376;", "# &#8376;"),
)
_UPDATED = "2024-01-29T12:28:40+03:00"


def make_currencies() -> dict[str, Row]:
    """Make the currencies by code, in the form of crm.currency.get.

    Source: [docs] api-reference/crm/currency/crm-currency-get.md
    """
    return {currency[0]: _currency(*currency) for currency in _CURRENCIES}


def _currency(code: str, rate: str, order: int, english: str, russian: str, en_format: str, ru_format: str) -> Row:
    languages = {
        "en": _localization(en_format, english, None, "C"),
        "ru": _localization(ru_format, russian, "&nbsp;", "B"),
    }
    shown = {name: value for name, value in languages["ru"].items() if name not in ("THOUSANDS_VARIANT", "HIDE_ZERO")}
    return {
        "CURRENCY": code,
        "AMOUNT_CNT": "1",
        "AMOUNT": rate,
        "SORT": str(order),
        "BASE": "Y" if code == _CURRENCIES[0][0] else "N",
        "LID": "ru",
        **shown,
        "DATE_UPDATE": _UPDATED,
        "LANG": languages,
    }


def _localization(format_string: str, name: str, separator: str | None, variant: str) -> Row:
    return {
        "FORMAT_STRING": format_string,
        "FULL_NAME": name,
        "DEC_POINT": ".",
        "THOUSANDS_SEP": separator,
        "DECIMALS": "2",
        "THOUSANDS_VARIANT": variant,
        "HIDE_ZERO": "Y",
    }
