"""The leaky bucket and the operating time."""

import asyncio
from typing import Any

import pytest

from gateway.sandbox.behaviour.limits import LeakyBucket, OperatingTime
from gateway.sandbox.portal import SandboxPortal
from gateway.sandbox.settings import SandboxSettings
from tests.clock import ManualClock
from tests.sandbox.client import RestClient


def test_a_burst_gets_one_answer_more_than_the_capacity() -> None:
    bucket = LeakyBucket(capacity=50, leak_per_s=2)
    assert [bucket.admit(10.5) for _ in range(60)].count(True) == 51
    assert bucket.level == 51


def test_the_bucket_drains_once_per_second() -> None:
    bucket = LeakyBucket(capacity=3, leak_per_s=2)
    assert [bucket.admit(10.0) for _ in range(5)] == [True, True, True, True, False]
    assert not bucket.admit(10.99)
    assert [bucket.admit(11.0) for _ in range(3)] == [True, True, False]
    assert [bucket.admit(100.0) for _ in range(5)].count(True) == 4


def test_operating_time_expires_in_baskets_of_a_minute() -> None:
    operating = OperatingTime(limit_s=480)
    operating.spend("app", "user.get", 300, now=1000)
    operating.spend("app", "user.get", 180, now=1010)
    assert not operating.is_blocked("app", "user.get", 1010)
    operating.spend("app", "user.get", 5, now=1100)
    assert operating.is_blocked("app", "user.get", 1599)
    assert operating.reset_at("app", "user.get", 1599) == 1600
    assert operating.spent_s("app", "user.get", 1600) == 5
    assert operating.reset_at("app", "user.get", 1600) == 1700
    assert operating.reset_at("app", "user.get", 1700) == 2300


def test_methods_and_clients_have_separate_budgets() -> None:
    operating = OperatingTime(limit_s=10)
    operating.spend("app", "user.get", 11, now=0)
    operating.spend("app", "scope", 0.05, now=0)
    assert operating.is_blocked("app", "user.get", 1)
    assert not operating.is_blocked("webhook", "user.get", 1)
    assert operating.spent_s("app", "scope", 1) == 0


async def test_the_fifty_second_request_of_a_burst_is_refused(
    webhook: RestClient, portal: SandboxPortal, clock: ManualClock
) -> None:
    answers = [await webhook.call("server.time") for _ in range(53)]
    assert [answer.status for answer in answers] == [200] * 51 + [503] * 2
    assert answers[-1].body == {"error": "QUERY_LIMIT_EXCEEDED", "error_description": "Too many requests"}
    assert (portal.http_requests, portal.calls["server.time"]) == (53, 51)
    assert portal.refusals == {"QUERY_LIMIT_EXCEEDED": 2}
    await clock.advance(1)
    assert [(await webhook.call("server.time")).status for _ in range(3)] == [200, 200, 503]


async def test_the_bucket_is_checked_before_everything_else(anonymous: RestClient) -> None:
    answers = [await anonymous.get("/rest/1/wrong/nope") for _ in range(52)]
    assert [answer.status for answer in answers] == [404] * 51 + [503]


async def test_an_answer_reports_the_operating_time_of_its_method(
    webhook: RestClient, portal: SandboxPortal, clock: ManualClock
) -> None:
    portal.fault("user.get:busy=300@1")
    assert (await webhook.call("user.get")).body["time"]["operating"] == 0
    time = (await webhook.call("user.get")).body["time"]
    assert (time["operating"], time["operating_reset_at"]) == (300, int(clock.now()) + 600)
    other = (await webhook.call("scope")).body["time"]
    assert (other["operating"], other["operating_reset_at"]) == (0, int(clock.now()) + 600)


async def test_a_method_past_its_budget_is_blocked_until_the_reset(
    webhook: RestClient, portal: SandboxPortal, clock: ManualClock
) -> None:
    portal.fault("user.get:busy=481")
    assert (await webhook.call("user.get")).status == 200
    blocked = await webhook.call("user.get")
    assert (blocked.status, blocked.error) == (429, "OPERATION_TIME_LIMIT")
    result = await webhook.batch(a="user.get", b="profile")
    assert result["result_error"]["a"]["error"] == "OPERATION_TIME_LIMIT"
    assert "b" in result["result"]
    await clock.advance(600)
    assert (await webhook.call("user.get")).status == 200


async def test_a_batch_is_billed_through_its_commands(webhook: RestClient, portal: SandboxPortal) -> None:
    portal.fault("user.get:busy=7")
    body = (await webhook.call("batch", cmd={"a": "user.get"})).body
    assert body["time"]["operating"] == 0
    assert body["result"]["result_time"]["a"]["operating"] == 7


async def test_the_duration_of_commands_is_not_billed_to_the_batch(
    webhook: RestClient, portal: SandboxPortal, clock: ManualClock
) -> None:
    portal.fault("user.get:delay=7")
    call = asyncio.create_task(webhook.call("batch", cmd={"a": "user.get"}))
    time = (await clock.until(call)).body["time"]
    assert (time["duration"], time["operating"]) == (7, 0)


class TestOff:
    @pytest.fixture
    def settings(self) -> SandboxSettings:
        return SandboxSettings(users=1, tariff="off")

    async def test_nothing_is_limited_and_no_operating_time_is_booked(
        self, webhook: RestClient, portal: SandboxPortal, clock: ManualClock
    ) -> None:
        portal.fault("scope:busy=999")
        answers = [await webhook.call("scope") for _ in range(80)]
        assert {answer.status for answer in answers} == {200}
        batch = (await webhook.call("batch", cmd={"a": "scope"})).body
        newer = await webhook.send("POST", webhook.base.replace("/rest/", "/rest/api/") + "tasks.task.list", json={})
        times = [answers[-1].body["time"], batch["time"], batch["result"]["result_time"]["a"], newer.body["time"]]
        counters = [(time["operating"], time["operating_reset_at"]) for time in times]
        assert counters == [(0, int(clock.now()) + 600)] * 4


class TestIntegerStart:
    @pytest.fixture
    def settings(self) -> SandboxSettings:
        return SandboxSettings(users=1, integer_start=True)

    async def test_the_start_is_in_whole_seconds(self, webhook: RestClient, clock: ManualClock) -> None:
        await clock.advance(0.75)
        time = (await webhook.call("scope")).body["time"]
        assert (time["start"], time["finish"], time["duration"]) == (1_800_000_000, 1_800_000_000.75, 0.75)
        assert (type(time["start"]), time["processing"]) == (int, 0)


@pytest.mark.parametrize(
    "invalid",
    [
        *({"users": 0}, {"deals": -1}, {"items": -1}, {"tasks": -1}, {"eventlog": -1}),
        *({"holes": 1.0}, {"holes": -0.1}, {"tariff": "gold"}),
    ],
)
def test_invalid_settings_are_refused(invalid: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(invalid))):
        SandboxSettings(**invalid)
