"""The deals of a company or contact: all of them, in the order of ids, or an error."""

import json
from typing import Any
from unittest.mock import patch
from urllib.parse import quote

import pytest

from gateway.crm import related_deals
from gateway.mirror.resources import RECORDS
from tests.gateway import Gateway, Sandbox
from tests.support.records import change, enable

COMPANY, CONTACT = 7, 9


def without_time(record: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in record.items() if name != "syncedAt"}


@pytest.fixture
def deals(sandbox: Sandbox) -> dict[str, list[int]]:
    """Every other deal belongs to COMPANY; every third one to CONTACT, sometimes as its second contact."""
    ids = list(sandbox.portal.data.tables["deals"])
    for row_id, row in list(sandbox.portal.data.tables["deals"].items()):
        contacts: dict[str, Any] = {"CONTACT_ID": None, "CONTACT_IDS": []}
        if row_id % 3 == 0:
            others = [str(CONTACT), "1"] if row_id % 2 else ["1", str(CONTACT)]
            contacts = {"CONTACT_ID": others[0], "CONTACT_IDS": others}
        company = str(COMPANY) if row_id % 2 else "1"
        sandbox.portal.data.tables["deals"][row_id] = row | {"COMPANY_ID": company} | contacts
    return {
        f"companies/{COMPANY}": [row_id for row_id in ids if row_id % 2],
        f"contacts/{CONTACT}": [row_id for row_id in ids if row_id % 3 == 0],
    }


@pytest.mark.parametrize("owner", [f"companies/{COMPANY}", f"contacts/{CONTACT}"])
async def test_all_deals_are_listed_by_id(connected: Gateway, deals: dict[str, list[int]], owner: str) -> None:
    answer = await connected.get(f"/bitrix/{owner}/deals")
    assert (answer.status, answer.json.keys()) == (200, {"items"})
    assert [deal["id"] for deal in answer.json["items"]] == deals[owner]
    assert len(deals[owner]) >= 100
    (first, *_) = answer.json["items"]
    assert first | {"syncedAt": ""} == (await connected.get(f"/bitrix/deals/{first['id']}")).json | {"syncedAt": ""}


@pytest.mark.parametrize("owner", [f"companies/{COMPANY}", f"contacts/{CONTACT}"])
async def test_records_are_those_of_lists(connected: Gateway, deals: dict[str, list[int]], owner: str) -> None:
    await enable(connected, "deals")
    wanted = json.dumps([["id", "in", deals[owner][:3]]])
    for select in ("", "&select=TITLE,STAGE_ID,deleted", "&select=id"):
        listed = (await connected.get(f"/bitrix/deals?order=id&filter={quote(wanted)}{select}")).json["items"]
        for query in ("", "cursor=&size=3&"):
            answer = await connected.get(f"/bitrix/{owner}/deals?{query}{select[1:]}")
            shown = answer.json["items"][:3]
            assert [without_time(deal) for deal in shown] == [without_time(deal) for deal in listed]
            assert [deal["id"] for deal in shown] == deals[owner][:3]
    assert all(deal.keys() == {"id"} for deal in shown)


async def test_selected_names_are_checked(connected: Gateway, sandbox: Sandbox) -> None:
    await connected.get("/bitrix/companies/1/deals?select=TITLE")
    described = sandbox.portal.calls["crm.deal.fields"]
    for wait_s, asked in ((0, 0), (60, 1), (0, 1)):
        await connected.clock.advance(wait_s)
        sandbox.portal.seen.clear()
        answer = await connected.get("/bitrix/companies/1/deals?select=TITEL,,CONTACT_IDS")
        assert (answer.status, answer.json["code"]) == (400, "invalid_input")
        assert [(error["parameter"], error["code"]) for error in answer.json["errors"]] == [
            ("select", "unknown_field"),
            ("select", "invalid_value"),
            ("select", "unknown_field"),
        ]
        assert answer.json["errors"][0]["detail"] == "unknown field 'TITEL'; did you mean 'TITLE'?"
        assert sandbox.portal.calls["crm.deal.fields"] == described + asked
        assert not [call for call in sandbox.portal.seen if call.method == "crm.deal.list"]


@pytest.mark.parametrize("size", [1, 50, 60, 1000])
@pytest.mark.parametrize("owner", [f"companies/{COMPANY}", f"contacts/{CONTACT}"])
async def test_pages_are_continued_by_cursor(
    connected: Gateway, deals: dict[str, list[int]], owner: str, size: int
) -> None:
    wanted = deals[owner][:3] if size == 1 else deals[owner]
    found: list[int] = []
    cursor: str | None = ""
    while cursor is not None and len(found) < len(wanted):
        page = (await connected.clock.until(connected.get(f"/bitrix/{owner}/deals?cursor={cursor}&size={size}"))).json
        assert len(page["items"]) == min(size, len(deals[owner]) - len(found))
        found += [deal["id"] for deal in page["items"]]
        cursor = page["next"]
    assert found == wanted
    assert (cursor is None) is (size != 1)


