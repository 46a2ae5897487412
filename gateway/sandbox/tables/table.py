"""Rows by id in ascending order, the source of all lists of a portal."""

from abc import abstractmethod
from bisect import bisect_left, bisect_right, insort
from collections import UserDict
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping, Sequence
from typing import Any, Protocol, TypeAlias, TypeVar

from gateway.sandbox.tables.time_bands import Part, Spans

Row: TypeAlias = dict[str, Any]
Test: TypeAlias = Callable[[Mapping[str, Any]], bool]
Key = TypeVar("Key")


class Projection(Protocol):
    """What a list shows of a row. It works by column: a part of a row gives that part of the result."""

    def __call__(self, row: Row, /) -> Row: ...

    def reads(self, column: str) -> bool:
        """Whether the result depends on this column."""


class WholeRow:
    """The projection that shows all columns."""

    def __call__(self, row: Row) -> Row:
        return row

    def reads(self, _column: str) -> bool:
        return True


WHOLE_ROW = WholeRow()


class Rows(MutableMapping[int, Row]):
    """A mutable mapping of rows by ascending id."""

    @abstractmethod
    def ids_between(self, above: float, below: float) -> Sequence[int]:
        """The ids greater than *above* and less than *below*, ascending."""

    def parts_between(self, above: float, below: float, _spans: Spans) -> Iterable[Part]:
        """The ids of `ids_between` in ascending parts, except some whose rows have no times within *spans*."""
        return (Part(self.ids_between(above, below)),)

    @property
    @abstractmethod
    def columns(self) -> frozenset[str]:
        """All columns that rows may have."""

    @property
    @abstractmethod
    def next_id(self) -> int:
        """The id for a new row, greater than every id used before."""

    def blank(self, _row_id: int) -> Row:
        """The initial columns of a new row with this id."""
        return {}

    def read_columns(self, row_id: int, _columns: frozenset[str]) -> Mapping[str, Any]:
        """The row, or at least these columns of it."""
        return self[row_id]

    def matching_ids(self, ids: Iterable[int], test: Test, columns: frozenset[str]) -> Iterator[int]:
        """The ids whose rows pass the *test*, which reads only these columns."""
        return (row_id for row_id in ids if test(self.read_columns(row_id, columns)))

    def project(self, ids: Iterable[int], projection: Projection) -> list[Row]:
        """The rows of these ids through *projection*."""
        return [projection(self[row_id]) for row_id in ids]


class Table(UserDict[int, Row], Rows):
    """A table that stores all its rows, with a sorted list of ids.

    *last_id* is the largest id that deleted rows of a table without rows had.
    """

    def __init__(self, rows: dict[int, Row] | None = None, *, last_id: int = 0) -> None:
        super().__init__()
        self.data = dict(rows or {})
        self._ids = sorted(self.data)
        self._max_id = max(self.data, default=last_id)

    @property
    def next_id(self) -> int:
        return self._max_id + 1

    def __setitem__(self, row_id: int, row: Row) -> None:
        if row_id not in self.data:
            insort(self._ids, row_id)
            self._max_id = max(self._max_id, row_id)
        super().__setitem__(row_id, row)

    def __delitem__(self, row_id: int) -> None:
        super().__delitem__(row_id)
        del self._ids[bisect_left(self._ids, row_id)]

    def __copy__(self) -> "Table":
        return Table(self.data)

    def with_own_rows(self) -> "Table":
        """A copy with copies of the rows. What is nested in a row is shared."""
        return Table(dict(zip(self.data, map(dict, self.data.values()), strict=True)))

    @property
    def columns(self) -> frozenset[str]:
        return frozenset().union(*self.values())

    def ids_between(self, above: float, below: float) -> Sequence[int]:
        return self._ids[bisect_right(self._ids, above) : bisect_left(self._ids, below)]


class TableGroup(UserDict[Key, Table]):
    """Tables that share one sequence of ids. The ids of a removed table stay used."""

    def __init__(self, tables: Mapping[Key, Table]) -> None:
        super().__init__()
        self._next_id = 1
        self.data = dict(tables)

    @property
    def next_id(self) -> int:
        """The id for a new row of any of the tables, greater than every id used before."""
        return max(self._next_id, *(table.next_id for table in self.values()))

    def __delitem__(self, key: Key) -> None:
        self._next_id = max(self._next_id, self.data[key].next_id)
        super().__delitem__(key)
