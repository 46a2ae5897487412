"""Rows that are made when they are read: long lists that cost no more than their ids."""

from bisect import bisect_left, insort
from collections.abc import Callable, Iterable, Iterator

from gateway.sandbox.table import Row, Table


class MadeTable(Table):
    """A table whose rows are made when they are read, so that tens of thousands of them cost no more than their ids.

    A row that is read is a copy: what changes it is its assignment, ``table[5] |= {"title": "New"}``.
    """

    def __init__(self, ids: Iterable[int], make: Callable[[int], Row]) -> None:
        """*ids* ascend; *make* gives the same row for the same id, always."""
        super().__init__()
        self._ids = list(ids)
        self._make = make
        self._highest = self._ids[-1] if self._ids else 0

    @property
    def next_id(self) -> int:
        """The id for a new row: above every one there ever was."""
        return self._highest + 1

    @property
    def columns(self) -> frozenset[str]:
        return frozenset(self._make(1))

    def __contains__(self, row_id: object) -> bool:
        if not isinstance(row_id, int):
            return False
        place = bisect_left(self._ids, row_id)
        return place < len(self._ids) and self._ids[place] == row_id

    def __len__(self) -> int:
        return len(self._ids)

    def __iter__(self) -> Iterator[int]:
        return iter(self._ids)

    def __getitem__(self, row_id: int) -> Row:
        if row_id in self.data:
            return self.data[row_id].copy()
        if row_id not in self:
            raise KeyError(row_id)
        return self._make(row_id)

    def __setitem__(self, row_id: int, row: Row) -> None:
        if row_id not in self:
            insort(self._ids, row_id)
            self._highest = max(self._highest, row_id)
        self.data[row_id] = row

    def __delitem__(self, row_id: int) -> None:
        if row_id not in self:
            raise KeyError(row_id)
        self.data.pop(row_id, None)
        del self._ids[bisect_left(self._ids, row_id)]

    def __copy__(self) -> "MadeTable":
        other = MadeTable(self._ids, self._make)
        other.data = dict(self.data)
        return other