async def test_none_is_an_empty_list_and_an_unknown_owner_is_404(connected: Gateway) -> None:
    for resource, body in (("companies", {"TITLE": "x"}), ("contacts", {"NAME": "x"})):
        row_id = (await connected.post(f"/bitrix/{resource}", json=body)).json["id"]
        assert (await connected.get(f"/bitrix/{resource}/{row_id}/deals")).json == {"items": []}
        assert (await connected.get(f"/bitrix/{resource}/{row_id}/deals?cursor=")).json == {"items": [], "next": None}
        answer = await connected.get(f"/bitrix/{resource}/999999/deals")
        assert (answer.status, answer.json["code"]) == (404, "portal_not_found")
        assert answer.json["detail"] == f"the portal has no record 999999 of {resource}"
    assert (await connected.get("/bitrix/leads/1/deals")).json["detail"] == "no such endpoint"


@pytest.mark.usefixtures("deals")
@pytest.mark.parametrize("owner", [f"companies/{COMPANY}", f"contacts/{CONTACT}"])
async def test_a_record_that_is_gone_is_404_though_deals_keep_its_id(
    connected: Gateway, sandbox: Sandbox, owner: str
) -> None:
    resource, row_id = owner.split("/")
    requests = sandbox.portal.http_requests
    assert (await connected.get(f"/bitrix/{owner}/deals?cursor=&size=1")).status == 200
    asked = sandbox.portal.http_requests - requests
    change(sandbox, resource, removed=[int(row_id)])
    for query in ("", "?cursor=", "?cursor=&size=1"):
        requests = sandbox.portal.http_requests
        answer = await connected.clock.until(connected.get(f"/bitrix/{owner}/deals{query}"))
        assert (answer.status, answer.json["code"]) == (404, "portal_not_found")
        assert sandbox.portal.http_requests - requests <= asked


@pytest.mark.usefixtures("deals")
@pytest.mark.parametrize("owner", [f"companies/{COMPANY}", f"contacts/{CONTACT}"])
async def test_a_failure_in_the_middle_is_an_error(connected: Gateway, sandbox: Sandbox, owner: str) -> None:
    method = "crm.deal.list" if owner.startswith("companies") else "crm.item.list"
    sandbox.portal.fault(f"{method}:error=ACCESS_DENIED*@2")
    answer = await connected.clock.until(connected.get(f"/bitrix/{owner}/deals"))
    assert (answer.status, answer.json["portalError"]["code"]) == (403, "ACCESS_DENIED")
    sandbox.portal.clear_faults()
    sandbox.portal.fault("batch:502*@1")
    answer = await connected.clock.until(connected.get(f"/bitrix/{owner}/deals"))
    assert (answer.status, answer.json["code"]) == (502, "portal_broken")


@pytest.mark.usefixtures("deals")
async def test_a_contacts_deals_that_cannot_be_read_are_an_error(connected: Gateway, sandbox: Sandbox) -> None:
    sandbox.portal.fault("crm.deal.list:error=insufficient_scope*")
    answer = await connected.clock.until(connected.get(f"/bitrix/contacts/{CONTACT}/deals"))
    assert (answer.status, answer.json["code"]) == (403, "insufficient_scope")


@pytest.mark.usefixtures("deals")
async def test_a_portal_that_ignores_the_filter_is_no_source(connected: Gateway) -> None:
    wrong = related_deals.DealOwner(RECORDS["companies"], "COMPANY_IDS")
    with patch.dict(related_deals.DEAL_OWNERS, companies=wrong):
        answer = await connected.get(f"/bitrix/companies/{COMPANY}/deals")
    assert (answer.status, answer.json["code"]) == (502, "portal_broken")
    assert "ignores a filter by COMPANY_IDS" in answer.json["detail"]


async def test_a_list_that_is_too_long_needs_a_cursor(connected: Gateway, deals: dict[str, list[int]]) -> None:
    owner = f"companies/{COMPANY}"
    with patch.object(related_deals, "MAX_DEALS", len(deals[owner])):
        assert (await connected.get(f"/bitrix/{owner}/deals")).status == 200
    with patch.object(related_deals, "MAX_DEALS", len(deals[owner]) - 1):
        answer = await connected.get(f"/bitrix/{owner}/deals")
    assert (answer.status, answer.json["errors"][0]["parameter"]) == (400, "cursor")


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ("size=5", "size"),
        ("cursor=&size=0", "size"),
        ("cursor=&size=1001", "size"),
        ("cursor=x", "cursor"),
        ("page=1", "page"),
    ],
)
async def test_parameters_that_are_not_valid_are_refused(connected: Gateway, query: str, parameter: str) -> None:
    answer = await connected.get(f"/bitrix/companies/1/deals?{query}")
    assert (answer.status, answer.json["errors"][0]["parameter"]) == (400, parameter)
