"""The currencies of the CRM."""

import pytest

from tests.sandbox.client import RestClient

COLUMNS = {
    "CURRENCY", "AMOUNT_CNT", "AMOUNT", "SORT", "BASE", "FULL_NAME", "LID", "FORMAT_STRING", "DEC_POINT",
    "THOUSANDS_SEP", "DECIMALS", "DATE_UPDATE",
}  # fmt: skip


async def test_currencies_are_listed_without_a_total(webhook: RestClient) -> None:
    answer = await webhook.call("crm.currency.list")
    assert [row["CURRENCY"] for row in answer.result] == ["RUB", "USD", "EUR", "KZT"]
    assert {frozenset(row) for row in answer.result} == {frozenset(COLUMNS)}
    assert (answer.body["total"], "next" in answer.body) == (0, False)
    ordered = await webhook.call("crm.currency.list", order={"currency": "asc"})
    assert [row["CURRENCY"] for row in ordered.result] == ["EUR", "KZT", "RUB", "USD"]


async def test_a_currency_has_its_localizations(webhook: RestClient) -> None:
    currency = (await webhook.call("crm.currency.get", id="RUB")).result
    assert set(currency) == COLUMNS | {"LANG"}
    assert {language: row["FULL_NAME"] for language, row in currency["LANG"].items()} == {
        "en": "Russian Ruble",
        "ru": "Российский рубль",
    }
    assert (currency["BASE"], currency["FULL_NAME"]) == ("Y", "Российский рубль")


@pytest.mark.parametrize("params", [{}, {"id": "XXX"}, {"id": ["RUB"]}])
async def test_an_unknown_currency_is_not_found(webhook: RestClient, params: dict[str, object]) -> None:
    answer = await webhook.call("crm.currency.get", **params)
    assert (answer.status, answer.body) == (400, {"error": "", "error_description": "Not found"})
