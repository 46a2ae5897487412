"""Contestants under wrk: server processes on one core, wrk on the other, round after round in turn."""

import os
import re
import shutil
import signal
import ssl
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

SERVER_CORE, LOAD_CORE = 0, 1
CPU_OF_ALL_THREADS = 2  # of a process, whose number the clock's is made of; source: linux/posix-timers.h
UNITS_MS = {"us": 0.001, "ms": 1.0, "s": 1000.0}


@dataclass
class Server:
    """A server process on the servers' core, or another; it speaks https where its *certificate* is named."""

    command: Sequence[str]
    port: int
    environ: Mapping[str, str] = field(default_factory=dict)
    log: Path = Path(os.devnull)
    core: int = SERVER_CORE
    certificate: Path | None = None
    process: subprocess.Popen[bytes] | None = None

    def start(self, path: str, headers: Mapping[str, str]) -> float:
        """Start it and wait until *path* is answered; the seconds that took."""
        began = time.monotonic()
        self.process = subprocess.Popen(
            [sys.executable, *self.command],
            env=os.environ | self.environ,
            stdout=self.log.open("wb"),
            stderr=subprocess.STDOUT,
        )
        os.sched_setaffinity(self.process.pid, {self.core})
        while time.monotonic() - began < 60:
            try:
                self.fetch(path, headers)
                return time.monotonic() - began
            except urllib.error.HTTPError as error:
                sys.exit(f"{self.command}: {error.status} {error.read()[:300]!r}")
            except OSError:
                if self.process.poll() is not None:
                    sys.exit(f"{self.command}: ended with {self.process.returncode}, see {self.log}")
                time.sleep(0.01)
        sys.exit(f"{self.command}: not up within 60 s")

    @property
    def origin(self) -> str:
        """Where it listens."""
        return f"{'http' if self.certificate is None else 'https'}://127.0.0.1:{self.port}"

    def fetch(self, path: str, headers: Mapping[str, str]) -> bytes:
        """What it answers to a GET of *path*."""
        trusted = None if self.certificate is None else ssl.create_default_context(cafile=self.certificate)
        request = urllib.request.Request(f"{self.origin}{path}", headers=dict(headers))
        with urllib.request.urlopen(request, timeout=5, context=trusted) as answer:
            body: bytes = answer.read()
            return body

    @property
    def cpu_s(self) -> float:
        """The processor time it has used."""
        assert self.process is not None
        return time.clock_gettime((~self.process.pid << 3) | CPU_OF_ALL_THREADS)

    @property
    def memory_mb(self) -> float:
        """Its resident memory."""
        assert self.process is not None
        return resident_mb(self.process.pid, "VmRSS")

    @property
    def peak_mb(self) -> float:
        """The most resident memory that it ever had."""
        assert self.process is not None
        return resident_mb(self.process.pid, "VmHWM")

    def stop(self) -> int:
        """End it by SIGTERM; its exit status."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)


@dataclass(frozen=True)
class Figures:
    """What one round gave."""

    requests_per_s: float
    cpu_us: float
    p50_ms: float
    p99_ms: float
    errors: int


@dataclass
class Contestant:
    """A server and how it is asked: *script* is wrk's Lua, by default one GET of *path*."""

    name: str
    server: Server
    path: str
    headers: Mapping[str, str] = field(default_factory=dict)
    script: str = ""
    rounds: list[Figures] = field(default_factory=list)

    def median(self, figure: str) -> float:
        figures: list[float] = [getattr(one, figure) for one in self.rounds]
        return statistics.median(figures)


def resident_mb(pid: int, kind: str) -> float:
    """A running process's resident memory: of now ("VmRSS"), or the most it had ("VmHWM")."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition(f"{kind}:")[2].split()[0]) / 1024


def find_wrk() -> str:
    """Where wrk is.

    Without it the figures would be those of the load generator, so there are none.
    """
    return shutil.which("wrk") or sys.exit("wrk is needed: apt-get install wrk")


def load(contestant: Contestant, seconds: int, connections: int, scratch: Path) -> Figures:
    """One round."""
    command = ["taskset", "-c", str(LOAD_CORE), find_wrk(), "-t1", f"-c{connections}", f"-d{seconds}s", "--latency"]
    for name, value in contestant.headers.items():
        command += ["-H", f"{name}: {value}"]
    if contestant.script:
        script = scratch / "script.lua"
        script.write_text(contestant.script)
        command += ["-s", str(script)]
    before_s = contestant.server.cpu_s
    told = subprocess.run(
        [*command, f"http://127.0.0.1:{contestant.server.port}{contestant.path}"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    used_s = contestant.server.cpu_s - before_s
    requests = int(told.partition(" requests in ")[0].split()[-1])
    return Figures(
        requests_per_s=float(told.partition("Requests/sec:")[2].split()[0]),
        cpu_us=used_s / max(requests, 1) * 1e6,
        p50_ms=percentile(told, 50),
        p99_ms=percentile(told, 99),
        errors=sum(int(count) for count in re.findall(r"Non-2xx or 3xx responses: (\d+)", told)),
    )


def percentile(told: str, which: int) -> float:
    """A latency in wrk's words, in milliseconds."""
    found = re.search(rf"{which}%\s+([\d.]+)(us|ms|s)", told)
    return float(found[1]) * UNITS_MS[found[2]] if found else float("nan")


def compete(contestants: Sequence[Contestant], *, rounds: int, seconds: int, connections: int, scratch: Path) -> None:
    """Let each have its *rounds*, one after another in turn, after a short warm-up."""
    for contestant in contestants:
        load(contestant, min(seconds, 1), connections, scratch)
    for _ in range(rounds):
        for contestant in contestants:
            contestant.rounds.append(load(contestant, seconds, connections, scratch))


def show(contestants: Sequence[Contestant], yardstick: Contestant) -> None:
    """The medians, and the ratio of each rate to the *yardstick*'s."""
    print(f"{'':34}{'requests/s':>11}{'ratio':>7}{'CPU µs':>8}{'p50 ms':>8}{'p99 ms':>8}{'errors':>8}")
    for one in contestants:
        ratio = one.median("requests_per_s") / yardstick.median("requests_per_s")
        print(
            f"{one.name:34}{one.median('requests_per_s'):11.0f}{ratio:7.2f}{one.median('cpu_us'):8.1f}"
            f"{one.median('p50_ms'):8.2f}{one.median('p99_ms'):8.2f}{sum(r.errors for r in one.rounds):8}"
        )
