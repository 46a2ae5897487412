"""Benchmarks with wrk: server processes on one core, wrk on the other, in alternating rounds."""

import argparse
import os
import re
import shutil
import signal
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import orjson

SERVER_CORE, LOAD_CORE = 0, 1
CPU_OF_ALL_THREADS = 2  # Source: linux/posix-timers.h; the clock's id is derived from the process id
UNITS_MS = {"us": 0.001, "ms": 1.0, "s": 1000.0}


@dataclass
class Server:
    """A server process, pinned to *core*. It uses https if *certificate* is set."""

    command: Sequence[str]
    port: int
    environ: Mapping[str, str] = field(default_factory=dict)
    log: Path = Path(os.devnull)
    core: int = SERVER_CORE
    certificate: Path | None = None
    process: subprocess.Popen[bytes] | None = None

    def start(self, path: str, headers: Mapping[str, str]) -> float:
        """Start the process and wait until it answers *path*; return the seconds."""
        started = time.monotonic()
        self.process = subprocess.Popen(
            [sys.executable, *self.command],
            env=os.environ | self.environ,
            stdout=self.log.open("wb"),
            stderr=subprocess.STDOUT,
        )
        os.sched_setaffinity(self.process.pid, {self.core})
        while time.monotonic() - started < 60:
            try:
                self.fetch(path, headers)
                return time.monotonic() - started
            except urllib.error.HTTPError as error:
                sys.exit(f"{self.command}: {error.status} {error.read()[:300]!r}")
            except OSError:
                if self.process.poll() is not None:
                    sys.exit(f"{self.command}: ended with {self.process.returncode}, see {self.log}")
                time.sleep(0.01)
        sys.exit(f"{self.command}: not up within 60 s")

    @property
    def origin(self) -> str:
        """The origin of the server."""
        return f"{'http' if self.certificate is None else 'https'}://127.0.0.1:{self.port}"

    def fetch(self, path: str, headers: Mapping[str, str], *, method: str = "GET", json: object = None) -> bytes:
        """Return the body of the response to *path*. *json* is sent as the body of the request."""
        trusted = None if self.certificate is None else ssl.create_default_context(cafile=self.certificate)
        request = urllib.request.Request(f"{self.origin}{path}", headers=dict(headers), method=method)
        if json is not None:
            request.data = orjson.dumps(json)
            request.add_header("Content-Type", "application/json")
        with urllib.request.urlopen(request, timeout=60, context=trusted) as answer:
            body: bytes = answer.read()
            return body

    @property
    def cpu_s(self) -> float:
        """The CPU time of the process."""
        assert self.process is not None
        return time.clock_gettime((~self.process.pid << 3) | CPU_OF_ALL_THREADS)

    @property
    def memory_mb(self) -> float:
        """The resident memory of the process."""
        assert self.process is not None
        return resident_mb(self.process.pid, "VmRSS")

    @property
    def peak_mb(self) -> float:
        """The peak resident memory of the process."""
        assert self.process is not None
        return resident_mb(self.process.pid, "VmHWM")

    def stop(self) -> int:
        """End the process by SIGTERM; return its exit status."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)


@dataclass(frozen=True)
class Figures:
    """The results of one round."""

    requests_per_s: float
    cpu_us: float
    p50_ms: float
    p99_ms: float
    errors: int


@dataclass
class Contestant:
    """A server and the requests to it: wrk's Lua *script*, by default GET *path*."""

    name: str
    server: Server
    path: str
    headers: Mapping[str, str] = field(default_factory=dict)
    script: str = ""
    rounds: list[Figures] = field(default_factory=list)

    def median(self, figure: str) -> float:
        figures: list[float] = [getattr(round_, figure) for round_ in self.rounds]
        return statistics.median(figures)


def resident_mb(pid: int, kind: str) -> float:
    """The resident memory of a running process: current ("VmRSS") or peak ("VmHWM")."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition(f"{kind}:")[2].split()[0]) / 1024


def find_wrk() -> str:
    """Return the path of wrk, or exit: a slower load generator would be the bottleneck."""
    return shutil.which("wrk") or sys.exit("wrk is needed: apt-get install wrk")


def load(contestant: Contestant, seconds: int, connections: int, scratch: Path) -> Figures:
    """Run one round."""
    command = ["taskset", "-c", str(LOAD_CORE), find_wrk(), "-t1", f"-c{connections}", f"-d{seconds}s", "--latency"]
    for name, value in contestant.headers.items():
        command += ["-H", f"{name}: {value}"]
    if contestant.script:
        script = scratch / "script.lua"
        script.write_text(contestant.script)
        command += ["-s", str(script)]
    before_s = contestant.server.cpu_s
    output = subprocess.run(
        [*command, f"http://127.0.0.1:{contestant.server.port}{contestant.path}"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    used_s = contestant.server.cpu_s - before_s
    requests = int(output.partition(" requests in ")[0].split()[-1])
    return Figures(
        requests_per_s=float(output.partition("Requests/sec:")[2].split()[0]),
        cpu_us=used_s / max(requests, 1) * 1e6,
        p50_ms=percentile(output, 50),
        p99_ms=percentile(output, 99),
        errors=sum(int(count) for count in re.findall(r"Non-2xx or 3xx responses: (\d+)", output)),
    )


def percentile(output: str, percent: int) -> float:
    """Parse a latency from the output of wrk, in milliseconds."""
    match = re.search(rf"{percent}%\s+([\d.]+)(us|ms|s)", output)
    return float(match[1]) * UNITS_MS[match[2]] if match else float("nan")


def compete(contestants: Sequence[Contestant], *, rounds: int, seconds: int, connections: int, scratch: Path) -> None:
    """Run *rounds* of each contestant in turn, after a short warm-up."""
    for contestant in contestants:
        load(contestant, min(seconds, 1), connections, scratch)
    for _ in range(rounds):
        for contestant in contestants:
            contestant.rounds.append(load(contestant, seconds, connections, scratch))


def show(contestants: Sequence[Contestant], baseline: Contestant) -> None:
    """Print the medians, and the ratio of each rate to that of *baseline*."""
    print(f"{'':34}{'requests/s':>11}{'ratio':>7}{'CPU µs':>8}{'p50 ms':>8}{'p99 ms':>8}{'errors':>8}")
    for contestant in contestants:
        ratio = contestant.median("requests_per_s") / baseline.median("requests_per_s")
        print(
            f"{contestant.name:34}{contestant.median('requests_per_s'):11.0f}{ratio:7.2f}"
            f"{contestant.median('cpu_us'):8.1f}{contestant.median('p50_ms'):8.2f}{contestant.median('p99_ms'):8.2f}"
            f"{sum(figures.errors for figures in contestant.rounds):8}"
        )


def run_contest(measure: Callable[[argparse.Namespace, Path], None], doc: str | None, **sizes: int) -> None:
    """Call *measure* with the options of the command line, *sizes* among them, and a directory of its own."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in {**sizes, "rounds": 5, "seconds": 3, "connections": 32}.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="load-") as directory:
        measure(options, Path(directory))
