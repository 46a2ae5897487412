"""Streams to those who read no further: little waits for them, and nobody is asked for more in vain."""

import asyncio
import socket
from dataclasses import replace
from urllib.parse import urlsplit

import pytest

from gateway.sandbox.portal import SandboxSettings
from tests.gateway import Gateway, Sandbox


class TestConsumersThatDoNotRead:
    """Of a list that is far longer than what may be on its way."""

    @pytest.fixture
    def sandbox_settings(self, sandbox_settings: SandboxSettings) -> SandboxSettings:
        return replace(sandbox_settings, deals=80_000, eventlog=30_000, users=5, tariff="off")

    @pytest.mark.parametrize(
        ("path", "fewer_than"), [("deals?pace=thrifty", 80_000 // 50 // 2), ("eventlog", 30_000 // 1000)]
    )
    async def test_the_portal_is_asked_no_further_until_they_read_or_leave(
        self, connected: Gateway, sandbox: Sandbox, caplog: pytest.LogCaptureFixture, path: str, fewer_than: int
    ) -> None:
        commands = sandbox.portal.commands
        _, writer = await self._open(connected, path)
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        asked = -1
        while asked != sandbox.portal.commands:
            asked = sandbox.portal.commands
            for _ in range(60):
                await connected.clock.advance(1)
        assert asked - commands < fewer_than
        writer.transport.abort()
        await connected.clock.advance(60)
        assert sandbox.portal.commands == asked
        assert "failed" not in caplog.text

    async def test_what_waits_for_all_of_them_together_is_bounded_by_its_bytes(
        self, connected: Gateway, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("gateway.streams.HELD_BYTES", 4 * 1024 * 1024)  # some 3,000 deals
        commands, asked = sandbox.portal.commands, -1
        writers = [(await self._open(connected, "deals?pace=eager"))[1] for _ in range(2)]
        for writer in writers:
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        while asked != sandbox.portal.commands:
            asked = sandbox.portal.commands
            for _ in range(60):
                await connected.clock.advance(1)
        assert asked - commands < 2 * (80_000 // 50) / 4
        for writer in writers:
            writer.transport.abort()

    @pytest.mark.parametrize(("pauses_s", "whole"), [(590, True), (610, False)])
    async def test_one_who_takes_nothing_for_ten_minutes_is_disconnected(
        self, connected: Gateway, sandbox: Sandbox, caplog: pytest.LogCaptureFixture, pauses_s: float, whole: bool
    ) -> None:
        reader, writer = await self._open(connected, "eventlog")
        asked = -1
        while asked != sandbox.portal.commands:
            asked = sandbox.portal.commands
            for _ in range(50):
                await connected.clock.settle()
        await connected.clock.advance(pauses_s)
        received = await connected.clock.until(reader.read(), step_s=0.02)
        assert received.endswith(b"0\r\n\r\n") is whole
        assert (sandbox.portal.commands > asked) is whole
        assert "failed" not in caplog.text
        writer.close()

    async def _open(self, gateway: Gateway, path: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A stream of which nothing has been read but the status."""
        reader, writer = await asyncio.open_connection(*urlsplit(gateway.origin).netloc.split(":"), limit=4096)
        head = (
            f"GET /bitrix/stream/{path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
            f"Authorization: Bearer {gateway.token()}\r\n\r\n"
        )
        writer.write(head.encode())
        assert await reader.readline() == b"HTTP/1.1 200 OK\r\n"
        return reader, writer
