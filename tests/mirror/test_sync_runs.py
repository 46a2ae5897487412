"""Runs of syncs: started, joined, shown, interrupted, resumed, ended and scheduled, also across restarts."""

from typing import Any

import pytest

from gateway.clock import format_time
from gateway.sandbox.portal import SandboxPortal
from gateway.sandbox.settings import SandboxSettings
from tests.clock import ManualClock
from tests.gateway import RESOURCES, Gateway, Sandbox, serve_sandbox
from tests.support.portal_rows import STEPS, USERS, Mirrored, each_list, fill_all
from tests.support.runs import first_bound, run_of

IDLE: dict[str, Any] = {
    "state": "idle", "mode": None, "rows": 0, "total": None, "cursor": None, "startedAt": None, "finishedAt": None,
    "error": None, "leftOut": 0, "skipped": [],
}  # fmt: skip
MOMENTS = 500  # of real time, for work that the manual clock does not control


@each_list
async def test_patch_answers_before_the_portal_does(gateway: Gateway, sandbox: Sandbox, mirrored: Mirrored) -> None:
    fill_all(sandbox.portal.data, 0)
    await gateway.connect(sandbox.webhook)
    mirrored.fill(sandbox.portal.data, 3)
    sandbox.portal.hold(mirrored.method)
    answer = await gateway.patch(f"/bitrix/{mirrored.name}")
    assert (answer.status, answer.body) == (200, b"")
    assert (answer.headers["Location"], answer.headers["Content-Length"]) == (f"/bitrix/sync/{mirrored.name}", "0")
    run = await run_of(gateway, mirrored.name)
    assert (run["state"], run["finishedAt"]) == ("running", None)
    assert await gateway.rows(mirrored.name) == []
    sandbox.portal.release(mirrored.method)
    (run,) = await gateway.synced(mirrored.name)
    assert (run["state"], run["rows"], run["mode"]) == ("done", 3, "full")
    assert mirrored.ids(await gateway.rows(mirrored.name)) == [1, 2, 3]


@each_list
async def test_a_second_patch_joins_the_run_and_a_later_one_starts_a_new_run(
    gateway: Gateway, sandbox: Sandbox, mirrored: Mirrored
) -> None:
    fill_all(sandbox.portal.data, 3)
    await gateway.connect(sandbox.webhook)
    calls = sandbox.portal.calls
    before = calls[mirrored.method]
    await gateway.sync(mirrored.name)
    one_walk = calls[mirrored.method] - before
    sandbox.portal.hold(mirrored.method)
    for _ in range(3):
        assert (await gateway.patch(f"/bitrix/{mirrored.name}")).status == 200
    sandbox.portal.release(mirrored.method)
    await gateway.synced()
    assert calls[mirrored.method] == before + 2 * one_walk
    await gateway.sync(mirrored.name)
    assert calls[mirrored.method] == before + 3 * one_walk


async def test_runs_are_shown_individually_and_as_a_list(gateway: Gateway, sandbox: Sandbox) -> None:
    fill_all(sandbox.portal.data, 3)
    await gateway.connect(sandbox.webhook)
    items = (await gateway.get("/bitrix/sync")).json["items"]
    assert [run["resource"] for run in items] == list(RESOURCES)
    assert [await run_of(gateway, resource) for resource in RESOURCES] == items
    assert [run["total"] for run in items] == [None, 3, 3, 3]
    assert {run["startedAt"][:10] for run in items} == {"2027-01-15"}
    sandbox.portal.hold("user.get")
    other = await gateway.post("/bitrix/account", account="other", json={"client_bitrix_url": sandbox.origin})
    assert other.status == 200
    assert (await run_of(gateway, "users", account="other")).items() >= {"resource": "users", **IDLE}.items()


async def test_a_failed_run_resumes_from_its_cursor(halfway: Gateway, sandbox: Sandbox) -> None:
    cursor = (await run_of(halfway, "users"))["cursor"]
    (run,) = await halfway.sync("users")
    assert first_bound(sandbox) == cursor
    assert (run["state"], run["rows"]) == ("done", 599)
    assert USERS.ids(await halfway.rows("users")) == [user_id for user_id in range(1, 601) if user_id != 10]


