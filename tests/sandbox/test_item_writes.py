"""CRM records are added, changed, imported and deleted by crm.item."""

from typing import Any

import pytest

from gateway.sandbox.content.catalog import CONTACT
from gateway.sandbox.portal import SandboxPortal
from tests.clock import ManualClock
from tests.sandbox.client import Answer, RestClient
from tests.sandbox.examples import documented

TYPES = (1, 2, 3, 4, 7, 31, 128, 156, 1036)


async def add(client: RestClient, type_id: int, **fields: Any) -> dict[str, Any]:
    sent = {"name": "Zoë", "title": "A/B"} | fields
    item: dict[str, Any] = (await client.call("crm.item.add", entityTypeId=type_id, fields=sent)).result["item"]
    return item


async def update(client: RestClient, type_id: int, row_id: int, **fields: Any) -> Answer:
    return await client.call("crm.item.update", entityTypeId=type_id, id=row_id, fields=fields)


async def changed(client: RestClient, type_id: int, row_id: int, **fields: Any) -> dict[str, Any]:
    item: dict[str, Any] = (await update(client, type_id, row_id, **fields)).result["item"]
    return item


def refusal(answer: Answer) -> tuple[int, Any, Any]:
    return answer.status, answer.error, answer.body["error_description"]


@pytest.mark.parametrize("type_id", TYPES)
async def test_an_item_lives_from_add_to_delete(
    webhook: RestClient, portal: SandboxPortal, clock: ManualClock, type_id: int
) -> None:
    last = max(portal.data.records[type_id])
    item = await add(webhook, type_id)
    assert (item["id"], item["entityTypeId"]) == (last + 1, type_id)
    assert item["createdTime"] == item["updatedTime"] == "2027-01-15T11:00:00+03:00"
    assert (item["createdBy"], item["updatedBy"], item["assignedById"]) == (1, 1, 1)
    found = (await webhook.call("crm.item.get", entityTypeId=type_id, id=item["id"])).result["item"]
    assert found == item
    await clock.advance(60)
    assert await changed(webhook, type_id, item["id"], noSuchField=1, id=5) == item
    named = "name" if type_id == CONTACT else "title"
    renamed = await changed(webhook, type_id, item["id"], **{named: "小明"})
    times = {name: "2027-01-15T11:01:00+03:00" for name in ("updatedTime", "lastActivityTime") if name in item}
    assert renamed == item | {named: "小明"} | times
    answer = await webhook.call("crm.item.delete", entityTypeId=type_id, id=item["id"])
    assert answer.result == documented("crm.item.delete")["result"]
    assert item["id"] not in portal.data.records[type_id]


async def test_a_deal_has_the_documented_keys_and_types(webhook: RestClient) -> None:
    example = documented("crm.item.add")["result"]["item"]
    item = await add(
        webhook, 2, opportunity=999.99, contactIds=[4, 5], observers=[2, 3], stageId="C7:WON", categoryId=7
    )
    shared = set(item) & set(example)
    assert len(shared) > 45
    for name in shared:
        if item[name] is not None and example[name] is not None:
            numbers = isinstance(example[name], int | float)
            assert isinstance(item[name], int | float if numbers else type(example[name])), name
    assert (item["contactId"], item["contactIds"], item["observers"]) == (4, [4, 5], [2, 3])
    assert (item["stageSemanticId"], item["closed"], item["opportunity"]) == ("S", "Y", 999.99)


@pytest.mark.parametrize(
    ("method", "params", "error"),
    [
        ("crm.item.add", {"entityTypeId": 4711, "fields": {}}, "crm.item.add.error"),
        ("crm.item.update", {"entityTypeId": 4711, "id": 1, "fields": {}}, "crm.item.update.error"),
        ("crm.item.delete", {"entityTypeId": 2, "id": 999_999}, "crm.item.delete.error"),
        ("crm.item.import", {"entityTypeId": 4711, "fields": {}}, "crm.item.import.error"),
        ("crm.item.batchImport", {"entityTypeId": 4711, "data": []}, "crm.item.batchImport.error"),
    ],
)
async def test_an_error_is_as_documented(webhook: RestClient, method: str, params: dict[str, Any], error: str) -> None:
    answer = await webhook.call(method, **params)
    assert (answer.status, answer.body) == (400, documented(error))


@pytest.mark.parametrize(
    ("fields", "code", "text"),
    [
        ({"stageId": "C7:WON"}, "CRM_FIELD_ERROR_VALUE_NOT_VALID", 'Invalid value of the field "STAGE_ID"'),
        ({"categoryId": 4711}, "CRM_FIELD_ERROR_VALUE_NOT_VALID", 'Invalid value of the field "CATEGORY_ID"'),
        ({"contactIds": "5"}, "100", "Expected iterable value for multiple field, but got `string` instead"),
        ({"observers": 5}, "100", "Expected iterable value for multiple field, but got `integer` instead"),
    ],
)
async def test_a_wrong_value_is_refused_and_nothing_is_written(
    webhook: RestClient, portal: SandboxPortal, fields: dict[str, Any], code: str, text: str
) -> None:
    item = await add(webhook, 2)
    assert refusal(await update(webhook, 2, item["id"], title="new", **fields)) == (400, code, text)
    answer = await webhook.call("crm.item.add", entityTypeId=2, fields=fields)
    assert refusal(answer) == (400, code, text)
    assert max(portal.data.records[2]) == item["id"]
    assert (await webhook.call("crm.item.get", entityTypeId=2, id=item["id"])).result["item"] == item


