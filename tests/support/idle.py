"""Tells when a process has nothing left to do but wait for its clock or for another process."""

import asyncio
import os
import threading
import time
from collections.abc import Iterator
from typing import Any

PAUSE_S = 0.002  # real time for the kernel to deliver packets to local sockets
LIMIT_S = 5.0  # if the process is busy for longer, the clock goes on
IDLE_CPU_S = 0.0001  # of the other threads in a pause: the two clocks are read one after the other
THREADS = "/proc/self/task"
RUNNING = (b"R", b"D")  # states of proc_pid_stat(5): on a processor or waiting for one, in a file operation


async def idle(task: asyncio.Future[Any] | None = None) -> None:
    """Return when neither the loop, its sockets nor any other thread has work, or when *task* is done."""
    end = time.monotonic() + LIMIT_S
    done = await _pause(task)
    while not done and time.monotonic() < end:
        before = _cpu_of_others()
        done = await _pause(task) or (_cpu_of_others() - before < IDLE_CPU_S and not _has_work())


async def _pause(task: asyncio.Future[Any] | None) -> bool:
    """Wait for a moment of real time, but not beyond *task*. True: the task is done."""
    if task is None:
        await asyncio.sleep(PAUSE_S)
        return False
    await asyncio.wait({task}, timeout=PAUSE_S)
    return task.done()


def _cpu_of_others() -> float:
    """The seconds that the other threads of this process have computed."""
    return time.process_time() - time.thread_time()


def _has_work() -> bool:
    # Threads first: one that ends its work meanwhile has woken the loop.
    return any(state in RUNNING for state in _states_of_others()) or _loop_has_work()


def _loop_has_work() -> bool:
    loop: Any = asyncio.get_running_loop()
    return bool(loop._ready or loop._selector.select(0))


def _states_of_others() -> Iterator[bytes]:
    if not os.path.isdir(THREADS):  # not Linux
        return
    own = str(threading.get_native_id())
    for thread in os.listdir(THREADS):
        if thread != own:
            try:
                with open(f"{THREADS}/{thread}/stat", "rb", buffering=0) as stat:
                    yield stat.read(100).rpartition(b") ")[2][:1]
            except (FileNotFoundError, ProcessLookupError):  # it has ended
                continue