async def test_a_failed_run_removes_no_rows(halfway: Gateway) -> None:
    assert USERS.ids(await halfway.rows("users")) == list(range(1, 601))


async def test_a_row_that_returns_before_the_run_ends_stays_listed(halfway: Gateway, sandbox: Sandbox) -> None:
    before = USERS.identities(await halfway.rows("users"))
    USERS.add(sandbox.portal.data, 10)
    USERS.relabel(sandbox.portal.data, 10, "back again")
    await halfway.sync("users")
    after = await halfway.rows("users")
    assert USERS.identities(after) == before
    assert USERS.labels(after)[10] == "back again"


@pytest.mark.parametrize(("rest_s", "resumes"), [(3000, True), (3700, False)])
async def test_a_run_older_than_an_hour_starts_over(
    halfway: Gateway, sandbox: Sandbox, rest_s: int, resumes: bool
) -> None:
    started_at = (await run_of(halfway, "users"))["startedAt"]
    await halfway.clock.advance(rest_s)
    (run,) = await halfway.sync("users")
    assert (run["startedAt"] == started_at, first_bound(sandbox) > 0) == (resumes, resumes)
    assert run["state"] == "done"
    assert len(await halfway.rows("users")) == 599


async def test_a_run_interrupted_by_a_stop_resumes_from_its_cursor_after_the_start(
    gateway: Gateway, sandbox: Sandbox, clock: ManualClock
) -> None:
    USERS.fill(sandbox.portal.data, 0)
    await gateway.connect(sandbox.webhook)
    USERS.fill(sandbox.portal.data, 3000)
    calls = sandbox.portal.calls["user.get"]
    sandbox.portal.fault("user.get:delay=3000@60")  # in the second batch of ranges, when the first is stored
    await gateway.patch("/bitrix/users")
    cursor = 0
    for _ in range(MOMENTS):
        cursor = (await run_of(gateway, "users"))["cursor"] or 0
        if sandbox.portal.calls["user.get"] > calls + 60 and cursor == 2000:
            break
        await clock.settle()
    assert cursor == 2000
    await gateway.stop()
    sandbox.portal.seen.clear()
    await gateway.start()
    (run,) = await gateway.synced("users")
    assert first_bound(sandbox) == cursor
    assert (run["state"], run["rows"]) == ("done", 3000)
    assert USERS.ids((await gateway.get("/bitrix/users?size=5000")).json["items"]) == list(range(1, 3001))


async def test_rows_are_served_after_a_restart_without_the_portal(gateway: Gateway, sandbox: Sandbox) -> None:
    fill_all(sandbox.portal.data, 30)
    await gateway.connect(sandbox.webhook)
    paths = [*(f"/bitrix/{resource}?page=2" for resource in RESOURCES), "/bitrix/account", "/bitrix/sync"]
    before = [(await gateway.get(path)).body for path in paths]
    requests = sandbox.portal.http_requests
    await gateway.restart()
    assert [(await gateway.get(path)).body for path in paths] == before
    await gateway.clock.advance(60)
    assert sandbox.portal.http_requests == requests


async def test_deleting_the_account_ends_its_runs_without_further_writes(gateway: Gateway, sandbox: Sandbox) -> None:
    STEPS.fill(sandbox.portal.data, 1)
    await gateway.connect(sandbox.webhook)
    STEPS.fill(sandbox.portal.data, 5)
    sandbox.portal.hold("crm.status.list")
    await gateway.patch("/bitrix/steps")
    assert (await gateway.delete("/bitrix/account")).status == 200
    sandbox.portal.release("crm.status.list")
    await gateway.clock.advance(120)
    assert (await gateway.get("/bitrix/steps")).status == 404
    sandbox.portal.hold("crm.status.list")
    await gateway.post("/bitrix/account", json={"client_bitrix_url": sandbox.webhook})
    assert STEPS.ids(await gateway.rows("steps")) == [1]  # as it was when the account was deleted
    sandbox.portal.release("crm.status.list")
    await gateway.synced()
    assert STEPS.ids(await gateway.rows("steps")) == [1, 2, 3, 4, 5]


