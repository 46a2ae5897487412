"""Rows under their numbers, always in order: what the lists of a portal are read from."""

from abc import abstractmethod
from bisect import bisect_left, bisect_right, insort
from collections import UserDict
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping, Sequence
from typing import Any, Protocol, TypeAlias

Row: TypeAlias = dict[str, Any]
Test: TypeAlias = Callable[[Mapping[str, Any]], bool]


class Projection(Protocol):
    """What a list shows of a row, column by column: of two halves of a row it shows the halves."""

    def __call__(self, row: Row, /) -> Row: ...

    def reads(self, column: str) -> bool:
        """Whether anything of this column is shown."""


class WholeRow:
    """All that there is."""

    def __call__(self, row: Row) -> Row:
        return row

    def reads(self, _column: str) -> bool:
        return True


WHOLE_ROW = WholeRow()


class Rows(MutableMapping[int, Row]):
    """Rows by id, to be changed at will, whose ids are always in order."""

    @abstractmethod
    def ids_between(self, above: float, below: float) -> Sequence[int]:
        """The ids that are greater than *above* and less than *below*, ascending."""

    @property
    @abstractmethod
    def columns(self) -> frozenset[str]:
        """The columns that rows may have."""

    def blank(self, _row_id: int) -> Row:
        """The columns of a new row of this id, before anybody fills in others."""
        return {}

    def read_columns(self, row_id: int, _columns: frozenset[str]) -> Mapping[str, Any]:
        """The row, of which only these columns are looked at."""
        return self[row_id]

    def matching_ids(self, ids: Iterable[int], test: Test, columns: frozenset[str]) -> Iterator[int]:
        """Those of these ids whose rows pass the *test*, which looks at these columns alone."""
        return (row_id for row_id in ids if test(self.read_columns(row_id, columns)))

    def project(self, ids: Iterable[int], projection: Projection) -> list[Row]:
        """The rows of these ids as *projection* shows them."""
        return [projection(self[row_id]) for row_id in ids]


class Table(UserDict[int, Row], Rows):
    """Rows that are all held, with their ids kept in order, so that no read sorts them."""

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

    @property
    def columns(self) -> frozenset[str]:
        return frozenset().union(*self.values())

    def ids_between(self, above: float, below: float) -> Sequence[int]:
        return self._ids[bisect_right(self._ids, above) : bisect_left(self._ids, below)]
