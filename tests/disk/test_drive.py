"""Storages, folders and files of Disk: reading, naming, moving and deleting them."""

from typing import Any

import pytest

from tests.gateway import Answer, Gateway, Sandbox
from tests.support.disk import FILES, files_in, root_of, uploaded

FOLDERS, STORAGES = "/bitrix/folders", "/bitrix/storages"

NO_NAMES = (".", "..", "a/b", "/a", "a\\b", "a\nb", "a\0", "a\x7f", " a", "a ", "x" * 256)


@pytest.fixture
def folder(connected: Gateway, sandbox: Sandbox) -> int:
    """The root folder of the company's drive."""
    assert connected.origin
    return root_of(sandbox)


async def ask(gateway: Gateway, method: str, path: str, **options: Any) -> Answer:
    return await gateway.clock.until(gateway.request(method, path, **options))


async def file_in(gateway: Gateway, folder: int, name: str = "a.txt", content: bytes = b"content") -> int:
    (line,) = await uploaded(gateway, folder, (name, content))
    return int(line["id"])


async def test_storages_are_listed_and_shown(connected: Gateway, folder: int) -> None:
    page = (await ask(connected, "GET", STORAGES)).json
    assert len(page["items"]) > 1
    (common,) = [each for each in page["items"] if each["ENTITY_TYPE"] == "common"]
    assert int(common["ROOT_OBJECT_ID"]) == folder
    shown = (await ask(connected, "GET", f"{STORAGES}/{common['id']}")).json
    assert shown == common


async def test_a_folder_lists_all_its_content_page_by_page(connected: Gateway, folder: int) -> None:
    names = [f"{number:03}.txt" for number in range(70)]
    await uploaded(connected, folder, *[(name, b"x") for name in names])
    first = (await ask(connected, "GET", f"{FOLDERS}/{folder}")).json
    assert (first["folder"]["id"], len(first["items"])) == (folder, 50)
    second = (await ask(connected, "GET", f"{FOLDERS}/{folder}?cursor={first['next']}")).json
    assert (len(second["items"]), second["next"]) == (20, None)
    items = first["items"] + second["items"]
    assert sorted(each["NAME"] for each in items) == names
    assert [each["id"] for each in items] == sorted(each["id"] for each in items)


async def test_no_address_with_a_credential_is_shown(connected: Gateway, sandbox: Sandbox, folder: int) -> None:
    file_id = await file_in(connected, folder)
    for path in (f"{FOLDERS}/{folder}", f"{FILES}/{file_id}"):
        answer = await ask(connected, "GET", path)
        assert sandbox.portal.settings.webhook_code.encode() not in answer.body
        assert b"DOWNLOAD_URL" not in answer.body
    assert (await ask(connected, "GET", f"{FILES}/{file_id}")).json["url"] == f"{FILES}/{file_id}/content"


async def test_a_folder_is_made_in_a_folder(connected: Gateway, folder: int) -> None:
    answer = await ask(connected, "POST", f"{FOLDERS}/{folder}/folders", json={"name": "Договоры"})
    assert (answer.status, answer.headers["Location"]) == (201, f"{FOLDERS}/{answer.json['id']}")
    assert (await ask(connected, "GET", answer.headers["Location"])).json["folder"]["NAME"] == "Договоры"
    again = await ask(connected, "POST", f"{FOLDERS}/{folder}/folders", json={"name": "Договоры"})
    assert (again.status, again.json["portalError"]["code"]) == (409, "DISK_OBJ_22000")


async def test_a_file_is_renamed_and_moved(connected: Gateway, sandbox: Sandbox, folder: int) -> None:
    file_id = await file_in(connected, folder)
    inner = (await ask(connected, "POST", f"{FOLDERS}/{folder}/folders", json={"name": "inner"})).json["id"]
    changed = await ask(connected, "PATCH", f"{FILES}/{file_id}", json={"name": "b.txt", "folder": inner})
    assert (changed.status, changed.json["NAME"], changed.json["id"]) == (200, "b.txt", file_id)
    assert (files_in(sandbox, folder), list(files_in(sandbox, inner))) == ({}, ["b.txt"])


@pytest.fixture
async def inner(connected: Gateway, folder: int) -> int:
    """A folder in the root folder, with a file called taken.txt."""
    inner = int((await ask(connected, "POST", f"{FOLDERS}/{folder}/folders", json={"name": "inner"})).json["id"])
    await file_in(connected, inner, "taken.txt")
    return inner


@pytest.mark.parametrize(
    ("name", "fault", "status", "code"),
    [
        ("taken.txt", "", 409, "object_conflict"),
        ("b.txt", "disk.file.rename:error=ACCESS_DENIED", 403, "access_denied"),
        ("b.txt", "disk.file.rename:drop", 502, "outcome_unknown"),
    ],
)
async def test_an_error_says_that_a_file_was_moved_but_not_renamed(
    connected: Gateway, sandbox: Sandbox, folder: int, inner: int, name: str, fault: str, status: int, code: str
) -> None:
    file_id = await file_in(connected, folder)
    if fault:
        sandbox.portal.fault(fault)
    answer = await ask(connected, "PATCH", f"{FILES}/{file_id}", json={"name": name, "folder": inner})
    assert (answer.status, answer.json["code"]) == (status, code)
    assert answer.json["detail"].endswith(f"; the file was moved to folder {inner} before")
    assert (files_in(sandbox, folder), list(files_in(sandbox, inner))) == ({}, ["taken.txt", "a.txt"])


