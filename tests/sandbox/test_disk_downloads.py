"""Downloads from Disk: links with and without a token, ranges, and faults in the middle of the body."""

import asyncio
from collections.abc import Callable
from urllib.parse import parse_qs, urlsplit

import pytest
from aiohttp import ClientError, ClientSession

from gateway.sandbox.portal import SandboxPortal
from gateway.sandbox.web.server import SandboxServer
from tests.clock import ManualClock
from tests.sandbox.client import RestClient
from tests.sandbox.disk import DiskClient, fetch

CONTENT = bytes(range(256)) * 1000


@pytest.fixture(params=["webhook", "token"])
def either(request: pytest.FixtureRequest, disk: DiskClient, disk_of: Callable[[int], DiskClient]) -> DiskClient:
    """A client of Disk with the webhook, and with an access token."""
    return disk if request.param == "webhook" else disk_of(1)


async def link_of(disk: DiskClient, name: str = "a.bin", content: bytes = CONTENT) -> str:
    return str((await disk.file(name, content))["DOWNLOAD_URL"])


async def test_a_download_has_the_content_and_its_headers(either: DiskClient, session: ClientSession) -> None:
    status, body, headers = await fetch(session, await link_of(either, 'Отчёт "1".pdf'))
    assert (status, body) == (200, CONTENT)
    assert headers["Content-Type"] == "application/pdf"
    assert headers["Content-Length"] == str(len(CONTENT))
    assert headers["Content-Disposition"] == (
        "attachment; filename=\"_____ _1_.pdf\"; filename*=utf-8''%D0%9E%D1%82%D1%87%D1%91%D1%82%20%221%22.pdf"
    )


async def test_a_link_under_oauth_and_by_webhook(
    disk: DiskClient, disk_of: Callable[[int], DiskClient], webhook: RestClient, server: SandboxServer
) -> None:
    assert (await link_of(disk)).startswith(f"{webhook.base}download/?token=disk%7C")
    user = disk_of(1)
    assert (await link_of(user, "b.bin")).startswith(
        f"{server.origin}/rest/download.json?auth={user.auth}&token=disk%7C"
    )


async def test_every_read_makes_a_new_link_and_the_earlier_ones_work(disk: DiskClient, session: ClientSession) -> None:
    file = await disk.file("a.bin", CONTENT)
    links = {file["DOWNLOAD_URL"], *[(await disk.result("file.get", id=file["ID"]))["DOWNLOAD_URL"] for _ in range(2)]}
    assert len(links) == 3
    assert {(await fetch(session, link))[0] for link in links} == {200}


async def test_a_link_dies_with_its_access_token_and_a_new_token_does_not_revive_it(
    disk_of: Callable[[int], DiskClient], session: ClientSession, portal: SandboxPortal
) -> None:
    disk = disk_of(1)
    link = await link_of(disk)
    portal.oauth.expire_access_tokens()
    assert (await fetch(session, link))[0] == 401
    status, body, _ = await fetch(session, link.replace(disk.auth, disk_of(1).auth))
    assert (status, b"Link check failed" in body) == (403, True)


@pytest.mark.parametrize(
    ("asked", "status", "content_range", "body"),
    [
        ("bytes=0-9", 206, "bytes 0-9/256000", CONTENT[:10]),
        ("bytes=255990-", 206, "bytes 255990-255999/256000", CONTENT[-10:]),
        ("bytes=-5", 206, "bytes 255995-255999/256000", CONTENT[-5:]),
        ("bytes=256000-", 416, "bytes */256000", None),
    ],
)
async def test_a_range_is_served_as_by_a_real_server(
    disk: DiskClient, session: ClientSession, asked: str, status: int, content_range: str, body: bytes | None
) -> None:
    found, content, headers = await fetch(session, await link_of(disk), Range=asked)
    assert (found, headers["Content-Range"]) == (status, content_range)
    assert body is None or content == body


