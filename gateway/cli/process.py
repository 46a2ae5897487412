"""What every long-running command needs of the process: a loop, a port, a good end."""

import asyncio
import errno
import resource
import signal
import socket
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from gateway.errors import SettingsError

T = TypeVar("T")

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def cannot_listen(host: str, port: int, error: OSError) -> SettingsError:
    """The refusal to start at an address that cannot be had."""
    wrong = "port" if error.errno in (errno.EADDRINUSE, errno.EACCES) else "host"
    return SettingsError(f"cannot listen on {host}:{port}, choose another {wrong}: {error.strerror}")


def free_port(host: str, port: int = 0) -> int:
    """*port* of *host*, or any for 0, which nobody listens on now.

    Raises:
        SettingsError: when there is no such host here, or the port is taken.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as a server does
            probe.bind(address)
            found: int = probe.getsockname()[1]
            return found
    except OSError as error:
        raise cannot_listen(host, port, error) from error


def allow_files(wanted: int) -> int:
    """How many files and sockets this process may have open, raised to *wanted* where the system lets it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return wanted
    allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    return allowed


async def until_signal(work: Coroutine[Any, Any, T]) -> T | None:
    """What *work* gives, or None when SIGINT or SIGTERM comes first; *work* is cancelled then.

    A second signal has its usual effect.
    """
    loop = asyncio.get_running_loop()
    working = asyncio.create_task(work)
    stopped = False

    def stop() -> None:
        nonlocal stopped
        stopped = True
        working.cancel()
        for number in STOP_SIGNALS:
            loop.remove_signal_handler(number)

    for number in STOP_SIGNALS:
        loop.add_signal_handler(number, stop)
    try:
        return await working
    except asyncio.CancelledError:
        if stopped:
            return None
        raise
    finally:
        for number in STOP_SIGNALS:
            loop.remove_signal_handler(number)


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run *main* to its end, on uvloop where that is installed."""
    with asyncio.Runner(loop_factory=fastest_loop()) as runner:
        return runner.run(main)


def fastest_loop() -> Callable[[], asyncio.AbstractEventLoop]:
    try:
        from uvloop import new_event_loop
    except ImportError:
        return asyncio.new_event_loop
    return new_event_loop
