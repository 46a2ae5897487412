"""The task of a contestant and the report of its result. Imports only the standard library."""

import json
import os
import sys
import time
from array import array
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from tests.load.contest import resident_mb


@dataclass(frozen=True)
class ReadTask:
    """A list of the portal at *webhook*; *ids_file* is the file for the ids of its rows, eight bytes each.

    *more* are parameters of a single contestant.
    """

    webhook: str
    method: str
    params: dict[str, object]
    id_key: str
    ids_file: str
    more: dict[str, str] = field(default_factory=dict)

    def dump(self) -> str:
        """Encode the task as the argument of a contestant's process."""
        return json.dumps(asdict(self))

    @property
    def host(self) -> str:
        """Host and port of the portal."""
        return self.webhook.split("/")[2]

    def id_of(self, row: Mapping[str, object]) -> int:
        return int(str(row[self.id_key]))


class Reading:
    """The reading of this process. Its time starts with the construction."""

    def __init__(self) -> None:
        self.task = ReadTask(**json.loads(sys.argv[1]))
        print("started", flush=True)
        self._started = time.perf_counter()

    def seconds(self) -> float:
        """The seconds since the start."""
        return time.perf_counter() - self._started

    def report(self, ids: Iterable[int], seconds: float, **more: float) -> None:
        """Write the *ids* to their file and print the *seconds*, the peak memory and *more*."""
        peak_mb = resident_mb(os.getpid(), "VmHWM")
        Path(self.task.ids_file).write_bytes(array("q", ids).tobytes())
        print(json.dumps({"seconds": seconds, "peak_mb": peak_mb, **more}), flush=True)
