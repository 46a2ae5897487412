"""The currencies of the CRM, the base currency and the localizations."""

from typing import Any

import pytest

from tests.sandbox.client import RestClient

COLUMNS = {
    "CURRENCY", "AMOUNT_CNT", "AMOUNT", "SORT", "BASE", "FULL_NAME", "LID", "FORMAT_STRING", "DEC_POINT",
    "THOUSANDS_SEP", "DECIMALS", "DATE_UPDATE",
}  # fmt: skip
NEW = {"CURRENCY": "TST", "AMOUNT_CNT": 1, "AMOUNT": 1.2345, "SORT": 999, "BASE": "N"}
ENGLISH = {
    "FULL_NAME": "United States Dollar", "FORMAT_STRING": "$#", "DEC_POINT": ".", "THOUSANDS_VARIANT": "C",
    "THOUSANDS_SEP": ",", "DECIMALS": "2", "HIDE_ZERO": "Y",
}  # fmt: skip


async def get(webhook: RestClient, code: str) -> Any:
    return (await webhook.call("crm.currency.get", id=code)).result


async def test_currencies_are_listed_without_a_total(webhook: RestClient) -> None:
    answer = await webhook.call("crm.currency.list")
    assert [row["CURRENCY"] for row in answer.result] == ["RUB", "USD", "EUR", "KZT"]
    assert {frozenset(row) for row in answer.result} == {frozenset(COLUMNS)}
    assert (answer.body["total"], "next" in answer.body) == (0, False)
    ordered = await webhook.call("crm.currency.list", order={"currency": "asc"})
    assert [row["CURRENCY"] for row in ordered.result] == ["EUR", "KZT", "RUB", "USD"]


async def test_a_currency_is_added_read_changed_and_deleted(webhook: RestClient) -> None:
    assert (await webhook.call("crm.currency.add", fields=NEW)).result == "TST"
    currency = await get(webhook, "TST")
    assert set(currency) == COLUMNS | {"LANG"}
    assert {name: currency[name] for name in NEW} == {name: str(value) for name, value in NEW.items()}
    changes = {"AMOUNT": "2.3456", "SORT": 1, "LANG": {"ru": {"FULL_NAME": "Тест", "DECIMALS": 0}}}
    assert (await webhook.call("crm.currency.update", id="TST", fields=changes)).result is True
    changed = (await webhook.call("crm.currency.list")).result[0]
    assert (changed["AMOUNT"], changed["FULL_NAME"], changed["DECIMALS"]) == ("2.3456", "Тест", "0")
    assert (await webhook.call("crm.currency.delete", id="TST")).result is True
    assert (await webhook.call("crm.currency.get", id="TST")).status == 400


async def test_there_is_one_base_currency(webhook: RestClient) -> None:
    assert (await webhook.call("crm.currency.base.get")).result == "RUB"
    assert (await webhook.call("crm.currency.base.set", id="USD")).result is True
    assert (await webhook.call("crm.currency.base.set", id="XXX")).result is False
    assert (await webhook.call("crm.currency.base.get")).result == "USD"
    assert ((await get(webhook, "USD"))["BASE"], (await get(webhook, "RUB"))["BASE"]) == ("Y", "N")
    await webhook.call("crm.currency.add", fields={**NEW, "BASE": "Y"})
    assert (await webhook.call("crm.currency.base.get")).result == "TST"
    answer = await webhook.call("crm.currency.delete", id="TST")
    assert (answer.status, answer.body["error_description"]) == (400, "Нельзя удалить базовую валюту.")


async def test_localizations_are_set_read_and_deleted(webhook: RestClient) -> None:
    prefix = "crm.currency.localizations"
    languages = {"en": ENGLISH, "de": {"FULL_NAME": "US-Dollar"}}
    assert (await webhook.call(f"{prefix}.set", id="USD", localizations=languages)).result is True
    stored = (await webhook.call(f"{prefix}.get", id="USD")).result
    assert (stored["en"], stored["de"]["FULL_NAME"], stored["de"]["DECIMALS"]) == (ENGLISH, "US-Dollar", "2")
    assert (await webhook.call(f"{prefix}.delete", id="USD", lids=["en", "ru", "de"])).result is True
    assert (await webhook.call(f"{prefix}.get", id="USD")).result == []
    assert (await webhook.call(f"{prefix}.delete", id="USD", lids=["en"])).result is False
    assert (await webhook.call(f"{prefix}.set", id="USD", localizations={})).result is False
    assert set((await webhook.call(f"{prefix}.fields")).result) == set(ENGLISH)
    for verb in ("get", "set", "delete"):
        answer = await webhook.call(f"{prefix}.{verb}")
        assert answer.body == {"error": "", "error_description": "The parameter id is invalid or not defined."}


async def test_fields_of_currencies_are_described(webhook: RestClient) -> None:
    fields = (await webhook.call("crm.currency.fields")).result
    assert set(fields) == COLUMNS | {"LANG"}
    assert {name for name in fields if not fields[name]["isReadOnly"]} == {
        "CURRENCY", "AMOUNT_CNT", "AMOUNT", "SORT", "LANG",
    }  # fmt: skip


@pytest.mark.parametrize("verb", ["get", "update"])
@pytest.mark.parametrize("code", [None, "XXX", ["RUB"]])
async def test_an_unknown_currency_is_not_found(webhook: RestClient, verb: str, code: Any) -> None:
    answer = await webhook.call(f"crm.currency.{verb}", id=code)
    assert (answer.status, answer.body) == (400, {"error": "", "error_description": "Not found"})


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({}, 'Undefined array key "CURRENCY"'),
        ({"CURRENCY": "TST", "AMOUNT_CNT": 1}, 'Undefined array key "AMOUNT"'),
        ({**NEW, "CURRENCY": "USD"}, "The currency USD is invalid or already exists."),
    ],
)
async def test_a_currency_needs_a_new_code_and_a_rate(webhook: RestClient, fields: dict[str, Any], text: str) -> None:
    answer = await webhook.call("crm.currency.add", fields=fields)
    assert (answer.status, answer.body) == (400, {"error": "ERROR_CORE", "error_description": text})


async def test_an_invalid_code_has_an_empty_error(webhook: RestClient) -> None:
    answer = await webhook.call("crm.currency.delete", id="LONG")
    assert (answer.status, answer.body) == (400, {"error": "", "error_description": ""})


@pytest.mark.parametrize("method", ["add", "update", "delete", "base.set", "localizations.set", "localizations.delete"])
async def test_only_an_administrator_changes_currencies(anonymous: RestClient, tokens_of: Any, method: str) -> None:
    answer = await anonymous.call(f"/rest/crm.currency.{method}", auth=tokens_of(2), id="USD", fields=NEW)
    assert (answer.status, answer.body) == (400, {"error": "", "error_description": "Access denied."})
