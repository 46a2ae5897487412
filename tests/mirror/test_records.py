"""CRM records are mirrored once an account enables them, in the portal's form."""

import pytest

from gateway.mirror.resources import MULTIFIELDS
from tests.gateway import Gateway, Sandbox
from tests.support.records import (
    ALL_RECORDS,
    change,
    change_sync,
    enable,
    page,
    portal_ids,
    purged,
    sync_again,
    sync_of,
)


@pytest.mark.parametrize("resource", ALL_RECORDS)
async def test_enabled_records_are_served_in_the_form_of_the_portal(
    connected: Gateway, sandbox: Sandbox, resource: str
) -> None:
    await enable(connected, resource)
    rows = await connected.rows(resource)
    assert [row["id"] for row in rows] == portal_ids(sandbox, resource)
    assert {row["deleted"] for row in rows} == {False}
    (run,) = await connected.synced(resource)
    assert (run["mode"], run["rows"], run["enabled"]) == ("full", len(rows), True)
    assert run["watermark"] is not None


async def test_records_that_are_not_enabled_are_409_with_how_to_enable_them(connected: Gateway) -> None:
    for answer in (
        await connected.get("/bitrix/deals"),
        await connected.patch("/bitrix/deals"),
        await connected.post("/bitrix/sync/deals/pause"),
    ):
        assert (answer.status, answer.json["code"]) == (409, "not_mirrored")
        assert 'PUT /bitrix/sync/deals with {"enabled": true}' in answer.json["detail"]
    run = await sync_of(connected, "deals")
    assert (run["state"], run["enabled"], run["mode"]) == ("idle", False, None)


async def test_changes_arrive_with_an_incremental_sync(connected: Gateway, sandbox: Sandbox) -> None:
    await enable(connected, "deals")
    ids = portal_ids(sandbox, "deals")
    await connected.clock.advance(600)
    change(sandbox, "deals", {ids[3]: {"TITLE": "changed"}})
    requests = sandbox.portal.http_requests
    run = await sync_again(connected, "deals")
    assert (run["mode"], sandbox.portal.http_requests - requests) == ("incremental", 1)
    rows = {row["id"]: row for row in await connected.rows("deals")}
    assert rows[ids[3]]["TITLE"] == "changed"
    assert list(rows) == ids


async def test_deletions_are_found_by_counting(connected: Gateway, sandbox: Sandbox) -> None:
    await enable(connected, "deals")
    ids = portal_ids(sandbox, "deals")
    change(sandbox, "deals", removed=ids[50:60])
    await sync_again(connected, "deals")
    assert [row["id"] for row in await connected.rows("deals")] == ids[:50] + ids[60:]


async def test_disabled_records_keep_their_rows_unless_they_are_purged(connected: Gateway, sandbox: Sandbox) -> None:
    await enable(connected, "deals")
    await change_sync(connected, "deals", interval_s=1200, indexed=["TITLE"])
    await change_sync(connected, "deals", enabled=False)
    assert (await connected.get("/bitrix/deals")).status == 409
    await change_sync(connected, "deals", enabled=True)
    (run,) = await connected.synced("deals")
    assert (run["mode"], run["rows"]) == ("full", len(portal_ids(sandbox, "deals")))
    assert (await page(connected, "/bitrix/deals")).json["count"] == len(portal_ids(sandbox, "deals"))
    await change_sync(connected, "deals", enabled=False, purge=True)
    run = await sync_of(connected, "deals")
    assert (run["state"], run["enabled"], run["rows"], run["watermark"]) == ("idle", False, 0, None)
    assert (run["intervalSeconds"], run["indexed"]) == (1200, ["TITLE"])
    await enable(connected, "deals")
    run = await sync_of(connected, "deals")
    assert (run["intervalSeconds"], run["indexed"]) == (1200, ["TITLE"])
    assert (await page(connected, "/bitrix/deals")).json["count"] == len(portal_ids(sandbox, "deals"))


async def test_a_list_mirrored_again_after_a_purge_shows_nothing_of_before(
    connected: Gateway, sandbox: Sandbox
) -> None:
    filtered = '/bitrix/deals?filter=[["TITLE","!=","none"]]&size=3'
    await enable(connected, "deals")
    before = [await page(connected, path) for path in ("/bitrix/deals", filtered)]
    await change_sync(connected, "deals", enabled=False, purge=True)
    await connected.clock.until(purged(connected))
    ids = portal_ids(sandbox, "deals")
    change(sandbox, "deals", {ids[0]: {"TITLE": "changed"}}, removed=ids[1:50])
    await enable(connected, "deals")
    after = [await page(connected, path) for path in ("/bitrix/deals", filtered)]
    for earlier, later in zip(before, after, strict=True):
        assert later.json["count"] == len(ids) - 49
        assert [row["id"] for row in later.json["items"]][:3] == [ids[0], *ids[50:52]]
        assert later.json["items"][0]["TITLE"] == "changed"
        assert later.headers["ETag"] != earlier.headers["ETag"]


@pytest.mark.parametrize("resource", ALL_RECORDS)
async def test_fields_that_rows_do_not_have_are_refused_everywhere(connected: Gateway, resource: str) -> None:
    await enable(connected, resource)
    found = set[str]().union(*await connected.rows(resource))
    described = [field["name"] for field in (await connected.get(f"/bitrix/{resource}/fields")).json["items"]]
    found |= {name for name in described if name in MULTIFIELDS or name.upper().startswith("UF")}  # rows may have none
    missing = [name for name in described if name not in found]
    queries = [
        f'{resource}?filter=["%s","=",null]',
        f"{resource}?select=%s",
        f"stream/{resource}?source=mirror&select=%s",
    ]
    refused = {
        name
        for name in described
        for query in queries
        if (await connected.get(f"/bitrix/{query % name}")).status == 400
    }
    assert sorted(refused) == sorted(missing)
    for name in missing:
        answer = await change_sync(connected, resource, indexed=[name], status=400)
        assert f"{name!r} is not a column of the list" in answer["detail"]
    if resource == "deals":
        assert missing == ["CONTACT_IDS"]
