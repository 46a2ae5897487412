"""File fields of CRM records by crm.item: what stays, what is deleted, and what is shown."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiohttp import ClientSession

from gateway.sandbox.content.catalog import COMPANY, CONTACT, DEAL, EQUIPMENT, SMART_INVOICE
from gateway.sandbox.portal import SandboxPortal
from tests.sandbox.client import RestClient
from tests.sandbox.examples import compare, documented
from tests.sandbox.files import contents, download, encoded, file_field

ONE, TWO, THREE = (["one.txt", encoded(b"1")], ["two.txt", encoded(b"22")], ["three.txt", encoded(b"333")])
Saving = Callable[..., Awaitable[dict[str, Any]]]


@pytest.fixture(params=[1, DEAL, CONTACT, COMPANY, 7, SMART_INVOICE, EQUIPMENT])
def type_id(request: pytest.FixtureRequest) -> int:
    return int(request.param)


@pytest.fixture
def save(webhook: RestClient) -> Saving:
    """Add an item, or change the one with this id; return it with original names of fields."""

    async def save(type_id: int, row_id: int | None = None, **fields: Any) -> dict[str, Any]:
        params = {"entityTypeId": type_id, "useOriginalUfNames": "Y", "fields": {"title": "A", "name": "A"} | fields}
        answer = await webhook.call(f"crm.item.{'update' if row_id else 'add'}", id=row_id, **params)
        item: dict[str, Any] = answer.result["item"]
        return item

    return save


def ids(files: list[dict[str, Any]]) -> list[int]:
    return [file["id"] for file in files]


async def test_a_single_file_is_replaced_kept_and_cleared(
    save: Saving, portal: SandboxPortal, session: ClientSession, type_id: int
) -> None:
    name = file_field(portal, type_id, multiple=False)
    item = await save(type_id, **{name: ONE})
    first = item[name]
    assert (await download(session, first["urlMachine"])).content == b"1"
    kept = await save(type_id, item["id"], title="B")
    assert kept[name]["id"] == first["id"]
    kept = await save(type_id, item["id"], **{name: {"id": first["id"]}})
    assert kept[name]["id"] == first["id"]
    second = (await save(type_id, item["id"], **{name: TWO}))[name]
    assert second["id"] != first["id"]
    assert contents(portal) == [b"22"]
    assert (await save(type_id, item["id"], **{name: ""}))[name] is None
    assert contents(portal) == []


async def test_another_id_resets_a_single_field(save: Saving, portal: SandboxPortal) -> None:
    name = file_field(portal, DEAL, multiple=False)
    item = await save(DEAL, **{name: ONE})
    assert (await save(DEAL, item["id"], **{name: {"id": item[name]["id"] + 1}}))[name] is None
    assert contents(portal) == []


async def test_an_array_is_the_new_set_of_a_multiple_field(save: Saving, portal: SandboxPortal, type_id: int) -> None:
    name = file_field(portal, type_id, multiple=True)
    item = await save(type_id, **{name: [ONE, TWO]})
    first, second = ids(item[name])
    changed = await save(type_id, item["id"], **{name: [{"id": second}, THREE, {"id": 1}, {"id": str(second)}]})
    assert ids(changed[name]) == [second, second + 1]
    assert contents(portal) == [b"22", b"333"]
    assert (await save(type_id, item["id"], title="B"))[name][0]["id"] == second
    assert (await save(type_id, item["id"], **{name: []}))[name] == []
    assert contents(portal) == []
    assert first < second


async def test_an_update_that_keeps_all_files_saves_nothing(save: Saving, portal: SandboxPortal) -> None:
    name = file_field(portal, DEAL, multiple=True)
    item = await save(DEAL, **{name: [ONE, TWO]})
    events = len(portal.data.offline_events)
    row = portal.data.records[DEAL][item["id"]]
    await save(DEAL, item["id"], **{name: [{"id": number} for number in ids(item[name])]} | {"title": item["title"]})
    assert portal.data.records[DEAL][item["id"]] == row
    assert len(portal.data.offline_events) == events


@pytest.mark.parametrize(("type_id", "name"), [(CONTACT, "photo"), (COMPANY, "logo")])
async def test_photo_and_logo_follow_the_same_rules(
    save: Saving, portal: SandboxPortal, type_id: int, name: str
) -> None:
    item = await save(type_id, **{name: ["face.png", encoded(b"PNG")]})
    assert set(item[name]) == {"id", "url", "urlMachine"}
    assert f"fieldName={name.upper()}&" in item[name]["url"]
    assert (await save(type_id, item["id"], **{name: ""}))[name] is None
    assert contents(portal) == []


async def test_answers_have_the_documented_form(webhook: RestClient, save: Saving, portal: SandboxPortal) -> None:
    item = await save(EQUIPMENT)
    custom = file_field(portal, EQUIPMENT, multiple=True)
    name = f"ufCrm13_{custom.rpartition('_')[2]}"
    request = documented("crm.item.update.files.request")
    (documented_name, files), *_ = request["fields"].items()
    place = {"entityTypeId": EQUIPMENT, "id": item["id"]}
    filled = (await webhook.call("crm.item.update", **place, fields={name: [files[1]]})).result["item"][name]
    files = [{"id": filled[0]["id"]}, files[1]]
    answer = (await webhook.call("crm.item.update", **place, fields={name: files})).result["item"]
    shown = {"result": {"item": {"id": answer["id"], documented_name: answer[name]}}}
    compare(shown, "crm.item.update.files")
    listed = await webhook.call("crm.item.list", entityTypeId=EQUIPMENT, select=[name], filter={"id": item["id"]})
    assert listed.result["items"][0].keys() == {name}
    compare({"result": {"items": [{documented_name: listed.result["items"][0][name]}]}}, "crm.item.file-field")
    query = f"SITE_ID=s1&entityTypeId=156&id={item['id']}&fieldName={custom}&fileId={filled[0]['id']}"
    address = "/bitrix/services/main/ajax.php?action=crm.controller.item.getFile&"
    assert listed.result["items"][0][name][0]["url"].endswith(address + query)
    cleared = (await webhook.call("crm.item.update", **place, fields={name: []})).result["item"]
    assert cleared[name] == documented("crm.item.update.files.clear")["result"]["item"][documented_name]


@pytest.mark.parametrize("wrong", [["a.txt", ""], ["a.txt", "%"], ["a.txt"], {"fileData": ["a.txt", "MQ=="]}])
async def test_a_file_without_content_is_refused_and_nothing_is_saved(
    webhook: RestClient, portal: SandboxPortal, wrong: Any
) -> None:
    single, multiple = (file_field(portal, DEAL, multiple=several) for several in (False, True))
    for fields in ({multiple: [ONE], single: wrong}, {single: ONE, multiple: [TWO, wrong]}):
        params = {"entityTypeId": DEAL, "useOriginalUfNames": "Y", "fields": fields}
        answer = await webhook.call("crm.item.add", **params)
        assert (answer.status, answer.error) == (400, "CRM_FIELD_ERROR_VALUE_NOT_VALID")
    assert contents(portal) == []


async def test_broken_base64_makes_a_broken_file(save: Saving, portal: SandboxPortal) -> None:
    name = file_field(portal, DEAL, multiple=True)
    with_prefix = ["b.txt", "data:text/plain;base64," + encoded(b"whole")]
    await save(DEAL, **{name: [["a.txt", "M T\nIzж=="], with_prefix, ["c.txt", "MTIzNDU"]]})
    first, second, third = contents(portal)
    assert (first, third) == (b"123", b"12345")
    assert second != b"whole"
    assert second


async def test_a_multiple_field_refuses_a_single_value(webhook: RestClient, portal: SandboxPortal) -> None:
    params = {"entityTypeId": DEAL, "useOriginalUfNames": "Y"}
    answer = await webhook.call("crm.item.add", **params, fields={file_field(portal, DEAL, multiple=True): "MQ=="})
    assert (answer.status, answer.error) == (400, "100")


async def test_a_text_leaves_a_single_field_as_it_is(save: Saving, portal: SandboxPortal) -> None:
    name = file_field(portal, DEAL, multiple=False)
    item = await save(DEAL, **{name: ONE})
    assert (await save(DEAL, item["id"], **{name: "MQ=="}))[name]["id"] == item[name]["id"]


async def test_a_deleted_item_deletes_its_files(webhook: RestClient, save: Saving, portal: SandboxPortal) -> None:
    names = (file_field(portal, CONTACT, multiple=several) for several in (False, True))
    single, multiple = names
    item = await save(CONTACT, photo=ONE, **{single: TWO, multiple: [ONE, THREE]})
    assert len(contents(portal)) == 4
    await webhook.call("crm.item.delete", entityTypeId=CONTACT, id=item["id"])
    assert contents(portal) == []


async def test_imported_items_have_their_files(webhook: RestClient, portal: SandboxPortal) -> None:
    name = file_field(portal, DEAL, multiple=True)
    params = {"entityTypeId": DEAL, "useOriginalUfNames": "Y", "data": [{name: [ONE]}, {name: [["a", ""]]}]}
    added, refused = (await webhook.call("crm.item.batchImport", **params)).result["items"]
    assert refused["error"] == "CRM_FIELD_ERROR_VALUE_NOT_VALID"
    item = (await webhook.call("crm.item.get", entityTypeId=DEAL, id=added["item"]["id"])).result["item"]
    assert [file["id"] for file in item[f"ufCrm_{name.rpartition('_')[2]}"]] == [30_001]
    assert contents(portal) == [b"1"]


async def test_merged_records_keep_all_files(webhook: RestClient, save: Saving, portal: SandboxPortal) -> None:
    name = file_field(portal, CONTACT, multiple=True)
    main, other = [await save(CONTACT, **{name: files}) for files in ([ONE], [TWO])]
    single = file_field(portal, CONTACT, multiple=False)
    await save(CONTACT, other["id"], **{single: THREE})
    params = {"entityTypeId": CONTACT, "entityIds": [main["id"], other["id"]]}
    assert (await webhook.call("crm.entity.mergeBatch", params=params)).result["STATUS"] == "SUCCESS"
    row = portal.data.records[CONTACT][main["id"]]
    assert (row[name], row[single]) == (["30001", "30002"], "30003")
    assert contents(portal) == [b"1", b"22", b"333"]


async def test_a_recurring_deal_copies_no_files(webhook: RestClient, save: Saving, portal: SandboxPortal) -> None:
    name = file_field(portal, DEAL, multiple=False)
    deal = await save(DEAL, **{name: ONE})
    await webhook.call("crm.deal.recurring.add", fields={"DEAL_ID": deal["id"]})
    assert portal.data.records[DEAL][max(portal.data.records[DEAL])][name] is None
    assert portal.data.records[DEAL][deal["id"]][name] == "30001"
