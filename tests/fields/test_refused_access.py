"""Records that the portal refuses to this authorization or does not have, and accounts that may not ask it."""

from typing import Any

import pytest

from tests.gateway import Answer, Gateway, Sandbox
from tests.support.records import enable, page, sync_of
from tests.support.stored import select

WORDS = {"deals": "Access denied.", "items/128": "Access denied"}
each_denied = pytest.mark.parametrize("resource", WORDS)


async def enabled(gateway: Gateway, resource: str) -> Answer:
    """The response to enabling the sync of *resource*."""
    return await gateway.clock.until(gateway.request("PUT", f"/bitrix/sync/{resource}", json={"enabled": True}))


@each_denied
async def test_denied_records_cannot_be_enabled_and_nothing_is_stored(
    connected: Gateway, sandbox: Sandbox, resource: str
) -> None:
    sandbox.portal.deny(resource)
    before = await sync_of(connected, resource)
    answer = await enabled(connected, resource)
    assert (answer.status, answer.json["code"]) == (403, "access_denied")
    assert answer.json["portalError"]["description"] == WORDS[resource]
    assert await sync_of(connected, resource) == before
    assert before["enabled"] is False
    assert select(connected, f"SELECT 1 FROM mirror_lists WHERE resource = '{resource}'") == []
    assert (await connected.get(f"/bitrix/{resource}")).status == 409
    sandbox.portal.allow(resource)
    await enable(connected, resource)


@each_denied
async def test_a_sync_of_denied_records_fails_with_the_portals_words_and_keeps_the_rows(
    connected: Gateway, sandbox: Sandbox, resource: str
) -> None:
    await enable(connected, resource, "leads")
    before = await page(connected, f"/bitrix/{resource}")
    sandbox.portal.deny(resource)
    for mode in ("full", "incremental"):
        for name in (resource, "leads"):
            assert (await connected.patch(f"/bitrix/{name}?mode={mode}")).status == 200
        runs = {run["resource"]: run for run in await connected.synced(resource, "leads")}
        assert runs[resource]["state"] == "failed"
        assert WORDS[resource] in runs[resource]["error"]
        assert (runs["leads"]["state"], runs["leads"]["error"]) == ("done", None)
        assert (await page(connected, f"/bitrix/{resource}")).json == before.json
    account: dict[str, Any] = (await connected.get("/bitrix/account")).json
    assert account["stale"] is False
    sandbox.portal.allow(resource)
    (run,) = await connected.sync(resource)
    assert (run["state"], run["error"]) == ("done", None)


async def test_a_type_that_the_portal_does_not_have_cannot_be_enabled(connected: Gateway) -> None:
    answer = await enabled(connected, "items/130")
    assert answer.status == 404
    assert answer.json["portalError"]["description"] == "Smart process not found"
    assert (await sync_of(connected, "items/130"))["enabled"] is False


PATHS = ("/bitrix/deals/fields", "/bitrix/deals/fields/TITLE")


async def test_an_account_that_is_not_authorized_yet_is_not_shown_what_others_have_read(
    connected: Gateway, sandbox: Sandbox
) -> None:
    await page(connected, PATHS[0])
    await connected.connect(sandbox.origin, account="beta")
    requests = sandbox.portal.http_requests
    for path in PATHS:
        answer = await connected.get(path, account="beta")
        assert (answer.status, answer.json["code"]) == (409, "authorization_required")
    assert sandbox.portal.http_requests == requests


async def test_a_stale_account_is_shown_the_known_fields_and_an_unknown_name_is_409(
    connected: Gateway, sandbox: Sandbox
) -> None:
    before = [(await page(connected, path)).json for path in PATHS]
    sandbox.portal.fault("crm.lead.fields:error=NO_AUTH_FOUND")
    await connected.clock.until(connected.get("/bitrix/leads/fields"))
    assert (await connected.get("/bitrix/account")).json["stale"] is True
    await connected.clock.advance(61)
    assert [(await page(connected, path)).json for path in PATHS] == before
    assert (await connected.get("/bitrix/deals/fields/UF_CRM_NEW")).status == 409


async def test_a_deleted_account_is_404(connected: Gateway) -> None:
    for path in PATHS:
        await page(connected, path)
    assert (await connected.delete("/bitrix/account")).status == 200
    for path in PATHS:
        assert (await connected.get(path)).status == 404
    assert (await connected.get(PATHS[0], account="never-connected")).status == 404
