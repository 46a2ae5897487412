"""A client that sends as much as the gateway takes, and keeps nothing of it."""

import asyncio
import socket
from urllib.parse import urlsplit

from tests.gateway import Gateway

STILL_S = 0.1  # of real time in which nothing more was taken


def head_of(gateway: Gateway, method: str, target: str, *lines: str) -> bytes:
    """The head of a request with a good token."""
    head = [f"{method} {target} HTTP/1.1", "Host: gateway", f"Authorization: Bearer {gateway.token()}"]
    return "\r\n".join([*head, *lines, "", ""]).encode()


class Flood:
    """One connection; what it sends lies in the system's buffers or in the gateway."""

    def __init__(self, client: socket.socket) -> None:
        self._client = client

    @classmethod
    async def begin(cls, gateway: Gateway, data: bytes) -> "Flood":
        """Send *data* for as long as the gateway takes more of it."""
        address = urlsplit(gateway.origin)
        client = socket.socket()
        client.setblocking(False)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65_536)
        await asyncio.get_running_loop().sock_connect(client, (address.hostname, address.port))
        sent, still_s, view = 0, 0.0, memoryview(data)
        while sent < len(data) and still_s < STILL_S:
            try:
                sent += client.send(view[sent : sent + 65_536])
                still_s = 0.0
            except BlockingIOError:
                still_s += 0.01
            await asyncio.sleep(0.001 if still_s == 0 else 0.01)
        await asyncio.sleep(STILL_S)
        return cls(client)

    def __del__(self) -> None:
        self._client.close()
