"""Callers create, change and delete records, and the mirror is right when they get their answer."""

from typing import Any

import pytest

from gateway.crm.multifields import TYPES
from tests.gateway import Answer, Gateway, Sandbox
from tests.support.records import ALL_RECORDS, enable, page, portal_ids, sync_again

TITLES = {"contacts": "NAME", "invoices": "title", "items/128": "title"}


def title_of(resource: str) -> str:
    return TITLES.get(resource, "TITLE")


async def create(gateway: Gateway, resource: str, body: Any, **headers: str) -> Answer:
    return await gateway.request("POST", f"/bitrix/{resource}", json=body, headers=headers)


async def change(gateway: Gateway, path: str, body: Any, **headers: str) -> Answer:
    return await gateway.request("PATCH", f"/bitrix/{path}", json=body, headers=headers)


@pytest.mark.parametrize("resource", ALL_RECORDS)
@pytest.mark.parametrize("mirrored", [True, False])
async def test_a_record_lives_from_post_to_delete(
    connected: Gateway, sandbox: Sandbox, resource: str, mirrored: bool
) -> None:
    if mirrored:
        await enable(connected, resource)
    last, title = max(portal_ids(sandbox, resource)), title_of(resource)
    created = await create(connected, resource, {title: "Квиз 🧩 a[b]"})
    assert created.status == 201, created.body
    path = f"{resource}/{last + 1}"
    assert created.headers["Location"] == f"/bitrix/{path}"
    assert (created.json["id"], created.json[title], created.json["deleted"]) == (last + 1, "Квиз 🧩 a[b]", False)
    assert await shown(connected, path) == created.json
    await connected.clock.advance(60)
    changed = await change(connected, path, {title: "B"})
    assert (changed.status, changed.json[title]) == (200, "B")
    assert await shown(connected, path) == changed.json
    if mirrored:
        requests = sandbox.portal.http_requests
        rows = (await page(connected, f"/bitrix/{resource}?order=-id&size=1")).json["items"]
        assert (rows, sandbox.portal.http_requests) == ([changed.json], requests)
    deleted = await connected.request("DELETE", f"/bitrix/{path}")
    assert (deleted.status, deleted.body) == (204, b"")
    assert last + 1 not in portal_ids(sandbox, resource)
    gone = await connected.get(f"/bitrix/{path}")
    assert (gone.status, gone.json["code"]) == (404, "record_deleted" if mirrored else "portal_not_found")


async def shown(gateway: Gateway, path: str) -> dict[str, Any]:
    """The record as GET shows it, without the time of a read from the portal."""
    answer = await gateway.get(f"/bitrix/{path}")
    assert answer.status == 200, answer.body
    found: dict[str, Any] = answer.json
    return found


async def test_values_reach_the_portal_in_its_form_and_numbers_stay_numbers(
    connected: Gateway, sandbox: Sandbox
) -> None:
    body = {
        "TITLE": "flat on Lenin street",
        "OPPORTUNITY": 5000000,
        "CLOSEDATE": "2026-12-31T10:00:00+03:00",
        "OPENED": False,
        "CONTACT_ID": "5",
        "STAGE_ID": "PREPARATION",
    }
    answer = await create(connected, "deals", body)
    assert answer.status == 201
    call = next(call for call in sandbox.portal.seen if call.method == "crm.deal.add")
    origin = call.params["fields"].pop("ORIGIN_ID")
    assert len(origin) == 36
    assert call.params == {
        "fields": {
            **body,
            "CLOSEDATE": "2026-12-31",
            "OPENED": "N",
            "CONTACT_ID": 5,
            "ORIGINATOR_ID": "bitrix-gateway",
        }
    }
    assert (answer.json["ORIGIN_ID"], answer.json["OPPORTUNITY"]) == (origin, "5000000.00")
    cleared = await change(connected, f"deals/{answer.json['id']}", {"CLOSEDATE": None, "CONTACT_ID": None})
    assert (cleared.json["CLOSEDATE"], cleared.json["CONTACT_ID"]) == ("", None)
    assert cleared.json["TITLE"] == "flat on Lenin street"


