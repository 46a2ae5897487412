"""Received files on our own disk: a caller who is cancelled at any moment harms no other file and leaves nothing."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from gateway.disk.spool import BUFFER_BYTES, MAX_FILES, Spool, SpooledFile
from gateway.errors import SpoolFull
from tests.support.disk import spooled_files
from tests.support.idle import idle

LARGE = b"a" * (BUFFER_BYTES + 70_000)


class HeldCall:
    """A function of the module os whose first call waits in its thread until it is released."""

    def __init__(self, name: str) -> None:
        self._function: Callable[..., Any] = getattr(os, name)
        self._released = Event()
        self._is_called = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._is_first = True

    def __call__(self, *arguments: object) -> object:
        if self._is_first:
            self._is_first = False
            self._loop.call_soon_threadsafe(self._is_called.set)
            self._released.wait()
        return self._function(*arguments)

    async def called(self) -> None:
        """Wait until the call is held."""
        await self._is_called.wait()

    def release(self) -> None:
        self._released.set()


Hold = Callable[[str], HeldCall]


@pytest.fixture
async def hold(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Hold]:
    """Hold the first call of a function of the module os, up to the end of the test."""
    calls: list[HeldCall] = []

    def start(name: str) -> HeldCall:
        calls.append(HeldCall(name))
        monkeypatch.setattr(os, name, calls[-1])
        return calls[-1]

    yield start
    for call in calls:
        call.release()


@pytest.fixture
async def spool(tmp_path: Path) -> AsyncIterator[Spool]:
    spool = Spool(tmp_path, 10_000_000)
    yield spool
    assert (spool.held_bytes, spooled_files(os.getpid(), tmp_path)) == (0, 0)
    spool.close()


async def content_of(file: SpooledFile) -> bytes:
    return b"".join([chunk async for chunk in file.chunks(BUFFER_BYTES)])


async def store(spool: Spool, content: bytes) -> bytes:
    """Write a file and read it again."""
    async with spool.create() as file:
        await file.write(content)
        await file.flush()
        return await content_of(file)


async def test_a_file_has_what_was_written(spool: Spool) -> None:
    assert await store(spool, LARGE) == LARGE


@pytest.mark.parametrize("times", [1, 3])
@pytest.mark.parametrize("name", ["open", "pwrite", "pread", "close"])
async def test_a_cancelled_caller_leaves_nothing_and_touches_no_other_file(
    spool: Spool, hold: Hold, name: str, times: int
) -> None:
    held = hold(name)
    storing = asyncio.create_task(store(spool, LARGE))
    await held.called()
    for _ in range(times):
        storing.cancel()
        await idle()
    async with spool.create() as other:  # gets a descriptor that the first file has closed
        await other.write(b"other")
        await other.flush()
        held.release()
        with pytest.raises(asyncio.CancelledError):
            await storing
        assert await content_of(other) == b"other"


async def test_a_file_is_closed_only_when_another_task_has_read(spool: Spool, hold: Hold) -> None:
    held = hold("pread")
    async with spool.create() as file:
        await file.write(b"read")
        await file.flush()
        reading = asyncio.create_task(content_of(file))
        await held.called()
        closing = asyncio.create_task(file.close())
        await idle()
        assert not closing.done()
        held.release()
        assert await reading == b"read"
        await closing


async def test_only_so_many_files_are_open_at_once(tmp_path: Path) -> None:
    spool = Spool(tmp_path, 10**6)
    async with AsyncExitStack() as stack:
        for _ in range(MAX_FILES):
            await stack.enter_async_context(spool.create())
        with pytest.raises(SpoolFull, match="more than 400 files"):
            await stack.enter_async_context(spool.create())
    async with spool.create():
        pass
    spool.close()


async def test_a_file_that_is_still_open_at_the_end_of_the_spool_can_be_closed(tmp_path: Path) -> None:
    spool = Spool(tmp_path, 10**6)
    async with spool.create() as file:
        await file.write(LARGE)
        await file.flush()
        assert spooled_files(os.getpid(), tmp_path) == 1
        spool.close()
    assert (spooled_files(os.getpid(), tmp_path), spool.held_bytes) == (0, 0)
