"""Rows under their numbers, always in order: what the lists of a portal are read from."""

from bisect import bisect_left, bisect_right, insort
from collections import UserDict
from collections.abc import Sequence
from typing import Any, TypeAlias

Row: TypeAlias = dict[str, Any]


class Table(UserDict[int, Row]):
    """A dict of rows by id, to be changed at will, that keeps its ids in order, so that no read sorts them."""

    def __init__(self, rows: dict[int, Row] | None = None) -> None:
        self._ids: list[int] = []
        super().__init__(rows)

    def __setitem__(self, row_id: int, row: Row) -> None:
        if row_id not in self.data:
            insort(self._ids, row_id)
        super().__setitem__(row_id, row)

    def __delitem__(self, row_id: int) -> None:
        super().__delitem__(row_id)
        del self._ids[bisect_left(self._ids, row_id)]

    def __copy__(self) -> "Table":
        return Table(self.data)

    def ids_between(self, above: float, below: float) -> Sequence[int]:
        """The ids that are greater than *above* and less than *below*, ascending."""
        return self._ids[bisect_right(self._ids, above) : bisect_left(self._ids, below)]
