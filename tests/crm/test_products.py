"""Callers read and replace the products of records, and the mirror has the new amount."""

from typing import Any

import pytest

from tests.gateway import Answer, Gateway, Sandbox
from tests.sandbox.examples import documented
from tests.support.records import enable, portal_ids

CLASSIC = {"leads": "crm.lead", "deals": "crm.deal", "quotes": "crm.quote"}
OWNERS = (*CLASSIC, "invoices", "items/128")
ROW = {"PRODUCT_NAME": "Доставка 🧩", "PRICE": 500.5, "QUANTITY": 2}
CAMEL = {"PRODUCT_NAME": "productName", "PRICE": "price", "QUANTITY": "quantity", "ID": "id", "TAX_RATE": "taxRate"}
OPPORTUNITY = {"invoices": "opportunity", "items/128": "opportunity"}

WRITTEN = {
    *("ID", "PRODUCTID", "PRODUCTNAME", "PRICE", "QUANTITY", "DISCOUNTTYPEID", "DISCOUNTRATE", "DISCOUNTSUM"),
    *("TAXRATE", "TAXINCLUDED", "CUSTOMIZED", "MEASURECODE", "MEASURENAME", "SORT"),
}
DOCUMENTED = documented("crm.deal.productrows.get")["result"][0]
DOCUMENTED_OF_ITEMS = documented("crm.item.productrow.list")["result"]["productRows"][0]


def row_of(owner: str, **values: Any) -> dict[str, Any]:
    """A row in the names of the portal for *owner*."""
    return values if owner in CLASSIC else {CAMEL[name]: value for name, value in values.items()}


def set_method(owner: str) -> str:
    return f"{CLASSIC[owner]}.productrows.set" if owner in CLASSIC else "crm.item.productrow.set"


async def put(gateway: Gateway, path: str, body: Any, **headers: str) -> Answer:
    """Replace the products of a record, and let the time pass that this waits."""
    sent = gateway.request("PUT", f"/bitrix/{path}/products", json=body, headers=headers)
    return await gateway.clock.until(sent)


@pytest.mark.parametrize("owner", OWNERS)
async def test_products_are_replaced_and_the_amount_follows(connected: Gateway, sandbox: Sandbox, owner: str) -> None:
    await enable(connected, owner)
    path = f"{owner}/{portal_ids(sandbox, owner)[0]}"
    rows = [row_of(owner, **ROW), row_of(owner, PRODUCT_NAME="b", PRICE="10", TAX_RATE=None)]
    answer = await put(connected, path, {"items": rows})
    assert answer.status == 200, answer.body
    first, second = answer.json["items"]
    assert first | rows[0] == first
    assert second | row_of(owner, PRODUCT_NAME="b", PRICE=10, TAX_RATE=None) == second
    requests = sandbox.portal.http_requests
    record = (await connected.get(f"/bitrix/{path}?source=mirror")).json
    assert (float(record[OPPORTUNITY.get(owner, "OPPORTUNITY")]), sandbox.portal.http_requests) == (1011.0, requests)
    assert (await connected.get(f"/bitrix/{path}/products")).json == answer.json
    name = "ID" if owner in CLASSIC else "id"
    kept = await put(connected, path, {"items": [row_of(owner, ID=second[name], QUANTITY=3)]})
    assert [(row[name], row[next(iter(row_of(owner, PRICE=0)))]) for row in kept.json["items"]] == [(second[name], 10)]
    cleared = await put(connected, path, {"items": []})
    assert (cleared.status, cleared.json) == (200, {"items": []})
    assert (await connected.get(f"/bitrix/{path}/products")).json == {"items": []}


@pytest.mark.parametrize("owner", OWNERS)
async def test_a_list_that_was_read_can_be_written_with_one_row_changed(
    connected: Gateway, sandbox: Sandbox, owner: str
) -> None:
    path = f"{owner}/{portal_ids(sandbox, owner)[0]}"
    price, quantity = row_of(owner, PRICE=0, QUANTITY=0)
    discounted = row_of(owner, **ROW, TAX_RATE=20)
    await put(connected, path, {"items": [discounted, row_of(owner, PRODUCT_NAME="b", PRICE=10)]})
    read = (await connected.get(f"/bitrix/{path}/products")).json
    first, second = read["items"]
    first[quantity] = 7
    answer = await put(connected, path, read)
    assert (answer.status, answer.json) == (200, {"items": [first, second]})
    first[price] = 600
    answer = await put(connected, path, read)
    assert [(row[price], row[quantity]) for row in answer.json["items"]] == [(600, 7), (10, 1)]


