"""Filters with their own `logic`: the bounds of a walk apply in addition, not as an alternative."""

from collections.abc import Callable
from typing import Any

import pytest

from gateway.bitrix.client import PortalClient
from gateway.bitrix.lists.by_ids import read_by_ids
from gateway.bitrix.lists.id_filter import BoundedCall
from gateway.bitrix.lists.list_specs import LIST_SPECS
from gateway.bitrix.lists.page import ListCall
from gateway.bitrix.lists.walk import walk
from gateway.sandbox.settings import SandboxSettings
from tests.clock import ManualClock

DEAL = 2


@pytest.fixture
def settings() -> SandboxSettings:
    return SandboxSettings(deals=900, tariff="off")


def deals(**params: object) -> ListCall:
    return ListCall("crm.item.list", {"entityTypeId": DEAL, **params})


async def rows_of(client: PortalClient, call: ListCall, cursor: int = 0) -> list[Any]:
    return [row for page in [page async for page in walk(client, call, cursor=cursor)] for row in page.rows]


FILTERS: list[tuple[dict[str, object], Callable[[int, float], bool]]] = [
    ({"logic": "OR", "0": {"<opportunity": 5000}, "1": {"id": 7}}, lambda id, sum: sum < 5000 or id == 7),
    ({"logic": "OR", ">id": 1100, "<id": 30}, lambda id, _: id > 1100 or id < 30),
    ({"logic": "or", "@id": [3, 4, 900], ">=opportunity": 19000}, lambda id, sum: id in (3, 4, 900) or sum >= 19000),
    ({"logic": "OR", ">id": 800}, lambda id, _: id > 800),
    ({"logic": "AND", ">id": 200, "<opportunity": 9000}, lambda id, sum: id > 200 and sum < 9000),
    (
        {
            "logic": "OR",
            "0": {"logic": "AND", ">id": 50, "1": {"logic": "OR", "<id": 90, ">opportunity": 15000}},
            "id": 5,
        },
        lambda id, sum: (id > 50 and (id < 90 or sum > 15000)) or id == 5,
    ),
    (
        {"0": {"logic": "OR", "<=id": 40, ">opportunity": 18000}, "<id": 700},
        lambda id, sum: id < 700 and (id <= 40 or sum > 18000),
    ),
]


@pytest.mark.parametrize("cursor", [0, 60])
@pytest.mark.parametrize(("conditions", "passes"), FILTERS)
async def test_alternatives_are_read_unchanged(
    client: PortalClient,
    clock: ManualClock,
    conditions: dict[str, object],
    passes: Callable[[int, float], bool],
    cursor: int,
) -> None:
    all_rows = await clock.until(rows_of(client, deals()))
    wanted = [row for row in all_rows if passes(row["id"], row["opportunity"]) and row["id"] > cursor]
    assert 0 < len(wanted) < len(all_rows)
    assert await clock.until(rows_of(client, deals(filter=conditions), cursor)) == wanted


async def test_rows_read_by_ids_pass_the_alternatives_too(client: PortalClient, clock: ManualClock) -> None:
    call = deals(filter={"logic": "OR", ">id": 1000, "<id": 10})
    found = await clock.until(read_by_ids(client, call, [3, 20, 21, 22]))
    assert [row["id"] for row in found.values()] == [3]


def test_lists_without_logic_are_bounded_beside_it() -> None:
    spec = LIST_SPECS["crm.deal.list"]
    params = {"filter": {"LOGIC": "OR", "TITLE": "x"}}
    assert spec.filtered(params, {">": 5}) == {"filter": {"LOGIC": "OR", "TITLE": "x", ">ID": 5}}
    assert BoundedCall.of(ListCall("crm.deal.list", {"filter": {"LOGIC": "OR", ">ID": 5}}), 0).after == 5
