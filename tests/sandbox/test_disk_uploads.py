"""Uploads to Disk: within the call, in two steps, and with faults in the middle of the body."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from aiohttp import ClientError, ClientSession, FormData
from yarl import URL

from gateway.sandbox.exchange import SEEN_CHARS
from gateway.sandbox.portal import SandboxPortal
from gateway.sandbox.web.server import SandboxServer
from tests.clock import ManualClock
from tests.sandbox.client import RestClient
from tests.sandbox.disk import DiskClient, base64_of, fetch
from tests.sandbox.examples import compare

MEGABYTE = 2**20


@pytest.fixture(params=["webhook", "token"])
def either(request: pytest.FixtureRequest, disk: DiskClient, disk_of: Callable[[int], DiskClient]) -> DiskClient:
    """A client of Disk with the webhook, and with an access token."""
    return disk if request.param == "webhook" else disk_of(1)


def stored(portal: SandboxPortal) -> list[bytes]:
    """The contents of all files that the portal keeps, also those that nothing refers to."""
    return [path.read_bytes() for path in sorted(portal.data.disk.blobs.directory.iterdir())]


async def listed(session: ClientSession, server: SandboxServer, folder: str | int) -> Any:
    async with session.get(f"{server.origin}/_sandbox/disk/{folder}") as answer:
        return (await answer.json())["files"]


async def pieces(count: int, size: int = 2**16) -> AsyncIterator[bytes]:
    for _ in range(count):
        yield b"x" * size


# Within the call


@pytest.mark.parametrize(
    "content",
    [
        ["other.txt", "aGVsbG8="],
        {"0": "other.txt", "1": "aGVsbG8="},
        "aGVsbG8=",
        "aGVsbG8",
        "aGVs\r\nbG8=",
    ],
)
async def test_the_content_is_a_pair_or_a_string_of_base64(
    disk: DiskClient, session: ClientSession, server: SandboxServer, content: Any
) -> None:
    root = await disk.root()
    file = await disk.result("folder.uploadfile", id=root, data={"NAME": "a.txt"}, fileContent=content)
    assert await listed(session, server, root) == [
        {
            "id": file["ID"],
            "name": "a.txt",
            "size": 5,
            "sha256": "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824",
        }
    ]


@pytest.mark.parametrize("content", ["a*b=", "YQ==YQ==", "Y", "", ["a.txt", ""], ["a.txt"], [], "é==="])
async def test_an_empty_content_and_broken_base64_are_refused(
    disk: DiskClient, portal: SandboxPortal, content: Any
) -> None:
    answer = await disk.call("folder.uploadfile", id=await disk.root(), data={"NAME": "a.txt"}, fileContent=content)
    assert (answer.status, answer.body) == (
        400,
        {"error": "ERROR_COULD_NOT_SAVE_FILE", "error_description": "Could not save file"},
    )
    assert stored(portal) == []


@pytest.mark.parametrize("size", [2**20 * 3 // 4 - 1, 2**20 * 3 // 4, 2**20 * 3 // 4 + 1, 3 * MEGABYTE])
async def test_base64_is_decoded_in_pieces(disk: DiskClient, portal: SandboxPortal, size: int) -> None:
    content = bytes(range(256)) * (size // 256 + 1)
    await disk.file("a.bin", content[:size])
    assert stored(portal) == [content[:size]]


async def test_base64_that_goes_on_after_a_piece_is_refused(disk: DiskClient) -> None:
    text = base64_of(b"x" * (2**20 * 3 // 4 - 1)) + "YQ=="
    answer = await disk.call("folder.uploadfile", id=await disk.root(), data={"NAME": "a"}, fileContent=text)
    assert answer.error == "ERROR_COULD_NOT_SAVE_FILE"


async def test_fifty_megabytes_of_base64_fit_and_leave_no_trace_in_memory(
    disk: DiskClient, portal: SandboxPortal
) -> None:
    file = await disk.file("big.bin", bytes(50 * MEGABYTE))
    assert file["SIZE"] == str(50 * MEGABYTE)
    call = portal.seen[-1]
    assert call.method == "disk.folder.uploadfile"
    assert call.params["fileContent"][1] == f"({len(base64_of(bytes(50 * MEGABYTE)))} characters)"
    await disk.file("small.bin", b"x" * 10)
    assert portal.seen[-1].params["fileContent"] == ["small.bin", base64_of(b"x" * 10)]
    assert len(base64_of(b"x" * 10)) < SEEN_CHARS


@pytest.mark.parametrize("data", [{"CODE": "x"}, {"NAME": ""}, {"NAME": ["a"]}])
async def test_a_content_needs_a_name(disk: DiskClient, data: Any) -> None:
    answer = await disk.call("folder.uploadfile", id=await disk.root(), data=data, fileContent="YQ==")
    assert (answer.status, answer.body) == (
        400,
        {
            "error": "DISK_BASE_SERVICE_22001",
            "error_description": "Error: required parameter NAME (DISK_BASE_SERVICE_22001)",
        },
    )


async def test_a_taken_name_is_refused_or_gets_a_number(disk: DiskClient) -> None:
    root = await disk.root()
    call = {"id": root, "data": {"NAME": "File.tar.gz"}, "fileContent": "YQ=="}
    await disk.result("folder.uploadfile", **call)
    taken = await disk.call("folder.uploadfile", **{**call, "data": {"NAME": "FILE.tar.gz"}})
    assert (taken.status, taken.error) == (400, "DISK_OBJ_22000")
    for unique in (True, "1"):
        await disk.result("folder.uploadfile", **call, generateUniqueName=unique)
    assert await disk.names(root) == ["File.tar.gz", "File.tar (1).gz", "File.tar (2).gz"]


async def test_an_upload_within_the_call_can_be_in_a_batch_and_the_second_step_cannot(
    webhook: RestClient, disk: DiskClient
) -> None:
    root = await disk.root()
    inline = f"disk.folder.uploadfile?id={root}&data[NAME]=a.txt&fileContent=YQ%3D%3D"
    result = await webhook.batch(a=inline, b="upload?token=x", c="download?token=x")
    assert await disk.names(root) == [result["result"]["a"]["NAME"]]
    codes = {label: error["error"] for label, error in result["result_error"].items()}
    assert codes == dict.fromkeys("bc", "ERROR_BATCH_METHOD_NOT_ALLOWED")


# In two steps


async def test_the_second_step_stores_the_file_under_the_name_of_its_part(
    either: DiskClient, session: ClientSession
) -> None:
    folder = (await either.folder("Folder"))["ID"]
    step = await either.call("folder.uploadfile", id=folder, data={"NAME": "ignored.txt"})
    compare(step.body, "disk.folder.uploadfile.uploadurl")
    answer = await either.send(step.result["uploadUrl"], "Отчёт (ä) №1.pdf", b"content")
    compare(answer.body, "disk.folder.uploadfile")
    assert (answer.result["NAME"], answer.result["SIZE"]) == ("Отчёт (ä) №1.pdf", "7")
    assert await either.names(folder) == ["Отчёт (ä) №1.pdf"]
    assert (await fetch(session, answer.result["DOWNLOAD_URL"]))[:2] == (200, b"content")


async def test_the_upload_token_has_three_parts(disk_of: Callable[[int], DiskClient], server: SandboxServer) -> None:
    disk = disk_of(1)
    address = urlsplit(await disk.upload_url(8930, generateUniqueName=True))
    query = parse_qs(address.query)
    assert f"{address.scheme}://{address.netloc}{address.path}" == f"{server.origin}/rest/upload.json"
    assert (list(query), query["auth"]) == (["auth", "token"], [disk.auth])
    scope, encoded, signed = query["token"][0].split("|")
    assert scope == "disk"
    asked = parse_qs(base64.b64decode(encoded).decode())
    assert (asked["id"], asked["generateUniqueName"], len(asked["_"][0])) == (["8930"], ["1"], 32)
    body, signature = signed.split(".")
    assert json.loads(base64.b64decode(body)) == f"upload|disk|{encoded}|{disk.auth}"
    assert len(base64.b64decode(signature)) == 32


async def test_the_upload_address_of_a_webhook_holds_its_code(disk: DiskClient, webhook: RestClient) -> None:
    assert (await disk.upload_url(1)).startswith(f"{webhook.base}upload/?token=disk%7C")


async def test_an_empty_file_is_accepted_in_two_steps(either: DiskClient) -> None:
    answer = await either.send(await either.upload_url(await either.root()), "empty.txt", b"")
    assert (answer.result["NAME"], answer.result["SIZE"]) == ("empty.txt", "0")


async def test_generate_unique_name_travels_in_the_token(disk: DiskClient) -> None:
    root = await disk.root()
    await disk.file("a.txt")
    taken = await disk.send(await disk.upload_url(root), "a.txt", b"x")
    assert (taken.status, taken.error) == (400, "DISK_OBJ_22000")
    unique = await disk.send(await disk.upload_url(root, generateUniqueName=True), "a.txt", b"x")
    assert unique.result["NAME"] == "a (1).txt"


async def test_folder_and_rights_are_looked_at_in_the_second_step(
    disk: DiskClient, disk_of: Callable[[int], DiskClient], portal: SandboxPortal
) -> None:
    unknown = await disk.send(await disk.upload_url(99_999), "a.txt", b"x")
    assert (unknown.status, unknown.error) == (400, "ERROR_NOT_FOUND")
    user = disk_of(list(portal.data.users)[1])
    denied = await user.send(await user.upload_url(await disk.root(ENTITY_ID="1")), "a.txt", b"x")
    assert (denied.status, denied.error) == (403, "ACCESS_DENIED")
    assert stored(portal) == []


@pytest.mark.parametrize("verb", ["GET", "POST"])
async def test_a_second_step_without_the_file_is_refused(disk: DiskClient, webhook: RestClient, verb: str) -> None:
    url = await disk.upload_url(await disk.root())
    answers = [await webhook.send(verb, url)]
    if verb == "POST":
        answers += [await webhook.send(verb, url, data=b"x"), await disk.send(url, "a.txt", b"x", field="other")]
    for answer in answers:
        assert (answer.status, answer.error) == (400, "DISK_BASE_SERVICE_22001")
        assert answer.body["error_description"] == "Error: required parameter file (DISK_BASE_SERVICE_22001)"


async def test_a_name_is_taken_as_it_is_written_as_in_php(disk: DiskClient, webhook: RestClient) -> None:
    root = await disk.root()
    form = FormData()  # quotes the name, which PHP does not undo
    form.add_field("file", b"x", filename="ä.txt")
    assert (await webhook.send("POST", await disk.upload_url(root), data=form)).result["NAME"] == "%C3%A4.txt"
    body = b"--x\r\nContent-Disposition: form-data; name=\"file\"; filename*=utf-8''a.txt\r\n\r\n1\r\n--x--\r\n"
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    answer = await webhook.send("POST", await disk.upload_url(root), data=body, headers=headers)
    assert answer.error == "DISK_BASE_SERVICE_22001"


PART = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\n\r\n'
MULTIPART = {"Content-Type": "multipart/form-data; boundary=x"}


@pytest.mark.parametrize("body", [b"", b"no boundary", PART + b"cut off"])
async def test_a_malformed_body_has_no_file(
    disk: DiskClient, portal: SandboxPortal, caplog: pytest.LogCaptureFixture, body: bytes
) -> None:
    url = await disk.upload_url(await disk.root())
    answers = [await disk.rest.send("POST", url, data=body, headers=MULTIPART)]
    answers.append(await disk.rest.send("POST", url, data=body, headers={"Content-Type": "multipart/form-data"}))
    assert [(answer.status, answer.error) for answer in answers] == [(400, "DISK_BASE_SERVICE_22001")] * 2
    assert (stored(portal), caplog.records) == ([], [])


async def test_the_last_of_two_files_in_one_field_is_stored(disk: DiskClient, portal: SandboxPortal) -> None:
    body = PART + b"first\r\n" + PART.replace(b"a.txt", b"b.txt") + b"last\r\n--x--\r\n"
    url = await disk.upload_url(await disk.root())
    assert (await disk.rest.send("POST", url, data=body, headers=MULTIPART)).result["NAME"] == "b.txt"
    assert stored(portal) == [b"last"]


async def test_a_client_that_disconnects_leaves_nothing(
    disk: DiskClient, portal: SandboxPortal, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    url = urlsplit(await disk.upload_url(await disk.root()))
    _, writer = await asyncio.open_connection(url.hostname, url.port)
    head = f"POST {url.path}?{url.query} HTTP/1.1\r\nHost: sandbox\r\nContent-Length: 1000000\r\n"
    writer.write(f"{head}Content-Type: {MULTIPART['Content-Type']}\r\n\r\n".encode() + PART + b"x" * 500_000)
    await writer.drain()
    while not stored(portal):
        await clock.settle()
    writer.close()
    while stored(portal):
        await clock.settle()
    assert (portal.calls["upload"], caplog.records) == (0, [])


async def test_a_path_before_the_name_is_dropped(disk: DiskClient) -> None:
    for name in ("C:\\\\files\\\\a.txt", "../../b.txt"):
        await disk.send(await disk.upload_url(await disk.root()), name, b"x")
    assert await disk.names(await disk.root()) == ["a.txt", "b.txt"]


@pytest.mark.parametrize("change", ["method", "query", "signature", "missing", "credential"])
async def test_a_wrong_token_is_refused(
    disk_of: Callable[[int], DiskClient], portal: SandboxPortal, change: str
) -> None:
    disk = disk_of(1)
    url = await disk.upload_url(await disk.root())
    token = parse_qs(urlsplit(url).query)["token"][0]
    scope, encoded, signed = token.split("|")
    other_query = base64.b64encode(b"id=2&_=x").decode()
    changed = {
        "method": parse_qs(urlsplit((await disk.file("a.txt"))["DOWNLOAD_URL"]).query)["token"][0],
        "query": f"{scope}|{other_query}|{signed}",
        "signature": f"{scope}|{encoded}|{signed[:-4]}AAA=",
        "missing": "",
        "credential": token,
    }[change]
    auth = disk_of(1).auth if change == "credential" else disk.auth
    files = len(portal.data.disk.blobs)
    target = URL(url).with_query(auth=auth, token=changed)
    answer = await disk.send(str(target).replace("+", "%2B"), "b.txt", b"x")
    assert (answer.status, answer.body) == (
        403,
        {"error": "ACCESS_DENIED", "error_description": "Access denied! Link check failed"},
    )
    assert len(portal.data.disk.blobs) == len(stored(portal)) == files


async def test_an_upload_address_dies_with_its_access_token(
    disk_of: Callable[[int], DiskClient], portal: SandboxPortal
) -> None:
    disk = disk_of(1)
    url = await disk.upload_url(await disk.root())
    portal.oauth.expire_access_tokens()
    answer = await disk.send(url, "a.txt", b"x")
    assert (answer.status, answer.error) == (401, "expired_token")
    assert stored(portal) == []


async def test_a_large_file_is_stored_as_a_stream(
    disk: DiskClient, session: ClientSession, server: SandboxServer
) -> None:
    root = await disk.root()
    answer = await disk.send(await disk.upload_url(root), "big.bin", pieces(800))
    assert answer.result["SIZE"] == str(50 * MEGABYTE)
    (file,) = await listed(session, server, root)
    assert file["size"] == 50 * MEGABYTE


async def test_both_steps_count_as_requests(disk: DiskClient, portal: SandboxPortal) -> None:
    root = await disk.root()
    before = portal.http_requests
    await disk.send(await disk.upload_url(root), "a.txt", b"x")
    assert portal.http_requests == before + 2
    assert (portal.calls["disk.folder.uploadfile"], portal.calls["upload"]) == (1, 1)
    assert "upload" not in (await disk.rest.call("methods")).result


# Faults


async def test_a_body_that_is_cut_leaves_nothing(disk: DiskClient, portal: SandboxPortal) -> None:
    root = await disk.root()
    url = await disk.upload_url(root)
    portal.fault("upload:body_cut=1000000@1")
    assert (await disk.send(url, "whole.bin", pieces(40))).status == 200
    with pytest.raises(ClientError):
        await disk.send(url, "cut.bin", pieces(40))
    assert "upload" not in [str(fault) for fault in portal.faults]
    assert await disk.names(root) == ["whole.bin"]
    assert (portal.calls["upload"], len(stored(portal))) == (1, 1)


async def test_a_shorter_body_than_the_cut_is_stored(disk: DiskClient, portal: SandboxPortal) -> None:
    portal.fault("upload:body_cut=100")
    assert (await disk.send(await disk.upload_url(await disk.root()), "a.bin", b"x" * 99)).status == 200


@pytest.mark.parametrize("kind", ["lost", "cut"])
async def test_a_file_stays_stored_when_its_answer_is_lost(disk: DiskClient, portal: SandboxPortal, kind: str) -> None:
    root = await disk.root()
    url = await disk.upload_url(root)
    portal.fault(f"upload:{kind}")
    with pytest.raises(ClientError):
        await disk.send(url, "a.txt", b"x")
    assert await disk.names(root) == ["a.txt"]


@pytest.mark.parametrize(("kind", "status"), [("qle", 503), ("502", 502), ("error=ERROR_COULD_NOT_SAVE_FILE", 400)])
async def test_a_refused_upload_stores_nothing(disk: DiskClient, portal: SandboxPortal, kind: str, status: int) -> None:
    root = await disk.root()
    url = await disk.upload_url(root)
    portal.fault(f"upload:{kind}")
    assert (await disk.send(url, "a.txt", b"x")).status == status
    assert (await disk.names(root), stored(portal)) == ([], [])
    assert (await disk.send(url, "a.txt", b"x")).status == 200


async def test_a_slow_body_takes_the_time_of_the_clock(
    disk: DiskClient, portal: SandboxPortal, clock: ManualClock
) -> None:
    url = await disk.upload_url(await disk.root())
    portal.fault("upload:body_slow=100")
    sending = asyncio.create_task(disk.send(url, "a.txt", b"x" * 1000))
    await clock.advance(9)
    assert not sending.done()
    await clock.advance(2)
    assert (await sending).status == 200


async def test_links_can_lead_to_another_origin(disk: DiskClient, portal: SandboxPortal) -> None:
    portal.fault("*:link_origin=https://elsewhere.example*")
    root = await disk.root()
    file = await disk.file("a.txt")
    (shown,) = await disk.result("folder.getchildren", id=root)
    for link in (await disk.upload_url(root), file["DOWNLOAD_URL"], shown["DOWNLOAD_URL"]):
        assert link.startswith("https://elsewhere.example/rest/1/sandbox/")
