"""Callers enable, pause, resume, cancel and time the syncs of their lists."""

import pytest

from tests.gateway import Gateway, Sandbox
from tests.support.records import change, change_sync, enable, page, portal_ids, purged, sync_again, sync_of

MANY = 3000  # deals, more than one batch


@pytest.fixture
async def long_sync(connected: Gateway, sandbox: Sandbox) -> Gateway:
    """A full sync of many deals has begun and stands still: the portal holds its batches."""
    first = max(portal_ids(sandbox, "deals")) + 1
    change(sandbox, "deals", {row_id: {"TITLE": f"row {row_id}"} for row_id in range(first, first + MANY)})
    await connected.restart(GATEWAY_BUCKET_CAPACITY="2")  # each request waits for the clock
    await change_sync(connected, "deals", enabled=True)
    await connected.clock.until(rows_of(connected, 1))
    sandbox.portal.hold("batch")
    return connected


async def rows_of(gateway: Gateway, rows: int) -> None:
    """Wait until a sync has stored that many rows."""
    while (await sync_of(gateway, "deals"))["rows"] < rows:
        await gateway.clock.sleep(0.1)


async def control(gateway: Gateway, action: str, status: int = 200) -> dict[str, object]:
    answer = await gateway.post(f"/bitrix/sync/deals/{action}")
    assert answer.status == status, answer.body
    found: dict[str, object] = answer.json
    return found


async def test_a_paused_sync_continues_after_it_is_resumed_and_after_a_restart(
    long_sync: Gateway, sandbox: Sandbox
) -> None:
    paused = await control(long_sync, "pause")
    assert (paused["state"], paused["enabled"]) == ("paused", True)
    await long_sync.clock.advance(1)  # the last page may still be stored
    paused = await sync_of(long_sync, "deals")
    sandbox.portal.release("batch")
    answer = await long_sync.patch("/bitrix/deals")
    assert (answer.status, answer.json["code"]) == (409, "sync_paused")
    await long_sync.restart(GATEWAY_SYNC_INTERVAL_S="60")
    await long_sync.clock.advance(600)
    assert (await sync_of(long_sync, "deals")) == paused | {"intervalSeconds": 60}
    await long_sync.restart()  # without a schedule, so that nothing follows the pass
    assert (await sync_of(long_sync, "deals")) == paused
    await control(long_sync, "resume")
    (run,) = await long_sync.synced("deals")
    assert (run["state"], run["mode"], run["error"]) == ("done", "full", None)
    assert (await page(long_sync, "/bitrix/deals")).json["count"] == len(portal_ids(sandbox, "deals"))


async def test_a_cancelled_sync_has_failed_and_keeps_its_rows(long_sync: Gateway, sandbox: Sandbox) -> None:
    cancelled = await control(long_sync, "cancel")
    assert (cancelled["state"], cancelled["error"]) == ("failed", "cancelled by a caller")
    count = (await page(long_sync, "/bitrix/deals")).json["count"]
    assert 0 < count < MANY
    assert (await control(long_sync, "cancel"))["state"] == "failed"
    sandbox.portal.release("batch")
    await long_sync.sync("deals")
    assert (await page(long_sync, "/bitrix/deals")).json["count"] == len(portal_ids(sandbox, "deals"))


@pytest.mark.parametrize("name", ["pause", "resume", "cancel"])
async def test_a_body_that_would_be_ignored_is_refused(long_sync: Gateway, name: str) -> None:
    answer = await long_sync.post(f"/bitrix/sync/deals/{name}", json={"reason": "night"})
    assert (answer.status, answer.json["detail"]) == (400, "body: must be empty: this address has no body")
    assert (await long_sync.get("/bitrix/sync/deals")).json["state"] == "running"


async def test_a_body_beside_the_start_of_a_sync_is_refused_except_by_the_contract(connected: Gateway) -> None:
    for path in ("deals", "items/128", "contacts?mode=full"):
        answer = await connected.patch(f"/bitrix/{path}", json={"TITLE": "x"})
        (error,) = answer.json["errors"]
        assert (answer.status, error["code"], error["pointer"]) == (400, "unexpected_body", "")
    for path in ("users", "steps"):
        assert (await connected.patch(f"/bitrix/{path}", json={"NAME": "x"})).status == 200


