"""Files of Disk in fields of records: uploaded first, then named in one update, or removed again."""

import asyncio
from typing import Any

import pytest

from tests.gateway import Answer, Gateway, Sandbox
from tests.support.disk import facts, files_in, root_of
from tests.support.record_files import ask, attach, attached, field_of, first_record, listed
from tests.support.records import held

FILES = [("договор.pdf", b"one"), ("b.txt", b"two")]


@pytest.fixture
def root(connected: Gateway, sandbox: Sandbox) -> int:
    """The root folder of the company's drive, of an account that is connected by webhook."""
    assert connected.origin
    return root_of(sandbox)


async def value_of(gateway: Gateway, path: str, field: str) -> Any:
    """The value of a field of a record of the portal; None if it is empty."""
    return (await ask(gateway, "GET", f"{path}?source=portal")).json.get(field) or None


def told(answer: Answer) -> list[tuple[str, str]]:
    """The names of files that were not attached, and why."""
    assert (answer.status, answer.json["code"]) == (422, "not_attached"), answer.body
    assert answer.json["failed"] == len(answer.json["files"])
    return [(line["name"], line["error"]["code"]) for line in answer.json["files"]]


async def test_a_deal_gets_the_ids_of_its_files_in_one_update(connected: Gateway, sandbox: Sandbox, root: int) -> None:
    path, field = first_record(sandbox, "deals"), await field_of(connected, "deals", "string", multiple=True)
    await ask(connected, "PATCH", path, json={field: ["a text"]})
    sandbox.portal.calls.clear()
    first, second = await attached(connected, path, field, *FILES, folder=root)
    assert sandbox.portal.calls["disk.folder.uploadfile"] == 2
    assert sandbox.portal.calls["crm.deal.update"] == 1
    assert files_in(sandbox, root) == {name: facts(content) for name, content in FILES}
    assert await value_of(connected, path, field) == ["a text", str(first["id"]), str(second["id"])]
    assert [(each["id"], each["url"]) for each in await listed(connected, path, field)] == [
        (line["id"], f"/bitrix/files/{line['id']}/content") for line in (first, second)
    ]
    assert (await ask(connected, "GET", first["url"].removeprefix("/bitrix/"))).body == b"one"


@pytest.mark.parametrize("resource", ["leads", "contacts", "invoices", "items/128"])
async def test_other_records_get_ids_too(connected: Gateway, sandbox: Sandbox, root: int, resource: str) -> None:
    path, field = first_record(sandbox, resource), await field_of(connected, resource, "string", multiple=False)
    await attached(connected, path, field, ("a", b"1"), folder=root)
    (line,) = await attached(connected, path, field, ("b", b"2"), folder=root, path="new/folder")
    assert await value_of(connected, path, field) == str(line["id"])
    assert (await ask(connected, "DELETE", f"{path}/files/{line['id']}?field={field}")).status == 204
    assert await listed(connected, path, field) == []
    assert (await ask(connected, "GET", f"files/{line['id']}")).status == 200  # it stays in Disk


@pytest.mark.parametrize("resource", ["deals", "items/128"])
async def test_a_field_of_links_gets_links(connected: Gateway, sandbox: Sandbox, root: int, resource: str) -> None:
    path, field = first_record(sandbox, resource), await field_of(connected, resource, "url", multiple=True)
    await ask(connected, "PATCH", path, json={field: []})
    first, second = await attached(connected, path, field, ("a b ä.txt", b"one"), FILES[1], folder=root)
    links = await value_of(connected, path, field)
    assert links == [each["link"] for each in await listed(connected, path, field)]
    assert all(link.startswith(sandbox.origin) and " " not in link and link.isascii() for link in links)
    assert (await ask(connected, "DELETE", f"{path}/files/{first['id']}?field={field}")).status == 204
    assert await value_of(connected, path, field) == links[1:]
    answer = await ask(connected, "DELETE", f"{path}/files/{first['id']}?field={field}")
    assert (answer.status, answer.json["code"]) == (404, "file_not_found")
    assert second["id"] != first["id"]