async def test_moving_the_account_ends_its_runs_and_lists_only_the_new_portal(
    gateway: Gateway, sandbox: Sandbox, clock: ManualClock
) -> None:
    STEPS.fill(sandbox.portal.data, 2)
    await gateway.connect(sandbox.webhook)
    async with serve_sandbox(SandboxPortal(SandboxSettings(users=3, seed=2), clock)) as other:
        STEPS.fill(other.portal.data, 3, first=100)
        sandbox.portal.hold("crm.status.list")
        await gateway.patch("/bitrix/steps")
        await gateway.connect(other.webhook)
        assert STEPS.ids(await gateway.rows("steps")) == [100, 101, 102]
        sandbox.portal.release("crm.status.list")
        await gateway.clock.advance(120)
        assert STEPS.ids(await gateway.rows("steps")) == [100, 101, 102]
        await gateway.connect(sandbox.webhook)
        assert STEPS.ids(await gateway.rows("steps")) == [1, 2]


async def synced_since(gateway: Gateway, before: float) -> None:
    """Return once the latest run of every list has started after *before* and has ended."""
    for _ in range(MOMENTS):
        runs = await gateway.synced()
        if all(run["startedAt"] > format_time(int(before)) for run in runs):
            return
        await gateway.clock.settle()
    raise AssertionError("the schedule started no run")


async def test_the_schedule_syncs_all_lists_after_the_interval(
    connected: Gateway, sandbox: Sandbox, clock: ManualClock
) -> None:
    STEPS.fill(sandbox.portal.data, 2)
    await connected.restart(GATEWAY_SYNC_INTERVAL_S="900")
    requests, before = sandbox.portal.http_requests, clock.now()
    await clock.advance(850)
    assert sandbox.portal.http_requests == requests
    calls = sandbox.portal.calls["user.get"]
    await clock.advance(60)
    await synced_since(connected, before)
    assert STEPS.ids(await connected.rows("steps")) != []
    assert len(await connected.rows("steps")) == 2
    assert sandbox.portal.calls["user.get"] > calls
    STEPS.fill(sandbox.portal.data, 4)
    before = clock.now()
    await clock.advance(910)
    await synced_since(connected, before)
    assert len(await connected.rows("steps")) == 4


async def test_the_schedule_continues_after_the_wall_clock_is_set_back(
    connected: Gateway, sandbox: Sandbox, clock: ManualClock
) -> None:
    await connected.restart(GATEWAY_SYNC_INTERVAL_S="900")
    calls = sandbox.portal.calls["user.get"]
    clock.wall_shift_s = -86_400
    await clock.advance(2000)
    await connected.synced()
    assert sandbox.portal.calls["user.get"] > calls


async def test_a_sync_that_became_due_while_stopped_runs_at_the_start(
    connected: Gateway, sandbox: Sandbox, clock: ManualClock
) -> None:
    STEPS.fill(sandbox.portal.data, 2)
    await connected.stop()
    await clock.advance(3600)
    await connected.start(GATEWAY_SYNC_INTERVAL_S="900")
    await clock.advance(5)
    await connected.synced()
    assert len(await connected.rows("steps")) == 2


async def test_without_an_interval_no_sync_is_scheduled(connected: Gateway, sandbox: Sandbox) -> None:
    requests = sandbox.portal.http_requests
    await connected.clock.advance(7 * 86_400)
    assert sandbox.portal.http_requests == requests


async def test_accounts_on_one_portal_share_its_bucket(gateway: Gateway, sandbox: Sandbox) -> None:
    fill_all(sandbox.portal.data, 3)
    accounts = [f"account {number}" for number in range(8)]
    for account in accounts:
        await gateway.connect(sandbox.webhook, account=account)
    await gateway.clock.advance(600)
    await gateway.restart(GATEWAY_BUCKET_CAPACITY="4")
    requests = sandbox.portal.http_requests
    for account in accounts:
        await gateway.patch("/bitrix/steps", account=account)
    await gateway.clock.settle()
    assert 0 < sandbox.portal.http_requests - requests <= 4
    for account in accounts:
        (run,) = await gateway.synced("steps", account=account)
        assert run["state"] == "done"
    assert sandbox.portal.refusals["QUERY_LIMIT_EXCEEDED"] == 0
