"""Uploads and downloads of files, compared with aiohttp alone that copies the same bytes the same way.

    python -m tests.load.files [--rounds N]

A caller sends a form of 100 files of 1 MiB, and of 20 files of 50 MiB; callers download 4 files of 50 MiB at once.
Gateway and baseline run on one core; the callers and a stand-in for the portal, the same for both, on the other.
Rounds alternate; ratios are those of the medians. Memory is the peak of the gateway's process above its idle memory.
"""

import argparse
import asyncio
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.client import HTTPConnection
from operator import methodcaller
from pathlib import Path

from gateway.cli.process import free_port
from tests.load.contest import LOAD_CORE, Server
from tests.load.pages import bearer, settings, token
from tests.load.portal import WEBHOOK
from tests.load.race import connect
from tests.load.read import show_goal

MIB = 2**20
SMALL_FILES, SMALL_BYTES = 100, MIB  # sent within the calls
LARGE_FILES, LARGE_BYTES = 20, 50 * MIB  # sent in two steps
DOWNLOADS = 4
MAX_ADDED_MB, MIN_UPLOAD, MIN_DOWNLOAD = 40.0, 0.5, 0.7
RESET_PEAK = "5"  # Source: proc(5), /proc/PID/clear_refs
BOUNDARY = "load-load-load"
END = f"--{BOUNDARY}--\r\n".encode()


@dataclass
class Copier:
    """A server that copies files, with the MiB/s and the CPU milliseconds a MiB of its rounds."""

    server: Server
    headers: Mapping[str, str]
    rates: list[float] = field(default_factory=list)
    cpu_ms: list[float] = field(default_factory=list)

    def upload(self, files: int, content: bytes) -> float:
        """Send a form of equal files, as fast as it is read. Return the MiB."""
        heads = [
            f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="f"; filename="{number}.bin"\r\n\r\n'.encode()
            for number in range(files)
        ]
        length = sum(map(len, heads)) + files * (len(content) + 2) + len(END)
        form_headers = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}", "Content-Length": str(length)}
        connection = HTTPConnection("127.0.0.1", self.server.port)
        connection.request("POST", "/bitrix/files?folder=1", form(heads, content), {**self.headers, **form_headers})
        answer = connection.getresponse()
        told = answer.read()
        connection.close()
        if answer.status != 200 or told.count(b'"id"') + told.count(b'"ID"') != files:
            sys.exit(f"uploads failed: {answer.status} {told[:300]!r}")
        return files * len(content) / MIB

    def download(self) -> float:
        """Download some files at once. Return the MiB."""
        with ThreadPoolExecutor(DOWNLOADS) as threads:
            sizes = list(threads.map(lambda _: self._download_one(), range(DOWNLOADS)))
        if sizes != [LARGE_BYTES] * DOWNLOADS:
            sys.exit(f"downloads failed: {sizes}")
        return sum(sizes) / MIB

    def _download_one(self) -> int:
        connection, buffer, size = HTTPConnection("127.0.0.1", self.server.port), bytearray(MIB), 0
        connection.request("GET", "/bitrix/files/1/content", headers=dict(self.headers))
        answer = connection.getresponse()
        while received := answer.readinto(buffer):
            size += received
        connection.close()
        return size


def form(heads: list[bytes], content: bytes) -> Iterator[bytes]:
    """The pieces of a form whose files have the same content."""
    for head in heads:
        yield head
        yield content
        yield b"\r\n"
    yield END


def added_mb(copier: Copier, files: int, content: bytes, idle_mb: float) -> float:
    """Upload files, and return the peak memory of the process above *idle_mb*."""
    process = copier.server.process
    assert process is not None
    Path(f"/proc/{process.pid}/clear_refs").write_text(RESET_PEAK)
    copier.upload(files, content)
    return copier.server.peak_mb - idle_mb