@pytest.mark.parametrize("owner", OWNERS)
async def test_what_a_row_only_shows_is_not_sent(connected: Gateway, sandbox: Sandbox, owner: str) -> None:
    first, second = portal_ids(sandbox, owner)[:2]
    await put(connected, f"{owner}/{first}", {"items": [row_of(owner, **ROW)]})
    await put(connected, f"{owner}/{second}", {"items": [row_of(owner, PRODUCT_NAME="b", PRICE=10)]})
    (row,) = (await connected.get(f"/bitrix/{owner}/{first}/products")).json["items"]
    (own,) = (await connected.get(f"/bitrix/{owner}/{second}/products")).json["items"]
    key = next(iter(row_of(owner, ID=0)))
    shown = DOCUMENTED if owner in CLASSIC else DOCUMENTED_OF_ITEMS
    sandbox.portal.seen.clear()
    answer = await put(connected, f"{owner}/{second}", {"items": [dict.fromkeys(shown) | row | {key: own[key]}]})
    assert answer.status == 200, answer.body
    (sent,) = (call.params for call in sandbox.portal.seen if call.method == set_method(owner))
    (written,) = sent["rows" if owner in CLASSIC else "productRows"]
    assert {name.upper().replace("_", "") for name in written} == WRITTEN
    assert (await connected.get(f"/bitrix/{owner}/{first}/products")).json == {"items": [row]}


async def test_more_rows_than_a_page_are_listed_in_their_order(connected: Gateway, sandbox: Sandbox) -> None:
    path = f"invoices/{portal_ids(sandbox, 'invoices')[0]}"
    rows = [{"productName": f"{number}", "price": 1, "sort": 1000 - number} for number in range(120)]
    answer = await put(connected, path, {"items": rows})
    assert [row["productName"] for row in answer.json["items"]] == [str(number) for number in reversed(range(120))]


@pytest.mark.parametrize(
    ("body", "pointers"),
    [
        ([], [""]),
        ("x", [""]),
        (7, [""]),
        (False, [""]),
        (None, [""]),
        ({}, ["/items"]),
        ({"items": None}, ["/items"]),
        ({"items": {}}, ["/items"]),
        ({"items": [], "rows": []}, ["/rows"]),
        ({"items": [1, "x", None, [], True]}, [f"/items/{index}" for index in range(5)]),
        (
            {"items": [ROW, {"PRICE": "much", "QUANTITY": [], "PRISE": 1, "A/b": 1}]},
            ["/items/1/PRICE", "/items/1/QUANTITY", "/items/1/PRISE", "/items/1/A~1b"],
        ),
        (
            {"items": [{"OWNER_ID": 1, "PRICE_NETTO": 5, "TAX_INCLUDED": "maybe", "ID": "x", "PRODUCT_NAME": 5}]},
            [f"/items/0/{name}" for name in ("PRICE_NETTO", "TAX_INCLUDED", "ID", "PRODUCT_NAME")],
        ),
        ({"items": [{"productName": "x"}]}, ["/items/0/productName"]),
        (
            {"items": [{}, {"PRODUCT_NAME": ""}, ROW, {"PRODUCT_ID": 0, "PRICE": 5}, {"ID": None}, {"ID": 0}]},
            [f"/items/{index}" for index in (0, 1, 3, 4, 5)],
        ),
    ],
)
async def test_mistakes_are_all_reported_before_anything_is_sent(
    connected: Gateway, sandbox: Sandbox, body: Any, pointers: list[str]
) -> None:
    data = {"data": b"null", "headers": {"Content-Type": "application/json"}} if body is None else {"json": body}
    answer = await connected.request("PUT", "/bitrix/deals/1/products", **data)
    assert (answer.status, answer.json["code"]) == (400, "invalid_input")
    assert [error["pointer"] for error in answer.json["errors"]] == pointers
    assert sandbox.portal.calls["crm.deal.productrows.set"] == 0