async def test_a_deleted_file_and_another_token_are_refused(disk: DiskClient, session: ClientSession) -> None:
    file = await disk.file("a.bin")
    upload_token = parse_qs(urlsplit(await disk.upload_url(file["ID"])).query)["token"][0]
    link = file["DOWNLOAD_URL"].partition("token=")[0] + f"token={upload_token.replace('+', '%2B')}"
    assert (await fetch(session, link))[0] == 403
    await disk.result("file.delete", id=file["ID"])
    assert (await fetch(session, file["DOWNLOAD_URL"]))[0] == 400


async def test_the_rights_are_checked_when_the_file_is_fetched(
    disk: DiskClient, disk_of: Callable[[int], DiskClient], session: ClientSession, portal: SandboxPortal
) -> None:
    user_id = list(portal.data.users)[1]
    user, folder = disk_of(user_id), await disk.folder("Folder", await disk.root(ENTITY_ID="1"))
    await disk.result("folder.sharetouser", id=folder["ID"], userId=user_id, taskName="disk_access_edit")
    file = await user.file("a.bin", parent=folder["ID"])
    assert (await fetch(session, file["DOWNLOAD_URL"]))[0] == 200
    portal.data.disk.rights.pop(folder["ID"])
    assert (await fetch(session, file["DOWNLOAD_URL"]))[0] == 403


async def test_a_public_link_needs_no_token(disk: DiskClient, session: ClientSession, server: SandboxServer) -> None:
    folder = await disk.folder("A <folder>")
    file = await disk.file("a.bin", CONTENT, folder["ID"])
    link = await disk.result("file.getexternallink", id=file["ID"])
    assert link == await disk.result("file.getexternallink", id=file["ID"])
    assert (await fetch(session, link))[:2] == (200, CONTENT)
    status, page, _ = await fetch(session, await disk.result("folder.getexternallink", id=folder["ID"]))
    assert (status, b"A &lt;folder&gt;" in page, b"a.bin" in page) == (200, True, True)
    await disk.result("file.markdeleted", id=file["ID"])
    assert (await fetch(session, link))[0] == 404
    assert (await fetch(session, f"{server.origin}/~nope1"))[0] == 404


async def test_downloads_count_as_requests(disk: DiskClient, session: ClientSession, portal: SandboxPortal) -> None:
    link = await link_of(disk)
    before = portal.http_requests
    await fetch(session, link)
    assert (portal.http_requests, portal.calls["download"]) == (before + 1, 1)
    portal.fault("download:qle")
    assert (await fetch(session, link))[0] == 503


async def test_a_download_that_is_cut_ends_in_the_middle(
    disk: DiskClient, session: ClientSession, portal: SandboxPortal
) -> None:
    link = await link_of(disk)
    portal.fault("download:cut")
    async with session.get(link) as answer:
        assert answer.headers["Content-Length"] == str(len(CONTENT))
        assert await answer.content.readexactly(len(CONTENT) // 2) == CONTENT[: len(CONTENT) // 2]
        with pytest.raises(ClientError):
            await answer.content.read()
    assert (await fetch(session, link))[1] == CONTENT


async def test_a_truncated_download_looks_complete(
    disk: DiskClient, session: ClientSession, portal: SandboxPortal
) -> None:
    link = await link_of(disk)
    portal.fault("download:truncated")
    assert (await fetch(session, link))[:2] == (200, CONTENT[: len(CONTENT) // 2])


async def test_a_slow_download_takes_the_time_of_the_clock(
    disk: DiskClient, session: ClientSession, portal: SandboxPortal, clock: ManualClock
) -> None:
    link = await link_of(disk, content=b"x" * 1000)
    portal.fault("download:slow=100")
    fetching = asyncio.create_task(fetch(session, link))
    await clock.advance(8)
    assert not fetching.done()
    await clock.advance(3)
    assert (await fetching)[:2] == (200, b"x" * 1000)


async def test_a_slow_answer_takes_the_time_of_the_clock(
    disk: DiskClient, portal: SandboxPortal, clock: ManualClock
) -> None:
    portal.fault("disk.storage.get:slow=100")
    call = asyncio.create_task(disk.call("storage.get", id=1))
    await clock.advance(1)
    assert not call.done()
    await clock.advance(20)
    assert (await call).result["ID"] == "1"
