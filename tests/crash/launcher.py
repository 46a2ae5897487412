"""Starts gateways quickly, one after another: imports everything once and forks this process for each gateway.

A line on stdin is a job (JSON); two lines on stdout are its process id and, when it has ended, its exit status. A job
may say at which commit its process must die: at the n-th, a moment before it or a moment after it.
"""

import json
import os
import signal
import sys
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pysqlite3

from gateway.cli.main import main

BEFORE, AFTER = "before", "after"


class MortalConnection(pysqlite3.Connection):  # type: ignore[misc]  # pysqlite3 has no types
    """A connection that kills its process at commit number *last*."""

    moment = BEFORE
    last = 0
    commits = 0

    def execute(self, sql: str, *args: Any) -> Any:
        return self._run(super().execute, sql, *args)

    def executescript(self, sql: str) -> Any:
        return self._run(super().executescript, sql)

    def _run(self, execute: Any, sql: str, *args: Any) -> Any:
        work, commit, _ = sql.rstrip("; \n").rpartition("COMMIT")
        if not commit:
            return execute(sql, *args)
        MortalConnection.commits += 1
        fatal = self.commits == self.last
        if fatal and self.moment == BEFORE:
            if work:
                execute(work)
            die()
        result = execute(sql, *args)
        if fatal:
            die()
        return result


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def drain_buckets(database: Path) -> None:
    """Store empty buckets: the sandbox counts no requests, and a gateway would otherwise wait for it."""
    if not database.exists():
        return
    with closing(pysqlite3.connect(str(database))) as connection:
        if connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'buckets'").fetchone():
            connection.execute("UPDATE buckets SET level = 0")
            connection.commit()


def live(job: dict[str, Any]) -> None:
    """Run a gateway until this process ends."""
    log = os.open(job["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, sys.stdout.fileno())
    os.dup2(log, sys.stderr.fileno())
    os.environ.update(job["environ"])
    drain_buckets(Path(job["environ"]["GATEWAY_DATABASE"]))
    if job["death"] is not None:
        MortalConnection.moment, MortalConnection.last = job["death"]
        pysqlite3.connect = partial(pysqlite3.connect, factory=MortalConnection)
    main(["serve"])


def launch() -> None:
    for line in sys.stdin:
        pid = os.fork()
        if not pid:
            live(json.loads(line))
        print(pid, flush=True)
        _, status = os.waitpid(pid, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    launch()
