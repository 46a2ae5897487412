"""Changes of a portal's rows, at once or in the middle of somebody's reading, as data."""

import re
from dataclasses import dataclass, field
from typing import Any

from gateway.sandbox.content.portal_data import PortalData
from gateway.sandbox.tables.table import Row

MAX_ID = 2**31 - 1
_ID = re.compile(r"[1-9][0-9]{0,9}")
_ID_COLUMNS = ("ID", "id")


@dataclass(frozen=True)
class Change:
    """Rows of one *table* (`PortalData.tables` has the names) that are added or edited, and ids that go.

    A row of *edited* names the columns that differ; an id that is not there yet is added, in a generated table with
    the columns that it would have been generated with.
    """

    table: str
    edited: dict[int, Row] = field(default_factory=dict)
    removed: tuple[int, ...] = ()

    @classmethod
    def parse(cls, body: dict[str, Any]) -> "Change":
        """Read a change as the control address gives it.

        Raises:
            ValueError: it is none; the text says why.
        """
        table, edited, removed = body.get("table"), body.get("set", {}), body.get("remove", [])
        if not isinstance(table, str):
            raise ValueError("table: a string")
        if not isinstance(edited, dict) or not all(
            isinstance(row, dict) and _ID.fullmatch(key) and _is_id(int(key)) for key, row in edited.items()
        ):
            raise ValueError(f"set: an object of rows by id, from 1 to {MAX_ID}")
        if not isinstance(removed, list) or not all(map(_is_id, removed)):
            raise ValueError(f"remove: a list of ids, from 1 to {MAX_ID}")
        return cls(table, {int(key): row for key, row in edited.items()}, tuple(removed))

    def check(self, data: PortalData) -> None:
        """Refuse a table and columns that the portal has not, and another id than the row's own.

        Raises:
            ValueError: with the names of those that it has.
        """
        if self.table not in data.tables:
            raise ValueError(f"table: one of {', '.join(data.tables)}")
        columns = data.tables[self.table].columns
        for row_id, row in self.edited.items():
            if not columns >= row.keys():
                raise ValueError(f"set.{row_id}: its columns are {', '.join(sorted(columns))}")
            for name in row.keys() & _ID_COLUMNS:
                if str(row[name]) != str(row_id):
                    raise ValueError(f"set.{row_id}.{name}: the row's own id, {row_id}")

    def apply(self, data: PortalData) -> None:
        table = data.tables[self.table]
        for row_id, row in self.edited.items():
            table[row_id] = {**(table[row_id] if row_id in table else table.blank(row_id)), **row}
        for row_id in self.removed:
            table.pop(row_id, None)


def _is_id(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= MAX_ID


class ScriptedChanges:
    """Changes still to come, each after so many more calls of a method."""

    def __init__(self, data: PortalData) -> None:
        self._data = data
        self._pending: list[tuple[str, int, Change]] = []

    def __len__(self) -> int:
        return len(self._pending)

    def add(self, method: str, calls: int, change: Change) -> None:
        self._pending.append((method.lower(), calls, change))

    def called(self, method: str) -> None:
        """Count one answered call of *method*, and make the changes that it is the last one before."""
        pending, self._pending = self._pending, []
        for awaited, calls, change in pending:
            left = calls - (awaited == method)
            if left > 0:
                self._pending.append((awaited, left, change))
            else:
                change.apply(self._data)
