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


class InlineBody:
    """*params* as JSON, in which each FileContent becomes a pair of its name and its content in base64."""

    content_type = "application/json"

    def __init__(self, params: Mapping[str, object]) -> None:
        self._files: list[FileContent] = []
        self._mark = token_hex(16)
        encoded = orjson.dumps(params, default=self._pair, option=orjson.OPT_PASSTHROUGH_DATACLASS)
        self._texts = encoded.split(self._mark.encode())
        self.size = sum(file.size for file in self._files)
        self.length = sum(map(len, self._texts)) + sum((file.size + 2) // 3 * 4 for file in self._files)

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the JSON."""
        first, *others = self._texts
        yield first
        for file, text in zip(self._files, others, strict=True):
            async for chunk in file.chunks(CHUNK_BYTES):
                yield b64encode(chunk)
            yield text

    def _pair(self, value: object) -> tuple[str, str]:
        """The pair for a file, whose content is put later where the mark is."""
        if not isinstance(value, FileContent):
            raise TypeError(f"not JSON: {type(value).__name__}")
        self._files.append(value)
        return value.name, self._mark


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