@pytest.mark.parametrize("owner", OWNERS)
async def test_an_id_that_is_no_row_of_the_record_or_comes_twice_is_refused(
    connected: Gateway, sandbox: Sandbox, owner: str
) -> None:
    first, second = portal_ids(sandbox, owner)[:2]
    stored = [row_of(owner, PRODUCT_NAME=name, PRICE=10) for name in "ab"]
    read = (await put(connected, f"{owner}/{first}", {"items": stored})).json
    (other,) = (await put(connected, f"{owner}/{second}", {"items": stored[:1]})).json["items"]
    key = next(iter(row_of(owner, ID=0)))
    a, b = read["items"]
    sandbox.portal.seen.clear()
    for rows, places in (
        ([a, b, a, {key: int(b[key])}, {key: str(a[key])}], [2, 3, 4]),
        ([other, a, row_of(owner, **ROW), {**b, key: 999999}, {**b, key: 0}, {**b, key: 2**63 - 1}], [0, 3, 4, 5]),
        ([a, {**b, key: None}, {key: -1}], [2]),
    ):
        answer = await put(connected, f"{owner}/{first}", {"items": rows})
        assert (answer.status, answer.json["code"]) == (400, "invalid_input"), answer.body
        assert [error["pointer"] for error in answer.json["errors"]] == [f"/items/{place}/{key}" for place in places]
    assert set_method(owner) not in [call.method for call in sandbox.portal.seen]
    assert (await connected.get(f"/bitrix/{owner}/{first}/products")).json == read
    assert (await put(connected, f"{owner}/{first}", read)).json == read


async def test_rows_without_ids_cost_no_further_call(connected: Gateway, sandbox: Sandbox) -> None:
    for row, calls in ((ROW, 1), ({**ROW, "ID": None}, 1)):
        before = sandbox.portal.calls["crm.deal.productrows.get"]
        assert (await put(connected, "deals/1", {"items": [row]})).status == 200
        assert sandbox.portal.calls["crm.deal.productrows.get"] == before + calls


@pytest.mark.parametrize("owner", ["deals", "invoices"])
async def test_a_key_gets_the_same_answer_when_its_rows_are_gone(
    connected: Gateway, sandbox: Sandbox, owner: str
) -> None:
    path, key = f"{owner}/{portal_ids(sandbox, owner)[0]}", {"Idempotency-Key": "1"}
    read = (await put(connected, path, {"items": [row_of(owner, **ROW)]})).json
    first = await put(connected, path, read, **key)
    await put(connected, path, {"items": []})
    again = await put(connected, path, read, **key)
    assert (again.status, again.body) == (first.status, first.body)
    refused = await put(connected, path, read)
    assert refused.status == 400


async def test_an_unknown_name_comes_with_the_nearest_one(connected: Gateway) -> None:
    for owner, name, nearest in (("deals", "PRODUCT_NAMES", "PRODUCT_NAME"), ("invoices", "prise", "price")):
        answer = await put(connected, f"{owner}/1", {"items": [{name: 1}]})
        (error,) = answer.json["errors"]
        assert (error["code"], error["detail"]) == (
            "unknown_field",
            f"unknown field {name!r}; did you mean {nearest!r}?",
        )


@pytest.mark.parametrize("owner", OWNERS)
@pytest.mark.parametrize("fault", ["cut", "drop"])
async def test_a_lost_answer_is_told_and_nothing_is_sent_again(
    connected: Gateway, sandbox: Sandbox, owner: str, fault: str
) -> None:
    path, key = f"{owner}/{portal_ids(sandbox, owner)[0]}", {"Idempotency-Key": "1"}
    before = (await connected.get(f"/bitrix/{path}/products")).json
    sandbox.portal.fault(f"{set_method(owner)}:{fault}")
    for _ in range(2):
        answer = await put(connected, path, {"items": [row_of(owner, **ROW)]}, **key)
        assert (answer.status, answer.json["code"]) == (502, "outcome_unknown")
    assert sandbox.portal.calls[set_method(owner)] == 1
    after = (await connected.get(f"/bitrix/{path}/products")).json
    assert (after == before) is (fault == "drop")


