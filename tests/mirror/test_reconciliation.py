"""Deletions that no list shows are found by counting, with few requests; late reads do not win."""

from dataclasses import replace

import orjson
import pytest

from gateway.sandbox.content.changes import Change
from gateway.sandbox.settings import SandboxSettings
from tests.gateway import Gateway, Sandbox
from tests.support.records import change, enable, portal_ids, sync_again

DEALS = 6_000
DAY = 86_400


@pytest.fixture
def sandbox_settings(sandbox_settings: SandboxSettings) -> SandboxSettings:
    return replace(sandbox_settings, deals=DEALS, tariff="off")


async def stored_ids(gateway: Gateway) -> list[int]:
    lines = (await gateway.get("/bitrix/stream/deals?source=mirror&select=ID")).body.splitlines()[:-1]
    return [orjson.loads(line)["id"] for line in lines]


async def test_scattered_deletions_are_found_with_few_requests(connected: Gateway, sandbox: Sandbox) -> None:
    await enable(connected, "deals")
    ids = portal_ids(sandbox, "deals")
    change(sandbox, "deals", removed=ids[::120])
    requests = sandbox.portal.http_requests
    await sync_again(connected, "deals")
    assert sandbox.portal.http_requests - requests <= 20
    assert await stored_ids(connected) == portal_ids(sandbox, "deals")
    requests = sandbox.portal.http_requests
    await sync_again(connected, "deals")
    assert sandbox.portal.http_requests - requests == 1


@pytest.mark.parametrize("kept", [0, 1, 300])
async def test_mass_deletions_are_found(connected: Gateway, sandbox: Sandbox, kept: int) -> None:
    await enable(connected, "deals")
    change(sandbox, "deals", removed=portal_ids(sandbox, "deals")[kept:])
    await sync_again(connected, "deals")
    assert await stored_ids(connected) == portal_ids(sandbox, "deals")


async def test_rows_that_appear_without_a_modification_are_found(connected: Gateway, sandbox: Sandbox) -> None:
    await enable(connected, "deals")
    row_id = portal_ids(sandbox, "deals")[1000]
    row = sandbox.portal.data.tables["deals"][row_id]
    change(sandbox, "deals", removed=[row_id])
    await sync_again(connected, "deals")
    await connected.clock.advance(3600)
    sandbox.portal.data.tables["deals"][row_id] = row
    await sync_again(connected, "deals")
    assert await stored_ids(connected) == portal_ids(sandbox, "deals")


async def test_equal_numbers_of_new_and_deleted_rows_are_found_by_the_weekly_comparison(
    connected: Gateway, sandbox: Sandbox
) -> None:
    await enable(connected, "deals")
    await connected.clock.advance(3600)
    table = sandbox.portal.data.tables["deals"]
    first, second = portal_ids(sandbox, "deals")[5], portal_ids(sandbox, "deals")[9]
    change(sandbox, "deals", removed=[first])
    await sync_again(connected, "deals")
    table[first] = {**table.blank(first), "TITLE": "old"}
    change(sandbox, "deals", removed=[second])
    await sync_again(connected, "deals")
    assert await stored_ids(connected) != portal_ids(sandbox, "deals")
    await connected.clock.advance(7 * DAY + 1)
    await sync_again(connected, "deals")
    assert await stored_ids(connected) == portal_ids(sandbox, "deals")


async def test_a_row_is_kept_if_the_portal_still_has_it(connected: Gateway, sandbox: Sandbox) -> None:
    """The portal's count is too low: the ids are requested, and nothing is deleted."""
    await enable(connected, "deals")
    sandbox.portal.fault("crm.deal.list:total=5990")
    await sync_again(connected, "deals")
    assert await stored_ids(connected) == portal_ids(sandbox, "deals")


async def test_changes_during_a_full_sync_arrive_with_the_next_incremental_one(
    connected: Gateway, sandbox: Sandbox
) -> None:
    ids = portal_ids(sandbox, "deals")
    edits = {row_id: {"TITLE": "changed"} for row_id in ids[::150]}
    sandbox.portal.change_after("crm.deal.list", 60, Change("deals", edits, tuple(ids[1::150])))
    await enable(connected, "deals")
    await sync_again(connected, "deals")
    assert await stored_ids(connected) == portal_ids(sandbox, "deals")
    answer = await connected.get('/bitrix/deals?filter=[["TITLE","=","changed"]]&size=1000')
    assert [row["id"] for row in answer.json["items"]] == sorted(edits)


async def test_many_rows_that_appear_without_a_modification_are_read_side_by_side(
    connected: Gateway, sandbox: Sandbox
) -> None:
    """As when an administrator lets the user see more: the portal then lists rows that did not change."""
    table = sandbox.portal.data.tables["deals"]
    hidden = {row_id: table[row_id] for row_id in portal_ids(sandbox, "deals")[100:]}
    for row_id in hidden:
        del table[row_id]
    await enable(connected, "deals")
    await connected.clock.advance(3600)
    for row_id, row in hidden.items():
        table[row_id] = row
    requests = sandbox.portal.http_requests
    await sync_again(connected, "deals")
    assert sandbox.portal.http_requests - requests <= 40  # a page at a time, they take more than 100
    assert await stored_ids(connected) == portal_ids(sandbox, "deals")
