"""disk.file.*, disk.version.* and disk.attachedObject.*: files, their versions and the search for them."""

from collections.abc import Callable
from typing import Any

import pytest
from aiohttp import ClientSession

from gateway.sandbox.portal import SandboxPortal
from tests.clock import ManualClock
from tests.sandbox.client import RestClient, row_ids
from tests.sandbox.disk import DiskClient, base64_of, fetch
from tests.sandbox.examples import compare


async def test_a_file_has_the_documented_form_in_every_answer(disk: DiskClient, clock: ManualClock) -> None:
    (storage,) = await disk.result("storage.getlist", filter={"ENTITY_TYPE": "user", "ENTITY_ID": 1})
    content = ["picture.png", base64_of(b"picture")]
    uploaded = await disk.call("storage.uploadfile", id=storage["ID"], data={"NAME": "p.png"}, fileContent=content)
    compare(uploaded.body, "disk.storage.uploadfile")
    folder = await disk.folder("Folder", storage["ROOT_OBJECT_ID"])
    inside = await disk.call("folder.uploadfile", id=folder["ID"], data={"NAME": "p.png"}, fileContent=content)
    compare(inside.body, "disk.folder.uploadfile")
    assert inside.result["DETAIL_URL"].endswith("/company/personal/user/1/disk/file/Folder/p.png")
    file, target = uploaded.result["ID"], {"targetFolderId": folder["ID"]}
    compare((await disk.call("file.get", id=file)).body, "disk.file.get")
    await clock.advance(60)
    renamed = await disk.call("file.rename", id=file, newName="ä b.png")
    compare(renamed.body, "disk.file.rename")
    assert renamed.result["UPDATE_TIME"] > renamed.result["CREATE_TIME"]
    compare((await disk.call("file.copyto", id=file, **target)).body, "disk.file.copyto")
    await disk.result("file.rename", id=file, newName="c.png")
    compare((await disk.call("file.moveto", id=file, **target)).body, "disk.file.moveto")
    compare((await disk.call("file.getexternallink", id=file)).body, "disk.file.getexternallink")
    compare((await disk.call("file.uploadversion", id=file, fileContent=content)).body, "disk.file.uploadversion")
    versions = await disk.call("file.getversions", id=file)
    compare(versions.body, "disk.file.getversions")
    oldest = versions.result[-1]["ID"]
    compare((await disk.call("version.get", id=oldest)).body, "disk.version.get")
    restored = await disk.call("file.restorefromversion", id=file, versionId=oldest)
    compare(restored.body, "disk.file.restorefromversion")
    compare((await disk.call("file.markdeleted", id=file)).body, "disk.file.markdeleted")
    compare((await disk.call("file.restore", id=file)).body, "disk.file.restore")
    compare((await disk.call("file.delete", id=file)).body, "disk.file.delete")
    assert sorted(await disk.names(folder["ID"])) == ["p.png", "ä b.png"]


async def test_versions_keep_the_earlier_contents(disk: DiskClient, session: ClientSession) -> None:
    file = await disk.file("a.txt", b"first")
    changed = await disk.result("file.uploadversion", id=file["ID"], fileContent=["b.txt", base64_of(b"second!")])
    assert (changed["NAME"], changed["SIZE"], changed["GLOBAL_CONTENT_VERSION"]) == ("a.txt", "7", 2)
    newest, oldest = await disk.result("file.getversions", id=file["ID"])
    assert [(await fetch(session, row["DOWNLOAD_URL"]))[1] for row in (newest, oldest)] == [b"second!", b"first"]
    restored = await disk.result("file.restorefromversion", id=file["ID"], versionId=oldest["ID"])
    assert (restored["GLOBAL_CONTENT_VERSION"], int(restored["FILE_ID"]) > int(changed["FILE_ID"])) == (3, True)
    assert (await fetch(session, restored["DOWNLOAD_URL"]))[1] == b"first"
    filtered = await disk.result("file.getversions", id=file["ID"], filter={"SIZE": 5, "OBJECT_ID": 99})
    assert [row["GLOBAL_CONTENT_VERSION"] for row in filtered] == ["3", "1"]


async def test_a_version_belongs_to_one_file(disk: DiskClient) -> None:
    file, other = await disk.file("a.txt"), await disk.file("b.txt")
    (version,) = await disk.result("file.getversions", id=other["ID"])
    answer = await disk.call("file.restorefromversion", id=file["ID"], versionId=version["ID"])
    assert answer.body == {
        "error": "DISK_FILE_22004",
        "error_description": "Cannot restore version from another file",
    }
    assert (await disk.call("file.restorefromversion", id=file["ID"], versionId=99)).error == "ERROR_NOT_FOUND"


async def test_folders_and_files_have_methods_of_their_own(disk: DiskClient) -> None:
    file, folder = await disk.file("a.txt"), await disk.folder("Folder")
    answers = [await disk.call("folder.get", id=file["ID"]), await disk.call("file.get", id=folder["ID"])]
    assert [answer.error for answer in answers] == ["ERROR_NOT_FOUND", "ERROR_NOT_FOUND"]


async def test_a_name_taken_by_a_file_is_refused(disk: DiskClient) -> None:
    file = await disk.file("a.txt")
    answer = await disk.call("file.copyto", id=file["ID"], targetFolderId=await disk.root())
    assert answer.body == {"error": "DISK_OBJ_22000", "error_description": "A file with this name already exists"}


