"""Records are listed by contact, company, pipeline and stage: from the mirror, or complete from the portal."""

from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

import pytest

from tests.gateway import Gateway, Sandbox
from tests.support.records import enable, portal_ids

CONTACT, COMPANY = 4001, 4002
LINKS = {
    "leads": ("CONTACT_ID", "COMPANY_ID", None, "STATUS_ID"),
    "deals": ("CONTACT_ID", "COMPANY_ID", "CATEGORY_ID", "STAGE_ID"),
    "quotes": ("CONTACT_ID", "COMPANY_ID", None, "STATUS_ID"),
    "invoices": ("CONTACT_ID", "COMPANY_ID", "CATEGORY_ID", "STAGE_ID"),
    "items/128": ("CONTACT_ID", "COMPANY_ID", "CATEGORY_ID", "STAGE_ID"),
}
PARAMETERS = ("contactId", "companyId", "categoryId", "stageId")
CASES = [
    (resource, parameter)
    for resource, columns in LINKS.items()
    for parameter, column in zip(PARAMETERS, columns, strict=True)
    if column is not None
]


def link(sandbox: Sandbox, resource: str, row_ids: Sequence[int], **columns: Any) -> None:
    """Change columns of rows of the portal as they are stored."""
    table = sandbox.portal.data.tables[resource]
    for row_id in row_ids:
        table[row_id] = {**table[row_id], **columns}


async def ids_of(gateway: Gateway, path: str) -> list[int]:
    answer = await gateway.clock.until(gateway.get(f"/bitrix/{path}"))
    assert answer.status == 200, answer.body
    return [item["id"] for item in answer.json["items"]]


async def all_pages(gateway: Gateway, path: str) -> list[list[dict[str, Any]]]:
    """The pages of a list, by cursor."""
    pages: list[list[dict[str, Any]]] = []
    cursor: str | None = ""
    while cursor is not None:
        answer = await gateway.clock.until(gateway.get(f"/bitrix/{path}&cursor={quote(cursor)}"))
        assert answer.status == 200, answer.body
        pages.append(answer.json["items"])
        cursor = answer.json["next"]
    return pages


@pytest.mark.parametrize("mirrored", [True, False])
@pytest.mark.parametrize(("resource", "parameter"), CASES)
async def test_the_records_of_one_value_are_found(
    connected: Gateway, sandbox: Sandbox, resource: str, parameter: str, mirrored: bool
) -> None:
    column = dict(zip(PARAMETERS, LINKS[resource], strict=True))[parameter]
    assert column is not None
    rows = sandbox.portal.data.tables[resource]
    value = rows[portal_ids(sandbox, resource)[0]][column]
    if parameter in ("contactId", "companyId"):
        value = type(value)(CONTACT) if value is not None else str(CONTACT)
        link(sandbox, resource, portal_ids(sandbox, resource)[1:4], **{column: value})
    expected = [row_id for row_id, row in rows.items() if row[column] == value]
    assert 0 < len(expected) < len(rows)
    if mirrored:
        await enable(connected, resource)
    assert await ids_of(connected, f"{resource}?{parameter}={quote(str(value))}&size=1000") == expected


@pytest.mark.parametrize("mirrored", [True, False])
async def test_the_parameters_narrow_each_other(connected: Gateway, sandbox: Sandbox, mirrored: bool) -> None:
    first, second, third = portal_ids(sandbox, "deals")[:3]
    link(sandbox, "deals", [first, second], CONTACT_ID=str(CONTACT))
    link(sandbox, "deals", [second, third], COMPANY_ID=str(COMPANY))
    if mirrored:
        await enable(connected, "deals")
    assert await ids_of(connected, f"deals?contactId={CONTACT}&companyId={COMPANY}") == [second]


async def test_a_mirrored_list_takes_a_filter_an_order_and_pages_besides(connected: Gateway, sandbox: Sandbox) -> None:
    rows = portal_ids(sandbox, "deals")[:5]
    link(sandbox, "deals", rows, CONTACT_ID=str(CONTACT))
    await enable(connected, "deals")
    requests = sandbox.portal.http_requests
    path = f"deals?contactId={CONTACT}"
    assert await ids_of(connected, f"{path}&order=-id&page=2&size=2") == [rows[2], rows[1]]
    found = await ids_of(connected, f'{path}&filter={quote(f"""[["id", ">", {rows[2]}]]""")}')
    assert found == rows[3:]
    answer = await connected.get(f"/bitrix/{path}&size=2")
    assert answer.json["count"] == 5
    assert f"contactId={CONTACT}" in answer.headers["Link"]
    pages = await all_pages(connected, f"{path}&size=2&select=TITLE")
    assert [[item["id"] for item in items] for items in pages] == [rows[:2], rows[2:4], rows[4:]]
    assert sandbox.portal.http_requests == requests


