"""A table of any size whose rows are generated when they are read. Only changed rows are stored."""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain, pairwise
from math import ceil, floor, inf
from random import Random
from types import MappingProxyType
from typing import Any

from gateway.sandbox.tables.ids import IdRuns, RankedIds
from gateway.sandbox.tables.table import Projection, Row, Rows, Test
from gateway.sandbox.tables.time_bands import Ids, Part, Spans, TimeBand, intersection, possible_and_certain

PATTERNS = 251  # the number of different rows, apart from their computed columns
PROJECTION_CACHE_SIZE = 16
_CHUNK = 512

MakePattern = Callable[[Random], Row]
ComputedColumns = Mapping[str, Callable[[int], Any]]


class GeneratedTable(Rows):
    """*count* generated rows, the same for the same *seed*.

    A row is one of PATTERNS patterns, made by *make_pattern* on first use, with the columns that *computed* derives
    from the id. A pattern has all columns in their order. A row that is read is a copy: to change it, assign it.
    *bands* are those of the computed columns whose times rise with the id.
    """

    def __init__(
        self,
        count: int,
        holes: float,
        seed: str,
        make_pattern: MakePattern,
        computed: ComputedColumns,
        bands: Mapping[str, TimeBand] = MappingProxyType({}),
    ) -> None:
        self._runs = IdRuns(count, holes, Random(seed))
        self._seed, self._make_pattern, self._computed = seed, make_pattern, computed
        self._bands = bands
        self._patterns: list[Row] = []
        self._projected: dict[Projection, list[Row]] = {}
        self._changed: dict[int, Row] = {}
        self._added: list[int] = []  # ids outside the runs, ascending
        self._removed: list[int] = []  # ids of the runs, ascending
        self._max_id = self._runs.at(count - 1) if count else 0

    @property
    def next_id(self) -> int:
        return self._max_id + 1

    @property
    def generated_ids(self) -> IdRuns:
        """The ids of the generated rows, also of those that were deleted since."""
        return self._runs

    @property
    def changed_ids(self) -> Iterable[int]:
        """The ids of the rows that are stored because they were changed or added, in any order."""
        return self._changed.keys()

    def __len__(self) -> int:
        return len(self._runs) + len(self._added) - len(self._removed)

    def __contains__(self, row_id: object) -> bool:
        if not isinstance(row_id, int):
            return False
        return row_id in self._changed or (row_id in self._runs and not _contains(self._removed, row_id))

    def __iter__(self) -> Iterator[int]:
        return iter(self.ids_between(-inf, inf))

    def __getitem__(self, row_id: int) -> Row:
        if row_id not in self:
            raise KeyError(row_id)
        changed = self._changed.get(row_id)
        return self.blank(row_id) if changed is None else dict(changed)

    def __setitem__(self, row_id: int, row: Row) -> None:
        if row_id not in self:
            if row_id in self._runs:
                del self._removed[bisect_left(self._removed, row_id)]
            else:
                insort(self._added, row_id)
                self._max_id = max(self._max_id, row_id)
        self._changed[row_id] = row

    def __delitem__(self, row_id: int) -> None:
        if row_id not in self:
            raise KeyError(row_id)
        self._changed.pop(row_id, None)
        if row_id in self._runs:
            insort(self._removed, row_id)
        else:
            del self._added[bisect_left(self._added, row_id)]

    def set_column(self, name: str, value: Any) -> None:
        """Add a column with the same *value* in every row, or set it."""
        for row in chain(self._pattern_rows, self._changed.values()):
            row[name] = value
        self._projected.clear()

    def drop_column(self, name: str) -> None:
        """Remove a column from every row."""
        for row in chain(self._pattern_rows, self._changed.values()):
            row.pop(name, None)
        self._projected.clear()

    def ids_between(self, above: float, below: float) -> "IdRange":
        first = 0 if above == -inf else self.rank(floor(above) + 1)
        end = len(self) if below == inf else self.rank(ceil(below))
        return IdRange(self, first, max(first, end))

    def parts_between(self, above: float, below: float, spans: Spans) -> Iterator[Part]:
        """The ids of `ids_between` in ascending parts, except generated rows that have no times within *spans*.

        Changed rows may have any time: they are always included, and never certain.
        """
        possible, certain = (intersection((above, below), ids) for ids in possible_and_certain(self._bands, spans))
        changed = sorted(row_id for row_id in self._changed if above < row_id < below)
        if possible[0] >= possible[1]:
            yield Part(changed)
            return
        yield Part([row_id for row_id in changed if row_id <= possible[0]])
        if certain[0] < certain[1]:
            yield from self._parts_around(possible, certain, changed)
        else:
            yield Part(self.ids_between(*possible))
        yield Part([row_id for row_id in changed if row_id >= possible[1]])

    def _parts_around(self, possible: Ids, certain: Ids, changed: list[int]) -> Iterator[Part]:
        """The *possible* ids: those before the *certain* ones, the certain ones between changed rows, those after."""
        first, end = certain
        if possible[0] < first:
            yield Part(self.ids_between(possible[0], floor(first) + 1))
        cuts = [row_id for row_id in changed if first < row_id < end]
        for above, below in pairwise((first, *cuts, end)):
            yield Part(self.ids_between(above, below), is_certain=True)
            if below < end:
                yield Part([int(below)])
        if end < possible[1]:
            yield Part(self.ids_between(ceil(end) - 1, possible[1]))

    @property
    def columns(self) -> frozenset[str]:
        return frozenset(self.blank(1))

    def blank(self, row_id: int) -> Row:
        computed = {name: make(row_id) for name, make in self._computed.items()}
        return {**self._pattern_rows[self._pattern_of(row_id)], **computed}

    def read_columns(self, row_id: int, columns: frozenset[str]) -> Mapping[str, Any]:
        if row_id in self._changed:
            return self._changed[row_id]
        pattern = self._pattern_rows[self._pattern_of(row_id)]
        if columns.isdisjoint(self._computed):
            return pattern
        return {name: self._computed[name](row_id) if name in self._computed else pattern.get(name) for name in columns}

    def matching_ids(self, ids: Iterable[int], test: Test, columns: frozenset[str]) -> Iterator[int]:
        if not columns.isdisjoint(self._computed):
            return super().matching_ids(ids, test, columns)
        results = [test(pattern) for pattern in self._pattern_rows]  # one test for all rows of a pattern
        changed, pattern_of = self._changed, self._pattern_of
        if not any(results) and isinstance(ids, IdRange) and ids:  # no generated row passes
            first, last = ids[0], ids[-1]
            ids = sorted(row_id for row_id in changed if first <= row_id <= last)
        return (
            row_id for row_id in ids if (test(changed[row_id]) if row_id in changed else results[pattern_of(row_id)])
        )

    def project(self, ids: Iterable[int], projection: Projection) -> list[Row]:
        patterns = self._projected.get(projection)
        if patterns is None:
            if len(self._projected) == PROJECTION_CACHE_SIZE:
                del self._projected[next(iter(self._projected))]
            patterns = self._projected[projection] = [projection(pattern) for pattern in self._pattern_rows]
        computed = [(name, make) for name, make in self._computed.items() if projection.reads(name)]
        return [
            projection(dict(self._changed[row_id]))
            if row_id in self._changed
            else {**patterns[self._pattern_of(row_id)], **projection({name: make(row_id) for name, make in computed})}
            for row_id in ids
        ]

    def rank(self, row_id: int) -> int:
        """The number of ids less than *row_id*."""
        return self._runs.rank(row_id) + bisect_left(self._added, row_id) - bisect_left(self._removed, row_id)

    def at(self, rank: int) -> int:
        """The id at this *rank*, from 0 to the count - 1."""
        if not self._added and not self._removed:
            return self._runs.at(rank)
        max_id = max(self._runs.at(len(self._runs) - 1) if self._runs else 0, self._added[-1] if self._added else 0)
        return bisect_left(range(max_id), rank + 1, key=lambda row_id: self.rank(row_id + 1))

    def ids_at(self, first: int, end: int) -> list[int]:
        """The ids of the ranks from *first* to *end*, exclusive."""
        if first >= end:
            return []
        low, high = self.at(first), self.at(end - 1)
        ids: Iterable[int] = self._runs.between(low, high)
        removed = _between(self._removed, low, high)
        if removed:
            removed_ids = set(removed)
            ids = (row_id for row_id in ids if row_id not in removed_ids)
        added = _between(self._added, low, high)
        return sorted(chain(ids, added)) if added else list(ids)

    def _pattern_of(self, row_id: int) -> int:
        return (row_id * 2_654_435_761 >> 7) % PATTERNS  # consecutive ids get different patterns

    @property
    def _pattern_rows(self) -> list[Row]:
        if not self._patterns:
            rng = Random(f"{self._seed} patterns")
            self._patterns = [self._make_pattern(rng) for _ in range(PATTERNS)]
        return self._patterns


class IdRange(RankedIds):
    """The ids of a range of ranks, looked up when they are read."""

    def __init__(self, table: GeneratedTable, first: int, end: int) -> None:
        self._table, self._first, self._end = table, first, end

    def __len__(self) -> int:
        return self._end - self._first

    def __iter__(self) -> Iterator[int]:
        for first in range(self._first, self._end, _CHUNK):
            yield from self._table.ids_at(first, min(first + _CHUNK, self._end))

    def at(self, rank: int) -> int:
        return self._table.at(self._first + rank)

    def ids_at(self, first: int, end: int) -> list[int]:
        return self._table.ids_at(self._first + first, self._first + end)


def _contains(ordered: list[int], row_id: int) -> bool:
    place = bisect_left(ordered, row_id)
    return place < len(ordered) and ordered[place] == row_id


def _between(ordered: list[int], first: int, last: int) -> list[int]:
    return ordered[bisect_left(ordered, first) : bisect_right(ordered, last)]
