"""Filters of GET /bitrix/stream/...: rows are those that are meant, or what is not understood is refused."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from gateway.sandbox.portal import SandboxSettings
from tests.gateway import Gateway, Sandbox

Given = dict[str, object]
Passes = Callable[[dict[str, Any]], bool]

OWN_FIELD = "UF_CRM_OF_ONE_PORTAL"
DEALS, INVOICES = "items/2", "invoices"


@pytest.fixture
def sandbox_settings(sandbox_settings: SandboxSettings) -> SandboxSettings:
    return replace(sandbox_settings, deals=1300, invoices=400)


FILTERS: dict[str, tuple[Given, Passes]] = {
    "alternatives without ids": (
        {"logic": "OR", "0": {"<opportunity": 4000}, "1": {"assignedById": 3, ">opportunity": 9000}},
        lambda row: row["opportunity"] < 4000 or (row["assignedById"] == 3 and row["opportunity"] > 9000),
    ),
    "ids among the alternatives": (
        {"logic": "OR", "<opportunity": 4000, ">id": 350, "1": {"id": 7}},
        lambda row: row["opportunity"] < 4000 or row["id"] > 350 or row["id"] == 7,
    ),
    "nothing but ids": ({"logic": "OR", "<=id": 20, ">id": 400}, lambda row: row["id"] <= 20 or row["id"] > 400),
    "alternatives below others": (
        {
            "logic": "OR",
            "0": {"logic": "AND", "0": {"logic": "OR", "<id": 90, ">opportunity": 15000}, "assignedById": 2},
        },
        lambda row: row["assignedById"] == 2 and (row["id"] < 90 or row["opportunity"] > 15000),
    ),
    "alternatives beside a bound": (
        {"0": {"logic": "OR", "<=id": 40, ">opportunity": 15000}, ">id": 10},
        lambda row: row["id"] > 10 and (row["id"] <= 40 or row["opportunity"] > 15000),
    ),
}


@pytest.mark.parametrize("resource", [DEALS, INVOICES])
async def test_alternatives_come_row_for_row_as_they_are_meant(connected: Gateway, resource: str) -> None:
    every = (await connected.stream(resource)).rows
    for which, (given, passes) in FILTERS.items():
        wanted = [row for row in every if passes(row)]
        assert 0 < len(wanted) < len(every), which
        told = await connected.stream(resource, filter=given)
        assert told.rows == wanted, which
        assert told.end == {"count": len(wanted), "complete": True, "cursor": told.end["cursor"]}, which


async def test_alternatives_go_on_from_a_cursor(connected: Gateway) -> None:
    given, passes = FILTERS["ids among the alternatives"]
    wanted = [row for row in (await connected.stream(DEALS)).rows if passes(row)]
    first = await connected.stream(DEALS, filter=given, limit=60)
    rest = await connected.stream(DEALS, filter=given, cursor=first.end["cursor"])
    assert first.rows + rest.rows == wanted


async def test_a_field_of_the_former_portal_is_refused_once_the_account_has_moved(
    connected: Gateway, sandbox: Sandbox, other: Sandbox
) -> None:
    fields = sandbox.portal.data.userfields["CRM_DEAL"]
    fields[10**6] = {**next(iter(fields.values())), "ID": str(10**6), "FIELD_NAME": OWN_FIELD}
    assert (await connected.stream("deals", filter={OWN_FIELD: "x"})).end["complete"] is True
    await connected.connect(other.webhook)
    answer = await connected.get(f'/bitrix/stream/deals?filter={{"{OWN_FIELD}":"x"}}')
    assert answer.status == 400
    assert answer.json["detail"] == f"filter: has '{OWN_FIELD}', which the list does not know and would ignore"
