"""Multipart bodies of uploads, read as a stream into temporary files."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from aiohttp import BodyPartReader, parse_content_disposition, web

from gateway.clock import Clock
from gateway.sandbox.behaviour.faults import Fault
from gateway.sandbox.blobs import Blobs, StoredFile

CHUNK_BYTES = 2**16


class BodyCut(Exception):
    """The body ends before its end: a fault cuts it off, or the client has disconnected."""


@asynccontextmanager
async def received_files(
    request: web.Request, blobs: Blobs, fault: Fault | None, clock: Clock
) -> AsyncIterator[Mapping[str, StoredFile]]:
    """Read the files of a multipart body by field; a body of any other type has none. *fault* is one of the body.

    A file that the caller does not keep is removed in the end.

    Raises:
        BodyCut: the body is incomplete.
    """
    files: dict[str, StoredFile] = {}
    try:
        if request.content_type == "multipart/form-data":
            await _read(request, blobs, _Pace(fault, clock), files)
        yield files
    finally:
        _discard(files)


async def _read(request: web.Request, blobs: Blobs, pace: "_Pace", files: dict[str, StoredFile]) -> None:
    """Add the files of the body to *files*. The last of equal fields wins; a malformed body has no files."""
    try:
        async for part in await request.multipart():
            if isinstance(part, BodyPartReader) and (names := _names(part)):
                field, name = names
                file = await _store(part, name, blobs, pace)
                if field in files:
                    files[field].blob.discard()
                files[field] = file
    except ConnectionError:
        raise BodyCut from None
    except ValueError:
        _discard(files)


def _discard(files: dict[str, StoredFile]) -> None:
    while files:
        files.popitem()[1].blob.discard()


def _names(part: BodyPartReader) -> tuple[str, str] | None:
    """The field and the file name of a part, None if it is no file.

    PHP takes the name as it is written in ``filename``, and does not know ``filename*``, which RFC 7578 (section 4.2)
    forbids here. A path before the name is dropped.
    """
    _, params = parse_content_disposition(part.headers.get("Content-Disposition"))
    name = params.get("filename", "").replace("\\", "/").rpartition("/")[2]
    return (params.get("name", ""), name) if name else None


async def _store(part: BodyPartReader, name: str, blobs: Blobs, pace: "_Pace") -> StoredFile:
    with blobs.writer() as writer:
        while piece := await part.read_chunk(CHUNK_BYTES):
            await pace.admit(len(piece))
            writer.write(piece)
        return StoredFile(name, writer.finish())


class _Pace:
    """Applies a fault of the body to what has been read so far."""

    def __init__(self, fault: Fault | None, clock: Clock) -> None:
        self._cut_at = int(fault.value) if fault and fault.kind == "body_cut" else None
        self._rate = int(fault.value) if fault and fault.kind == "body_slow" else None
        self._clock = clock
        self._read = 0

    async def admit(self, count: int) -> None:
        """Count *count* more bytes.

        Raises:
            BodyCut: the body ends here.
        """
        self._read += count
        if self._cut_at is not None and self._read >= self._cut_at:
            raise BodyCut
        if self._rate is not None:
            await self._clock.sleep(count / self._rate)
