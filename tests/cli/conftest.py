"""Fixtures that run commands: in this process, or in a subprocess where they do not end by themselves."""

import asyncio
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import structlog
from click.testing import CliRunner, Result

from gateway.cli.main import main
from tests.clock import ManualClock
from tests.gateway import JWT_SECRET, Gateway

Invoke = Callable[..., Result]
Command = Callable[..., asyncio.Future[Result]]


@pytest.fixture(autouse=True)
def quiet_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No settings from outside the test, no drain time, an empty working directory; restores logging afterwards."""
    for name in [name for name in os.environ if name.startswith("GATEWAY_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("GATEWAY_DRAIN_S", "0")
    monkeypatch.chdir(tmp_path)
    handlers, level = logging.getLogger().handlers[:], logging.getLogger().level
    yield
    logging.getLogger().handlers[:] = handlers
    logging.getLogger().setLevel(level)
    structlog.reset_defaults()


@pytest.fixture
def invoke() -> Invoke:
    """Run a command in this process."""

    def call(*arguments: str, **environ: str) -> Result:
        result = CliRunner().invoke(main, arguments, env=environ)
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return call


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(time.time())  # commands issue their tokens by the system clock


def reached(origin: str) -> tuple[str, str]:
    """The options that lead a command to the gateway at *origin*."""
    return f"--port={urlsplit(origin).port}", f"--jwt-secret={JWT_SECRET}"


@pytest.fixture
async def command(connected: Gateway, invoke: Invoke) -> Command:
    """Run a command against the gateway under test, with its request log off: it shares stderr."""
    await connected.restart(GATEWAY_LOG_LEVEL="warning")

    def start(name: str, *arguments: str) -> asyncio.Future[Result]:
        typed = (name, "--account=acme", *reached(connected.origin), *arguments)
        return asyncio.ensure_future(connected.clock.until(asyncio.to_thread(invoke, *typed)))

    return start


@pytest.fixture
def ports() -> Callable[[], int]:
    """Returns a free port at each call."""

    def take() -> int:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port: int = free.getsockname()[1]
            return port

    return take


class Running:
    """A command in a subprocess; `until` waits for a line of its output."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.lines: list[str] = []

    async def until(self, part: str) -> str:
        assert self._process.stdout is not None
        while line := (await self._process.stdout.readline()).decode():
            self.lines.append(line)
            if part in line:
                return line
        raise AssertionError(f"ended without printing {part!r}: {''.join(self.lines)}")

    async def end(self, number: int | None = None) -> tuple[int, str]:
        """Send signal *number*, if given, and wait; the exit status and all output."""
        assert self._process.stdout is not None
        if number is not None:
            self._process.send_signal(number)
        rest = (await self._process.stdout.read()).decode()
        return await self._process.wait(), "".join(self.lines) + rest

    def kill(self) -> None:
        if self._process.returncode is None:
            self._process.kill()


Spawn = Callable[..., Awaitable[Running]]


@pytest.fixture
async def spawn() -> AsyncIterator[Spawn]:
    """Start a command in a subprocess with stderr merged into stdout; kill it at the end of the test.

    *files* is a shell command that limits the number of open files.
    """
    started: list[Running] = []

    async def start(*arguments: str, files: str = "") -> Running:
        limited = ["sh", "-c", f'{files} && exec "$@"', "sh"] if files else []
        process = await asyncio.create_subprocess_exec(
            *limited,
            sys.executable,
            "-m",
            "gateway",
            *arguments,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env=os.environ | {"PYTHONUNBUFFERED": "1"},
        )
        started.append(Running(process))
        return started[-1]

    yield start
    for running in started:
        running.kill()
        await running.end()


def stop_once_listening(port: int) -> None:
    """Send this process SIGTERM as soon as *port* accepts connections; give up after many attempts."""
    for _ in range(100_000):
        with socket.socket() as client:
            if client.connect_ex(("127.0.0.1", port)) == 0:
                os.kill(os.getpid(), signal.SIGTERM)
                return
