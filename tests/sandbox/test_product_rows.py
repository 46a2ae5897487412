"""The product rows of records, by the old methods and by crm.item.productrow."""

from typing import Any

import pytest

from gateway.sandbox.portal import SandboxPortal
from tests.clock import ManualClock
from tests.sandbox.client import RestClient
from tests.sandbox.examples import compare, documented

UNIVERSAL = "crm.item.productrow"


async def new(client: RestClient, entity: str, **fields: Any) -> int:
    return int((await client.call(f"crm.{entity}.add", fields={"TITLE": "New", **fields})).result)


async def amount(client: RestClient, entity: str, row_id: int) -> str:
    return str((await client.call(f"crm.{entity}.get", id=row_id)).result["OPPORTUNITY"])


@pytest.mark.parametrize("entity", ["lead", "deal", "quote"])
async def test_the_rows_of_a_record_are_set_and_read(webhook: RestClient, clock: ManualClock, entity: str) -> None:
    owner = await new(webhook, entity)
    await clock.advance(60)
    rows = [
        {"PRODUCT_NAME": "Кухня «Ольха»", "PRICE": "899.1", "DISCOUNT_TYPE_ID": 2, "DISCOUNT_RATE": 10},
        {"PRICE": 100, "QUANTITY": 2, "TAX_RATE": 20},
    ]
    answer = await webhook.call(f"crm.{entity}.productrows.set", id=owner, rows=rows)
    compare(answer.body, f"crm.{entity}.productrows.set")
    answer = await webhook.call(f"crm.{entity}.productrows.get", id=owner)
    compare(answer.body, "crm.lead.productrows.get")
    first, second = answer.result
    assert first.keys() == documented(f"crm.{entity}.productrows.get")["result"][0].keys()
    assert (first["PRICE_NETTO"], first["DISCOUNT_SUM"], first["SORT"]) == (999, 99.9, 10)
    assert (second["PRODUCT_NAME"], second["SORT"], second["TAX_RATE"]) == (f"[{second['ID']}]", 20, 20)
    record = (await webhook.call(f"crm.{entity}.get", id=owner)).result
    assert (record["OPPORTUNITY"], record["DATE_MODIFY"]) == ("1099.10", "2027-01-15T11:01:00+03:00")
    await webhook.call(f"crm.{entity}.productrows.set", id=owner, rows=[{"ID": second["ID"], "QUANTITY": 3}])
    (only,) = (await webhook.call(f"crm.{entity}.productrows.get", id=owner)).result
    assert (only["ID"], only["QUANTITY"], only["PRICE"]) == (second["ID"], 3, 100)
    await webhook.call(f"crm.{entity}.productrows.set", id=owner, rows=[])
    assert (await webhook.call(f"crm.{entity}.productrows.get", id=owner)).result == []


async def test_a_row_lives_from_add_to_delete(webhook: RestClient) -> None:
    owner = await new(webhook, "deal")
    compare((await webhook.call(f"{UNIVERSAL}.fields")).body, f"{UNIVERSAL}.fields")
    fields = {"ownerId": owner, "ownerType": "D", "productId": 9621, "productName": "iphone 14", "price": 80000}
    fields |= {"quantity": 2, "discountTypeId": 2, "discountRate": 20, "taxRate": 20, "taxIncluded": "Y"}
    answer = await webhook.call(f"{UNIVERSAL}.add", fields=fields)
    compare(answer.body, f"{UNIVERSAL}.add")
    row = answer.result["productRow"]
    expected = documented(f"{UNIVERSAL}.add")["result"]["productRow"]
    assert {name: row[name] for name in row if name not in ("id", "ownerId", "type")} == {
        name: expected[name] for name in expected if name not in ("id", "ownerId", "type")
    }
    assert await amount(webhook, "deal", owner) == "160000.00"
    changes = {"price": 90000, "quantity": 3, "discountRate": 10, "taxRate": 10, "ownerId": 1}
    answer = await webhook.call(f"{UNIVERSAL}.update", id=row["id"], fields=changes)
    compare(answer.body, f"{UNIVERSAL}.update")
    changed = answer.result["productRow"]
    assert changed["ownerId"] == owner
    assert (changed["priceExclusive"], changed["priceNetto"], changed["priceBrutto"]) == (81818.18, 90909.09, 100000)
    assert (await webhook.call(f"{UNIVERSAL}.get", id=row["id"])).result == {"productRow": changed}
    filter_ = {"=ownerType": "D", "=ownerId": owner}
    answer = await webhook.call(f"{UNIVERSAL}.list", filter=filter_)
    assert (answer.result, answer.body["total"]) == ({"productRows": [changed]}, 1)
    answer = await webhook.call(f"{UNIVERSAL}.getAvailableForPayment", ownerType="D", ownerId=owner)
    assert answer.result == {"productRows": [changed]}
    assert (await webhook.call("crm.deal.productrows.get", id=owner)).result[0]["ID"] == str(row["id"])
    compare((await webhook.call(f"{UNIVERSAL}.delete", id=row["id"])).body, f"{UNIVERSAL}.delete")
    assert (await webhook.call(f"{UNIVERSAL}.list", filter=filter_)).result == {"productRows": []}
    answer = await webhook.call(f"{UNIVERSAL}.add", fields=fields)
    assert answer.result["productRow"]["id"] == row["id"] + 1


