"""Receives the files of a multipart form within the limits of number, size and time."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import ParamSpec, TypeVar

from aiohttp import BodyPartReader, MultipartReader, web
from aiohttp.hdrs import CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TRANSFER_ENCODING, EXPECT
from aiohttp.http_exceptions import BadHttpMessage
from aiohttp.streams import EMPTY_PAYLOAD

from gateway.disk.form import MAX_FILE_BYTES, MAX_FILES, TOO_LARGE, broken_name_rule, last_part
from gateway.disk.spool import Spool, SpooledFile
from gateway.errors import InvalidInput
from handlers.http.body_reader import CallerLeft, send_continue
from handlers.http.errors import HttpError
from handlers.http.sender_watch import SenderWatch, watched_sender

P = ParamSpec("P")
T = TypeVar("T")

MAX_OTHER_BYTES = 2 * 1024 * 1024  # of the form outside of its files: boundaries, the heads of parts, a preamble
MAX_FORM_BYTES = MAX_FILES * MAX_FILE_BYTES + MAX_OTHER_BYTES
CHUNK_BYTES = 64 * 1024
PLAIN_ENCODINGS = ("binary", "8bit", "7bit")
NOT_A_FORM = "must be a complete multipart/form-data form with a boundary"
# What aiohttp raises for other bodies; RuntimeError is for an invalid part _charset_.
BROKEN_FORM = (ValueError, AssertionError, RuntimeError, BadHttpMessage, web.RequestPayloadError, web.HTTPBadRequest)


@dataclass(frozen=True)
class ReceivedFile:
    """A file of a form, with its name, without any path."""

    name: str
    file: SpooledFile


@asynccontextmanager
async def received_files(request: web.Request, spool: Spool) -> AsyncIterator[list[ReceivedFile]]:
    """Yield the files of the form that *request* sends, in the order sent. They are deleted at the end of the block.

    Raises:
        InvalidInput: It is no form, a part of it is no file, or there are more than MAX_FILES.
        HttpError: 413 if a file is too large, all together are more than the spool holds, or too much is around them;
            408 if they come slowly.
        SpoolFull: There is no room for them now.
        StorageFailed: The disk fails.
        CallerLeft: The connection was closed before the end of the form.
    """
    _check_length(request, spool)
    async with AsyncExitStack() as stack:
        if EXPECT in request.headers and not request.content.is_eof():
            await send_continue(request)
        files = await _receive_all(request, spool, stack)
        if not files:
            raise InvalidInput.of_field("", "required", "must have at least one file")
        yield files


def _check_length(request: web.Request, spool: Spool) -> None:
    """Refuse a form that is too large before it is read."""
    length = int(request.headers.get(CONTENT_LENGTH, 0))
    if length > MAX_FORM_BYTES:
        raise HttpError(413, f"body: is larger than {MAX_FILES} files of {MAX_FILE_BYTES:,} bytes")
    if length > spool.max_bytes:
        raise _larger_than_spool(spool)
    spool.check(length)


def _larger_than_spool(spool: Spool) -> HttpError:
    return HttpError(413, f"body: is larger than {spool.max_bytes:,} bytes (GATEWAY_SPOOL_BYTES)")


def _check_others(files: Sequence[ReceivedFile], received: int) -> None:
    """Check how many of the *received* bytes are outside of *files*, or of a file and not yet written.

    Raises:
        HttpError: 413: They are too many.
    """
    if received - sum(file.file.size for file in files) > MAX_OTHER_BYTES:
        raise HttpError(413, f"body: has more than {MAX_OTHER_BYTES:,} bytes outside of its files")


async def _receive_all(request: web.Request, spool: Spool, stack: AsyncExitStack) -> list[ReceivedFile]:
    """Receive the files of the form; *stack* deletes them."""
    files: list[ReceivedFile] = []
    async with watched_sender(request, partial(_check_others, files)) as watch:
        async for part in _parts(request, watch):
            place = f"/{len(files)}"
            if len(files) == MAX_FILES:
                raise InvalidInput.of_field(place, "too_many", f"a request has at most {MAX_FILES} files")
            name = _name_of(part, place)
            file = ReceivedFile(name, await stack.enter_async_context(spool.create()))
            files.append(file)
            await _receive(request, watch, part, file)
    return files


async def _parts(request: web.Request, watch: SenderWatch) -> AsyncIterator[BodyPartReader]:
    """The parts of the form, which are files."""
    if request.content_type != "multipart/form-data":
        raise InvalidInput.of_field("", "content_type", "must be sent as multipart/form-data")
    if request.content is EMPTY_PAYLOAD:
        raise InvalidInput.of_field("", "not_a_form", NOT_A_FORM)
    reader = await _read(request, watch, _open, request)
    number = 0
    while (part := await _read(request, watch, reader.next)) is not None:
        if isinstance(part, MultipartReader):
            raise InvalidInput.of_field(f"/{number}", "nested", "must be a file, not another form")
        yield part
        number += 1


async def _open(request: web.Request) -> MultipartReader:
    return await request.multipart()


async def _receive(request: web.Request, watch: SenderWatch, part: BodyPartReader, received: ReceivedFile) -> None:
    """Write the content of *part*."""
    file = received.file
    while chunk := await _read(request, watch, part.read_chunk, CHUNK_BYTES):
        if file.size + len(chunk) > MAX_FILE_BYTES:
            raise HttpError(413, f"body: the file {received.name} {TOO_LARGE}")
        await file.write(chunk)
    await file.flush()


async def _read(
    request: web.Request, watch: SenderWatch, read: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs
) -> T:
    """Return what *read* reads of the body, unless the sender is too slow."""
    try:
        return await watch.read(read, *args, **kwargs)
    except BROKEN_FORM as error:
        if request.transport is None:
            raise CallerLeft from error
        raise InvalidInput.of_field("", "not_a_form", NOT_A_FORM) from error
    except OSError as error:
        if request.transport is None:
            raise CallerLeft from error
        raise


def _name_of(part: BodyPartReader, place: str) -> str:
    """The name of a file without any path.

    Raises:
        InvalidInput: The part has no name of a file, or an invalid one, or an encoding of its own.
    """
    for header in (CONTENT_ENCODING, CONTENT_TRANSFER_ENCODING):
        if part.headers.get(header, "binary").lower() not in PLAIN_ENCODINGS:
            raise InvalidInput.of_field(place, "encoded", f"must not have an encoding of its own ({header})")
    name = last_part(part.filename or "")
    if not name or name in (".", ".."):
        raise InvalidInput.of_field(place, "no_file_name", "must be a file with a name")
    if rule := broken_name_rule(name):
        raise InvalidInput.of_field(place, "invalid_name", rule)
    return name