async def test_phones_that_stay_keep_their_ids(connected: Gateway) -> None:
    contact = (await create(connected, "contacts", {"NAME": "Zoë", "PHONE": "+7 900", "EMAIL": ["a@b.cd"]})).json
    (phone,) = contact["PHONE"]
    assert (phone["VALUE"], phone["VALUE_TYPE"], contact["EMAIL"][0]["VALUE"]) == ("+7 900", "WORK", "a@b.cd")
    path = f"contacts/{contact['id']}"
    changed = (await change(connected, path, {"PHONE": ["222", "+7 900"], "EMAIL": None})).json
    assert [entry["VALUE"] for entry in changed["PHONE"]] == ["+7 900", "222"]
    assert changed["PHONE"][0]["ID"] == phone["ID"]
    assert "EMAIL" not in changed
    changed = (await change(connected, path, {"PHONE": [{"VALUE": "222", "VALUE_TYPE": "HOME"}]})).json
    assert [(entry["VALUE"], entry["VALUE_TYPE"]) for entry in changed["PHONE"]] == [("222", "HOME")]


async def test_a_value_is_changed_by_its_own_id_and_type(connected: Gateway, sandbox: Sandbox) -> None:
    contacts = [(await create(connected, "contacts", {"NAME": "Zoë", "PHONE": ["1", "2"]})).json for _ in range(2)]
    path, (first, second) = f"contacts/{contacts[0]['id']}", contacts[0]["PHONE"]
    answer = await change(connected, path, {"PHONE": [{**second, "VALUE": "3", "VALUE_TYPE": "FAX"}, first]})
    assert answer.json["PHONE"] == [first, {**second, "VALUE": "3", "VALUE_TYPE": "FAX"}]
    updates = sandbox.portal.calls["crm.contact.update"]
    foreign = contacts[1]["PHONE"][0]["ID"]
    for body, pointers in (
        ({"PHONE": ["1", {"VALUE": "4", "ID": foreign}]}, ["/PHONE/1/ID"]),
        ({"PHONE": {"VALUE": "4", "ID": 999999}}, ["/PHONE/ID"]),
        ({"EMAIL": [{"VALUE": "a@b.cd", "ID": first["ID"]}]}, ["/EMAIL/0/ID"]),
        ({"PHONE": [first, first]}, ["/PHONE/1/ID"]),
        (
            {"PHONE": [{**first, "VALUE_TYPE": "NONSENSE", "TYPE_ID": "IM"}]},
            ["/PHONE/0/VALUE_TYPE", "/PHONE/0/TYPE_ID"],
        ),
    ):
        answer = await change(connected, path, body)
        assert (answer.status, [error["pointer"] for error in answer.json["errors"]]) == (400, pointers)
    refused = await create(connected, "contacts", {"NAME": "Zoë", "PHONE": [first]})
    assert (refused.status, [error["pointer"] for error in refused.json["errors"]]) == (400, ["/PHONE/0/ID"])
    assert sandbox.portal.calls["crm.contact.update"] == updates


@pytest.mark.parametrize("resource", ["companies", "quotes"])
@pytest.mark.parametrize("title", [{}, {"TITLE": None}, {"TITLE": ""}])
async def test_a_new_record_needs_the_title_that_its_type_certainly_requires(
    connected: Gateway, sandbox: Sandbox, resource: str, title: dict[str, Any]
) -> None:
    requests = sandbox.portal.http_requests
    answer = await create(connected, resource, {**title, "OPENED": "maybe"})
    assert [(error["pointer"], error["code"]) for error in answer.json["errors"]] == [
        ("/OPENED", "invalid_value"),
        ("/TITLE", "required"),
    ]
    assert sandbox.portal.http_requests == requests + 1  # for the fields
    row_id = portal_ids(sandbox, resource)[0]
    assert (await change(connected, f"{resource}/{row_id}", {"OPENED": True})).status == 200


@pytest.mark.parametrize(
    ("resource", "status"), [("leads", 201), ("deals", 201), ("items/128", 201), ("contacts", 400)]
)
async def test_the_portal_decides_what_else_a_new_record_needs(connected: Gateway, resource: str, status: int) -> None:
    answer = await create(connected, resource, {})
    assert (answer.status, "portalError" in answer.json) == (status, status == 400)


@pytest.mark.parametrize("name", TYPES)
async def test_a_value_keeps_each_type_that_its_field_takes(connected: Gateway, name: str) -> None:
    values = [{"VALUE": f"{number}@b.cd", "VALUE_TYPE": kind} for number, kind in enumerate(TYPES[name])]
    contact = (await create(connected, "contacts", {"NAME": "Zoë", name: values})).json
    assert [entry["VALUE_TYPE"] for entry in contact[name]] == list(TYPES[name])