async def test_a_failed_upload_leaves_the_deal_and_disk_as_they_were(
    connected: Gateway, sandbox: Sandbox, root: int
) -> None:
    path, field = first_record(sandbox, "deals"), await field_of(connected, "deals", "string", multiple=True)
    before = await value_of(connected, path, field)
    sandbox.portal.fault("disk.folder.uploadfile:error=ACCESS_DENIED@1")
    answer = await attach(connected, path, field, [*FILES, ("c", b"3")], folder=root)
    reasons = sorted(code for _, code in told(answer))
    assert reasons == ["ACCESS_DENIED", "removed_again", "removed_again"]
    assert (await value_of(connected, path, field), files_in(sandbox, root)) == (before, {})
    assert sandbox.portal.calls["crm.deal.update"] == 0


async def test_a_file_that_cannot_be_removed_again_is_named(connected: Gateway, sandbox: Sandbox, root: int) -> None:
    path, field = first_record(sandbox, "deals"), await field_of(connected, "deals", "string", multiple=True)
    sandbox.portal.fault("disk.folder.uploadfile:error=ACCESS_DENIED@1")
    sandbox.portal.fault("disk.file.delete:error=ACCESS_DENIED")
    answer = await attach(connected, path, field, FILES, folder=root)
    assert told(answer) == [("договор.pdf", "left_in_disk"), ("b.txt", "ACCESS_DENIED")]
    (left, _) = answer.json["files"]
    assert (await ask(connected, "GET", left["url"].removeprefix("/bitrix/"))).body == b"one"
    assert left["url"] == f"/bitrix/files/{left['id']}/content"


async def test_a_refused_update_removes_the_files_again(connected: Gateway, sandbox: Sandbox, root: int) -> None:
    path, field = first_record(sandbox, "deals"), await field_of(connected, "deals", "string", multiple=True)
    sandbox.portal.fault("crm.deal.update:error=ACCESS_DENIED")
    answer = await attach(connected, path, field, FILES, folder=root)
    assert told(answer) == [("договор.pdf", "ACCESS_DENIED"), ("b.txt", "ACCESS_DENIED")]
    assert files_in(sandbox, root) == {}


async def test_files_stay_if_it_is_not_known_whether_the_deal_has_them(
    connected: Gateway, sandbox: Sandbox, root: int
) -> None:
    path, field = first_record(sandbox, "deals"), await field_of(connected, "deals", "string", multiple=True)
    sandbox.portal.fault("crm.deal.update:cut*")
    sandbox.portal.fault("crm.deal.get:502*")
    answer = await attach(connected, path, field, FILES, folder=root)
    assert {code for _, code in told(answer)} == {"outcome_unknown"}
    assert {line["id"] for line in answer.json["files"]}
    assert len(files_in(sandbox, root)) == 2


@pytest.mark.parametrize("fault", ["crm.deal.update:cut", "crm.deal.update:drop", "disk.folder.uploadfile:cut"])
async def test_a_lost_answer_neither_loses_nor_doubles_a_file(
    connected: Gateway, sandbox: Sandbox, root: int, fault: str
) -> None:
    path, field = first_record(sandbox, "deals"), await field_of(connected, "deals", "string", multiple=True)
    before = await value_of(connected, path, field) or []
    sandbox.portal.fault(fault)
    lines = await attached(connected, path, field, *FILES, folder=root)
    assert await value_of(connected, path, field) == [*before, *(str(line["id"]) for line in lines)]
    assert len(files_in(sandbox, root)) == 2


