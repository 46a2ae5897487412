"""Types of smart processes that come and go while the portal is used."""

from gateway.sandbox.content.changes import Change
from gateway.sandbox.portal import SandboxPortal
from tests.sandbox.client import RestClient, row_ids
from tests.sandbox.examples import EXAMPLES, compare


async def test_types_are_listed_as_documented(webhook: RestClient) -> None:
    assert (EXAMPLES / "crm.type.list.json").exists()
    compare((await webhook.call("crm.type.list")).body, "crm.type.list")


async def test_every_switch_filters_types(webhook: RestClient) -> None:
    for switch, types in (("isBeginCloseDatesEnabled", [3]), ("isObserversEnabled", [3, 17])):
        answer = await webhook.call("crm.type.list", filter={switch: "Y"})
        assert row_ids(answer.result["types"]) == types


async def test_the_items_of_a_removed_type_are_not_found(webhook: RestClient, portal: SandboxPortal) -> None:
    item = (await webhook.call("crm.item.list", entityTypeId=128)).result["items"][0]
    portal.change(Change("types", {}, (3,)))
    assert row_ids((await webhook.call("crm.type.list")).result["types"]) == [13, 17]
    for method in ("crm.item.list", "crm.item.get", "crm.item.fields", "crm.category.list"):
        answer = await webhook.call(method, entityTypeId=128, id=item["id"])
        assert (answer.status, answer.error) == (400, "NOT_FOUND")
    assert (await webhook.call("crm.item.list", entityTypeId=156)).status == 200
    assert (await webhook.call("crm.item.list", entityTypeId=31)).status == 200


async def test_an_added_type_has_pipelines_stages_fields_and_items(
    webhook: RestClient, anonymous: RestClient, portal: SandboxPortal
) -> None:
    row = {"id": 41, "entityTypeId": 1040, "title": "Новый", "isClientEnabled": "Y", "isCategoriesEnabled": "Y"}
    assert (await anonymous.call("/_sandbox/rows", table="types", set={"41": row})).body == {"rows": 4}
    listed = (await webhook.call("crm.type.list", filter={"entityTypeId": 1040})).result["types"]
    assert listed == [{**portal.data.types[13], **listed[0], **row}]
    pipelines = (await webhook.call("crm.category.list", entityTypeId=1040)).result["categories"]
    assert len(pipelines) == 2
    described = (await webhook.call("crm.item.fields", entityTypeId=1040)).result["fields"]
    assert {"companyId", "stageId"} <= set(described)
    assert "observers" not in described
    stages = await webhook.call("crm.status.list", filter={"ENTITY_ID": described["stageId"]["statusType"]})
    assert {stage["CATEGORY_ID"] for stage in stages.result} == {str(pipelines[0]["id"])}
    assert (await webhook.call("crm.item.list", entityTypeId=1040)).body["total"] == 0
    await anonymous.call("/_sandbox/rows", table="items/1040", set={"5": {"TITLE": "First"}})
    items = (await webhook.call("crm.item.list", entityTypeId=1040)).result["items"]
    assert [(item["id"], item["title"]) for item in items] == [(5, "First")]
    assert set(items[0]) - {"fm", "entityTypeId"} == set(described)


async def test_an_added_type_gets_a_free_number_and_comes_back_after_its_removal(
    webhook: RestClient, portal: SandboxPortal
) -> None:
    portal.change(Change("types", {50: {}, 51: {}}))
    assert [portal.data.types[row_id]["entityTypeId"] for row_id in (50, 51)] == [1030, 1032]
    portal.change(Change("items/1030", {7: {}}))
    kept = portal.data.types[50]
    portal.change(Change("types", {}, (50,)))
    assert (await webhook.call("crm.item.list", entityTypeId=1030)).error == "NOT_FOUND"
    portal.change(Change("types", {50: kept}))
    assert row_ids((await webhook.call("crm.item.list", entityTypeId=1030)).result["items"]) == [7]
