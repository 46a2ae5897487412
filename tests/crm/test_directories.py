"""Values of directories and currencies that callers write must be those of the portal, which is seldom asked."""

import asyncio
from typing import Any

import pytest

from gateway.fields.service import REFRESH_INTERVAL_S
from tests.gateway import Answer, Gateway, Sandbox
from tests.support.records import portal_ids

TITLES = {"leads": "TITLE", "deals": "TITLE", "contacts": "NAME", "companies": "TITLE", "invoices": "title"}
LISTS = ("crm.status.list", "crm.currency.list")


async def create(gateway: Gateway, resource: str, **values: Any) -> Answer:
    body = {TITLES[resource]: "x", **values}
    return await gateway.clock.until(gateway.request("POST", f"/bitrix/{resource}", json=body))


async def field_of(gateway: Gateway, kind: str, *, multiple: bool) -> str:
    """The name of a custom field of deals of this type."""
    fields = (await gateway.get("/bitrix/deals/fields")).json["items"]
    return next(
        str(field["name"])
        for field in fields
        if field["name"].startswith("UF_") and (field["type"], field["multiple"]) == (kind, multiple)
    )


@pytest.mark.parametrize(
    ("resource", "name", "value", "stored"),
    [
        ("deals", "SOURCE_ID", "WEB", "WEB"),
        ("deals", "SOURCE_ID", "веб-сайт", "WEB"),
        ("deals", "TYPE_ID", "Обслуживание", "SERVICE"),
        ("leads", "HONORIFIC", "г-н", "HNR_RU_1"),
        ("contacts", "TYPE_ID", "OTHER", "OTHER"),
        ("companies", "INDUSTRY", "другое", "OTHER"),
        ("invoices", "sourceId", "Звонок", "CALL"),
        ("deals", "CURRENCY_ID", "EUR", "EUR"),
        ("deals", "CURRENCY_ID", "доллар США", "USD"),
        ("invoices", "currencyId", "KZT", "KZT"),
    ],
)
async def test_a_value_is_given_by_its_id_or_its_name(
    connected: Gateway, resource: str, name: str, value: str, stored: str
) -> None:
    answer = await create(connected, resource, **{name: value})
    assert (answer.status, answer.json[name]) == (201, stored)


@pytest.mark.parametrize(
    ("resource", "name", "value", "rule"),
    [
        ("deals", "SOURCE_ID", "webs", "CALL (Звонок), EMAIL (Электронная почта), WEB (Веб-сайт), UC_QUIZ01"),
        ("deals", "SOURCE_ID", True, "must be"),
        ("deals", "TYPE_ID", "GOODS", "SALE (Продажа), SERVICE (Обслуживание)"),
        ("companies", "INDUSTRY", 0, "IT (Информационные технологии), OTHER (Другое)"),
        ("invoices", "sourceId", "WON", "WEB (Веб-сайт)"),
        ("deals", "CURRENCY_ID", "rubl", "RUB (Российский рубль), USD (Доллар США), EUR"),
        ("invoices", "currencyId", "XXX", "RUB (Российский рубль)"),
    ],
)
async def test_a_value_that_the_portal_does_not_have_is_refused(
    connected: Gateway, sandbox: Sandbox, resource: str, name: str, value: object, rule: str
) -> None:
    before = portal_ids(sandbox, resource)
    answer = await create(connected, resource, **{name: value})
    (error,) = answer.json["errors"]
    assert (answer.status, error["pointer"], error["code"]) == (400, f"/{name}", "invalid_value")
    assert rule in error["detail"]
    assert portal_ids(sandbox, resource) == before


async def test_values_of_custom_fields_are_checked_one_by_one(connected: Gateway) -> None:
    industry = await field_of(connected, "crm_status", multiple=False)
    budgets = await field_of(connected, "money", multiple=True)
    answer = await create(connected, "deals", **{industry: "ET", budgets: ["5|RUB", "5|XTS", "5"]})
    assert [error["pointer"] for error in answer.json["errors"]] == [f"/{industry}", f"/{budgets}/1", f"/{budgets}/2"]
    assert "must have a currency of the portal: RUB (" in answer.json["errors"][1]["detail"]
    answer = await create(connected, "deals", **{industry: "другое", budgets: [{"amount": 5, "currency": "USD"}]})
    assert (answer.status, answer.json[industry], answer.json[budgets]) == (201, "OTHER", ["5|USD"])