async def test_the_search_finds_names_newest_first_without_a_total(disk: DiskClient) -> None:
    folder = await disk.folder("Testing")
    file, trashed = await disk.file("My test.txt", parent=folder["ID"]), await disk.file("old test.txt")
    await disk.result("file.markdeleted", id=trashed["ID"])
    answer = await disk.call("file.search", QUERY="TEST")
    compare(answer.body, "disk.file.search")
    assert row_ids(answer.result) == [file["ID"], folder["ID"]]
    compare((await disk.call("file.search", QUERY="nothing")).body, "disk.file.search.2")
    assert row_ids(await disk.result("file.search", QUERY="test", TYPE="folder")) == [folder["ID"]]
    within = {"QUERY": "test", "FILTER": {"STORAGE_ID": 1, "FOLDER_ID": folder["ID"]}}
    assert row_ids(await disk.result("file.search", **within)) == [file["ID"]]


async def test_the_search_comes_in_pages_and_shows_only_what_the_user_may_read(
    disk: DiskClient, disk_of: Callable[[int], DiskClient], portal: SandboxPortal
) -> None:
    for owner in ("shared_files_s1", "1"):
        root = portal.data.disk.objects[int(await disk.root(ENTITY_ID=owner))]
        for number in range(60):
            portal.data.disk.add_folder(root, f"Folder {number}", 1, 0)
    first = (await disk.call("file.search", QUERY="folder")).body
    assert (len(first["result"]), first["next"], "total" in first) == (50, 50, False)
    user = disk_of(list(portal.data.users)[1])
    second = (await user.call("file.search", QUERY="folder", start=50)).body
    assert (len(second["result"]), "next" in second) == (10, False)


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({"QUERY": "ab"}, "INVALID_QUERY"),
        ({"QUERY": "x" * 256}, "INVALID_QUERY"),
        ({"QUERY": ["abc"]}, "INVALID_QUERY"),
        ({"QUERY": "abc", "TYPE": "drive"}, "INVALID_TYPE"),
        ({"QUERY": "abc", "FILTER": {"NAME": 1}}, "INVALID_FILTER"),
        ({"QUERY": "abc", "FILTER": {"FOLDER_ID": "x"}}, "INVALID_FILTER"),
        ({"QUERY": "abc", "FILTER": {"FOLDER_ID": 99_999}}, "NOT_FOUND"),
        ({"QUERY": "abc", "FILTER": {"STORAGE_ID": 99_999}}, "NOT_FOUND"),
        ({"QUERY": "abc", "FILTER": {"STORAGE_ID": 2, "FOLDER_ID": 1}}, "NOT_FOUND"),
    ],
)
async def test_a_search_that_cannot_be_made_is_refused(disk: DiskClient, params: dict[str, Any], code: str) -> None:
    answer = await disk.call("file.search", **params)
    assert (answer.status, answer.error) == (400, code)


async def test_the_storage_of_the_application_cannot_be_searched(disk_of: Callable[[int], DiskClient]) -> None:
    disk = disk_of(1)
    storage = await disk.result("storage.getforapp")
    answer = await disk.call("file.search", QUERY="abc", FILTER={"STORAGE_ID": storage["ID"]})
    assert answer.error == "UNSUPPORTED_STORAGE"


async def test_a_file_of_a_comment_is_an_attachment_whose_id_is_that_of_its_object(
    webhook: RestClient, disk: DiskClient, session: ClientSession
) -> None:
    fields = {"ENTITY_TYPE": "deal", "ENTITY_ID": 1, "COMMENT": "x", "FILES": [["a.txt", base64_of(b"text")]] * 2}
    comment_id = (await webhook.call("crm.timeline.comment.add", fields=fields)).result
    files = (await webhook.call("crm.timeline.comment.get", id=comment_id)).result["FILES"]
    assert [file["name"] for file in files.values()] == ["a.txt", "a (1).txt"]
    shown = await disk.result("file.get", id=next(iter(files)))
    assert (await fetch(session, shown["DOWNLOAD_URL"]))[:2] == (200, b"text")
    attached = await disk.call("attachedobject.get", id=1)
    compare(attached.body, "disk.attachedobject.get")
    assert (attached.result["OBJECT_ID"], attached.result["ENTITY_ID"]) == (shown["ID"], str(comment_id))
    assert (await fetch(session, attached.result["DOWNLOAD_URL"]))[:2] == (200, b"text")
    await webhook.call("crm.timeline.comment.update", id=comment_id, fields={"COMMENT": "x", "FILES": []})
    assert (await disk.call("attachedobject.get", id=1)).error == "ERROR_NOT_FOUND"
    assert (await disk.result("file.get", id=shown["ID"]))["NAME"] == "a.txt"


async def test_the_link_of_an_attachment_holds_the_credential(
    webhook: RestClient,
    disk: DiskClient,
    disk_of: Callable[[int], DiskClient],
    session: ClientSession,
    portal: SandboxPortal,
) -> None:
    fields = {"ENTITY_TYPE": "deal", "ENTITY_ID": 1, "COMMENT": "x", "FILES": [["a.txt", base64_of(b"text")]]}
    await webhook.call("crm.timeline.comment.add", fields=fields)
    owner, user = disk_of(1), disk_of(list(portal.data.users)[1])
    link = (await owner.result("attachedobject.get", id=1))["DOWNLOAD_URL"]
    assert f"/bitrix/tools/disk/uf.php?attachedId=1&auth[auth]={owner.auth}&action=download&ncc=1" in link
    assert (await user.call("attachedobject.get", id=1)).error == "ACCESS_DENIED"
    assert (await fetch(session, link))[0] == 200
    assert (await fetch(session, link.replace(owner.auth, user.auth)))[0] == 403
    assert (await fetch(session, link.replace("attachedId=1", "attachedId=9")))[0] == 404
    by_webhook = (await disk.result("attachedobject.get", id=1))["DOWNLOAD_URL"]
    portal.oauth.expire_access_tokens()
    assert [(await fetch(session, url))[0] for url in (link, by_webhook)] == [401, 200]
