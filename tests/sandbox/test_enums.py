"""The enumerations of the CRM."""

import pytest

from tests.sandbox.client import RestClient
from tests.sandbox.examples import compare, documented


@pytest.mark.parametrize("method", ["crm.enum.addresstype", "crm.enum.ownertype"])
async def test_values_have_the_documented_keys_and_types(webhook: RestClient, method: str) -> None:
    answer = await webhook.call(method)
    compare(answer.body, method)
    numbers = [row["ID"] for row in documented(method)["result"] if row["ID"] < 128]
    assert [row["ID"] for row in answer.result if row["ID"] < 128] == numbers


async def test_owner_types_include_smart_processes(webhook: RestClient) -> None:
    rows = (await webhook.call("crm.enum.ownertype")).result
    assert {row["SYMBOL_CODE"]: row["SYMBOL_CODE_SHORT"] for row in rows if row["ID"] >= 128} == {
        "DYNAMIC_128": "T80",
        "DYNAMIC_156": "T9c",
        "DYNAMIC_1036": "T40c",
    }


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("contenttype", 4),
        ("activitytype", 7),
        ("activitypriority", 4),
        ("activitydirection", 3),
        ("activitynotifytype", 4),
        ("activitystatus", 4),
        ("settings.mode", 2),
    ],
)
async def test_other_enumerations_have_the_same_form(webhook: RestClient, name: str, count: int) -> None:
    fields = (await webhook.call("crm.enum.fields")).result
    rows = (await webhook.call(f"crm.enum.{name}")).result
    assert len(rows) == count
    assert {tuple(row) for row in rows} == {tuple(fields)}
    assert all(field["isReadOnly"] for field in fields.values())


async def test_orders_belong_to_deals(webhook: RestClient) -> None:
    [row] = (await webhook.call("crm.enum.getorderownertypes")).result
    assert (row["id"], row["code"]) == (2, "DEAL")
