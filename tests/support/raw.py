"""Raw requests, byte by byte, that no well-behaved client sends."""

import asyncio
import socket
from asyncio import StreamReader, StreamWriter
from contextlib import suppress
from http.client import HTTPResponse
from io import BytesIO
from urllib.parse import urlsplit

from multidict import CIMultiDict

from tests.gateway import CONTRACT, Answer, Gateway


class Received(BytesIO):
    """Received bytes in the form of a socket, for `http.client`."""

    def makefile(self, _mode: str) -> "Received":
        return self


async def send_raw(
    gateway: Gateway, method: str, target: str, *header_lines: str, body: bytes = b"", seen_as: str | None = None
) -> Answer:
    """Send exactly these bytes and check the response against openapi.yaml, except for HEAD.

    *target* is not encoded. *seen_as* is the same address in its normal spelling.
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
    answer = read_answer(received, method)
    if method != "HEAD":
        CONTRACT.check(method, seen_as or target, answer.status, answer.headers, answer.body)
    return answer


class Dial:
    """Opens connections to *gateway*; `close` closes them all."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway
        self._writers: list[StreamWriter] = []

    async def __call__(
        self, local_address: str = "127.0.0.1", *, buffer_bytes: int | None = None
    ) -> tuple[StreamReader, StreamWriter]:
        """Connect from a local address. *buffer_bytes* limits the system's buffers on this side."""
        address = urlsplit(self.gateway.origin)
        client = socket.socket()
        client.setblocking(False)
        client.bind((local_address, 0))
        if buffer_bytes is not None:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer_bytes)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, buffer_bytes)
        await asyncio.get_running_loop().sock_connect(client, (address.hostname, address.port))
        reader, writer = await asyncio.open_connection(sock=client)
        self._writers.append(writer)
        return reader, writer

    async def close(self) -> None:
        """Close all connections, also in the middle of a request."""
        for writer in self._writers:
            writer.transport.abort()
            with suppress(ConnectionError):
                await writer.wait_closed()


async def send_before_reading(gateway: Gateway, data: bytes) -> bytes:
    """Send all of *data*, then read until the connection is closed; return what was received."""
    loop, address = asyncio.get_running_loop(), urlsplit(gateway.origin)
    with socket.socket() as client:
        client.setblocking(False)
        await loop.sock_connect(client, (address.hostname, address.port))
        await loop.sock_sendall(client, data)
        received = bytearray()
        while chunk := await loop.sock_recv(client, 65_536):
            received += chunk
        return bytes(received)


def read_answer(received: bytes, method: str = "GET") -> Answer:
    """Parse the first response in *received*."""
    response = HTTPResponse(Received(received), method=method)  # type: ignore[arg-type]  # it only calls makefile
    response.begin()
    return Answer(response.status, CIMultiDict(response.headers.items()), response.read())
