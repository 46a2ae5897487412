"""Links: which requisites and bank details an object of the CRM uses."""

from typing import Any

import pytest

from gateway.sandbox.portal import SandboxPortal
from tests.sandbox.client import RestClient

LINK = {
    "ENTITY_TYPE_ID": 2,
    "ENTITY_ID": 1,
    "REQUISITE_ID": 1,
    "BANK_DETAIL_ID": 101,
    "MC_REQUISITE_ID": 2,
    "MC_BANK_DETAIL_ID": 0,
}
DEAL = {"entityTypeId": 2, "entityId": 1}


@pytest.fixture
async def bank_detail(webhook: RestClient) -> int:
    """A bank detail of the requisite 1."""
    return int((await webhook.call("crm.requisite.bankdetail.add", fields={"ENTITY_ID": 1, "NAME": "Bank"})).result)


@pytest.mark.usefixtures("bank_detail")
async def test_a_link_is_registered_replaced_and_unregistered(webhook: RestClient) -> None:
    assert (await webhook.call("crm.requisite.link.register", fields=LINK)).result is True
    stored = {name: str(value) for name, value in LINK.items()}
    assert (await webhook.call("crm.requisite.link.get", **DEAL)).result == {
        **stored,
        "ENTITY_TYPE_ID": 2,
        "ENTITY_ID": 1,
    }
    await webhook.call("crm.requisite.link.register", fields={**LINK, "MC_REQUISITE_ID": 3})
    listed = await webhook.call(
        "crm.requisite.link.list", filter={"@ENTITY_TYPE_ID": [1, 2]}, order={"ENTITY_ID": "ASC"}
    )
    assert (listed.result, listed.body["total"]) == ([{**stored, "MC_REQUISITE_ID": "3"}], 1)
    for _ in range(2):
        assert (await webhook.call("crm.requisite.link.unregister", **DEAL)).result is True
    answer = await webhook.call("crm.requisite.link.get", **DEAL)
    assert (answer.status, answer.body) == (400, {"error": "", "error_description": "Not found"})


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"ENTITY_TYPE_ID": 3}, "ENTITY_TYPE_ID is not defined or invalid."),
        ({"ENTITY_ID": None}, "ENTITY_ID is not defined or invalid."),
        ({"ENTITY_ID": 999_999}, "Entity is not found"),
        ({"REQUISITE_ID": None}, "REQUISITE_ID is not defined or invalid."),
        ({"MC_BANK_DETAIL_ID": -1}, "MC_BANK_DETAIL_ID is not defined or invalid."),
        ({"REQUISITE_ID": 60}, "The Requisite with ID '60' is not found"),
        ({"BANK_DETAIL_ID": 24}, "The BankDetail with ID '24' is not found"),
        ({"REQUISITE_ID": 2}, "The BankDetail with ID '101' is not assigned to Requisite with ID '2'"),
        ({"MC_REQUISITE_ID": 60}, "The Requisite of your company with ID '60' is not found"),
        ({"MC_BANK_DETAIL_ID": 24}, "The BankDetail of your company with ID '24' is not found"),
        (
            {"MC_BANK_DETAIL_ID": 101},
            "The BankDetail of your company with ID '101' is not assigned to Requisite of your company with ID '2'",
        ),
    ],
)
@pytest.mark.usefixtures("bank_detail")
async def test_a_link_needs_existing_rows_that_belong_together(
    webhook: RestClient, fields: dict[str, Any], text: str
) -> None:
    answer = await webhook.call("crm.requisite.link.register", fields={**LINK, **fields})
    assert (answer.status, answer.body) == (400, {"error": "", "error_description": text})


@pytest.mark.parametrize("verb", ["get", "unregister"])
async def test_a_link_is_found_by_the_object(webhook: RestClient, portal: SandboxPortal, verb: str) -> None:
    async def refusal(**params: int) -> str:
        return str((await webhook.call(f"crm.requisite.link.{verb}", **params)).body["error_description"])

    assert await refusal(entityId=1) == "entityTypeId is not defined or invalid."
    assert await refusal(entityTypeId=31) == "entityId is not defined or invalid."
    portal.deny("deals")
    assert await refusal(**DEAL) == "Access denied."


async def test_a_deleted_bank_detail_leaves_the_link(webhook: RestClient, bank_detail: int) -> None:
    await webhook.call("crm.requisite.link.register", fields=LINK)
    await webhook.call("crm.requisite.bankdetail.delete", id=bank_detail)
    assert (await webhook.call("crm.requisite.link.get", **DEAL)).result["BANK_DETAIL_ID"] == "0"
    await webhook.call("crm.requisite.delete", id=2)
    assert (await webhook.call("crm.requisite.link.get", **DEAL)).status == 400


async def test_the_fields_of_a_link_are_all_required(webhook: RestClient) -> None:
    fields = (await webhook.call("crm.requisite.link.fields")).result
    assert list(fields) == list(LINK)
    assert all(field["isRequired"] for field in fields.values())
    assert [name for name in fields if fields[name]["isImmutable"]] == ["ENTITY_TYPE_ID", "ENTITY_ID"]
