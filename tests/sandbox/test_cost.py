"""The cost model, and changes of rows during a read."""

import asyncio
from typing import Any

import pytest

from gateway.sandbox.behaviour.cost import CostModel
from gateway.sandbox.content.changes import Change
from gateway.sandbox.portal import SandboxPortal
from gateway.sandbox.query.listing import Effort
from gateway.sandbox.settings import SandboxSettings
from tests.clock import ManualClock
from tests.sandbox.client import RestClient


@pytest.fixture
def settings() -> SandboxSettings:
    return SandboxSettings(users=130, deals=200_000, cost=CostModel())


def test_the_cost_of_a_list_includes_its_count_and_offset() -> None:
    assert CostModel().seconds(Effort()) == pytest.approx(0.040)
    assert CostModel().seconds(Effort(counted_rows=100_000)) == pytest.approx(0.100)
    assert CostModel().seconds(Effort(counted_rows=100_000, skipped_rows=2_000)) == pytest.approx(0.1005)


@pytest.mark.parametrize(
    ("method", "params", "seconds"),
    [
        ("crm.deal.list", {"start": -1}, 0.040),
        ("crm.deal.list", {}, 0.040 + 0.120),
        ("crm.deal.list", {"filter": {"ID": 1}}, 0.040 + 0.120),
        ("crm.deal.list", {"start": 100_000}, 0.040 + 0.120 + 0.025),
        ("crm.item.list", {"entityTypeId": 2, "start": 100_000}, 0.040 + 0.120 + 0.025),
        ("user.get", {"start": -1}, 0.040),
        ("user.get", {"start": 5_000}, 0.040 + 0.000078 + 0.0000325),  # skips no more than the table's rows
        ("crm.status.list", {}, 0.040),
        ("crm.deal.fields", {}, 0),
        ("scope", {}, 0),
    ],
)
async def test_a_call_takes_its_cost_and_reports_it(
    webhook: RestClient, portal: SandboxPortal, clock: ManualClock, method: str, params: dict[str, Any], seconds: float
) -> None:
    answer = await clock.until(webhook.call(method, **params), step_s=seconds)
    assert answer.body["time"]["duration"] == pytest.approx(seconds, abs=1e-5)
    assert answer.body["time"]["processing"] == pytest.approx(seconds, abs=1e-5)
    assert portal.busy_s == pytest.approx(seconds)
    assert answer.body["time"]["operating"] == (pytest.approx(seconds, abs=1e-5) if seconds > 0.1 else 0)


async def test_commands_of_a_batch_run_one_after_another(
    webhook: RestClient, anonymous: RestClient, portal: SandboxPortal, clock: ManualClock
) -> None:
    commands = {f"c{number}": "crm.deal.list?start=-1" for number in range(10)}
    answer = await clock.until(webhook.call("batch", cmd=commands), step_s=0.040)
    assert answer.body["time"]["duration"] == pytest.approx(0.4)
    assert [time["duration"] for time in answer.result["result_time"].values()] == pytest.approx([0.040] * 10)
    assert (portal.commands, portal.http_requests) == (10, 1)
    assert portal.busy_s == pytest.approx(0.4)
    shown = (await anonymous.get("/_sandbox/")).body
    assert (shown["commands"], shown["http_requests"], shown["busy_s"]) == (10, 1, pytest.approx(0.4))


async def test_requests_run_in_parallel(webhook: RestClient, clock: ManualClock) -> None:
    started = clock.now()
    both = asyncio.gather(*(webhook.call("crm.deal.list", start=-1) for _ in range(5)))
    await clock.until(both, step_s=0.020)
    assert clock.now() - started < 0.1


async def test_rows_can_change_between_two_calls_of_a_method(webhook: RestClient, portal: SandboxPortal) -> None:
    deals = portal.data.tables["deals"]
    first, second, third = deals.ids_between(0, 1_000)[:3]
    portal.change_after("crm.deal.get", 2, Change("deals", {second: {"TITLE": "Renamed"}}, (third,)))
    assert (await webhook.call("crm.deal.get", id=second)).result["TITLE"] != "Renamed"
    assert (await webhook.call("crm.deal.get", id=third)).status == 200
    assert len(portal.changes) == 0
    changed = (await webhook.call("crm.deal.get", id=second)).result
    assert (changed["TITLE"], changed["ID"]) == ("Renamed", str(second))
    assert (await webhook.call("crm.deal.get", id=third)).status == 400
    assert (await webhook.call("crm.deal.get", id=first)).status == 200


async def test_the_control_address_changes_any_table_now_or_later(
    webhook: RestClient, anonymous: RestClient, portal: SandboxPortal
) -> None:
    last = max(portal.data.tables["items/128"])
    body = {"table": "items/128", "set": {str(last + 7): {"TITLE": "New"}}}
    assert (await anonymous.call("/_sandbox/rows", **body)).body == {"rows": 81}
    item = (await webhook.call("crm.item.get", entityTypeId=128, id=last + 7)).result["item"]
    assert (item["id"], item["title"], item["stageId"][:6]) == (last + 7, "New", "DT128_")
    later = {"table": "items/128", "remove": [last + 7], "after": {"method": "crm.item.get", "calls": 1}}
    assert (await anonymous.call("/_sandbox/rows", **later)).body == {"rows": 81}
    assert (await anonymous.get("/_sandbox/")).body["changes"] == 1
    assert (await webhook.call("crm.item.get", entityTypeId=128, id=last + 7)).status == 200
    assert (await webhook.call("crm.item.get", entityTypeId=128, id=last + 7)).error == "NOT_FOUND"


@pytest.mark.parametrize(
    ("after", "message"),
    [
        (5, "after: must be an object of method, a string, and calls"),
        ({}, "after: must be an object of method, a string, and calls"),
        ({"method": 1, "calls": 1}, "after: must be an object of method, a string, and calls"),
        ({"method": "scope"}, "after.calls: must be an integer of at least 1"),
        ({"method": "scope", "calls": -5}, "after.calls: must be an integer of at least 1"),
        ({"method": "scope", "calls": 0}, "after.calls: must be an integer of at least 1"),
        ({"method": "scope", "calls": True}, "after.calls: must be an integer of at least 1"),
    ],
)
async def test_a_change_with_an_invalid_after_is_refused(anonymous: RestClient, after: Any, message: str) -> None:
    answer = await anonymous.call("/_sandbox/rows", table="users", remove=[3], after=after)
    assert (answer.status, answer.body) == (400, message)
