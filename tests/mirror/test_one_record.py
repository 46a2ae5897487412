"""One record: from the mirror with its relations, or from the portal in the same form."""

from typing import Any

import pytest

from tests.gateway import Gateway, Sandbox
from tests.support.records import ALL_RECORDS, change, enable, portal_ids, sync_again


def without_time(record: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in record.items() if name != "syncedAt"}


@pytest.mark.parametrize("resource", ALL_RECORDS)
async def test_the_portal_and_the_mirror_give_the_same_record(
    connected: Gateway, sandbox: Sandbox, resource: str
) -> None:
    row_id = portal_ids(sandbox, resource)[7]
    path = f"/bitrix/{resource}/{row_id}"
    from_portal = (await connected.get(path)).json
    await enable(connected, resource)
    requests = sandbox.portal.http_requests
    from_mirror = (await connected.get(path)).json
    assert sandbox.portal.http_requests == requests
    assert without_time(from_mirror) == without_time(from_portal)
    assert from_mirror["id"] == row_id
    assert without_time((await connected.get(f"{path}?source=portal")).json) == without_time(from_mirror)


async def test_an_unknown_record_is_404(connected: Gateway) -> None:
    answer = await connected.get("/bitrix/deals/999999")
    assert (answer.status, answer.json["portalError"]["description"]) == (404, "Not found")
    answer = await connected.get("/bitrix/items/128/999999")
    assert (answer.status, answer.json["portalError"]["description"]) == (404, "Element not found")
    await enable(connected, "deals")
    answer = await connected.get("/bitrix/deals/999999")
    assert (answer.status, answer.json["code"]) == (404, "record_not_found")
    for value in ("0", "x", "-1", "1e3"):
        answer = await connected.get(f"/bitrix/deals/{value}")
        assert (answer.status, answer.json["errors"][0]["parameter"]) == (400, "id")


async def test_a_deleted_record_says_since_when(connected: Gateway, sandbox: Sandbox) -> None:
    await enable(connected, "deals")
    row_id = portal_ids(sandbox, "deals")[7]
    change(sandbox, "deals", removed=[row_id])
    await sync_again(connected, "deals")
    answer = await connected.get(f"/bitrix/deals/{row_id}")
    assert (answer.status, answer.json["code"]) == (404, "record_deleted")
    assert "2027-01-15T08:00" in answer.json["detail"]
    change(sandbox, "deals", {row_id: {"TITLE": "back"}})
    await sync_again(connected, "deals")
    assert (await connected.get(f"/bitrix/deals/{row_id}")).json["TITLE"] == "back"


async def test_related_records_are_objects_and_lists(connected: Gateway, sandbox: Sandbox) -> None:
    await enable(connected, "deals", "contacts", "companies")
    data = sandbox.portal.data.tables
    deal_id, row = next(
        (i, data["deals"][i])
        for i in data["deals"]
        if data["deals"][i]["CONTACT_ID"] and data["deals"][i]["COMPANY_ID"]
    )
    answer = await connected.get(
        f"/bitrix/deals/{deal_id}?related=contact.NAME,contact.PHONE,company.TITLE,responsible.EMAIL"
    )
    assert answer.status == 200
    contact = data["contacts"][int(row["CONTACT_ID"])]
    assert answer.json["contact"]["id"] == int(row["CONTACT_ID"])
    assert answer.json["contact"]["NAME"] == contact["NAME"]
    assert answer.json["company"]["TITLE"] == data["companies"][int(row["COMPANY_ID"])]["TITLE"]
    assert answer.json["responsible"]["EMAIL"] == data["users"][int(row["ASSIGNED_BY_ID"])]["EMAIL"]
    contact_id = int(row["CONTACT_ID"])
    answer = await connected.get(f"/bitrix/contacts/{contact_id}?related=deals.TITLE,company.TITLE")
    expected = [i for i in data["deals"] if data["deals"][i]["CONTACT_ID"] == str(contact_id)]
    assert [deal["id"] for deal in answer.json["deals"]] == expected[:50]
    company = contact["COMPANY_ID"]
    assert (answer.json["company"] is None) == (company is None)


@pytest.mark.parametrize(
    ("related", "code"),
    [
        ("contact", "invalid_value"),
        ("", "invalid_value"),
        ("nothing.NAME", "unknown_relation"),
        ("deals.TITLE", "unknown_relation"),
        ("contact.NAMES", "unknown_field"),
        ("responsible.PHONE", "unknown_field"),
    ],
)
async def test_an_unknown_relation_or_field_is_400(
    connected: Gateway, sandbox: Sandbox, related: str, code: str
) -> None:
    await enable(connected, "deals", "contacts")
    row_id = portal_ids(sandbox, "deals")[0]
    answer = await connected.get(f"/bitrix/deals/{row_id}?related={related}")
    assert answer.status == 400
    assert (answer.json["errors"][0]["code"], answer.json["errors"][0]["parameter"]) == (code, "related")


async def test_related_records_must_be_mirrored(connected: Gateway, sandbox: Sandbox) -> None:
    await enable(connected, "deals")
    row_id = portal_ids(sandbox, "deals")[0]
    answer = await connected.get(f"/bitrix/deals/{row_id}?related=contact.NAME")
    assert (answer.status, answer.json["code"]) == (409, "not_mirrored")
    answer = await connected.get(f"/bitrix/deals/{row_id}?related=responsible.NAME&source=portal")
    assert answer.status == 400
