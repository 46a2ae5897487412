"""A caller of the gateway's stream, who keeps its lines in a file, and another one, who makes a call every second.

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

from tests.load.readers.asked import Asked, Reading

EVERY_S = 1.0
CHUNK_BYTES = 2**16


class Caller(Thread):
    """Makes a small call every second, from now on until it is stopped."""

    def __init__(self, asked: Asked) -> None:
        super().__init__(name="caller")
        self._asked = asked
        self._stopped = Event()
        self.longest_s = 0.0
        self.calls = 0

    def run(self) -> None:
        due = time.monotonic()
        while True:
            began = time.monotonic()
            with ask(self._asked, "/bitrix/call/user.current", b"{}") as answer:
                answer.read()
            self.longest_s = max(self.longest_s, time.monotonic() - began)
            self.calls += 1
            due += EVERY_S
            if self._stopped.wait(max(due - time.monotonic(), 0)):
                return

    def stop(self) -> None:
        self._stopped.set()
        self.join()


def ask(asked: Asked, path: str, body: bytes | None = None) -> IO[bytes]:
    """What the gateway answers at *path*."""
    headers = {"Authorization": f"Bearer {asked.more['token']}", "Content-Type": "application/json"}
    answer: IO[bytes] = urllib.request.urlopen(urllib.request.Request(asked.more["origin"] + path, body, headers))
    return answer


def read_ids(asked: Asked) -> Iterator[int]:
    """The ids in the file of lines.

    Raises:
        SystemExit: the last line does not say that they are all.
    """
    with Path(asked.more["lines"]).open("rb") as lines:
        for line in lines:
            row = orjson.loads(line)
            if asked.id_key in row:
                yield asked.id_of(row)
            elif not row.get("complete"):
                raise SystemExit(line.decode())


def main() -> None:
    reading = Reading()
    asked = reading.asked
    caller = Caller(asked)
    caller.start()
    try:
        with ask(asked, f"/bitrix/stream/{asked.more['resource']}") as answer, open(asked.more["lines"], "wb") as lines:
            shutil.copyfileobj(answer, lines, CHUNK_BYTES)
        seconds = reading.seconds()
    finally:
        caller.stop()
    reading.tell(read_ids(asked), seconds, longest_s=caller.longest_s, calls=caller.calls)


if __name__ == "__main__":
    main()
