"""Downloads have a number of their own: calls never wait for them."""

import asyncio
from contextlib import AsyncExitStack, ExitStack
from dataclasses import replace

import pytest

from gateway.bitrix.transport.download_session import MAX_DOWNLOADS
from gateway.errors import TooManyDownloads
from gateway.sandbox.settings import SandboxSettings
from handlers.app_keys import SESSION
from tests.gateway import Gateway, Sandbox
from tests.support.disk import root_of, uploaded
from tests.support.raw import send_raw

CONTENT = b"x" * 10_000


@pytest.fixture
def sandbox_settings(sandbox_settings: SandboxSettings) -> SandboxSettings:
    return replace(sandbox_settings, tariff="off")


async def test_further_downloads_are_refused_and_calls_are_answered_while_many_files_are_open(
    gateway: Gateway, sandbox: Sandbox
) -> None:
    await gateway.restart(GATEWAY_BUCKET_CAPACITY="10000", GATEWAY_BUCKET_LEAK_PER_S="1000")
    await gateway.connect(sandbox.webhook)
    (line,) = await uploaded(gateway, root_of(sandbox), ("a.bin", CONTENT))
    sandbox.portal.fault("download:slow=1*")  # a byte, and no further one until the clock advances
    async with AsyncExitStack() as opened:
        opening = [opened.enter_async_context(gateway.opened(line["url"])) for _ in range(MAX_DOWNLOADS)]
        assert {response.status for response in await gateway.clock.until(asyncio.gather(*opening))} == {200}
        token = f"Authorization: Bearer {gateway.token()}"  # sent on connections of their own: the client has 100
        refused = await send_raw(gateway, "GET", line["url"], token)
        assert (refused.status, refused.json["code"]) == (503, "too_many_downloads")
        assert refused.headers["Retry-After"] == str(TooManyDownloads.retry_after_s)
        assert (await send_raw(gateway, "GET", f"/bitrix/files/{line['id']}", token)).status == 200
    sandbox.portal.faults.clear()
    await gateway.clock.advance(2)  # the next byte shows that a caller has left
    assert (await gateway.get(line["url"])).body == CONTENT


@pytest.mark.parametrize("fault", ["drop", "502", "truncated", "link_origin=http://127.0.0.2:9"])
async def test_a_download_that_fails_leaves_its_place(connected: Gateway, sandbox: Sandbox, fault: str) -> None:
    (line,) = await uploaded(connected, root_of(sandbox), ("a.bin", CONTENT))
    method = "disk.file.get" if fault.startswith("link") else "download"
    sandbox.portal.fault(f"{method}:{fault}*")
    assert (await connected.clock.until(connected.get(line["url"]))).status in (502, 504)
    with ExitStack() as places:
        for _ in range(MAX_DOWNLOADS):
            places.enter_context(connected.app[SESSION].downloads.place())
