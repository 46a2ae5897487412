"""Changes of a portal's rows, applied now or after a number of calls, for example while a client reads a list."""

import re
from dataclasses import dataclass, field
from typing import Any

from gateway.clock import Clock
from gateway.sandbox.content.portal_data import PortalData
from gateway.sandbox.tables.table import Row

MAX_ID = 2**31 - 1
_ID = re.compile(r"[1-9][0-9]{0,9}")
_ID_COLUMNS = ("ID", "id")


@dataclass(frozen=True)
class Change:
    """Rows of one *table* of `PortalData.tables` that are added or edited, and ids that are removed.

    A row of *edited* holds the changed columns; see `PortalData.write`. An unknown id adds a row; in a generated table
    it gets generated values for the other columns.
    """

    table: str
    edited: dict[int, Row] = field(default_factory=dict)
    removed: tuple[int, ...] = ()

    @classmethod
    def parse(cls, body: dict[str, Any]) -> "Change":
        """Parse a change from the control address.

        Raises:
            ValueError: *body* is invalid. The message gives the reason.
        """
        table, edited, removed = body.get("table"), body.get("set", {}), body.get("remove", [])
        if not isinstance(table, str):
            raise ValueError("table: must be a string")
        if not isinstance(edited, dict) or not all(
            isinstance(row, dict) and _ID.fullmatch(key) and _is_id(int(key)) for key, row in edited.items()
        ):
            raise ValueError(f"set: must be an object of rows by id, from 1 to {MAX_ID}")
        if not isinstance(removed, list) or not all(map(_is_id, removed)):
            raise ValueError(f"remove: must be a list of ids, from 1 to {MAX_ID}")
        return cls(table, {int(key): row for key, row in edited.items()}, tuple(removed))

    def check(self, data: PortalData) -> None:
        """Check the table, the columns and the ids.

        Raises:
            ValueError: the table or a column is unknown, or an id differs from the row's id.
        """
        if self.table not in data.tables:
            raise ValueError(f"table: must be one of {', '.join(data.tables)}")
        columns = data.tables[self.table].columns
        for row_id, row in self.edited.items():
            if not columns >= row.keys():
                raise ValueError(f"set.{row_id}: unknown column; the columns are {', '.join(sorted(columns))}")
            for name in row.keys() & _ID_COLUMNS:
                if str(row[name]) != str(row_id):
                    raise ValueError(f"set.{row_id}.{name}: must be the row's id, {row_id}")

    def apply(self, data: PortalData, now: float) -> None:
        """Apply the change at the portal's Unix time *now*."""
        for row_id, row in self.edited.items():
            data.write(self.table, row_id, row, now)
        table = data.tables[self.table]
        for row_id in self.removed:
            table.pop(row_id, None)


def _is_id(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= MAX_ID


class ScriptedChanges:
    """Pending changes, each to be applied after a number of calls of a method."""

    def __init__(self, data: PortalData, clock: Clock) -> None:
        self._data = data
        self._clock = clock
        self._pending: list[tuple[str, int, Change]] = []

    def __len__(self) -> int:
        return len(self._pending)

    def add(self, method: str, calls: int, change: Change) -> None:
        self._pending.append((method.lower(), calls, change))

    def record_call(self, method: str) -> None:
        """Count one answered call of *method* and apply the changes that are now due."""
        pending, self._pending = self._pending, []
        for awaited_method, calls, change in pending:
            remaining = calls - (awaited_method == method)
            if remaining > 0:
                self._pending.append((awaited_method, remaining, change))
            else:
                change.apply(self._data, self._clock.now())
