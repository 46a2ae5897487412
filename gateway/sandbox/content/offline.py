"""The queue of offline events, stored until the application reads them."""

import hashlib
import json
from collections.abc import Mapping, Sequence

from gateway.sandbox.content.tasks import format_time
from gateway.sandbox.php import Value
from gateway.sandbox.tables.table import Row, Table

SOURCE_KEY = "CONNECTOR_ID"  # of the queue that a row belongs to; it is not shown
COLUMNS = (
    "ID", "TIMESTAMP_X", "EVENT_NAME", "EVENT_DATA", "EVENT_ADDITIONAL", "MESSAGE_ID", "PROCESS_ID", "ERROR",
)  # fmt: skip


class OfflineEvents(Table):
    """Events by id. An event with a ``PROCESS_ID`` is reserved for that process.

    Source: protocol notes 16; [srv] rest/lib/eventoffline.php
    """

    def __init__(self, now: float, rows: dict[int, Row] | None = None) -> None:
        super().__init__(rows)
        self._now = now
        self._processes = 0

    def __copy__(self) -> "OfflineEvents":
        return OfflineEvents(self._now, self.data)

    @property
    def columns(self) -> frozenset[str]:
        return frozenset((*COLUMNS, SOURCE_KEY))

    def blank(self, row_id: int) -> Row:
        return {
            "ID": str(row_id),
            "TIMESTAMP_X": format_time(self._now),
            "EVENT_NAME": "ONCRMDEALUPDATE",
            "EVENT_DATA": {"FIELDS": {"ID": str(row_id)}},
            "EVENT_ADDITIONAL": {"user_id": "1"},
            "MESSAGE_ID": _digest(f"event {row_id}"),
            "PROCESS_ID": "",
            "ERROR": "0",
            SOURCE_KEY: "",
        }

    def enqueue(self, name: str, data: Mapping[str, Value], now: float, user_id: int, source_key: str = "") -> None:
        """Add an event that *user_id* caused to the queue of *source_key*. If it waits there, only its time changes.

        Source: protocol notes 16
        """
        message_id = _digest(f"{name} {json.dumps(data, sort_keys=True)}")
        same = (message_id, "", source_key)
        waiting = [
            row_id for row_id, row in self.items() if (row["MESSAGE_ID"], row["PROCESS_ID"], row[SOURCE_KEY]) == same
        ]
        if waiting:
            self.change(waiting, {"TIMESTAMP_X": format_time(now)})
            return
        row_id = self.next_id
        self[row_id] = {
            **self.blank(row_id),
            "TIMESTAMP_X": format_time(now),
            "EVENT_NAME": name,
            "EVENT_DATA": dict(data) or False,
            "EVENT_ADDITIONAL": {"user_id": str(user_id)},
            "MESSAGE_ID": message_id,
            SOURCE_KEY: source_key,
        }

    def reserve(self, ids: Sequence[int]) -> str:
        """Reserve the events with these *ids* for a new process. Return the id of the process."""
        self._processes += 1
        process_id = _digest(f"process {self._processes}")
        self.change(ids, {"PROCESS_ID": process_id})
        return process_id

    def change(self, ids: Sequence[int], columns: Mapping[str, str]) -> None:
        for row_id in ids:
            self[row_id] = {**self[row_id], **columns}

    def remove(self, ids: Sequence[int]) -> None:
        for row_id in ids:
            del self[row_id]

    def of_process(self, process_id: str) -> list[int]:
        """The ids of the events reserved for a process."""
        return [row_id for row_id, row in self.items() if row["PROCESS_ID"] == process_id]


def _digest(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
