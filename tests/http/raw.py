"""Requests as no well-behaved client sends them, byte by byte."""

import asyncio
from http.client import HTTPResponse
from io import BytesIO
from urllib.parse import urlsplit

from multidict import CIMultiDict

from tests.gateway import CONTRACT, Answer, Gateway


class Received(BytesIO):
    """Bytes as `http.client` wants them: behind a socket."""

    def makefile(self, _mode: str) -> "Received":
        return self


async def send_raw(
    gateway: Gateway, method: str, target: str, *header_lines: str, body: bytes = b"", seen_as: str | None = None
) -> Answer:
    """The answer to exactly these bytes, checked against openapi.yaml (that to HEAD has no body to be checked).

    *target* is not encoded any further; *seen_as* is the address that it means, where that is spelled otherwise.
    """
    lines = [f"{method} {target} HTTP/1.1", f"Host: {urlsplit(gateway.origin).netloc}", "Connection: close"]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    head = "\r\n".join([*lines, *header_lines, "", ""]).encode("utf-8", "surrogateescape")
    address = urlsplit(gateway.origin)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    writer.write(head + body)
    received = await reader.read()
    writer.close()
    await writer.wait_closed()
    response = HTTPResponse(Received(received), method=method)  # type: ignore[arg-type]  # all it wants is makefile
    response.begin()
    answer = Answer(response.status, CIMultiDict(response.headers.items()), response.read())
    if method != "HEAD":
        CONTRACT.check(method, seen_as or target, answer.status, answer.headers, answer.body)
    return answer
