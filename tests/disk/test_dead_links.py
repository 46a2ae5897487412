"""Links to files that die while a request waits: the gateway asks the portal for a new one, once."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from tests.gateway import Answer, Gateway, Sandbox
from tests.support.disk import LARGE_BYTES, facts, files_in, form_of, root_of, upload, uploaded
from tests.support.record_files import attached, field_of, first_record
from tests.support.recording_proxy import RecordingProxy, Sent, recording_proxy, respond_json

CONTENT = b"content"
LARGE = bytes(LARGE_BYTES)
DEAD = respond_json({"error": "ACCESS_DENIED", "error_description": "Access denied! Link check failed"}, 403)
DENIED = respond_json({"error": "ACCESS_DENIED", "error_description": "Access denied"}, 403)


@pytest.fixture
async def proxy(gateway: Gateway, sandbox: Sandbox) -> AsyncIterator[RecordingProxy]:
    """The portal of the account, connected by webhook."""
    async with recording_proxy(sandbox) as proxy:
        await gateway.connect(proxy.webhook)
        yield proxy


async def while_tokens_expire(gateway: Gateway, sandbox: Sandbox, method: str, request: asyncio.Task[Answer]) -> Answer:
    """Let all access tokens expire while the first call of *method* is under way."""
    while not sandbox.portal.calls[method]:
        await gateway.clock.settle()
    sandbox.portal.oauth.expire_access_tokens()
    sandbox.portal.release(method)
    return await gateway.clock.until(request)


async def test_a_download_survives_the_end_of_its_token(authorized: Gateway, sandbox: Sandbox) -> None:
    (line,) = await uploaded(authorized, root_of(sandbox), ("a.txt", CONTENT))
    sandbox.portal.calls.clear()
    sandbox.portal.hold("download")
    request = asyncio.ensure_future(authorized.get(line["url"]))
    answer = await while_tokens_expire(authorized, sandbox, "download", request)
    assert (answer.status, answer.body) == (200, CONTENT)
    assert sandbox.portal.calls["download"] == 2


async def test_a_download_from_a_record_survives_the_end_of_its_token(authorized: Gateway, sandbox: Sandbox) -> None:
    field = await field_of(authorized, "deals", "file", multiple=False)
    (line,) = await attached(authorized, first_record(sandbox, "deals"), field, ("a.txt", CONTENT))
    sandbox.portal.hold("crm.controller.item.getfile")
    request = asyncio.ensure_future(authorized.get(line["url"]))
    answer = await while_tokens_expire(authorized, sandbox, "crm.controller.item.getfile", request)
    assert (answer.status, answer.body) == (200, CONTENT)


async def test_an_upload_survives_the_end_of_its_token(authorized: Gateway, sandbox: Sandbox) -> None:
    root = root_of(sandbox)
    sandbox.portal.hold("upload")
    request = asyncio.ensure_future(authorized.post(f"/bitrix/files?folder={root}", data=form_of([("a.bin", LARGE)])))
    answer = await while_tokens_expire(authorized, sandbox, "upload", request)
    assert (answer.status, answer.json["failed"]) == (200, 0)
    assert files_in(sandbox, root) == {"a.bin": facts(LARGE)}
    assert (sandbox.portal.calls["upload"], len(sandbox.portal.token_requests)) == (2, 1)


async def test_a_link_that_the_portal_does_not_know_is_asked_for_again_once(
    gateway: Gateway, sandbox: Sandbox, proxy: RecordingProxy
) -> None:
    root = root_of(sandbox)
    proxy.answer("upload", DEAD)
    (line,) = await uploaded(gateway, root, ("a.bin", LARGE))
    assert (proxy.counts["disk.folder.uploadfile"], proxy.counts["upload"]) == (2, 2)
    proxy.answer("download", DEAD, DEAD)
    answer = await gateway.clock.until(gateway.get(line["url"]))
    assert (answer.status, answer.json["code"]) == (403, "access_denied")
    assert (proxy.counts["disk.file.get"], proxy.counts["download"]) == (2, 2)
    proxy.answer("upload", DEAD, DEAD)
    (failed,) = (await upload(gateway, root, [("b.bin", LARGE)])).json["files"]
    assert failed["error"]["code"] == "ACCESS_DENIED"
    assert proxy.counts["upload"] == 4


async def test_a_user_without_rights_is_refused_at_once(
    gateway: Gateway, sandbox: Sandbox, proxy: RecordingProxy
) -> None:
    (line,) = await uploaded(gateway, root_of(sandbox), ("a.txt", CONTENT))
    proxy.answer("download", DENIED)
    answer = await gateway.clock.until(gateway.get(line["url"]))
    assert (answer.status, answer.json["code"], proxy.counts["download"]) == (403, "access_denied", 1)


async def test_a_file_that_has_another_content_meanwhile_is_not_mixed_with_the_old_one(
    gateway: Gateway, sandbox: Sandbox, proxy: RecordingProxy
) -> None:
    (line,) = await uploaded(gateway, root_of(sandbox), ("a.txt", CONTENT))
    row = sandbox.portal.data.disk.objects[line["id"]]

    async def replace_content(sent: Sent) -> web.StreamResponse:
        row["UPDATE_TIME"] = "2030-01-01T00:00:00+03:00"
        return await DEAD(sent)

    proxy.answer("download", replace_content)
    answer = await gateway.clock.until(gateway.get(line["url"]))
    assert (answer.status, answer.json["code"]) == (409, "file_changed")


@pytest.mark.parametrize("size", [0, LARGE_BYTES])
async def test_an_upload_goes_to_the_portal_alone(connected: Gateway, sandbox: Sandbox, size: int) -> None:
    root = root_of(sandbox)
    sandbox.portal.fault("disk.folder.uploadfile:link_origin=http://127.0.0.2:9*")
    sandbox.portal.calls.clear()
    (failed,) = (await upload(connected, root, [("a.bin", bytes(size))])).json["files"]
    assert failed["error"]["code"] == "portal_broken"
    assert (sandbox.portal.calls["disk.folder.uploadfile"], files_in(sandbox, root)) == (1, {})
