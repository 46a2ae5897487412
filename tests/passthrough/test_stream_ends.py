"""Streams that are ended: the account is deleted or moved, or the gateway stops."""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import replace

import orjson
import pytest

from gateway.accounts.service import SUSPENDED
from gateway.bitrix.lists.page import Page
from gateway.passthrough.streams import Stream
from gateway.sandbox.settings import SandboxSettings
from tests.gateway import Gateway, Sandbox, Streamed
from tests.support.streaming import resumed_ids


@pytest.fixture
def sandbox_settings(sandbox_settings: SandboxSettings) -> SandboxSettings:
    return replace(sandbox_settings, deals=4000, eventlog=4500, users=5)


@pytest.mark.parametrize("event", ["delete", "move", "stop"])
@pytest.mark.parametrize(("resource", "method"), [("deals", "batch"), ("eventlog", "main.eventlog.tail")])
async def test_an_ended_stream_reports_the_reason_in_its_last_line_and_can_be_resumed(
    connected: Gateway, sandbox: Sandbox, other: Sandbox, event: str, resource: str, method: str
) -> None:
    ids = sorted(sandbox.portal.data.tables[resource])
    sandbox.portal.fault(f"{method}:delay=3000*@1")
    async with connected.opened(f"/bitrix/stream/{resource}") as response:
        first = await response.content.readline()
        if event == "delete":
            assert (await connected.delete("/bitrix/account")).status == 200
        elif event == "move":
            await connected.connect(other.webhook)
        else:
            await connected.app.shutdown()
        stream = Streamed.of(first + await asyncio.wait_for(response.read(), 5))
    reason = "the gateway is shutting down" if event == "stop" else SUSPENDED
    assert stream.end == {"error": reason, "code": "ended", "cursor": stream.ids[-1]}
    assert stream.ids == ids[: len(stream.ids)]
    sandbox.portal.clear_faults()
    if event == "stop":
        await connected.restart()
    else:
        await connected.connect(sandbox.webhook)
    assert await resumed_ids(connected, stream, resource) == ids
    await connected.clock.advance(3000)


async def test_a_stopping_gateway_opens_no_stream(connected: Gateway, sandbox: Sandbox) -> None:
    requests = sandbox.portal.http_requests
    await connected.app.shutdown()
    answer = await connected.get("/bitrix/stream/deals?cursor=7")
    assert (answer.status, answer.json["code"]) == (503, "stopping")
    assert sandbox.portal.http_requests == requests


async def test_a_stream_of_an_account_deleted_during_the_field_check_reads_no_list(
    connected: Gateway, sandbox: Sandbox
) -> None:
    sandbox.portal.hold("crm.deal.fields")
    streaming = asyncio.create_task(connected.get('/bitrix/stream/deals?filter={"!TITLE":""}'))
    while sandbox.portal.calls["crm.deal.fields"] == 0:
        await connected.clock.settle()
    assert (await connected.delete("/bitrix/account")).status == 200
    sandbox.portal.release("crm.deal.fields")
    assert Streamed.of((await streaming).body) == Streamed([], {"error": SUSPENDED, "code": "ended", "cursor": 0})
    assert sandbox.portal.calls["crm.deal.list"] == 0


def page(after: int, upto: int | None) -> Page[bytes]:
    ids = [after + 1, after + 2]
    return Page(b"".join(orjson.dumps({"ID": row_id}) + b"\n" for row_id in ids), ids, after, upto)


@pytest.mark.parametrize("upto", [4, None])
async def test_a_page_that_arrives_when_the_stream_ends_is_not_sent(upto: int | None) -> None:
    async def pages() -> AsyncGenerator[Page[bytes], None]:
        yield page(0, 2)
        stream.end("it is over")
        yield page(2, upto)

    stream = Stream(pages(), cursor=0, limit=None)
    body = b"".join([lines async for lines in stream.chunks()])
    assert [orjson.loads(line) for line in body.splitlines()] == [
        {"ID": 1},
        {"ID": 2},
        {"error": "it is over", "code": "ended", "cursor": 2},
    ]
