"""Received files on our own disk, until they are sent on. They have no names, so nothing stays behind after a crash."""

import asyncio
import errno
import os
import tempfile
from collections.abc import AsyncIterator, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from gateway.bitrix.protocol.file_bodies import FileContent
from gateway.errors import SpoolFull, StorageFailed

T = TypeVar("T")

THREADS = 4  # of all files together
BUFFER_BYTES = 256 * 1024  # written at once
RETRY_AFTER_S = 10  # for files of other callers to be sent on
CLOSED = -1  # no descriptor
MAX_FILES = 400  # open at once, of all callers together: each needs a file descriptor
FULL = "too many files are being received (GATEWAY_SPOOL_BYTES): try again later"
TOO_MANY = f"more than {MAX_FILES} files are being received and sent on: try again later"


class Spool:
    """At most MAX_FILES files, of at most *max_bytes* together, in *directory*."""

    def __init__(self, directory: Path, max_bytes: int) -> None:
        self._directory = directory
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="spool")
        self.max_bytes = max_bytes
        self.held_bytes = 0
        self._files = 0
        self._is_closed = False

    @asynccontextmanager
    async def create(self) -> AsyncIterator["SpooledFile"]:
        """Yield a new, empty file, which is deleted at the end of the block.

        Raises:
            SpoolFull: too many are open now.
            StorageFailed: the directory cannot be used.
        """
        if self._files == MAX_FILES:
            raise SpoolFull(TOO_MANY, RETRY_AFTER_S)
        file = SpooledFile(self)
        self._files += 1
        try:
            await file.open()
            yield file
        finally:
            try:
                await file.close()
            finally:
                self._files -= 1

    def reserve(self, size: int) -> None:
        """Take *size* bytes of the room.

        Raises:
            SpoolFull: there is no room for them now.
        """
        self.check(size)
        self.held_bytes += size

    def check(self, size: int) -> None:
        """Check that there is room for *size* bytes.

        Raises:
            SpoolFull: there is none now.
        """
        if self.held_bytes + size > self.max_bytes:
            raise SpoolFull(FULL, RETRY_AFTER_S)

    async def run(self, work: Callable[[], T]) -> T:
        """Return what *work* returns, which uses the disk in a thread.

        Raises:
            SpoolFull: the disk is full.
            StorageFailed: the disk fails.
        """
        try:
            if self._is_closed:  # only files of requests that the shutdown has cancelled are still to be closed
                return work()
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise SpoolFull("the disk of GATEWAY_SPOOL_DIR is full: try again later", RETRY_AFTER_S) from error
            raise StorageFailed(f"files cannot be kept in GATEWAY_SPOOL_DIR: {error.strerror}") from error

    def close(self) -> None:
        """End the threads. What is still open can be closed afterwards."""
        self._is_closed = True
        self._threads.shutdown()

    def open_file(self) -> int:
        """A new file without a name, for its owner only. Source: open(2), O_TMPFILE"""
        try:
            return os.open(self._directory, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
        except (AttributeError, OSError) as error:
            if isinstance(error, OSError) and error.errno not in (errno.EOPNOTSUPP, errno.EISDIR, errno.ENOENT):
                raise
        descriptor, path = tempfile.mkstemp(dir=self._directory)
        os.unlink(path)
        return descriptor


class SpooledFile:
    """A file that is written once and then read, perhaps several times.

    It does one thing at a time, and each to its end, also for a task that is cancelled meanwhile: a descriptor that is
    closed under a thread may already be another file's. Source: close(2), "Multithreaded processes and close()"
    """

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self._descriptor = CLOSED
        self._turn = asyncio.Lock()
        self._buffer = bytearray()
        self._reserved = 0
        self.size = 0

    async def open(self) -> None:
        """Open the file.

        Raises:
            StorageFailed: the directory cannot be used.
        """
        await self._use(self._open)

    async def write(self, data: bytes) -> None:
        """Append *data*.

        Raises:
            SpoolFull: there is no room for it.
            StorageFailed: the disk fails.
        """
        self._spool.reserve(len(data))
        self._reserved += len(data)
        self._buffer += data
        self.size += len(data)
        if len(self._buffer) >= BUFFER_BYTES:
            await self.flush()

    async def flush(self) -> None:
        """Write what is still in memory, before the file is read."""
        if self._buffer:
            data, self._buffer = self._buffer, bytearray()
            offset = self.size - len(data)
            await self._use(lambda: _write_all(self._descriptor, data, offset))

    def content(self, name: str) -> FileContent:
        """Return the file to be sent under *name*."""
        return FileContent(name, self.size, self.chunks)

    async def chunks(self, size: int) -> AsyncIterator[bytes]:
        """Yield the file in pieces of *size* bytes; only the last may be shorter.

        Raises:
            StorageFailed: the disk fails.
        """
        for offset in range(0, self.size, size):
            length = min(size, self.size - offset)
            yield await self._use(partial(self._read, length, offset))

    async def close(self) -> None:
        """Delete the file, once what it does has ended. It can be closed several times."""
        self._spool.held_bytes -= self._reserved
        self._reserved = 0
        await self._use(self._close)

    async def _use(self, work: Callable[[], T]) -> T:
        """Return what *work* returns, which uses the descriptor in a thread."""

        async def in_turn() -> T:
            async with self._turn:
                return await self._spool.run(work)

        return await _to_the_end(in_turn())

    def _open(self) -> None:
        self._descriptor = self._spool.open_file()

    def _read(self, length: int, offset: int) -> bytes:
        return _read_all(self._descriptor, length, offset)

    def _close(self) -> None:
        descriptor, self._descriptor = self._descriptor, CLOSED
        if descriptor != CLOSED:
            os.close(descriptor)


async def _to_the_end(work: Coroutine[Any, Any, T]) -> T:
    """Return the result of *work*. A cancellation takes effect once it has ended."""
    task = asyncio.create_task(work)
    cancellation: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError as error:
            cancellation = error
    if cancellation is None:
        return task.result()
    task.exception()  # which nobody waits for any more
    raise cancellation


def _write_all(descriptor: int, data: bytearray, offset: int) -> None:
    view = memoryview(data)
    while view:
        written = os.pwrite(descriptor, view, offset)
        view, offset = view[written:], offset + written


def _read_all(descriptor: int, length: int, offset: int) -> bytes:
    """Exactly *length* bytes, which were written before."""
    parts: list[bytes] = []
    while length:
        part = os.pread(descriptor, length, offset)
        if not part:
            raise OSError(errno.EIO, "a file has lost its end")
        parts.append(part)
        length, offset = length - len(part), offset + len(part)
    return b"".join(parts)