async def test_a_key_gets_the_same_answer(connected: Gateway) -> None:
    key = {"Idempotency-Key": "1"}
    first = await put(connected, "deals/1", {"items": [ROW]}, **key)
    await put(connected, "deals/1", {"items": []})
    again = await put(connected, "deals/1", {"items": [ROW]}, **key)
    assert (again.status, again.body, again.headers["Idempotent-Replayed"]) == (200, first.body, "true")
    assert (await connected.get("/bitrix/deals/1/products")).json == {"items": []}
    for path, body in (("deals/1", {"items": []}), ("deals/2", {"items": [ROW]})):
        answer = await put(connected, path, body, **key)
        assert (answer.status, answer.json["code"]) == (422, "idempotency_key_reused")


@pytest.mark.parametrize("owner", OWNERS)
async def test_an_unknown_record_is_404_with_the_words_of_the_portal(connected: Gateway, owner: str) -> None:
    for answer in (
        await connected.get(f"/bitrix/{owner}/999999/products"),
        await put(connected, f"{owner}/999999", {"items": [row_of(owner, **ROW)]}),
    ):
        assert (answer.status, answer.json["code"]) == (404, "portal_not_found")
        assert "not found" in answer.json["portalError"]["description"].lower()
        assert answer.json["detail"] == f"the portal has no record 999999 of {owner}"


async def test_a_type_without_products_is_refused_until_it_has_some(connected: Gateway, sandbox: Sandbox) -> None:
    path = f"items/156/{portal_ids(sandbox, 'items/156')[0]}"
    sent = len(sandbox.portal.seen)
    for answer in (
        await connected.get(f"/bitrix/{path}/products"),
        await put(connected, path, {"items": [row_of(path, **ROW)]}),
    ):
        (error,) = answer.json["errors"]
        assert (answer.status, error["parameter"], error["code"]) == (400, "entityTypeId", "invalid_value")
        assert "isLinkWithProductsEnabled" in error["detail"]
    assert [call.method for call in list(sandbox.portal.seen)[sent:]] == ["crm.item.fields"]
    await connected.clock.advance(60)
    await connected.post("/bitrix/call/crm.type.update", json={"id": 13, "fields": {"isLinkWithProductsEnabled": "Y"}})
    assert (await put(connected, path, {"items": [row_of(path, **ROW)]})).status == 200
    assert len((await connected.get(f"/bitrix/{path}/products")).json["items"]) == 1


async def test_contacts_and_companies_have_no_products(connected: Gateway) -> None:
    for owner in ("contacts", "companies"):
        answer = await connected.get(f"/bitrix/{owner}/1/products")
        assert (answer.status, answer.json["detail"]) == (404, "no such endpoint")


async def test_a_refusal_of_the_portal_arrives_with_its_code_and_words(connected: Gateway, sandbox: Sandbox) -> None:
    answer = await put(connected, "deals/1", {"items": [{**ROW, "DISCOUNT_TYPE_ID": 1}]})
    assert (answer.status, answer.json["portalError"]["code"]) == (400, "ERROR_CORE")
    assert "Discount Sum (DISCOUNT_SUM) is required" in answer.json["portalError"]["description"]
    sandbox.portal.fault("crm.deal.productrows.set:error=insufficient_scope")
    answer = await put(connected, "deals/1", {"items": [ROW]})
    assert (answer.status, answer.json["code"]) == (403, "insufficient_scope")
    sandbox.portal.deny("deals")
    for answer in (await connected.get("/bitrix/deals/1/products"), await put(connected, "deals/1", {"items": [ROW]})):
        assert (answer.status, answer.json["portalError"]["description"]) == (403, "Access denied.")


async def test_products_that_cannot_be_read_back_are_null(connected: Gateway, sandbox: Sandbox) -> None:
    sandbox.portal.fault("crm.deal.productrows.get:error=ACCESS_DENIED")
    answer = await put(connected, "deals/1", {"items": [ROW]})
    assert (answer.status, answer.json) == (200, {"items": None})


async def test_a_field_that_the_portal_has_added_is_known_a_minute_later(connected: Gateway, sandbox: Sandbox) -> None:
    await put(connected, "deals/1", {"items": [ROW]})
    described = sandbox.portal.calls["crm.item.productrow.fields"]
    for wait_s, asked in ((0, 0), (60, 1), (0, 1)):
        await connected.clock.advance(wait_s)
        assert (await put(connected, "deals/1", {"items": [{"NEW": 1}]})).status == 400
        assert sandbox.portal.calls["crm.item.productrow.fields"] == described + asked
