"""Uploads to the root of a storage and to paths, whose folders are made where they are absent."""

import asyncio

import pytest

from tests.gateway import Answer, Gateway, Sandbox
from tests.support.disk import FILES, facts, files_in, form_of, root_of

FILE = ("a.txt", b"content")


@pytest.fixture
def root(connected: Gateway, sandbox: Sandbox) -> int:
    """The root folder of the company's drive, of an account that is connected by webhook."""
    assert connected.origin
    sandbox.portal.calls.clear()
    return root_of(sandbox)


def storage_of(sandbox: Sandbox) -> int:
    (row,) = [row for row in sandbox.portal.data.disk.storages.values() if row["ENTITY_TYPE"] == "common"]
    return int(row["ID"])


def folders_in(sandbox: Sandbox, parent_id: int) -> dict[str, int]:
    rows = sandbox.portal.data.disk.children(parent_id)
    return {row["NAME"]: int(row["ID"]) for row in rows if row["TYPE"] == "folder"}


async def send(gateway: Gateway, **query: str) -> Answer:
    """Upload FILE while the clock advances."""
    sending = gateway.request("POST", FILES, params=query, data=form_of([FILE]))
    return await gateway.clock.until(sending)


async def test_a_storage_stands_for_its_root_folder(connected: Gateway, sandbox: Sandbox, root: int) -> None:
    answer = await send(connected, storage=str(storage_of(sandbox)))
    assert (answer.status, answer.json["failed"]) == (200, 0)
    assert files_in(sandbox, root) == {"a.txt": facts(FILE[1])}


async def test_a_storage_that_does_not_exist_is_404(connected: Gateway, sandbox: Sandbox, root: int) -> None:
    answer = await send(connected, storage="999999")
    assert answer.status == 404
    assert (files_in(sandbox, root), sandbox.portal.calls) == ({}, {"disk.storage.get": 1})


@pytest.mark.parametrize("place", ["folder", "storage"])
async def test_folders_of_a_path_are_made_once(connected: Gateway, sandbox: Sandbox, root: int, place: str) -> None:
    place_id = root if place == "folder" else storage_of(sandbox)
    for _ in range(2):
        answer = await send(connected, **{place: str(place_id), "path": "Договоры 2026/Ä & B"})
        assert (answer.status, answer.json["failed"]) == (200, 0)
    (folder_id,) = [number for name, number in folders_in(sandbox, root).items() if name == "Договоры 2026"]
    assert files_in(sandbox, folders_in(sandbox, folder_id)["Ä & B"]).keys() == {"a.txt", "a (1).txt"}
    assert sandbox.portal.calls["disk.folder.addsubfolder"] == 2


async def test_uploads_at_once_make_a_folder_once(connected: Gateway, sandbox: Sandbox, root: int) -> None:
    sandbox.portal.fault("disk.folder.addsubfolder:delay=5*")  # so that none of them finds the folder
    sending = asyncio.gather(
        *(connected.request("POST", f"{FILES}?folder={root}&path=new", data=form_of([FILE])) for _ in range(5))
    )
    answers = await connected.clock.until(sending)
    assert [answer.json["failed"] for answer in answers] == [0] * 5
    assert len(files_in(sandbox, folders_in(sandbox, root)["new"])) == 5


@pytest.mark.parametrize("fault", ["drop", "cut", "502", "qle"])
async def test_a_lost_answer_does_not_make_a_folder_twice(
    connected: Gateway, sandbox: Sandbox, root: int, fault: str
) -> None:
    sandbox.portal.fault(f"disk.folder.addsubfolder:{fault}")
    answer = await send(connected, folder=str(root), path="new")
    assert (answer.status, answer.json["failed"]) == (200, 0)
    assert len(files_in(sandbox, folders_in(sandbox, root)["new"])) == 1


async def test_a_file_in_the_place_of_a_folder_is_a_conflict(connected: Gateway, sandbox: Sandbox, root: int) -> None:
    await send(connected, folder=str(root))
    answer = await send(connected, folder=str(root), path="a.txt/b")
    assert (answer.status, answer.json["portalError"]["code"]) == (409, "DISK_OBJ_22000")
    assert answer.json["detail"].startswith("path: 'a.txt' is no folder: ")
    assert files_in(sandbox, root).keys() == {"a.txt"}


async def test_an_invalid_form_makes_no_folder(connected: Gateway, sandbox: Sandbox, root: int) -> None:
    answer = await connected.post(f"{FILES}?folder={root}&path=new", data=form_of([("a" * 256, b"")]))
    assert answer.status == 400
    assert "new" not in folders_in(sandbox, root)
    assert sandbox.portal.calls.total() == 0
