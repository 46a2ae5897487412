"""The bodies of requests that carry a file: base64 inside JSON, or a multipart form.

Source: methods.md 8.3, protocol.md 17 (b24restdocs api-reference/disk/folder/disk-folder-upload-file.md)
"""

from base64 import b64encode
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from secrets import token_hex

import orjson

CHUNK_BYTES = 192 * 1024  # a multiple of 3, so that no chunk needs base64's padding but the last one
CONTENT_PARAMETER = "fileContent"
# As browsers write names. Source: html.spec.whatwg.org multipart-form-data
QUOTED = str.maketrans({'"': "%22", "\r": "%0D", "\n": "%0A"})


@dataclass(frozen=True)
class FileContent:
    """A file of *size* bytes. *chunks* reads it, anew each time, in pieces of exactly so many bytes but the last."""

    name: str
    size: int
    chunks: Callable[[int], AsyncIterator[bytes]]


def inline_length(params: Mapping[str, object], file: FileContent) -> int:
    """Return the length of the body that `inline_chunks` makes."""
    before, after = _around(params, file)
    return len(before) + (file.size + 2) // 3 * 4 + len(after)


async def inline_chunks(params: Mapping[str, object], file: FileContent) -> AsyncIterator[bytes]:
    """Yield *params* as JSON with the file, as a pair of its name and its content in base64."""
    before, after = _around(params, file)
    yield before
    async for chunk in file.chunks(CHUNK_BYTES):
        yield b64encode(chunk)
    yield after


def _around(params: Mapping[str, object], file: FileContent) -> tuple[bytes, bytes]:
    """The body before and after the content."""
    head = orjson.dumps({**params, CONTENT_PARAMETER: [file.name]}).removesuffix(b"]}")
    return head + b',"', b'"]}'


class FormBody:
    """A multipart form with one file in the field *field*. Each has a boundary of its own."""

    def __init__(self, field: str, file: FileContent) -> None:
        self.file = file
        boundary = token_hex(16)
        self._before = (
            f"--{boundary}\r\n"
            f'Content-Disposition: form-data; name="{field}"; filename="{file.name.translate(QUOTED)}"\r\n'
            "Content-Type: application/octet-stream\r\n\r\n"
        ).encode()
        self._after = f"\r\n--{boundary}--\r\n".encode()
        self.content_type = f"multipart/form-data; boundary={boundary}"
        self.length = len(self._before) + file.size + len(self._after)

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the form."""
        yield self._before
        async for chunk in self.file.chunks(CHUNK_BYTES):
            yield chunk
        yield self._after
