"""A waiting sync shows the reason in its status and in the log. Finished syncs are logged too."""

import logging
from typing import Any

import pytest

from tests.gateway import Gateway, Sandbox, authorize
from tests.support.portal_rows import USERS, Mirrored, each_list
from tests.support.runs import run_of
from tests.support.stored import locked, unwritable


def fields_of(caplog: pytest.LogCaptureFixture, event: str) -> list[dict[str, Any]]:
    """The fields of each log line with *event*."""
    return [vars(record) for record in caplog.records if record.getMessage() == event]


@each_list
@pytest.mark.parametrize(("kind", "reason"), [("502", "cannot be read"), ("json500", "INTERNAL_SERVER_ERROR")])
async def test_a_sync_shows_why_it_waits_for_a_failing_portal(
    connected: Gateway,
    sandbox: Sandbox,
    mirrored: Mirrored,
    kind: str,
    reason: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    sandbox.portal.fault(f"{'batch' if kind == '502' else mirrored.method}:{kind}*")
    caplog.clear()
    await connected.patch(f"/bitrix/{mirrored.name}")
    await connected.clock.advance(0.2)
    run = await run_of(connected, mirrored.name)
    assert (run["state"], run["finishedAt"]) == ("running", None)
    assert run["error"].startswith("retrying: ")
    assert reason in run["error"]
    retries = fields_of(caplog, "sync is retrying")
    assert {(line["account"], line["resource"], line["levelname"]) for line in retries} == {
        ("acme", mirrored.name, "WARNING")
    }
    assert all(line["wait_s"] > 0 and reason in line["reason"] for line in retries)
    sandbox.portal.clear_faults()
    (run,) = await connected.synced(mirrored.name)
    assert (run["state"], run["error"]) == ("done", None)


@pytest.mark.parametrize("fault", ["user.get:json500*5@8", "batch:drop*2@1", "batch:502*2@1", "batch:qle*2@1"])
async def test_a_sync_that_makes_progress_shows_no_error(
    gateway: Gateway, sandbox: Sandbox, fault: str, caplog: pytest.LogCaptureFixture
) -> None:
    USERS.fill(sandbox.portal.data, 600)
    await gateway.connect(sandbox.webhook)
    sandbox.portal.fault(fault)
    caplog.clear()
    await gateway.patch("/bitrix/users")
    shown = set()
    for _ in range(400):
        run = await run_of(gateway, "users")
        shown.add(run["error"] is not None)
        if run["state"] != "running":
            break
        await gateway.clock.advance(0.05)
    assert (run["state"], run["error"], run["rows"]) == ("done", None, 600)
    assert shown == {True, False}
    assert fields_of(caplog, "sync is retrying")


async def test_a_method_out_of_operating_time_is_named(
    connected: Gateway, sandbox: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    sandbox.portal.fault("user.get:otl")
    caplog.clear()
    await connected.patch("/bitrix/users")
    await connected.clock.advance(10)
    run = await run_of(connected, "users")
    assert (run["state"], "user.get" in run["error"]) == ("running", True)
    assert max(line["wait_s"] for line in fields_of(caplog, "sync is retrying")) > 10
    (run,) = await connected.synced("users")
    assert (run["state"], run["error"]) == ("done", None)


async def test_the_end_of_a_sync_is_logged(
    connected: Gateway, sandbox: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    caplog.clear()
    await connected.sync("users")
    (line,) = fields_of(caplog, "sync finished")
    assert (line["account"], line["resource"], line["rows"], line["levelname"]) == ("acme", "users", 60, "INFO")
    assert line["seconds"] >= 0
    sandbox.portal.fault("user.get:error=ACCESS_DENIED*")
    await connected.sync("users")
    assert len(fields_of(caplog, "sync finished")) == 1
    (line,) = fields_of(caplog, "sync failed")
    assert (line["account"], line["resource"], "ACCESS_DENIED" in line["reason"]) == ("acme", "users", True)


async def test_a_connected_account_is_logged(
    gateway: Gateway, sandbox: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    await gateway.connect(sandbox.webhook, account="hook")
    await authorize(gateway, sandbox, account="app")
    lines = fields_of(caplog, "account connected")
    assert [(line["account"], line["portal"], line["kind"]) for line in lines] == [
        ("hook", sandbox.host, "webhook"),
        ("app", sandbox.host, "oauth"),
    ]
    await gateway.synced(account="app")


async def test_a_sync_waits_for_the_database_with_the_reason_and_continues(
    connected: Gateway, sandbox: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    sandbox.portal.hold("user.get")
    await connected.patch("/bitrix/users")
    del sandbox.portal.data.users[3]
    async with unwritable(connected):
        sandbox.portal.release("user.get")
        await connected.clock.advance(1)
        requests = sandbox.portal.http_requests
        for _ in range(10):
            run = await run_of(connected, "users")
            assert (run["state"], run["finishedAt"]) == ("running", None)
            assert "the database is unavailable" in run["error"]
            assert "will resume automatically" in run["error"]
            await connected.clock.advance(30)
        assert sandbox.portal.http_requests == requests
        assert (await connected.patch("/bitrix/users")).status == 200  # joins the waiting run
    await connected.clock.advance(20)
    (run,) = await connected.synced("users")
    assert (run["state"], run["error"], run["rows"]) == ("done", None, 59)
    assert len(await connected.rows("users")) == 59
    (waiting,) = fields_of(caplog, "sync is retrying")
    assert (waiting["account"], waiting["resource"]) == ("acme", "users")
    assert not any(record.exc_info for record in caplog.records)


async def test_a_sync_that_waits_ends_with_its_account(connected: Gateway, sandbox: Sandbox) -> None:
    sandbox.portal.hold("user.get")
    await connected.patch("/bitrix/users")
    async with unwritable(connected):
        sandbox.portal.release("user.get")
        await connected.clock.advance(1)
        assert (await run_of(connected, "users"))["error"]
    assert (await connected.delete("/bitrix/account")).status == 200
    requests = sandbox.portal.http_requests
    await connected.clock.advance(60)
    assert sandbox.portal.http_requests == requests


async def test_an_interrupted_sync_waits_if_the_database_is_unavailable_at_the_start(
    connected: Gateway, sandbox: Sandbox
) -> None:
    sandbox.portal.hold("user.get")
    await connected.patch("/bitrix/users")
    await connected.stop()
    sandbox.portal.release("user.get")
    with locked(connected):
        await connected.start()
        run = await run_of(connected, "users")
        assert run["state"] == "running"
    (run,) = await connected.synced("users")
    assert (run["state"], run["error"]) == ("done", None)