@pytest.mark.parametrize(
    ("query", "parameter", "code"),
    [
        ("", "folder", "required"),
        ("&folder=0", "folder", "invalid_value"),
        ("&folder=1&path=..", "path", "invalid_value"),
    ],
)
async def test_a_field_of_disk_files_needs_a_place(
    connected: Gateway, sandbox: Sandbox, query: str, parameter: str, code: str
) -> None:
    field = await field_of(connected, "deals", "string", multiple=True)
    sandbox.portal.calls.clear()
    answer = await ask(connected, "POST", f"deals/1/files?field={field}{query}", data=None)
    (error,) = answer.json["errors"]
    assert (answer.status, error["parameter"], error["code"]) == (400, parameter, code)
    assert sandbox.portal.calls.total() == 0


async def test_a_record_that_does_not_exist_gets_no_upload(connected: Gateway, sandbox: Sandbox, root: int) -> None:
    field = await field_of(connected, "deals", "string", multiple=False)
    answer = await attach(connected, "deals/999999", field, FILES[:1], folder=root, path="new")
    assert answer.status == 404
    assert (files_in(sandbox, root), sandbox.portal.calls["disk.folder.addsubfolder"]) == ({}, 0)


async def test_a_folder_that_does_not_exist_is_told_for_each_file(
    connected: Gateway, sandbox: Sandbox, root: int
) -> None:
    path, field = first_record(sandbox, "deals"), await field_of(connected, "deals", "string", multiple=True)
    answer = await attach(connected, path, field, FILES, folder=root + 999)
    assert {code for _, code in told(answer)} == {"ERROR_NOT_FOUND"}


async def test_settings_that_forbid_the_update_are_known_before_an_upload(
    connected: Gateway, sandbox: Sandbox, root: int
) -> None:
    field = await field_of(connected, "deals", "string", multiple=True)
    await connected.restart(GATEWAY_METHODS_DENY="crm.deal.update")
    answer = await attach(connected, first_record(sandbox, "deals"), field, FILES, folder=root)
    assert (answer.status, answer.json["code"], files_in(sandbox, root)) == (403, "method_denied", {})


async def test_contents_of_disk_files_are_not_opened_by_the_record(
    connected: Gateway, sandbox: Sandbox, root: int
) -> None:
    path, field = first_record(sandbox, "deals"), await field_of(connected, "deals", "string", multiple=True)
    (line,) = await attached(connected, path, field, FILES[0], folder=root)
    answer = await ask(connected, "GET", f"{path}/files/{line['id']}/content?field={field}")
    (error,) = answer.json["errors"]
    assert (answer.status, error["parameter"], error["code"]) == (400, "field", "invalid_value")


async def test_what_others_write_during_the_uploads_stays(connected: Gateway, sandbox: Sandbox, root: int) -> None:
    path, field = first_record(sandbox, "deals"), await field_of(connected, "deals", "string", multiple=True)
    await ask(connected, "PATCH", path, json={field: ["one"]})
    sandbox.portal.fault("disk.folder.uploadfile:delay=30")
    adding = asyncio.create_task(attach(connected, path, field, FILES[:1], folder=root))
    await held(connected, sandbox, "disk.folder.uploadfile")
    await ask(connected, "PATCH", path, json={field: ["one", "two"]})
    (line,) = (await adding).json["files"]
    assert await value_of(connected, path, field) == ["one", "two", str(line["id"])]


async def test_files_are_removed_again_however_busy_the_portal_is(
    connected: Gateway, sandbox: Sandbox, root: int
) -> None:
    limits = {"GATEWAY_BUCKET_CAPACITY": "10", "GATEWAY_BUCKET_LEAK_PER_S": "0.5", "GATEWAY_MAX_WAIT_S": "1"}
    field = await field_of(connected, "deals", "string", multiple=True)
    await connected.restart(**limits)
    sandbox.portal.fault("disk.folder.uploadfile:error=ACCESS_DENIED@11")
    answer = await attach(
        connected, first_record(sandbox, "deals"), field, [(f"{number}", b"x") for number in range(12)], folder=root
    )
    assert sorted(code for _, code in told(answer)) == ["ACCESS_DENIED", *["removed_again"] * 11]
    assert files_in(sandbox, root) == {}