async def test_a_cursor_belongs_to_its_value(connected: Gateway, sandbox: Sandbox) -> None:
    link(sandbox, "deals", portal_ids(sandbox, "deals")[:5], CONTACT_ID=str(CONTACT))
    for mirrored in (False, True):
        if mirrored:
            await enable(connected, "deals")
        first = await connected.get(f"/bitrix/deals?contactId={CONTACT}&size=2&cursor=")
        for path in (f"deals?contactId={COMPANY}", "deals?stageId=NEW"):
            answer = await connected.get(f"/bitrix/{path}&cursor={quote(first.json['next'])}")
            assert (answer.status, answer.json["errors"][0]["code"]) == (400, "cursor_mismatch")
    answer = await connected.get(f"/bitrix/deals?contactId={CONTACT}&cursor=x")
    assert (answer.status, answer.json["errors"][0]["code"]) == (400, "invalid_cursor")


async def test_a_list_of_several_pages_of_the_portal_comes_whole_and_in_order(
    connected: Gateway, sandbox: Sandbox
) -> None:
    rows = portal_ids(sandbox, "deals")[:120]
    assert len(rows) == 120
    link(sandbox, "deals", rows, CONTACT_ID=str(CONTACT))
    answer = await connected.clock.until(connected.get(f"/bitrix/deals?contactId={CONTACT}&size=1000"))
    assert [item["id"] for item in answer.json["items"]] == rows
    assert (answer.json["count"], answer.json["next"]) == (None, None)
    assert "next" not in answer.headers["Link"]
    for size in (40, 50, 60, 119, 120):
        pages = await all_pages(connected, f"deals?contactId={CONTACT}&size={size}")
        assert [item["id"] for items in pages for item in items] == rows
        assert [len(items) for items in pages] == [size] * (120 // size) + ([120 % size] if 120 % size else [])


async def test_a_thousand_records_take_two_requests_of_the_portal(connected: Gateway, sandbox: Sandbox) -> None:
    rows = portal_ids(sandbox, "deals")
    assert len(rows) > 100
    link(sandbox, "deals", rows, CONTACT_ID=str(CONTACT))
    requests = sandbox.portal.http_requests
    assert await ids_of(connected, f"deals?contactId={CONTACT}&size=1000") == rows[:1000]
    assert sandbox.portal.http_requests == requests + 2


async def use_up(gateway: Gateway, most: int) -> int:
    """Send up to *most* requests, until one would wait too long for the limits; return how many were sent."""
    for sent in range(most):
        answer = await gateway.clock.until(gateway.post("/bitrix/call/scope", json={}))
        if answer.status == 429:
            return sent
    return most


@pytest.mark.parametrize("room", [0, 1])
async def test_a_page_that_would_wait_too_long_for_the_limits_is_refused(
    connected: Gateway, sandbox: Sandbox, room: int
) -> None:
    limits = {"GATEWAY_BUCKET_CAPACITY": "10", "GATEWAY_BUCKET_LEAK_PER_S": "0.1"}
    await connected.restart(GATEWAY_MAX_WAIT_S="1", GATEWAY_SYNC_INTERVAL_S="0", **limits)
    link(sandbox, "deals", portal_ids(sandbox, "deals")[:120], CONTACT_ID=str(CONTACT))
    await connected.clock.advance(300)
    capacity = await use_up(connected, 20)
    assert capacity < 20
    await connected.clock.advance(300)
    await use_up(connected, capacity - room)
    requests = sandbox.portal.http_requests
    answer = await connected.clock.until(connected.get(f"/bitrix/deals?contactId={CONTACT}&size=1000"))
    assert (answer.status, answer.json["code"], answer.headers["Retry-After"].isdigit()) == (429, "too_busy", True)
    assert sandbox.portal.http_requests == requests + room


async def test_a_page_of_a_method_without_operating_time_is_refused(connected: Gateway, sandbox: Sandbox) -> None:
    link(sandbox, "deals", portal_ids(sandbox, "deals")[:120], CONTACT_ID=str(CONTACT))
    sandbox.portal.fault("crm.deal.list:otl@2")
    for _ in range(2):
        answer = await connected.get(f"/bitrix/deals?contactId={CONTACT}&size=1000")
        assert (answer.status, "items" in answer.json) == (429, False)


@pytest.mark.parametrize("mirrored", [True, False])
async def test_a_record_has_exactly_the_selected_names_and_its_id(
    connected: Gateway, sandbox: Sandbox, mirrored: bool
) -> None:
    (row_id, *_) = portal_ids(sandbox, "items/128")
    link(sandbox, "items/128", [row_id], CONTACT_ID=CONTACT)
    if mirrored:
        await enable(connected, "items/128")
    answer = await connected.get(f"/bitrix/items/128?contactId={CONTACT}&select=title,stageId,ufCrm1_nothing")
    assert (answer.status, answer.json["errors"][0]["code"]) == (400, "unknown_field")
    answer = await connected.get(f"/bitrix/items/128?contactId={CONTACT}&select=title,deleted,contactId")
    (item,) = answer.json["items"]
    assert item == {
        "id": row_id,
        "title": sandbox.portal.data.tables["items/128"][row_id]["TITLE"],
        "deleted": False,
        "contactId": CONTACT,
    }


async def test_a_record_from_the_portal_looks_like_a_mirrored_one(connected: Gateway, sandbox: Sandbox) -> None:
    (row_id, *_) = portal_ids(sandbox, "leads")
    link(sandbox, "leads", [row_id], CONTACT_ID=str(CONTACT))
    path = f"/bitrix/leads?contactId={CONTACT}"
    (unmirrored,) = (await connected.get(path)).json["items"]
    await enable(connected, "leads")
    (mirrored,) = (await connected.get(path)).json["items"]
    assert unmirrored | {"syncedAt": ""} == mirrored | {"syncedAt": ""}


@pytest.mark.parametrize("fault", ["drop*@1", "error=ACCESS_DENIED*@1", "json500*@1"])
async def test_a_failure_in_the_middle_is_an_error(connected: Gateway, sandbox: Sandbox, fault: str) -> None:
    link(sandbox, "deals", portal_ids(sandbox, "deals")[:120], CONTACT_ID=str(CONTACT))
    method, when = fault.split("@")
    sandbox.portal.fault(f"crm.deal.list:{method}@{int(when) + 1}")
    answer = await connected.clock.until(connected.get(f"/bitrix/deals?contactId={CONTACT}&size=1000"))
    assert answer.status in (403, 502, 504), answer.body
    assert "items" not in answer.json


async def test_a_refusal_of_the_portal_arrives_with_its_words(connected: Gateway, sandbox: Sandbox) -> None:
    sandbox.portal.fault("crm.deal.list:error=ACCESS_DENIED*")
    answer = await connected.get("/bitrix/deals?contactId=1")
    assert (answer.status, answer.json["portalError"]["code"]) == (403, "ACCESS_DENIED")
    answer = await connected.get("/bitrix/items/4711?stageId=x")
    assert (answer.status, answer.json["portalError"]["code"]) == (404, "NOT_FOUND")


async def test_what_only_the_mirror_can_do_is_refused_with_the_way_to_it(connected: Gateway, sandbox: Sandbox) -> None:
    requests = sandbox.portal.http_requests
    query = "filter=[]&order=ID&count=exact&page=2"
    answer = await connected.get(f"/bitrix/deals?contactId=1&{query}")
    assert [error["parameter"] for error in answer.json["errors"]] == ["filter", "order", "count", "page"]
    assert all("PUT /bitrix/sync/deals" in error["detail"] for error in answer.json["errors"])
    assert (await connected.get("/bitrix/deals")).json["code"] == "not_mirrored"
    assert sandbox.portal.http_requests == requests


@pytest.mark.parametrize(
    ("path", "parameters"),
    [
        ("contacts?contactId=1&categoryId=0&stageId=x", ["contactId", "categoryId", "stageId"]),
        ("companies?companyId=1", ["companyId"]),
        ("leads?categoryId=0", ["categoryId"]),
        ("deals?contactId=x", ["contactId"]),
        ("deals?contactId=", ["contactId"]),
        ("deals?categoryId=-1", ["categoryId"]),
        ("deals?stageId=", ["stageId"]),
        ("deals?contactId=1&contactId=2", ["contactId"]),
        ("deals?contactID=1", ["contactID"]),
    ],
)
async def test_a_parameter_that_is_not_valid_is_refused(
    connected: Gateway, sandbox: Sandbox, path: str, parameters: list[str]
) -> None:
    requests = sandbox.portal.http_requests
    answer = await connected.get(f"/bitrix/{path}")
    assert answer.status == 400
    assert [error["parameter"] for error in answer.json["errors"]] == parameters
    assert sandbox.portal.http_requests == requests


async def test_contacts_are_listed_by_their_company(connected: Gateway, sandbox: Sandbox) -> None:
    rows = portal_ids(sandbox, "contacts")[2:4]
    link(sandbox, "contacts", rows, COMPANY_ID=str(COMPANY))
    assert await ids_of(connected, f"contacts?companyId={COMPANY}") == rows