def compete(name: str, goal: float, ours: Copier, bare: Copier, copy: Callable[[Copier], float], rounds: int) -> None:
    """Let both *copy* in turn, after a warm-up, and print the ratio of their rates."""
    for copier in (ours, bare):
        copy(copier)
        copier.rates.clear()
        copier.cpu_ms.clear()
    for _ in range(rounds):
        for copier in (ours, bare):
            started, used_s = time.perf_counter(), copier.server.cpu_s
            copied = copy(copier)
            copier.rates.append(copied / (time.perf_counter() - started))
            copier.cpu_ms.append((copier.server.cpu_s - used_s) * 1e3 / copied)
    for copier, named in ((ours, "the gateway"), (bare, "aiohttp alone")):
        rate, cpu_ms = statistics.median(copier.rates), statistics.median(copier.cpu_ms)
        print(f"{name}, {named}: {rate:,.0f} MiB/s, {cpu_ms:.2f} CPU ms a MiB")
    show_goal(f"{name}, rate to bare, at least", goal, statistics.median(ours.rates) / statistics.median(bare.rates))
    by_cpu = statistics.median(bare.cpu_ms) / statistics.median(ours.cpu_ms)
    show_goal(f"{name}, by CPU, at least", goal, by_cpu)


def measure(ours: Copier, bare: Copier, portal: Server, rounds: int) -> None:
    """Print each figure next to its goal."""
    small, large = os.urandom(SMALL_BYTES), os.urandom(LARGE_BYTES)
    idle_mb = ours.server.memory_mb
    requests = count(portal)
    of_small = added_mb(ours, SMALL_FILES, small, idle_mb)
    requests = count(portal) - requests
    of_large = added_mb(ours, LARGE_FILES, large, idle_mb)
    print(f"{idle_mb:.0f} MB idle; Python {sys.version.split()[0]}", flush=True)
    show_goal(f"portal requests for {SMALL_FILES} files, at most", SMALL_FILES + 1, requests)
    show_goal(f"MB added by {SMALL_FILES} files of 1 MiB, at most", MAX_ADDED_MB, of_small)
    show_goal(f"MB added by {LARGE_FILES} files of 50 MiB, at most", MAX_ADDED_MB, of_large)
    upload = methodcaller("upload", SMALL_FILES, small)
    compete(f"upload of {SMALL_FILES} files", MIN_UPLOAD, ours, bare, upload, rounds)
    compete(f"download of {DOWNLOADS} files at once", MIN_DOWNLOAD, ours, bare, Copier.download, rounds)


def count(portal: Server) -> int:
    """The number of requests that the portal has received."""
    return int(portal.fetch("/count", {}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="load-") as directory:
        scratch = Path(directory)
        (scratch / "file").write_bytes(os.urandom(LARGE_BYTES))
        ports = [free_port("127.0.0.1") for _ in range(3)]
        portal = Server(
            ["-m", "tests.load.disk_portal", str(ports[0]), str(scratch / "file")],
            ports[0],
            log=scratch / "portal.log",
            core=LOAD_CORE,
        )
        asyncio.run(connect(scratch / "gateway.db", portal.origin + WEBHOOK))
        environ = settings(
            scratch / "gateway.db",
            ports[1],
            GATEWAY_INSECURE_PORTALS="1",
            GATEWAY_BUCKET_CAPACITY="100000",
            GATEWAY_BUCKET_LEAK_PER_S="10000",
        )
        gateway = Server(["-m", "gateway", "serve"], ports[1], environ, scratch / "gateway.log")
        command = ["-m", "tests.load.bare_files", str(ports[2]), portal.origin, directory]
        bare = Server(command, ports[2], log=scratch / "bare.log")
        os.sched_setaffinity(0, {LOAD_CORE})
        try:
            portal.start("/count", {})
            gateway.start("/healthz", {})
            bare.start("/bitrix/files/1/content", {})
            measure(Copier(gateway, bearer(token())), Copier(bare, {}), portal, options.rounds)
        finally:
            for server in (gateway, bare, portal):
                if server.process is not None:
                    server.process.kill()
                    server.process.wait()


if __name__ == "__main__":
    main()