async def test_a_patch_beside_a_running_sync_joins_it(long_sync: Gateway, sandbox: Sandbox) -> None:
    before = await sync_of(long_sync, "deals")
    for mode in ("", "?mode=full", "?mode=incremental"):
        assert (await long_sync.patch(f"/bitrix/deals{mode}")).status == 200
    after = await sync_of(long_sync, "deals")
    assert (after["state"], after["startedAt"], after["mode"]) == ("running", before["startedAt"], "full")
    sandbox.portal.release("batch")
    await long_sync.synced("deals")


async def test_disabling_ends_a_running_sync(long_sync: Gateway, sandbox: Sandbox) -> None:
    run = await change_sync(long_sync, "deals", enabled=False)
    assert (run["state"], run["enabled"]) == ("failed", False)
    sandbox.portal.release("batch")
    await change_sync(long_sync, "deals", enabled=False, purge=True)
    await long_sync.clock.until(purged(long_sync))


async def test_an_incremental_sync_needs_a_full_one_first(connected: Gateway, sandbox: Sandbox) -> None:
    sandbox.portal.fault("batch:error=SOMETHING*")
    await change_sync(connected, "deals", enabled=True, status=400)
    sandbox.portal.clear_faults()
    await change_sync(connected, "deals", enabled=True)
    await connected.post("/bitrix/sync/deals/cancel")
    answer = await connected.patch("/bitrix/deals?mode=incremental")
    if answer.status == 400:  # the full sync was cancelled before its end
        assert answer.json["errors"][0]["code"] == "full_sync_needed"
    await connected.sync("deals")
    assert (await sync_again(connected, "deals", "incremental"))["mode"] == "incremental"
    assert (await sync_again(connected, "deals", "full"))["mode"] == "full"


async def test_each_list_has_its_own_interval(connected: Gateway) -> None:
    await enable(connected, "deals", "contacts")
    run = await change_sync(connected, "deals", interval_s=60)
    assert (run["intervalSeconds"], run["enabled"]) == (60, True)
    assert (await sync_of(connected, "contacts"))["intervalSeconds"] == 0
    started = (await sync_of(connected, "deals"))["startedAt"]
    contacts = (await sync_of(connected, "contacts"))["startedAt"]
    for _ in range(8):
        await connected.clock.advance(15)
    await connected.synced("deals")
    assert (await sync_of(connected, "deals"))["startedAt"] > started
    assert (await sync_of(connected, "contacts"))["startedAt"] == contacts


@pytest.mark.parametrize(
    ("resource", "body", "error"),
    [
        ("deals", {"intervalSeconds": 59}, ("invalid_value", "/intervalSeconds")),
        ("deals", {"intervalSeconds": -1}, ("invalid_value", "/intervalSeconds")),
        ("deals", {"enabled": "yes"}, ("invalid_value", "/enabled")),
        ("deals", {"enable": True}, ("unknown_property", "/enable")),
        ("deals", {"purge": True}, ("not_disabled", "/purge")),
        ("users", {"enabled": False}, ("always_mirrored", "/enabled")),
    ],
)
async def test_settings_that_are_not_valid_are_400(
    connected: Gateway, resource: str, body: dict[str, object], error: tuple[str, str]
) -> None:
    answer = await connected.request("PUT", f"/bitrix/sync/{resource}", json=body)
    (found,) = answer.json["errors"]
    assert (answer.status, found["code"], found["pointer"]) == (400, *error)


async def test_a_type_that_the_portal_does_not_have_cannot_be_enabled(connected: Gateway, sandbox: Sandbox) -> None:
    answer = await connected.request("PUT", "/bitrix/sync/items/130", json={"enabled": True})
    assert (answer.status, answer.json["portalError"]["description"]) == (404, "Smart process not found")
    sandbox.portal.deny("deals")
    answer = await connected.request("PUT", "/bitrix/sync/deals", json={"enabled": True})
    assert (answer.status, answer.json["portalError"]["description"]) == (403, "Access denied.")
    assert (await sync_of(connected, "deals"))["enabled"] is False
