"""Consumers of streams: fast, slow, leaving early or not reading at all."""

import asyncio
import socket
from dataclasses import replace
from urllib.parse import urlsplit

import pytest

from gateway.sandbox.settings import SandboxSettings
from tests.gateway import Gateway, Sandbox, Streamed

STREAM = "/bitrix/stream/deals"


@pytest.fixture
def sandbox_settings(sandbox_settings: SandboxSettings) -> SandboxSettings:
    return replace(sandbox_settings, deals=4000, eventlog=4500, users=5)


@pytest.fixture
def ids(sandbox: Sandbox) -> list[int]:
    """The ids of all deals, ascending."""
    return sorted(sandbox.portal.data.tables["deals"])


async def test_the_first_rows_are_sent_before_the_last_page_is_read(
    connected: Gateway, sandbox: Sandbox, ids: list[int]
) -> None:
    sandbox.portal.fault("batch:delay=10*@1")
    async with connected.opened(STREAM) as response:
        first = [await response.content.readline() for _ in range(50)]
        assert len(sandbox.portal.data.tables["deals"]) > 50
        rest = await connected.clock.until(response.read())
    assert Streamed.of(b"".join(first) + rest).ids == ids


async def test_slow_pages_are_read_concurrently(connected: Gateway, sandbox: Sandbox) -> None:
    ids = sorted(sandbox.portal.data.tables["deals"])[:500]
    sandbox.portal.fault("crm.deal.list:delay=0.2*")
    began = connected.clock.now()
    stream = await connected.stream("deals", step_s=0.02, filter={"<=ID": ids[-1]})
    assert stream.ids == ids
    assert connected.clock.now() - began < 1.4  # sequentially, ten pages would take 2 s


async def test_a_slow_consumer_gets_every_row(connected: Gateway, ids: list[int]) -> None:
    async with connected.opened(STREAM) as response:
        received = b""
        while piece := await response.content.read(200_000):
            received += piece
            await connected.clock.advance(1)
    assert Streamed.of(received).ids == ids


@pytest.mark.parametrize(("resource", "method"), [("deals", "batch"), ("eventlog", "main.eventlog.tail")])
async def test_portal_calls_stop_when_the_consumer_disconnects(
    connected: Gateway, sandbox: Sandbox, resource: str, method: str
) -> None:
    sandbox.portal.fault(f"{method}:delay=1*@1")
    async with connected.opened(f"/bitrix/stream/{resource}") as response:
        await response.content.readline()
        await connected.clock.settle()
        response.close()
    await connected.clock.advance(1)
    requests = sandbox.portal.http_requests
    await connected.clock.advance(100)
    assert sandbox.portal.http_requests == requests
    sandbox.portal.clear_faults()
    assert (await connected.stream(resource)).end["complete"] is True


class TestConsumersThatDoNotRead:
    """The list is far longer than the buffers."""

    @pytest.fixture
    def sandbox_settings(self, sandbox_settings: SandboxSettings) -> SandboxSettings:
        return replace(sandbox_settings, deals=80_000, eventlog=30_000, users=5, tariff="off")

    @pytest.mark.parametrize(
        ("path", "fewer_than"), [("deals?pace=thrifty", 80_000 // 50 // 2), ("eventlog", 30_000 // 1000)]
    )
    async def test_reading_from_the_portal_pauses_until_the_consumer_reads_or_disconnects(
        self, connected: Gateway, sandbox: Sandbox, caplog: pytest.LogCaptureFixture, path: str, fewer_than: int
    ) -> None:
        commands = sandbox.portal.commands
        _, writer = await self._open(connected, path)
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        requested = -1
        while requested != sandbox.portal.commands:
            requested = sandbox.portal.commands
            for _ in range(60):
                await connected.clock.advance(1)
        assert requested - commands < fewer_than
        writer.transport.abort()
        await connected.clock.advance(60)
        assert sandbox.portal.commands == requested
        assert "failed" not in caplog.text

    async def test_the_buffers_of_all_streams_together_are_limited_in_bytes(
        self, connected: Gateway, sandbox: Sandbox
    ) -> None:
        await connected.restart(GATEWAY_STREAM_BUFFER_BYTES=str(4 * 1024 * 1024))  # about 3,000 deals
        commands, requested = sandbox.portal.commands, -1
        writers = [(await self._open(connected, "deals?pace=eager"))[1] for _ in range(2)]
        for writer in writers:
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        while requested != sandbox.portal.commands:
            requested = sandbox.portal.commands
            for _ in range(60):
                await connected.clock.advance(1)
        assert requested - commands < 2 * (80_000 // 50) / 4
        for writer in writers:
            writer.transport.abort()

    @pytest.mark.parametrize(("pauses_s", "complete"), [(590, True), (610, False)])
    async def test_a_consumer_that_reads_nothing_for_ten_minutes_is_disconnected(
        self, connected: Gateway, sandbox: Sandbox, caplog: pytest.LogCaptureFixture, pauses_s: float, complete: bool
    ) -> None:
        reader, writer = await self._open(connected, "eventlog")
        requested = -1
        while requested != sandbox.portal.commands:
            requested = sandbox.portal.commands
            for _ in range(50):
                await connected.clock.settle()
        await connected.clock.advance(pauses_s)
        received = await connected.clock.until(reader.read(), step_s=0.02)
        assert received.endswith(b"0\r\n\r\n") is complete
        assert (sandbox.portal.commands > requested) is complete
        assert "failed" not in caplog.text
        writer.close()

    async def _open(self, gateway: Gateway, path: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Open a stream and read only its status line."""
        reader, writer = await asyncio.open_connection(*urlsplit(gateway.origin).netloc.split(":"), limit=4096)
        head = (
            f"GET /bitrix/stream/{path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
            f"Authorization: Bearer {gateway.token()}\r\n\r\n"
        )
        writer.write(head.encode())
        assert await reader.readline() == b"HTTP/1.1 200 OK\r\n"
        return reader, writer
