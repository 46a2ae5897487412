"""Rows and bodies that are nested deeper than JSON can be written again: an error that says so, and never a 500."""

from typing import Any

import pytest

from tests.gateway import Answer, Gateway, Sandbox
from tests.support.recording_proxy import RecordingProxy
from tests.support.records import enable, page, portal_ids, sync_again

MARK = "a deep value"
TOO_DEEP = "the portal's answer cannot be read: a row is nested too deeply"


def deep(levels: int) -> bytes:
    return b"[" * levels + b"]" * levels


async def ask(gateway: Gateway, method: str, path: str, **arguments: Any) -> Answer:
    return await gateway.clock.until(gateway.request(method, f"/bitrix/{path}", **arguments))


@pytest.mark.parametrize("resource", ["deals", "invoices"])
async def test_a_row_that_is_too_deep_fails_its_sync_and_no_page(
    proxied: Gateway, sandbox: Sandbox, proxy: RecordingProxy, resource: str
) -> None:
    await enable(proxied, resource)
    before = (await page(proxied, f"/bitrix/{resource}")).json
    table, row_id = sandbox.portal.data.tables[resource], portal_ids(sandbox, resource)[0]
    table[row_id] = table[row_id] | {"COMMENTS": MARK}
    proxy.replaced[f'"{MARK}"'.encode()] = deep(300)
    assert (await proxied.patch(f"/bitrix/{resource}?mode=full")).status == 200
    (run,) = await proxied.synced(resource)
    assert (run["state"], run["error"]) == ("failed", TOO_DEEP)
    assert (await page(proxied, f"/bitrix/{resource}")).json == before
    answer = await ask(proxied, "GET", f"{resource}/{row_id}?source=portal")
    assert (answer.status, answer.json["code"], answer.json["detail"]) == (502, "portal_broken", TOO_DEEP)


async def test_the_deepest_row_that_is_stored_is_shown_in_all_ways(
    proxied: Gateway, sandbox: Sandbox, proxy: RecordingProxy
) -> None:
    contact, deal = portal_ids(sandbox, "contacts")[0], portal_ids(sandbox, "deals")[0]
    for name, row_id in (("contacts", contact), ("deals", deal)):
        table = sandbox.portal.data.tables[name]
        table[row_id] = table[row_id] | {"COMMENTS": MARK}
    table[deal] = table[deal] | {"CONTACT_ID": str(contact)}
    proxy.replaced[f'"{MARK}"'.encode()] = deep(249)
    await enable(proxied, "deals", "contacts")
    value = (await page(proxied, f"/bitrix/deals/{deal}?source=mirror")).json["COMMENTS"]
    for path in (
        f"deals/{deal}?translate=1",
        f"deals/{deal}?source=portal",
        f"deals/{deal}?related=contact.COMMENTS",
        f"contacts/{contact}?related=deals.COMMENTS",
    ):
        assert (await page(proxied, f"/bitrix/{path}")).json["COMMENTS"] == value
    for path in ("deals?", "deals?translate=1", "deals?select=id,COMMENTS", "deals?order=-id&translate=1&size=1000"):
        items = (await page(proxied, f"/bitrix/{path}")).json["items"]
        assert value in [item["COMMENTS"] for item in items]
    proxy.replaced[f'"{MARK}"'.encode()] = deep(250)
    await proxied.patch("/bitrix/deals?mode=full")
    (run,) = await proxied.synced("deals")
    assert (run["state"], run["error"]) == ("failed", TOO_DEEP)
    proxy.replaced.clear()
    await sync_again(proxied, "deals", "full")


@pytest.mark.parametrize(
    ("method", "path", "body", "unread"),
    [
        ("PUT", "deals/1/products", {"items": [{"PRODUCT_NAME": MARK, "PRICE": 1}]}, {"items": None}),
        ("POST", "deals/1/comments", {"text": MARK}, None),
        ("POST", "contacts/1/addresses", {"type": "4", "CITY": MARK}, None),
    ],
)
async def test_what_belongs_to_a_record_is_written_and_not_shown(
    proxied: Gateway, proxy: RecordingProxy, method: str, path: str, body: Any, unread: Any
) -> None:
    proxy.replaced[f'"{MARK}"'.encode()] = deep(300)
    written = await ask(proxied, method, path, json=body)
    assert written.status in (200, 201), written.body
    assert MARK.encode() not in written.body
    if unread is not None:
        assert written.json == unread
    answer = await ask(proxied, "GET", path)
    assert (answer.status, answer.json["detail"]) == (502, TOO_DEEP.replace("a row is", "the items are"))
    proxy.replaced.clear()
    assert MARK.encode() in (await ask(proxied, "GET", path)).body


@pytest.mark.parametrize(
    ("method", "path", "names"),
    [
        ("POST", "deals", ["TITLE"]),
        ("PATCH", "deals/1", ["TITLE", "A~b/c"]),
        ("PUT", "contacts?match=PHONE", ["PHONE", "EMAIL"]),
        ("POST", "contacts/1/addresses", ["type", "CITY"]),
        ("PATCH", "contacts/1/addresses/1", ["CITY"]),
    ],
)
@pytest.mark.parametrize("levels", [65, 300, 1000])
async def test_a_body_that_is_too_deep_is_refused_by_its_fields(
    connected: Gateway, sandbox: Sandbox, method: str, path: str, names: list[str], levels: int
) -> None:
    requests = sandbox.portal.http_requests
    body = b"{%b}" % b",".join(b'"%b":%b' % (name.encode(), deep(levels)) for name in names)
    answer = await ask(connected, method, path, data=body, headers={"Content-Type": "application/json"})
    assert (answer.status, answer.json["code"], sandbox.portal.http_requests) == (400, "invalid_input", requests)
    pointers = [f"/{name.replace('~', '~0').replace('/', '~1')}" for name in names]
    assert [(error["pointer"], error["code"], error["detail"]) for error in answer.json["errors"]] == [
        (pointer, "too_deep", "must not be nested more than 64 levels deep") for pointer in pointers
    ]


@pytest.mark.parametrize("path", ["deals", "contacts/1/addresses", "deals/1/comments", "batch"])
async def test_a_body_that_is_too_deep_to_be_read_is_refused_as_a_whole(
    connected: Gateway, sandbox: Sandbox, path: str
) -> None:
    requests = sandbox.portal.http_requests
    body = b'{"TITLE":%b}' % deep(200_000)
    answer = await ask(connected, "POST", path, data=body, headers={"Content-Type": "application/json"})
    (error,) = answer.json["errors"]
    assert (answer.status, error["pointer"], error["code"]) == (400, "", "too_deep")
    assert error["detail"] == "must be nested at most 1024 levels deep"
    assert sandbox.portal.http_requests == requests