async def test_a_name_of_several_values_is_ambiguous(connected: Gateway, sandbox: Sandbox) -> None:
    for number, code in ((9001, "FAIR"), (9003, "FAIR2")):
        sample = next(row for row in sandbox.portal.data.statuses.values() if row["ENTITY_ID"] == "SOURCE")
        sandbox.portal.data.statuses[number] = {**sample, "ID": str(number), "STATUS_ID": code, "NAME": "Выставка"}
    answer = await create(connected, "deals", SOURCE_ID="выставка")
    (error,) = answer.json["errors"]
    assert (answer.status, error["pointer"], error["code"]) == (400, "/SOURCE_ID", "ambiguous_value")
    assert "use one of the ids FAIR, FAIR2" in error["detail"]


async def test_known_values_cost_no_call_and_unknown_ones_one_in_a_while(connected: Gateway, sandbox: Sandbox) -> None:
    await connected.synced("steps")
    calls = sandbox.portal.calls
    before = {method: calls[method] for method in LISTS}

    def asked() -> list[int]:
        return [calls[method] - before[method] for method in LISTS]

    for _ in range(3):
        assert (await create(connected, "deals", SOURCE_ID="WEB", CURRENCY_ID="EUR")).status == 201
    assert asked() == [0, 1]
    wrong = {"SOURCE_ID": "WEP", "CURRENCY_ID": "EUP"}
    for answer in await asyncio.gather(*(create(connected, "deals", **wrong) for _ in range(20))):
        assert [error["pointer"] for error in answer.json["errors"]] == ["/SOURCE_ID", "/CURRENCY_ID"]
    assert asked() == [1, 1]
    sandbox.portal.data.currencies["EUP"] = {**sandbox.portal.data.currencies["EUR"], "CURRENCY": "EUP"}
    sample = next(row for row in sandbox.portal.data.statuses.values() if row["ENTITY_ID"] == "SOURCE")
    sandbox.portal.data.statuses[9001] = {**sample, "ID": "9001", "STATUS_ID": "WEP", "NAME": "Wep"}
    assert (await create(connected, "deals", **wrong)).status == 400
    await connected.clock.advance(REFRESH_INTERVAL_S)
    answer = await create(connected, "deals", **wrong)
    assert (answer.status, answer.json["SOURCE_ID"], answer.json["CURRENCY_ID"]) == (201, "WEP", "EUP")
    assert asked() == [2, 2]


@pytest.mark.parametrize(("method", "name"), [(LISTS[0], "SOURCE_ID"), (LISTS[1], "CURRENCY_ID")])
async def test_nothing_is_written_if_the_portal_does_not_tell_its_values(
    connected: Gateway, sandbox: Sandbox, method: str, name: str
) -> None:
    sandbox.portal.fault(f"{method}:error=ACCESS_DENIED")
    answer = await create(connected, "deals", **{name: "WEP"})
    assert (answer.status, answer.json["portalError"]["code"]) == (403, "ACCESS_DENIED")
    assert sandbox.portal.calls["crm.deal.add"] == 0


@pytest.mark.parametrize(
    ("name", "value"), [("CONTACT_ID", 0), ("COMPANY_ID", "-5"), ("ASSIGNED_BY_ID", 0), ("CONTACT_IDS", [5, 0])]
)
async def test_an_id_of_no_record_is_refused_and_null_is_none(connected: Gateway, name: str, value: object) -> None:
    answer = await create(connected, "deals", **{name: value})
    (error,) = answer.json["errors"]
    assert (answer.status, error["pointer"]) == (400, f"/{name}/1" if name == "CONTACT_IDS" else f"/{name}")
    assert "an integer from 1 to 9223372036854775807; for none write null, not 0" in error["detail"]
    assert (await create(connected, "deals", **{name: None})).status == 201