async def test_an_error_does_not_say_that_a_file_was_moved_that_was_not(
    connected: Gateway, sandbox: Sandbox, folder: int, inner: int
) -> None:
    file_id = await file_in(connected, folder, "taken.txt")
    answer = await ask(connected, "PATCH", f"{FILES}/{file_id}", json={"name": "b.txt", "folder": inner})
    assert (answer.status, "was moved" in answer.json["detail"]) == (409, False)
    assert list(files_in(sandbox, folder)) == ["taken.txt"]


async def test_a_file_is_not_moved_if_it_may_not_be_renamed(
    connected: Gateway, sandbox: Sandbox, folder: int, inner: int
) -> None:
    file_id = await file_in(connected, folder)
    await connected.restart(GATEWAY_METHODS_DENY="disk.file.rename")
    answer = await ask(connected, "PATCH", f"{FILES}/{file_id}", json={"name": "b.txt", "folder": inner})
    assert (answer.status, answer.json["code"]) == (403, "method_denied")
    assert list(files_in(sandbox, folder)) == ["a.txt"]


async def test_a_file_does_not_move_to_another_storage(connected: Gateway, folder: int) -> None:
    file_id = await file_in(connected, folder)
    storages = (await ask(connected, "GET", STORAGES)).json["items"]
    other = next(each for each in storages if each["ENTITY_TYPE"] == "user")
    answer = await ask(connected, "PATCH", f"{FILES}/{file_id}", json={"folder": int(other["ROOT_OBJECT_ID"])})
    assert (answer.status, answer.json["code"]) == (409, "other_storage")


@pytest.mark.parametrize("trash", ["", "?trash=1", "?trash=0"])
async def test_a_deleted_file_is_gone(connected: Gateway, sandbox: Sandbox, folder: int, trash: str) -> None:
    file_id = await file_in(connected, folder)
    assert (await ask(connected, "DELETE", f"{FILES}/{file_id}{trash}")).status == 204
    assert files_in(sandbox, folder) == {}
    assert (str(file_id) in map(str, sandbox.portal.data.disk.objects)) == (trash != "?trash=0")
    assert (await ask(connected, "GET", f"{FILES}/{file_id}/content")).status == 404


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", f"{STORAGES}/999"),
        ("GET", f"{FOLDERS}/999"),
        ("POST", f"{FOLDERS}/999/folders"),
        ("GET", f"{FILES}/999"),
        ("GET", f"{FILES}/999/content"),
        ("PATCH", f"{FILES}/999"),
        ("DELETE", f"{FILES}/999"),
    ],
)
async def test_what_the_portal_does_not_have_is_404(connected: Gateway, method: str, path: str) -> None:
    body = None if method in ("GET", "DELETE") else {"name": "x"}
    answer = await ask(connected, method, path, json=body)
    assert (answer.status, answer.json["portalError"]["code"]) == (404, "ERROR_NOT_FOUND")


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", f"{STORAGES}/x", None),
        ("GET", f"{FOLDERS}/0", None),
        ("GET", f"{FOLDERS}/1?cursor=x", None),
        ("GET", f"{FOLDERS}/1?cursor=-1", None),
        ("GET", f"{FILES}/-1/content", None),
        ("DELETE", f"{FILES}/1?trash=yes", None),
        ("PATCH", f"{FILES}/1", {}),
        ("PATCH", f"{FILES}/1", {"name": ""}),
        ("PATCH", f"{FILES}/1", {"name": " "}),
        ("PATCH", f"{FILES}/1", {"name": 5}),
        ("PATCH", f"{FILES}/1", {"name": "x" * 256}),
        *(("PATCH", f"{FILES}/1", {"name": name}) for name in NO_NAMES),
        *(("POST", f"{FOLDERS}/1/folders", {"name": name}) for name in NO_NAMES),
        ("PATCH", f"{FILES}/1", {"folder": "1"}),
        ("PATCH", f"{FILES}/1", {"folder": 0}),
        ("PATCH", f"{FILES}/1", {"NAME": "x"}),
        ("POST", f"{FOLDERS}/1/folders", {}),
        ("POST", f"{FOLDERS}/1/folders", {"name": None}),
    ],
)
async def test_invalid_requests_are_refused_without_a_call(
    connected: Gateway, sandbox: Sandbox, method: str, path: str, body: object
) -> None:
    requests = sandbox.portal.http_requests
    answer = await connected.request(method, path, json=body)
    assert (answer.status, len(answer.json["errors"])) == (400, 1)
    assert sandbox.portal.http_requests == requests


async def test_the_folders_of_others_are_refused(connected: Gateway, sandbox: Sandbox) -> None:
    assert (await connected.get(f"{FOLDERS}/1", account="other")).status == 404
    assert sandbox.portal.data.users
