"""The multipart form in which files are sent. Source: RFC 7578"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from urllib.parse import quote
from uuid import uuid4

from gateway.cli.local_files import FileFailed, LocalFile
from gateway.disk.form import MAX_FILES
from gateway.errors import GatewayError

CHUNK_BYTES = 1024 * 1024
REQUEST_BYTES = 256 * 1024 * 1024  # of the files of one request: this much is sent again if the gateway is busy
PART_BYTES = 4096  # at most, of a file's headers and boundary


class UploadForm:
    """A form with *files*, whose size is known before they are read. It is sent once.

    *show* is called with the number of bytes of files that were read so far.
    """

    def __init__(self, files: Sequence[LocalFile], show: Callable[[int], None]) -> None:
        self._files = files
        self._show = show
        self._boundary = uuid4().hex
        self._end = f"--{self._boundary}--\r\n".encode()
        parts = [len(self._head(file)) + file.size + len(b"\r\n") for file in files]
        self.headers: Mapping[str, str] = {
            "Content-Type": f"multipart/form-data; boundary={self._boundary}",
            "Content-Length": str(sum(parts) + len(self._end)),
        }
        self.is_sent = False
        self.failure: GatewayError | None = None

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the form.

        Raises:
            FileFailed: a file cannot be read as it was; `failure` is the same.
        """
        done = 0
        for file in self._files:
            yield self._head(file)
            for offset in range(0, max(file.size, 1), CHUNK_BYTES):  # an empty file is looked at too
                try:
                    chunk = await asyncio.to_thread(file.read, offset, CHUNK_BYTES)
                except FileFailed as failure:
                    self.failure = failure
                    raise
                yield chunk
                done += len(chunk)
                self._show(done)
            yield b"\r\n"
        self.is_sent = True
        yield self._end

    def _head(self, file: LocalFile) -> bytes:
        """The headers of a file. Its name is encoded so that it may have quotes and any letters."""
        name = f"filename*=UTF-8''{quote(file.name, safe='')}"
        return f'--{self._boundary}\r\nContent-Disposition: form-data; name="file"; {name}\r\n\r\n'.encode()


def split_files(files: Sequence[LocalFile], max_bytes: int) -> Iterator[list[LocalFile]]:
    """Yield *files* in groups, each for one form of at most *max_bytes*; a file that is larger is alone."""
    group: list[LocalFile] = []
    size = 0
    for file in files:
        added = file.size + PART_BYTES
        if group and (len(group) == MAX_FILES or size + added > max_bytes):
            yield group
            group, size = [], 0
        group.append(file)
        size += added
    if group:
        yield group
