"""The fields of records at their addresses."""

import pytest

from tests.gateway import Gateway, Sandbox
from tests.support.records import ALL_RECORDS, enable


@pytest.mark.parametrize("resource", ALL_RECORDS)
async def test_the_fields_are_those_that_the_portal_describes(
    connected: Gateway, sandbox: Sandbox, resource: str
) -> None:
    is_item = "/" in resource or resource == "invoices"
    answer = await connected.get(f"/bitrix/{resource}/fields")
    assert answer.status == 200
    fields = {field["name"]: field for field in answer.json["items"]}
    created = fields["createdTime" if is_item else "DATE_CREATE"]
    assert (created["type"], created["readOnly"], created["multiple"]) == ("datetime", True, False)
    for name in ("ID", "id", "iD"):
        assert (await connected.get(f"/bitrix/{resource}/fields/{name}")).json == fields["id" if is_item else "ID"]
    assert sum(count for name, count in sandbox.portal.calls.items() if name.endswith(".fields")) == 1


async def test_fields_are_read_with_a_sync_and_kept_over_a_restart(connected: Gateway, sandbox: Sandbox) -> None:
    await enable(connected, "deals")
    await connected.restart()
    requests = sandbox.portal.http_requests
    assert (await connected.get("/bitrix/deals/fields/title")).json["name"] == "TITLE"
    assert sandbox.portal.http_requests == requests


async def test_an_unknown_field_is_404_with_the_nearest_name_after_the_portal_was_asked_again(
    connected: Gateway, sandbox: Sandbox
) -> None:
    await connected.get("/bitrix/deals/fields")
    answer = await connected.get("/bitrix/deals/fields/TITEL")
    assert (answer.status, answer.json["code"]) == (404, "field_not_found")
    assert answer.json["detail"] == "name: unknown field 'TITEL'; did you mean 'TITLE'?"
    assert sandbox.portal.calls["crm.deal.fields"] == 1
    await connected.clock.advance(61)
    assert (await connected.get("/bitrix/deals/fields/TITEL")).status == 404
    assert sandbox.portal.calls["crm.deal.fields"] == 2


async def test_a_type_that_the_portal_does_not_have_is_404_with_its_words(connected: Gateway) -> None:
    for path in ("/bitrix/items/130/fields", "/bitrix/items/130/fields/title"):
        answer = await connected.get(path)
        assert answer.status == 404
        assert answer.json["portalError"]["description"] == "Smart process not found"
    answer = await connected.get("/bitrix/items/2/fields")
    assert (answer.status, answer.json["detail"]) == (404, "resource: the type 2 is the list 'deals'")


async def test_a_stale_account_shows_the_fields_that_are_known(connected: Gateway, sandbox: Sandbox) -> None:
    await connected.get("/bitrix/deals/fields")
    sandbox.portal.fault("crm.lead.fields:error=NO_AUTH_FOUND")
    await connected.clock.until(connected.get("/bitrix/leads/fields"))
    assert (await connected.get("/bitrix/deals/fields")).status == 200
    assert (await connected.get("/bitrix/leads/fields")).status == 409