async def test_rows_of_an_item_are_replaced(webhook: RestClient, portal: SandboxPortal) -> None:
    added = await webhook.call("crm.item.add", entityTypeId=128, fields={"title": "New"})
    owner = added.result["item"]["id"]
    rows = [{"productId": 9621, "price": 99999.99}, {"productId": 9623, "price": 15900, "quantity": 2}]
    answer = await webhook.call(f"{UNIVERSAL}.set", ownerType="T80", ownerId=owner, productRows=rows)
    compare(answer.body, f"{UNIVERSAL}.set")
    assert [row["price"] for row in answer.result["productRows"]] == [99999.99, 15900]
    item = (await webhook.call("crm.item.get", entityTypeId=128, id=owner)).result["item"]
    assert item["opportunity"] == 131799.99
    await webhook.call("crm.item.delete", entityTypeId=128, id=owner)
    assert not portal.data.product_rows


async def test_a_manual_amount_does_not_follow_the_rows(webhook: RestClient) -> None:
    owner = await new(webhook, "deal", OPPORTUNITY=5, IS_MANUAL_OPPORTUNITY="Y")
    await webhook.call("crm.deal.productrows.set", id=owner, rows=[{"PRICE": 100}])
    assert await amount(webhook, "deal", owner) == "5.00"


async def test_a_discount_may_be_an_amount(webhook: RestClient) -> None:
    owner = await new(webhook, "deal")
    fields = {"ownerId": owner, "ownerType": "D", "price": 75, "discountTypeId": 1, "discountSum": 25}
    row = (await webhook.call(f"{UNIVERSAL}.add", fields=fields)).result["productRow"]
    assert (row["priceNetto"], row["discountRate"]) == (100, 25)


@pytest.mark.parametrize(
    ("method", "params", "error"),
    [
        ("crm.deal.productrows.get", {"id": 0}, "crm.deal.productrows.get.error"),
        ("crm.lead.productrows.get", {}, "crm.lead.productrows.get.error"),
        *(
            (
                f"crm.{entity}.productrows.set",
                {"id": 0, "rows": [{"PRICE": 1, "DISCOUNT_TYPE_ID": 2, "DISCOUNT_RATE": 100}]},
                f"crm.{entity}.productrows.set.error",
            )
            for entity in ("lead", "deal")
        ),
        ("crm.quote.productrows.set", {"id": 999_999, "rows": []}, "crm.quote.productrows.set.error"),
        (f"{UNIVERSAL}.add", {"fields": {"ownerId": 999_999, "ownerType": "D"}}, f"{UNIVERSAL}.add.error"),
        (f"{UNIVERSAL}.get", {"id": 1}, f"{UNIVERSAL}.get.error"),
        (f"{UNIVERSAL}.update", {"id": 1, "fields": {}}, f"{UNIVERSAL}.update.error"),
        (f"{UNIVERSAL}.delete", {"id": 1}, f"{UNIVERSAL}.delete.error"),
        (f"{UNIVERSAL}.set", {"ownerId": 1, "ownerType": "X", "productRows": []}, f"{UNIVERSAL}.set.error"),
        (f"{UNIVERSAL}.list", {}, f"{UNIVERSAL}.list.error"),
    ],
)
async def test_an_error_is_as_documented(webhook: RestClient, method: str, params: dict[str, Any], error: str) -> None:
    if "rows" in params and not params["id"]:
        params = params | {"id": await new(webhook, method.split(".")[1])}
    answer = await webhook.call(method, **params)
    assert (answer.status, answer.body) == (400, documented(error))


@pytest.mark.parametrize(
    ("method", "params", "code", "text"),
    [
        ("crm.deal.productrows.set", {"id": 999_999, "rows": []}, "", "Not found."),
        (f"{UNIVERSAL}.add", {"fields": {}}, "OWNER_NOT_FOUND", "Owner was not found"),
        (f"{UNIVERSAL}.add", {}, "100", "Could not find value for parameter {fields}"),
        (
            f"{UNIVERSAL}.add",
            {"fields": {"ownerId": 1, "ownerType": "C"}},
            "ENTITY_TYPE_NOT_SUPPORTED",
            "Entity type 'C' is not supported",
        ),
    ],
)
async def test_a_refusal_has_its_code_and_text(
    webhook: RestClient, method: str, params: dict[str, Any], code: str, text: str
) -> None:
    answer = await webhook.call(method, **params)
    assert (answer.status, answer.error, answer.body["error_description"]) == (400, code, text)


@pytest.mark.parametrize(
    ("discount", "text"),
    [
        ({"DISCOUNT_TYPE_ID": 1}, "Discount Sum (DISCOUNT_SUM) is required if Monetary Discount Type"),
        ({"DISCOUNT_TYPE_ID": 2}, "Discount Rate (DISCOUNT_RATE) is required if Percentage Discount Type"),
    ],
)
async def test_a_discount_needs_its_size(webhook: RestClient, discount: dict[str, int], text: str) -> None:
    owner = await new(webhook, "deal")
    answer = await webhook.call("crm.deal.productrows.set", id=owner, rows=[discount])
    assert answer.error == "ERROR_CORE"
    assert answer.body["error_description"].startswith(text)
    answer = await webhook.call("crm.deal.productrows.set", id=owner, rows="x")
    assert answer.body == {"error": "", "error_description": "The parameter rows must be array."}


async def test_rows_need_the_rights_to_their_owner(webhook: RestClient, portal: SandboxPortal) -> None:
    portal.deny("quotes")
    portal.deny("deals")
    answer = await webhook.call("crm.quote.productrows.get", id=1)
    assert (answer.status, answer.body) == (400, documented("crm.quote.productrows.get.error"))
    for method in ("list", "getAvailableForPayment"):
        owner = {"ownerType": "D", "ownerId": 1}
        answer = await webhook.call(f"{UNIVERSAL}.{method}", filter=owner, **owner)
        assert (answer.status, answer.body) == (400, documented(f"{UNIVERSAL}.{method}.error"))
