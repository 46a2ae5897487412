"""A client that sends as much as the gateway accepts, and reads nothing."""

import asyncio
import socket
from urllib.parse import urlsplit

from tests.gateway import Gateway

STALLED_S = 0.1  # of real time without progress


def head_of(gateway: Gateway, method: str, target: str, *lines: str) -> bytes:
    """The head of a request with a valid token."""
    head = [f"{method} {target} HTTP/1.1", "Host: gateway", f"Authorization: Bearer {gateway.token()}"]
    return "\r\n".join([*head, *lines, "", ""]).encode()


class Flood:
    """One connection. Sent data is in the system's buffers or in the gateway."""

    def __init__(self, client: socket.socket) -> None:
        self._client = client

    @classmethod
    async def begin(cls, gateway: Gateway, data: bytes) -> "Flood":
        """Send *data* until all is sent or the gateway accepts no more."""
        address = urlsplit(gateway.origin)
        client = socket.socket()
        client.setblocking(False)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65_536)
        await asyncio.get_running_loop().sock_connect(client, (address.hostname, address.port))
        sent, stalled_s, view = 0, 0.0, memoryview(data)
        while sent < len(data) and stalled_s < STALLED_S:
            try:
                sent += client.send(view[sent : sent + 65_536])
                stalled_s = 0.0
            except BlockingIOError:
                stalled_s += 0.01
            await asyncio.sleep(0.001 if stalled_s == 0 else 0.01)
        await asyncio.sleep(STALLED_S)
        return cls(client)

    def __del__(self) -> None:
        self._client.close()
