"""The gateway's stream, written to a file, and another caller that makes a call every second.

*more* names the gateway's ``origin``, a ``token``, the ``resource`` and the file of ``lines``.
"""

import shutil
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from threading import Event, Thread
from typing import IO

import orjson

from tests.load.readers.task import Reading, ReadTask

EVERY_S = 1.0
CHUNK_BYTES = 2**16


class Caller(Thread):
    """Makes a small call every second until it is stopped."""

    def __init__(self, task: ReadTask) -> None:
        super().__init__(name="caller")
        self._task = task
        self._stopped = Event()
        self.longest_s = 0.0
        self.calls = 0

    def run(self) -> None:
        due = time.monotonic()
        while True:
            started = time.monotonic()
            with open_response(self._task, "/bitrix/call/user.current", b"{}") as answer:
                answer.read()
            self.longest_s = max(self.longest_s, time.monotonic() - started)
            self.calls += 1
            due += EVERY_S
            if self._stopped.wait(max(due - time.monotonic(), 0)):
                return

    def stop(self) -> None:
        self._stopped.set()
        self.join()


def open_response(task: ReadTask, path: str, body: bytes | None = None) -> IO[bytes]:
    """Open the gateway's response at *path*."""
    headers = {"Authorization": f"Bearer {task.more['token']}", "Content-Type": "application/json"}
    answer: IO[bytes] = urllib.request.urlopen(urllib.request.Request(task.more["origin"] + path, body, headers))
    return answer


def read_ids(task: ReadTask) -> Iterator[int]:
    """Yield the ids in the file of lines.

    Raises:
        SystemExit: the last line does not say that the stream is complete.
    """
    with Path(task.more["lines"]).open("rb") as lines:
        for line in lines:
            row = orjson.loads(line)
            if task.id_key in row:
                yield task.id_of(row)
            elif not row.get("complete"):
                raise SystemExit(line.decode())


def main() -> None:
    reading = Reading()
    task = reading.task
    caller = Caller(task)
    caller.start()
    try:
        with (
            open_response(task, f"/bitrix/stream/{task.more['resource']}") as answer,
            open(task.more["lines"], "wb") as lines,
        ):
            shutil.copyfileobj(answer, lines, CHUNK_BYTES)
        seconds = reading.seconds()
    finally:
        caller.stop()
    reading.report(read_ids(task), seconds, longest_s=caller.longest_s, calls=caller.calls)


if __name__ == "__main__":
    main()
