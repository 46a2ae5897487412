"""Records that no user of the portal may read."""

from typing import Any

import pytest

from gateway.sandbox.portal import SandboxPortal
from tests.sandbox.client import RestClient

CLASSIC = (400, {"error": "", "error_description": "Access denied."})
ITEMS = (400, {"error": "ACCESS_DENIED", "error_description": "Access denied"})


@pytest.mark.parametrize(
    ("table", "method", "params", "refusal"),
    [
        ("deals", "crm.deal.list", {}, CLASSIC),
        ("deals", "crm.deal.get", {"id": 1}, CLASSIC),
        ("deals", "crm.deal.get", {"id": 999_999}, CLASSIC),
        ("deals", "crm.item.list", {"entityTypeId": 2}, ITEMS),
        ("deals", "crm.item.get", {"entityTypeId": 2, "id": 1}, ITEMS),
        ("quotes", "crm.quote.list", {}, CLASSIC),
        ("invoices", "crm.item.list", {"entityTypeId": 31}, ITEMS),
        ("items/128", "crm.item.list", {"entityTypeId": 128}, ITEMS),
    ],
)
async def test_denied_records_are_refused_until_they_are_allowed(
    webhook: RestClient, anonymous: RestClient, table: str, method: str, params: dict[str, Any], refusal: Any
) -> None:
    assert (await anonymous.call("/_sandbox/deny", table=table)).body == {"denied": table}
    answer = await webhook.call(method, **params)
    assert (answer.status, answer.body) == refusal
    assert (await anonymous.call("/_sandbox/allow", table=table)).body == {"allowed": table}
    assert (await webhook.call(method, **params)).body != refusal[1]


async def test_other_records_and_the_fields_stay_readable(webhook: RestClient, portal: SandboxPortal) -> None:
    portal.deny("deals")
    assert (await webhook.call("crm.lead.list")).status == 200
    assert (await webhook.call("crm.item.list", entityTypeId=128)).status == 200
    assert (await webhook.call("crm.deal.fields")).status == 200
    assert (await webhook.call("crm.item.fields", entityTypeId=2)).status == 200


async def test_a_table_without_crm_records_cannot_be_denied(anonymous: RestClient) -> None:
    for address in ("/_sandbox/deny", "/_sandbox/allow"):
        answer = await anonymous.call(address, table="users")
        assert answer.status == 400
        assert answer.body.startswith("table: must be one of leads, deals,")


@pytest.mark.parametrize("method", ["crm.item.list", "crm.item.get", "crm.item.fields"])
async def test_a_type_that_does_not_exist_is_not_found(webhook: RestClient, method: str) -> None:
    answer = await webhook.call(method, entityTypeId=4711, id=1)
    assert (answer.status, answer.body) == (
        400,
        {"error": "NOT_FOUND", "error_description": "Smart process not found"},
    )