async def test_mistakes_are_reported_before_anything_is_sent(connected: Gateway, sandbox: Sandbox) -> None:
    await connected.get("/bitrix/deals/fields")
    requests = sandbox.portal.http_requests
    answer = await create(connected, "deals", {"TITEL": "x", "OPPORTUNITY": "much", "ID": 5})
    assert (answer.status, answer.json["code"]) == (400, "invalid_input")
    assert [(error["pointer"], error["code"]) for error in answer.json["errors"]] == [
        ("/TITEL", "unknown_field"),
        ("/OPPORTUNITY", "invalid_value"),
        ("/ID", "read_only"),
    ]
    for path, body, rule in (
        ("deals/1", {}, "body: must name a field to change"),
        ("deals/1", [], "body: must be a JSON object"),
        (
            "deals/1",
            {"CATEGORY_ID": 7},
            "CATEGORY_ID: can only be set when the record is created; `PUT …/stage` moves it to another pipeline",
        ),
    ):
        answer = await change(connected, path, body)
        assert (answer.status, answer.json["detail"]) == (400, rule)
    answer = await change(connected, "deals/x", {"TITLE": "x"})
    assert (answer.status, answer.json["errors"][0]["parameter"]) == (400, "id")
    assert sandbox.portal.http_requests == requests


async def test_of_thousands_of_mistakes_a_hundred_are_told_and_the_others_counted(connected: Gateway) -> None:
    fields = (await connected.get("/bitrix/deals/fields")).json["items"]
    name = next(field["name"] for field in fields if field["multiple"] and field["type"] == "crm_contact")
    unknown = {f"N{number}": 1 for number in range(20_000)}
    for answer, pointer, left_out in (
        (await create(connected, "deals", unknown), "/N", 19_900),
        (await create(connected, "deals", {name: ["x"] * 5000}), f"/{name}/0", 4900),
        (await connected.request("PUT", "/bitrix/deals/1/stage", json=unknown), "/N", 19_900),
    ):
        assert (answer.status, len(answer.json["errors"])) == (400, 100)
        assert answer.json["errors"][0]["pointer"].startswith(pointer)
        assert answer.json["detail"].endswith(f"; errors left out: {left_out}")
        assert len(answer.body) < 25_000


async def test_lists_of_more_than_5000_values_are_refused_unread(connected: Gateway, sandbox: Sandbox) -> None:
    requests = sandbox.portal.http_requests
    body = {"PHONE": [{}] * 200_000, "EMAIL": ["x"] * 5001, "UF/X": [1] * 5001, "NAME": "x"}
    rows: dict[str, Any] = {"items": [{}] * 5001}
    for method, path, sent, pointers in (
        ("POST", "contacts", body, ["/PHONE", "/EMAIL", "/UF~1X"]),
        ("PATCH", "contacts/1", body, ["/PHONE", "/EMAIL", "/UF~1X"]),
        ("PUT", "contacts?match=PHONE", body, ["/PHONE", "/EMAIL", "/UF~1X"]),
        ("PUT", "deals/1/products", rows, ["/items"]),
    ):
        answer = await connected.clock.until(connected.request(method, f"/bitrix/{path}", json=sent))
        assert answer.status == 400
        assert [(error["pointer"], error["code"]) for error in answer.json["errors"]] == [
            (pointer, "too_many_values") for pointer in pointers
        ]
        assert "must have at most 5000" in answer.json["detail"]
    assert sandbox.portal.calls["crm.item.productrow.fields"] == sandbox.portal.http_requests - requests <= 1


@pytest.mark.parametrize("resource", ALL_RECORDS)
async def test_an_unknown_id_is_404_with_the_words_of_the_portal(connected: Gateway, resource: str) -> None:
    path = f"{resource}/999999"
    for answer in (
        await change(connected, path, {title_of(resource): "x"}),
        await connected.request("DELETE", f"/bitrix/{path}"),
        await connected.get(f"/bitrix/{path}"),
    ):
        assert (answer.status, answer.json["code"]) == (404, "portal_not_found")
        assert "not found" in answer.json["portalError"]["description"].lower()
        assert answer.json["detail"] == f"the portal has no record 999999 of {resource}"


@pytest.mark.parametrize("resource", ["companies", "quotes"])
async def test_a_required_title_is_never_empty(connected: Gateway, sandbox: Sandbox, resource: str) -> None:
    row_id = portal_ids(sandbox, resource)[0]
    for title in (None, "", " "):
        for answer in (
            await create(connected, resource, {"TITLE": title}),
            await change(connected, f"{resource}/{row_id}", {"TITLE": title}),
        ):
            (error,) = answer.json["errors"]
            assert (answer.status, error["pointer"], error["code"]) == (400, "/TITLE", "required")
    assert (await change(connected, f"{resource}/{row_id}", {"COMMENTS": "kept"})).status == 200


