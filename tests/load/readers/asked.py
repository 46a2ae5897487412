"""What a contestant is asked to read, and how it tells what came of it. Imports nothing that must be installed."""

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
class Asked:
    """A list of the portal at *webhook*, and the file *ids_file* for the ids of its rows, eight bytes each.

    *more* is what only one contestant needs.
    """

    webhook: str
    method: str
    params: dict[str, object]
    id_key: str
    ids_file: str
    more: dict[str, str] = field(default_factory=dict)

    def dump(self) -> str:
        """As the argument of a contestant's process."""
        return json.dumps(asdict(self))

    @property
    def host(self) -> str:
        """Host and port of the portal."""
        return self.webhook.split("/")[2]

    def id_of(self, row: Mapping[str, object]) -> int:
        return int(str(row[self.id_key]))


class Reading:
    """The reading that this process was asked for; its time begins here."""

    def __init__(self) -> None:
        self.asked = Asked(**json.loads(sys.argv[1]))
        print("begun", flush=True)
        self._began = time.perf_counter()

    def seconds(self) -> float:
        """How long it has taken."""
        return time.perf_counter() - self._began

    def tell(self, ids: Iterable[int], seconds: float, **more: float) -> None:
        """Say how long it took and *more*, and leave the *ids* where they are wanted."""
        peak_mb = resident_mb(os.getpid(), "VmHWM")
        Path(self.asked.ids_file).write_bytes(array("q", ids).tobytes())
        print(json.dumps({"seconds": seconds, "peak_mb": peak_mb, **more}), flush=True)
