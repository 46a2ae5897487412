"""The cost of callers that are slow, silent or disconnect in the middle of a body, in real time.

    python -m tests.load.slow [--connections N]

Each kind opens N connections from several loopback addresses. The gateway has its default settings.
"""

import argparse
import asyncio
import contextlib
import socket
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gateway.cli.process import free_port, raise_file_limit
from tests.load.contest import Server
from tests.load.fill import fill
from tests.load.pages import PAGE, bearer, settings, token

TIMEOUT_S = 120.0  # far longer than any limit
ADDRESSES = 4
HEAD = b"GET /bitrix/users HTTP/1.1\r\nHost: gateway\r\nX-Slow: " + b"x" * 1000
POST = "POST /bitrix/account HTTP/1.1\r\nHost: gateway\r\n{line}Content-Length: 100\r\n\r\n"


@dataclass(frozen=True)
class Kind:
    """Callers that send *first* at once and *rest* at a byte a second; with *leave*, they disconnect after *first*."""

    name: str
    first: bytes
    rest: bytes
    leave: bool = False


def kinds() -> Sequence[Kind]:
    authenticated = POST.format(line=f"Authorization: Bearer {token()}\r\n").encode()
    return (
        Kind("a head at a byte a second", b"", HEAD),
        Kind("nothing at all", b"", b""),
        Kind("a body at a byte a second, no token", POST.format(line="").encode(), b" " * 1000),
        Kind("a body at a byte a second", authenticated, b" " * 1000),
        Kind("leaving in the middle of a body", authenticated + b"{", b"", leave=True),
    )


async def call(port: int, number: int, kind: Kind) -> tuple[str, float]:
    """Return the response to one caller, and the seconds until the gateway closed the connection."""
    client = socket.socket()
    client.setblocking(False)
    client.bind((f"127.0.0.{2 + number % ADDRESSES}", 0))
    loop = asyncio.get_running_loop()
    await loop.sock_connect(client, ("127.0.0.1", port))
    reader, writer = await asyncio.open_connection(sock=client)
    started = time.monotonic()
    writer.write(kind.first)
    if kind.leave:
        await asyncio.sleep(1)
        writer.close()
        return "left", time.monotonic() - started
    crawling = asyncio.create_task(crawl(writer, kind.rest))
    received = b""
    with contextlib.suppress(ConnectionError, TimeoutError):
        async with asyncio.timeout(TIMEOUT_S):
            received = await reader.read()
    seconds = time.monotonic() - started
    crawling.cancel()
    writer.transport.abort()
    return received.partition(b"\r\n")[0].decode() or "closed without a word", seconds


async def crawl(writer: asyncio.StreamWriter, rest: bytes) -> None:
    for byte in rest:
        await asyncio.sleep(1)
        writer.write(bytes([byte]))


async def attack(port: int, kind: Kind, connections: int) -> list[tuple[str, float]]:
    """Run all callers of one kind concurrently."""
    calling = [asyncio.create_task(call(port, number, kind)) for number in range(connections)]
    return await asyncio.gather(*calling)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--connections", type=int, default=2000)
    options = parser.parse_args()
    raise_file_limit(options.connections + 100)
    with tempfile.TemporaryDirectory(prefix="load-") as directory:
        scratch = Path(directory)
        asyncio.run(fill(scratch / "gateway.db", 100))
        port = free_port("127.0.0.1")
        environ = settings(scratch / "gateway.db", port, GATEWAY_LOG_LEVEL="info")
        server = Server(["-m", "gateway", "serve"], port, environ, scratch / "log")
        server.start(PAGE, bearer(token()))
        print(f"{server.memory_mb:.0f} MB idle; {options.connections:,} connections of each kind", flush=True)
        try:
            for kind in kinds():
                lines = len((scratch / "log").read_bytes().splitlines())
                outcomes = asyncio.run(attack(port, kind, options.connections))
                time.sleep(1)
                log_lines = (scratch / "log").read_text(encoding="utf-8").splitlines()[lines:]
                counts = ", ".join(
                    f"{count} {answer}" for answer, count in Counter(answer for answer, _ in outcomes).items()
                )
                seconds = [took for _, took in outcomes]
                print(
                    f"{kind.name}: {counts}; closed after {statistics.median(seconds):.1f} s, "
                    f"the last after {max(seconds):.1f} s; {len(log_lines)} log lines, "
                    f"{sum('Traceback' in line for line in log_lines)} tracebacks; "
                    f"{server.memory_mb:.0f} MB then, {server.peak_mb:.0f} MB at most",
                    flush=True,
                )
                server.fetch(PAGE, bearer(token()))
        finally:
            server.stop()


if __name__ == "__main__":
    main()
