"""disk.storage.* and disk.folder.*: storages, folders, the trash and the rights on them."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from gateway.sandbox.portal import SandboxPortal
from tests.clock import ManualClock
from tests.sandbox.client import RestClient, row_ids
from tests.sandbox.disk import DiskClient
from tests.sandbox.examples import EXAMPLES, compare


def documented(example: str) -> Any:
    return json.loads((EXAMPLES / f"{example}.json").read_text())


async def test_the_company_and_every_user_have_a_storage(disk: DiskClient, portal: SandboxPortal) -> None:
    answer = await disk.call("storage.getlist")
    compare(answer.body, "disk.storage.getlist")
    assert answer.body["total"] == len(portal.data.users) + 1
    assert answer.body["next"] == len(answer.result) == 50
    common = answer.result[0]
    assert (common["ID"], common["ENTITY_TYPE"], common["ENTITY_ID"]) == ("1", "common", "shared_files_s1")
    user_id = list(portal.data.users)[-1]
    (own,) = await disk.result("storage.getlist", filter={"ENTITY_TYPE": "user", "ENTITY_ID": user_id})
    compare((await disk.call("storage.get", id=own["ID"])).body, "disk.storage.get")
    assert (await disk.result("storage.get", id=own["ID"])) == own
    assert await disk.result("storage.get", id="abc") is None


async def test_a_user_added_later_has_a_storage_too(disk: DiskClient, portal: SandboxPortal) -> None:
    await disk.call("storage.getlist")
    user_id = portal.data.users.next_id
    portal.data.users[user_id] = {**portal.data.users[1], "ID": str(user_id)}
    assert await disk.root(ENTITY_ID=str(user_id))


@pytest.mark.parametrize("method", ["storage.gettypes", "rights.gettasks"])
async def test_constants_are_those_of_the_documentation(disk: DiskClient, method: str) -> None:
    assert await disk.result(method) == documented(f"disk.{method}")["result"]


@pytest.mark.parametrize("kind", ["storage", "folder", "file"])
async def test_the_fields_are_those_of_the_documentation(disk: DiskClient, kind: str) -> None:
    assert await disk.result(f"{kind}.getfields") == documented(f"disk.{kind}.getfields")["result"]


async def test_a_folder_has_the_documented_form_in_every_answer(disk: DiskClient) -> None:
    (storage,) = await disk.result("storage.getlist", filter={"ENTITY_TYPE": "user", "ENTITY_ID": 1})
    added = await disk.call("storage.addfolder", id=storage["ID"], data={"NAME": "Ümlaut and space"})
    compare(added.body, "disk.storage.addfolder")
    compare((await disk.call("storage.getchildren", id=storage["ID"])).body, "disk.storage.getchildren")
    parent = added.result["ID"]
    below = await disk.call("folder.addsubfolder", id=parent, data={"NAME": "Below"})
    compare(below.body, "disk.folder.addsubfolder")
    url = "/company/personal/user/1/disk/path/Ümlaut and space/Below"
    assert below.result["DETAIL_URL"].endswith(url)
    await disk.file("a.txt", parent=parent)
    compare((await disk.call("folder.getchildren", id=parent)).body, "disk.folder.getchildren")
    folder = below.result["ID"]
    compare((await disk.call("folder.get", id=folder)).body, "disk.folder.get")
    compare((await disk.call("folder.rename", id=folder, newName="Renamed")).body, "disk.folder.rename")
    root = storage["ROOT_OBJECT_ID"]
    compare((await disk.call("folder.moveto", id=folder, targetFolderId=root)).body, "disk.folder.moveto")
    compare((await disk.call("folder.copyto", id=folder, targetFolderId=parent)).body, "disk.folder.copyto")
    compare((await disk.call("folder.getexternallink", id=folder)).body, "disk.folder.getexternallink")
    share = {"userId": 1, "taskName": "disk_access_read"}
    compare((await disk.call("folder.sharetouser", id=folder, **share)).body, "disk.folder.sharetouser")
    compare((await disk.call("folder.markdeleted", id=folder)).body, "disk.folder.markdeleted")
    compare((await disk.call("folder.restore", id=folder)).body, "disk.folder.restore")
    compare((await disk.call("folder.deletetree", id=folder)).body, "disk.folder.deletetree")
    assert sorted(await disk.names(parent)) == ["Renamed", "a.txt"]


async def test_names_of_parameters_and_methods_have_any_case(disk: DiskClient) -> None:
    folder = await disk.folder("Folder")
    await disk.result("folder.reName", ID=folder["ID"], newname="Renamed")
    assert await disk.names(await disk.root()) == ["Renamed"]


@pytest.mark.parametrize(
    ("params", "names"),
    [
        ({}, ["b", "a.txt", "A", "c.txt"]),
        ({"filter": {"TYPE": "folder"}}, ["b", "A"]),
        ({"filter": {"%NAME": ".TXT"}}, ["a.txt", "c.txt"]),
        ({"filter": {"@NAME": ["A", "b"]}, "order": {"NAME": "ASC"}}, ["A", "b"]),
        ({"filter": {"SIZE": 1, "CREATED_BY": 77, "NO_SUCH": 1}}, ["b", "a.txt", "A", "c.txt"]),
        ({"order": {"NAME": "DESC"}}, ["c.txt", "b", "a.txt", "A"]),
        ({"order": {"TYPE": "ASC", "ID": "DESC"}}, ["c.txt", "a.txt", "A", "b"]),
        ({"order": {"SIZE": "DESC", "ID": "ASC"}, "filter": {"TYPE": "file"}}, ["c.txt", "a.txt"]),
    ],
)
async def test_children_are_filtered_by_the_fields_for_filters_and_sorted_by_any(
    disk: DiskClient, params: dict[str, Any], names: list[str]
) -> None:
    await disk.folder("b")
    await disk.file("a.txt", b"1")
    await disk.folder("A")
    await disk.file("c.txt", b"123")
    found = await disk.result("folder.getchildren", id=await disk.root(), **params)
    assert [row["NAME"] for row in found] == names


async def test_children_come_in_pages_of_fifty(disk: DiskClient, portal: SandboxPortal) -> None:
    root = portal.data.disk.objects[int(await disk.root())]
    for number in range(120):
        portal.data.disk.add_folder(root, f"Folder {number}", 1, 0)
    pages = [(await disk.call("folder.getchildren", id=root["ID"], start=start)).body for start in (0, 60, 100)]
    assert [(page["total"], page.get("next"), len(page["result"])) for page in pages] == [
        (120, 50, 50),
        (120, 100, 50),
        (120, None, 20),
    ]
    first = await disk.result("folder.getchildren", id=root["ID"], order={"ID": "DESC"}, filter={"<ID": 9_000_000})
    assert row_ids(first) == sorted(row_ids(first), reverse=True)


async def test_a_name_is_unique_in_its_folder_regardless_of_case(disk: DiskClient) -> None:
    root = await disk.root()
    folder, other = await disk.folder("Name"), await disk.folder("Other")
    taken = [
        await disk.call("folder.addsubfolder", id=root, data={"NAME": "NAME"}),
        await disk.call("folder.rename", id=other["ID"], newName="name"),
        await disk.call("folder.copyto", id=folder["ID"], targetFolderId=root),
    ]
    await disk.folder("name", other["ID"])
    taken.append(await disk.call("folder.moveto", id=folder["ID"], targetFolderId=other["ID"]))
    assert {(answer.status, answer.error) for answer in taken} == {(400, "DISK_OBJ_22000")}
    assert {answer.body["error_description"] for answer in taken} == {"A folder with this name already exists"}
    assert (await disk.result("folder.rename", id=folder["ID"], newName="NAME"))["NAME"] == "NAME"


async def test_a_copied_folder_holds_copies_of_all_that_is_in_it(disk: DiskClient, portal: SandboxPortal) -> None:
    source, target = await disk.folder("Source"), await disk.folder("Target")
    below = await disk.folder("Below", source["ID"])
    file = await disk.file("a.txt", b"same", below["ID"])
    copied = await disk.result("folder.copyto", id=source["ID"], targetFolderId=target["ID"])
    (below_copied,) = await disk.result("folder.getchildren", id=copied["ID"])
    (file_copied,) = await disk.result("folder.getchildren", id=below_copied["ID"])
    assert (file_copied["NAME"], file_copied["SIZE"]) == ("a.txt", "4")
    assert (int(file_copied["ID"]), int(file_copied["FILE_ID"])) > (file["ID"], file["FILE_ID"])
    await disk.result("folder.deletetree", id=source["ID"])
    assert portal.data.disk.blobs[int(file_copied["FILE_ID"])].path.read_bytes() == b"same"


async def test_a_folder_moves_within_its_storage_only(disk: DiskClient) -> None:
    source, inside = await disk.folder("Source"), await disk.root(ENTITY_ID="1")
    assert await disk.result("folder.moveto", id=source["ID"], targetFolderId=inside) is False
    below = await disk.folder("Below", source["ID"])
    for method in ("moveto", "copyto"):
        answer = await disk.call(f"folder.{method}", id=source["ID"], targetFolderId=below["ID"])
        assert (answer.status, answer.error) == (400, "")
    assert await disk.names(source["ID"]) == ["Below"]


async def test_the_trash_keeps_what_was_in_it_before_its_folder(disk: DiskClient, clock: ManualClock) -> None:
    folder = await disk.folder("Folder")
    early, late = await disk.file("early", parent=folder["ID"]), await disk.file("late", parent=folder["ID"])
    await disk.result("file.markdeleted", id=early["ID"])
    await clock.advance(60)
    trashed = await disk.result("folder.markdeleted", id=folder["ID"])
    assert (trashed["DELETED_TYPE"], trashed["DELETED_BY"]) == (3, "1")
    assert trashed["DELETE_TIME"] > trashed["UPDATE_TIME"] == folder["UPDATE_TIME"]
    assert await disk.names(await disk.root()) == []
    assert [(await disk.call("file.get", id=row["ID"])).error for row in (early, late)] == ["ERROR_NOT_FOUND"] * 2
    restored = await disk.result("folder.restore", id=folder["ID"])
    assert (restored["DELETED_TYPE"], restored["DELETE_TIME"]) == (0, trashed["DELETE_TIME"])
    assert await disk.names(folder["ID"]) == ["late"]
    assert (await disk.result("file.restore", id=early["ID"]))["DELETED_TYPE"] == 0
    assert await disk.names(folder["ID"]) == ["early", "late"]


async def test_a_restored_object_gets_a_free_name_and_its_folder_back(disk: DiskClient) -> None:
    folder = await disk.folder("Folder")
    file = await disk.file("a.txt", parent=folder["ID"])
    await disk.result("file.markdeleted", id=file["ID"])
    await disk.file("a.txt", parent=folder["ID"])
    await disk.result("folder.markdeleted", id=folder["ID"])
    await disk.folder("Folder")
    await disk.result("file.restore", id=file["ID"])
    assert await disk.names(await disk.root()) == ["Folder (1)", "Folder"]
    assert await disk.names(folder["ID"]) == ["a.txt"]
    assert (await disk.result("file.get", id=file["ID"]))["NAME"] == "a.txt"


async def test_a_deleted_tree_leaves_nothing_behind(disk: DiskClient, portal: SandboxPortal) -> None:
    folder = await disk.folder("Folder")
    await disk.file("a.txt", parent=(await disk.folder("Below", folder["ID"]))["ID"])
    kept = len(portal.data.disk.objects)
    await disk.result("folder.markdeleted", id=folder["ID"])
    assert await disk.result("folder.deletetree", id=folder["ID"]) is True
    assert len(portal.data.disk.objects) == kept - 3
    assert not list(portal.data.disk.blobs.directory.iterdir())
    assert (await disk.call("folder.restore", id=folder["ID"])).error == "ERROR_NOT_FOUND"
    assert (await disk.folder("Next"))["ID"] > folder["ID"] + 2


@pytest.mark.parametrize(
    ("method", "params", "code"),
    [
        ("moveto", {"targetFolderId": 1}, ""),
        ("markdeleted", {}, "DISK_OBJ_22000"),
        ("deletetree", {}, "DISK_OBJ_22000"),
        ("rename", {"newName": "x"}, "ACCESS_DENIED"),
    ],
)
async def test_the_root_of_a_storage_stays(disk: DiskClient, method: str, params: dict[str, Any], code: str) -> None:
    answer = await disk.call(f"folder.{method}", id=await disk.root(), **params)
    assert answer.error == code


@pytest.mark.parametrize(
    "method",
    [
        "attachedobject.get",
        "file.copyto",
        "file.delete",
        "file.get",
        "file.getexternallink",
        "file.getversions",
        "file.markdeleted",
        "file.moveto",
        "file.rename",
        "file.restore",
        "file.restorefromversion",
        "file.search",
        "file.uploadversion",
        "folder.addsubfolder",
        "folder.copyto",
        "folder.deletetree",
        "folder.get",
        "folder.getchildren",
        "folder.getexternallink",
        "folder.markdeleted",
        "folder.moveto",
        "folder.rename",
        "folder.restore",
        "folder.sharetouser",
        "folder.uploadfile",
        "storage.addfolder",
        "storage.get",
        "storage.getchildren",
        "storage.getforapp",
        "storage.rename",
        "storage.uploadfile",
        "version.get",
    ],
)
async def test_an_error_is_the_documented_one(
    disk: DiskClient, disk_of: Callable[[int], DiskClient], method: str
) -> None:
    expected = documented(f"disk.{method}.error")
    client = disk_of(1) if method == "storage.rename" else disk
    params: dict[str, Any] = {}
    if expected["error"] == "ERROR_NOT_FOUND":
        params = {"id": "X", "fileContent": ["a", "YQ=="], "data": {"NAME": "a"}, "newName": "a"}
    elif method == "storage.addfolder":
        params = {"id": 1}
    answer = await client.call(method, **params)
    assert answer.body == expected
    assert answer.status == (403 if expected["error"] == "ACCESS_DENIED" else 400)


async def test_the_storage_of_the_application_is_made_once(
    disk_of: Callable[[int], DiskClient], portal: SandboxPortal
) -> None:
    administrator, user = disk_of(1), disk_of(list(portal.data.users)[1])
    made = await administrator.call("storage.getforapp")
    compare(made.body, "disk.storage.getforapp")
    assert (await administrator.result("storage.getforapp")) == made.result
    renamed = await administrator.call("storage.rename", id=made.result["ID"], newName="Files of the application")
    compare(renamed.body, "disk.storage.rename")
    refused = await administrator.call("storage.rename", id=1, newName="x")
    assert refused.body == {"error": "", "error_description": "Access denied (invalid type of storage)"}
    denied = await user.call("storage.getforapp")
    assert (denied.status, denied.error) == (403, "ACCESS_DENIED")
    assert (await user.folder("Of a user", made.result["ROOT_OBJECT_ID"]))["STORAGE_ID"] == made.result["ID"]


async def test_a_user_sees_the_common_drive_and_the_own_one_only(
    disk: DiskClient, disk_of: Callable[[int], DiskClient], portal: SandboxPortal
) -> None:
    first, second = list(portal.data.users)[1:3]
    user = disk_of(first)
    assert {row["ENTITY_ID"] for row in await user.result("storage.getlist")} == {"shared_files_s1", str(first)}
    (foreign,) = await disk.result("storage.getlist", filter={"ENTITY_ID": second})
    assert await user.result("storage.getchildren", id=foreign["ID"]) == []
    root = foreign["ROOT_OBJECT_ID"]
    folder = await disk.folder("Folder", root)
    refused = [
        await user.call("storage.get", id=foreign["ID"]),
        await user.call("folder.getchildren", id=root),
        await user.call("folder.get", id=folder["ID"]),
        await user.call("folder.addsubfolder", id=root, data={"NAME": "x"}),
        await user.call("folder.copyto", id=folder["ID"], targetFolderId=await user.root()),
    ]
    assert {(answer.status, answer.error) for answer in refused} == {(403, "ACCESS_DENIED")}
    assert await user.names((await user.folder("Own", await user.root(ENTITY_ID=str(first))))["ID"]) == []


async def test_a_shared_folder_gives_the_rights_of_its_task(
    disk: DiskClient, disk_of: Callable[[int], DiskClient], portal: SandboxPortal
) -> None:
    user_id = list(portal.data.users)[1]
    user = disk_of(user_id)
    folder = await disk.folder("Folder", await disk.root(ENTITY_ID="1"))
    file = await disk.file("a.txt", parent=folder["ID"])
    sharing = {"id": folder["ID"], "userId": user_id}
    await disk.result("folder.sharetouser", **sharing, taskName="disk_access_read")
    assert await user.names(folder["ID"]) == ["a.txt"]
    assert (await user.call("file.rename", id=file["ID"], newName="b.txt")).error == "ACCESS_DENIED"
    await disk.result("folder.sharetouser", **sharing, taskName="disk_access_edit")
    assert (await user.result("file.rename", id=file["ID"], newName="b.txt"))["UPDATED_BY"] == str(user_id)
    assert (await user.call("file.delete", id=file["ID"])).error == "ACCESS_DENIED"
    bad = await disk.call("folder.sharetouser", **sharing, taskName="disk_access_all")
    assert (bad.status, bad.error) == (403, "ACCESS_DENIED")


async def test_rights_of_a_new_folder_are_granted_to_access_codes(
    disk: DiskClient, disk_of: Callable[[int], DiskClient], portal: SandboxPortal
) -> None:
    user_id = next(number for number, row in portal.data.users.items() if row["UF_DEPARTMENT"] == [4])
    user, root = disk_of(user_id), await disk.root(ENTITY_ID="1")
    for code, may_read in ((f"U{user_id}", True), ("D4", True), ("DR1", True), ("D1", False), ("*", True)):
        rights = [{"TASK_ID": 71, "ACCESS_CODE": code}]
        folder = await disk.result("folder.addsubfolder", id=root, data={"NAME": code}, rights=rights)
        assert ((await user.call("folder.get", id=folder["ID"])).status == 200) is may_read
    for broken in ("x", [{"TASK_ID": 5, "ACCESS_CODE": "*"}], [{"TASK_ID": 71}], ["*"]):
        answer = await disk.call("folder.addsubfolder", id=root, data={"NAME": "x"}, rights=broken)
        assert answer.body == {"error": "", "error_description": "Invalid rights format"}


async def test_disk_needs_its_scope(anonymous: RestClient, portal: SandboxPortal, access_token: str) -> None:
    portal.application.scope = ("crm",)
    answer = await anonymous.call("/rest/disk.storage.getlist", auth=access_token)
    assert (answer.status, answer.error) == (403, "insufficient_scope")