@pytest.mark.parametrize(
    ("resource", "name"),
    [("deals", "STAGE_ID"), ("leads", "STATUS_ID"), ("invoices", "categoryId"), ("items/128", "stageId")],
)
async def test_a_stage_or_pipeline_cannot_be_cleared(
    connected: Gateway, sandbox: Sandbox, resource: str, name: str
) -> None:
    row_id = portal_ids(sandbox, resource)[0]
    before = (await connected.get(f"/bitrix/{resource}/{row_id}?source=portal")).json
    for value in (None, ""):
        answer = await change(connected, f"{resource}/{row_id}", {name: value})
        assert (answer.status, answer.json["errors"][0]["pointer"]) == (400, f"/{name}")
    after = (await connected.get(f"/bitrix/{resource}/{row_id}?source=portal")).json
    assert after | {"syncedAt": 0} == before | {"syncedAt": 0}


async def test_a_refusal_of_the_portal_arrives_with_its_code_and_words(connected: Gateway, sandbox: Sandbox) -> None:
    answer = await create(connected, "contacts", {"NAME": "A", "EMAIL": "no address"})
    assert (answer.status, answer.json["portalError"]["code"]) == (400, "ERROR_CORE")
    assert "invalid address" in answer.json["portalError"]["description"]
    sandbox.portal.deny("deals")
    answer = await create(connected, "deals", {"TITLE": "x"})
    assert (answer.status, answer.json["portalError"]["description"]) == (403, "Access denied.")
    answer = await create(connected, "items/4711", {"title": "x"})
    assert (answer.status, answer.json["portalError"]["code"]) == (404, "NOT_FOUND")


async def test_an_earlier_read_does_not_undo_a_write(connected: Gateway, sandbox: Sandbox) -> None:
    await enable(connected, "deals")
    first, second = portal_ids(sandbox, "deals")[:2]
    sandbox.portal.hold("batch")
    assert (await connected.patch("/bitrix/deals?mode=full")).status == 200
    await connected.clock.advance(1)
    sandbox.portal.fault("batch:delay=5")
    sandbox.portal.release("batch")
    changed = await change(connected, f"deals/{first}", {"TITLE": "ours"})
    assert changed.json["TITLE"] == "ours"
    assert (await connected.request("DELETE", f"/bitrix/deals/{second}")).status == 204
    created = (await create(connected, "deals", {"TITLE": "new"})).json["id"]
    await connected.synced("deals")
    assert (await connected.get(f"/bitrix/deals/{first}")).json["TITLE"] == "ours"
    assert (await connected.get(f"/bitrix/deals/{second}")).json["code"] == "record_deleted"
    assert (await connected.get(f"/bitrix/deals/{created}")).json["TITLE"] == "new"
    await sync_again(connected, "deals", "full")
    assert (await page(connected, "/bitrix/deals")).json["count"] == len(portal_ids(sandbox, "deals"))


async def test_a_record_that_cannot_be_read_back_is_shown_by_its_id(connected: Gateway, sandbox: Sandbox) -> None:
    sandbox.portal.fault("crm.deal.list:error=ACCESS_DENIED")
    sandbox.portal.fault("crm.deal.get:error=ACCESS_DENIED")
    answer = await create(connected, "deals", {"TITLE": "x"})
    assert (answer.status, answer.json) == (201, {"id": max(portal_ids(sandbox, "deals"))})


@pytest.mark.parametrize("path", ["leads/fields", "items/128/fields", "leads/fields/TITLE"])
async def test_the_addresses_of_fields_are_no_records(connected: Gateway, path: str) -> None:
    for method in ("PATCH", "DELETE"):
        answer = await connected.request(method, f"/bitrix/{path}", json={})
        assert (answer.status, answer.headers["Allow"]) == (405, "GET")


async def test_of_a_name_that_comes_twice_the_last_value_counts(connected: Gateway) -> None:
    body = b'{"TITLE": "first", "COMMENTS": "x", "TITLE": "last"}'
    answer = await connected.request("POST", "/bitrix/deals", data=body, headers={"Content-Type": "application/json"})
    assert (answer.status, answer.json["TITLE"]) == (201, "last")
