"""Process-level tools of the commands: event loop, garbage collector, signals, ports and the limit of open files."""

import asyncio
import errno
import gc
import resource
import signal
import socket
import threading
from collections.abc import Callable, Collection, Coroutine
from typing import Any, TypeVar

from gateway.errors import SettingsError

T = TypeVar("T")

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)
NEW_CONTAINERS = 10_000  # between two searches for garbage in cycles: the rows of one answer are thousands, in no cycle


def cannot_listen(host: str, port: int, error: OSError) -> SettingsError:
    """The error for an address that cannot be listened on."""
    cause = "port" if error.errno in (errno.EADDRINUSE, errno.EACCES) else "host"
    return SettingsError(f"cannot listen on {host}:{port}, choose another {cause}: {error.strerror}")


def free_port(host: str, port: int = 0) -> int:
    """*port* if it is free on *host* now; for 0, any free port.

    Raises:
        SettingsError: when the port is taken, or *host* is not an address of this machine.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the server does
            probe.bind(address)
            bound_port: int = probe.getsockname()[1]
            return bound_port
    except OSError as error:
        raise cannot_listen(host, port, error) from error


def raise_file_limit(wanted: int) -> int:
    """The limit of open files and sockets, after an attempt to raise it to *wanted*."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return wanted
    allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    return allowed


class Stopped(Exception):
    """A signal ended the work: that of *number*."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


async def stopped_by(signals: Collection[signal.Signals], work: Coroutine[Any, Any, T]) -> T:
    """The result of *work*, which each of *signals* cancels, so that it can clean up.

    A second signal has its default effect. Signals only reach the main thread.

    Raises:
        Stopped: a signal cancelled *work*.
    """
    if threading.current_thread() is not threading.main_thread():
        return await work
    loop = asyncio.get_running_loop()
    task = asyncio.create_task(work)
    received: int | None = None

    def remove_handlers() -> None:
        for number in signals:
            loop.remove_signal_handler(number)

    def stop(number: int) -> None:
        nonlocal received
        received = number
        task.cancel()
        remove_handlers()

    for number in signals:
        loop.add_signal_handler(number, stop, number)
    try:
        return await task
    except asyncio.CancelledError:
        if received is None:
            raise
        raise Stopped(received) from None
    finally:
        remove_handlers()


async def until_signal(work: Coroutine[Any, Any, T]) -> T | None:
    """The result of *work*, or None if SIGINT or SIGTERM cancelled it.

    A second signal has its default effect.
    """
    try:
        return await stopped_by(STOP_SIGNALS, work)
    except Stopped:
        return None


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run *main* to completion, on uvloop if it is installed.

    The garbage collector never looks at what is loaded so far, and rarely at new objects.
    """
    gc.freeze()
    gc.set_threshold(NEW_CONTAINERS, *gc.get_threshold()[1:])
    with asyncio.Runner(loop_factory=fastest_loop()) as runner:
        return runner.run(main)


def fastest_loop() -> Callable[[], asyncio.AbstractEventLoop]:
    try:
        from uvloop import new_event_loop
    except ImportError:
        return asyncio.new_event_loop
    return new_event_loop