async def test_required_fields_are_checked(webhook: RestClient) -> None:
    answer = await webhook.call("crm.item.add", entityTypeId=3, fields={"post": "x"})
    assert refusal(answer) == (400, "CRM_FIELD_ERROR_REQUIRED", 'The "Name" field is required')
    contact = await add(webhook, 3)
    assert refusal(await update(webhook, 3, contact["id"], name=""))[1] == "CRM_FIELD_ERROR_REQUIRED"
    answer = await webhook.call("crm.item.add", entityTypeId=2)
    assert refusal(answer)[:2] == (400, "100")


async def test_a_deal_moves_to_another_pipeline(webhook: RestClient, clock: ManualClock) -> None:
    item = await add(webhook, 2, stageId="EXECUTING")
    await clock.advance(60)
    moved = await changed(webhook, 2, item["id"], categoryId=7)
    assert (moved["categoryId"], moved["stageId"], moved["movedTime"]) == (7, "C7:NEW", "2027-01-15T11:01:00+03:00")
    moved = await changed(webhook, 2, item["id"], categoryId=2, stageId="C2:WON")
    assert (moved["categoryId"], moved["stageId"]) == (2, "C2:WON")


async def test_an_item_remembers_its_previous_stage(webhook: RestClient) -> None:
    item = await add(webhook, 128)
    first = item["stageId"]
    other = first.replace("NEW", "CLIENT")
    moved = await changed(webhook, 128, item["id"], stageId=other)
    assert (moved["stageId"], moved["previousStageId"]) == (other, first)


@pytest.mark.parametrize(
    ("field", "written", "read"),
    [
        ("opportunity", 0, 0),
        ("opportunity", "1000.5", 1000.5),
        ("opened", 1, "N"),
        ("opened", "1", "N"),
        ("opened", "y", "Y"),
        ("opened", True, "Y"),
        ("begindate", "2024-06-18", "2024-06-18T03:00:00+03:00"),
        ("begindate", "", None),
        ("begindate", "soon", "2027-01-15T03:00:00+03:00"),
        ("contactIds", [], []),
        ("contactId", "6", 6),
        ("title", 7, "7"),
        ("parentId2", 5, 5),
        ("xmlId", "a[b]", "a[b]"),
        ("COMPANY_ID", 4, 4),
    ],
)
async def test_a_value_is_read_in_the_form_of_its_type(
    webhook: RestClient, field: str, written: object, read: object
) -> None:
    item = await add(webhook, 128, contactIds=[5])
    changes = await changed(webhook, 128, item["id"], **{field: written})
    assert changes[{"COMPANY_ID": "companyId"}.get(field, field)] == read


async def test_multifields_are_changed_by_fm(webhook: RestClient) -> None:
    item = await add(webhook, 3, fm=[{"typeId": "PHONE", "valueType": "MOBILE", "value": "111"}])
    (phone,) = item["fm"]
    assert {**phone, "id": 0} == {"id": 0, "typeId": "PHONE", "valueType": "MOBILE", "value": "111"}
    sent = documented("crm.item.update.fm.request")
    item = await changed(webhook, 3, item["id"], fm=sent["add"]["fm"])
    assert [entry["value"] for entry in item["fm"]] == ["111", "+499991234567", "new@example.com"]
    item = await changed(webhook, 3, item["id"], fm={str(phone["id"]): sent["change"]["fm"]["15"]})
    assert item["fm"][0] == phone | {"value": "+499990000000"}
    item = await changed(webhook, 3, item["id"], fm={str(phone["id"]): {"typeId": "PHONE", "value": ""}})
    assert [entry["typeId"] for entry in item["fm"]] == ["PHONE", "EMAIL"]


async def test_original_names_of_custom_fields_can_be_used(webhook: RestClient, portal: SandboxPortal) -> None:
    name = next(
        row["FIELD_NAME"] for row in portal.data.userfields["CRM_DEAL"].values() if row["USER_TYPE_ID"] == "string"
    )
    sent = {"entityTypeId": 2, "fields": {name: "x"}, "useOriginalUfNames": "Y"}
    item = (await webhook.call("crm.item.add", **sent)).result["item"]
    assert item[name] == "x"


async def test_an_import_keeps_times_and_takes_multifields_by_name(
    webhook: RestClient, tokens_of: Any, server: Any, session: Any
) -> None:
    fields = {"name": "A", "createdTime": "2020-01-01T00:00:00+00:00", "PHONE": [{"VALUE": "5"}]}
    answer = await webhook.call("crm.item.import", entityTypeId=3, fields=fields)
    row_id = answer.result["item"]["id"]
    item = (await webhook.call("crm.item.get", entityTypeId=3, id=row_id)).result["item"]
    assert (item["createdTime"], item["fm"][0]["value"]) == ("2020-01-01T03:00:00+03:00", "5")
    user = RestClient(session, f"{server.origin}/rest/")
    answer = await user.call("crm.item.import", entityTypeId=3, fields=fields, auth=tokens_of(2))
    assert refusal(answer)[:2] == (400, "CRM_FIELD_ERROR_VALUE_NOT_VALID")


async def test_one_refused_row_of_an_import_does_not_stop_the_others(webhook: RestClient) -> None:
    data = [{"name": "A"}, {}, {"name": "B"}]
    items = (await webhook.call("crm.item.batchImport", entityTypeId=3, data=data)).result["items"]
    assert [list(entry) for entry in items] == [["item"], ["error", "error_description"], ["item"]]
    assert items[1] == documented("crm.item.batchImport")["result"]["items"][1]
    answer = await webhook.call("crm.item.batchImport", entityTypeId=3, data=[{"name": "A"}] * 21)
    assert refusal(answer)[:2] == (400, "MAX_IMPORT_BATCH_SIZE_EXCEEDED")
