"""Runs one contestant that reads a list from a new portal, for a minute at most."""

import asyncio
import json
import os
import subprocess
import sys
import time
from array import array
from base64 import urlsafe_b64encode
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from math import ceil, inf
from pathlib import Path

import orjson
from yarl import URL

from gateway.bitrix.lists.page import PAGE_ROWS
from gateway.cli.process import free_port
from storage.database import Database
from tests.load.contest import LOAD_CORE, Server, resident_mb
from tests.load.fill import KEY, connect_account
from tests.load.pages import settings, token
from tests.load.portal import Counted, Listed, Portal, open_portal
from tests.load.readers.task import ReadTask

MAX_FAILURE_CHARACTERS = 200


@dataclass(frozen=True)
class Reader:
    """A contestant: a module of `tests.load.readers`, run by *python* with additional parameters *more*."""

    name: str
    module: str
    python: Path = Path(sys.executable)
    more: Mapping[str, str] = field(default_factory=dict)
    ours: bool = True


@dataclass
class Figures:
    """The results of one reading. *projected*: it was stopped early, and the seconds are an estimate.

    *portal_cpu_s* is the CPU time of the portal, which has its own core; if it is close to the seconds, the sandbox was
    the bottleneck. *cpu_us* is the CPU time of the gateway per row, *orjson_us* that of only decoding and encoding
    the same bytes, *longest_s* the duration of the slowest concurrent call.
    """

    reader: Reader
    seconds: float
    counted: Counted
    projected: bool = False
    failed: str = ""
    lost: int = 0
    doubled: int = 0
    peak_mb: float = 0.0
    portal_cpu_s: float = 0.0
    longest_s: float | None = None
    cpu_us: float | None = None
    orjson_us: float | None = None


def race(reader: Reader, listed: Listed, expected: set[int], scratch: Path, *, stop_after_s: float) -> Figures:
    """Run *reader* on a new portal; *expected* are the ids of the list."""
    with open_portal(listed, scratch) as portal:
        serving = open_gateway(portal, listed, scratch) if reader.module == "streamed" else nullcontext()
        with serving as gateway:
            task = ReadTask(
                portal.webhook,
                listed.method,
                listed.params,
                listed.id_key,
                str(scratch / "ids"),
                {**reader.more, **reader_parameters(gateway, listed, scratch)},
            )
            cpu_before_s = portal.server.cpu_s
            gateway_before_s = 0.0 if gateway is None else gateway.cpu_s
            figures = read(reader, task, portal, listed, expected, stop_after_s)
            figures.portal_cpu_s = portal.server.cpu_s - cpu_before_s
            if gateway is not None and not (figures.projected or figures.failed):
                figures.peak_mb = gateway.peak_mb
                figures.cpu_us = (gateway.cpu_s - gateway_before_s) / listed.rows * 1e6
                figures.orjson_us = time_orjson(scratch / "lines") / listed.rows * 1e6
    return figures


def reader_parameters(gateway: Server | None, listed: Listed, scratch: Path) -> dict[str, str]:
    """The additional parameters of a reader: how to use the *gateway*, or the limits of the portal."""
    if gateway is None:
        limits = listed.limits
        return {"capacity": str(limits.bucket_capacity), "leak_per_s": str(limits.bucket_leak_per_s)}
    return {
        "origin": gateway.origin,
        "token": token(),
        "resource": listed.resource,
        "lines": str(scratch / "lines"),
    }


@contextmanager
def open_gateway(portal: Portal, listed: Listed, scratch: Path) -> Iterator[Server]:
    """Run a gateway whose account is connected to *portal* and mirrors nothing yet."""
    database, port = scratch / "gateway.db", free_port("127.0.0.1")
    for file in scratch.glob("gateway.db*"):
        file.unlink()
    asyncio.run(connect(database, portal.webhook))
    limits = listed.limits
    environ = settings(
        database,
        port,
        GATEWAY_ENCRYPTION_KEY=urlsafe_b64encode(KEY).decode(),
        GATEWAY_INSECURE_PORTALS="1",
        GATEWAY_BUCKET_CAPACITY=str(limits.bucket_capacity),
        GATEWAY_BUCKET_LEAK_PER_S=str(limits.bucket_leak_per_s),
        **trust_environment(portal.certificate),
    )
    gateway = Server(["-m", "gateway", "serve"], port, environ, scratch / "gateway.log", core=LOAD_CORE)
    try:
        gateway.start("/readyz", {})
        yield gateway
    finally:
        if gateway.process is not None:
            gateway.stop()


async def connect(database: Path, webhook: str) -> None:
    async with Database.open(database) as opened:
        await connect_account(opened, URL(webhook))


def trust_environment(certificate: Path) -> dict[str, str]:
    """The environment that makes Python's ssl and requests trust *certificate*."""
    return {"SSL_CERT_FILE": str(certificate), "REQUESTS_CA_BUNDLE": str(certificate)}


def read(
    reader: Reader, task: ReadTask, portal: Portal, listed: Listed, expected: set[int], stop_after_s: float
) -> Figures:
    """Run the reader's process to its end, or stop it and project its time from the rate in the second half."""
    process = subprocess.Popen(
        [reader.python, "-m", f"tests.load.readers.{reader.module}", task.dump()],
        env=os.environ | trust_environment(portal.certificate),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        bufsize=0,
    )
    os.sched_setaffinity(process.pid, {LOAD_CORE})
    assert process.stdout is not None
    process.stdout.readline()  # the reading starts
    started = time.monotonic()
    ended, halfway = wait_for(process, stop_after_s / 2), portal.count()
    half_s = time.monotonic() - started
    if ended is None:
        ended = wait_for(process, stop_after_s - half_s)
    counted, took_s = portal.count(), time.monotonic() - started
    if ended is None:
        peak_mb = resident_mb(process.pid, "VmHWM")
        process.kill()
        process.communicate()
        pages_left = max(ceil(listed.rows / PAGE_ROWS) - counted.commands, 0)
        pages_per_s = (counted.commands - halfway.commands) / (took_s - half_s)
        seconds = took_s + pages_left / pages_per_s if pages_per_s else inf
        return Figures(reader, seconds, counted, projected=True, peak_mb=peak_mb)
    output, errors = ended
    if process.returncode != 0:
        return Figures(
            reader, inf, counted, failed=errors.decode().strip().rpartition("\n")[2][:MAX_FAILURE_CHARACTERS]
        )
    result = json.loads(output)
    ids = array("q", Path(task.ids_file).read_bytes())
    found = set(ids)
    return Figures(
        reader,
        result["seconds"],
        counted,
        lost=len(expected - found),
        doubled=len(ids) - len(found),
        peak_mb=result["peak_mb"],
        longest_s=result.get("longest_s"),
    )


def wait_for(process: subprocess.Popen[bytes], seconds: float) -> tuple[bytes, bytes] | None:
    """Return stdout and stderr of *process*; None if it has not ended within *seconds*."""
    try:
        return process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        return None


def time_orjson(lines: Path) -> float:
    """Return the CPU seconds of decoding the file *lines* page by page and encoding its rows."""
    used_s = 0.0
    for page in pages_of(lines):
        body = b"[" + b",".join(page) + b"]"
        started = time.process_time()
        for row in orjson.loads(body):
            orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE)
        used_s += time.process_time() - started
    return used_s


def pages_of(lines: Path) -> Iterable[list[bytes]]:
    page: list[bytes] = []
    with lines.open("rb") as opened:
        for line in opened:
            page.append(line)
            if len(page) == PAGE_ROWS:
                yield page
                page = []
    if page:
        yield page
