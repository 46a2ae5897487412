"""The existing ids of a table, stored as runs of consecutive ids with two numbers for each run."""

from abc import abstractmethod
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate, chain
from random import Random
from typing import overload

RUN_IDS = 40  # the average length of a run


def runs_with_holes(count: int, holes: float, rng: Random) -> Iterator[range]:
    """Yield *count* ascending ids from 1 as runs. About the share *holes* is missing, in clusters."""
    gap = RUN_IDS * holes / (1 - holes)
    row_id = 1
    while count > 0:
        run = min(rng.randint(1, 2 * RUN_IDS), count)
        yield range(row_id, row_id + run)
        count -= run
        row_id += run + round(rng.uniform(0, 2 * gap))


class IdRuns:
    """An immutable set of ids. Each lookup is a binary search over the runs."""

    def __init__(self, count: int, holes: float, rng: Random) -> None:
        self._starts = array("Q")
        self._before = array("Q")  # the number of ids before each run, then the total
        self._count = 0
        for run in runs_with_holes(count, holes, rng):
            self._starts.append(run.start)
            self._before.append(self._count)
            self._count += len(run)
        self._before.append(self._count)

    def __len__(self) -> int:
        return self._count

    def __contains__(self, row_id: int) -> bool:
        return self.rank(row_id + 1) > self.rank(row_id)

    def rank(self, row_id: int) -> int:
        """The number of ids less than *row_id*."""
        run = bisect_left(self._starts, row_id) - 1
        if run < 0:
            return 0
        return min(self._before[run] + row_id - self._starts[run], self._before[run + 1])

    def at(self, rank: int) -> int:
        """The id at this *rank*, from 0 to the count - 1."""
        run = bisect_right(self._before, rank) - 1
        return self._starts[run] + rank - self._before[run]

    def between(self, first: int, last: int) -> Iterator[int]:
        """Yield the ids from *first* to *last*, both inclusive."""
        run = max(bisect_right(self._starts, first) - 1, 0)
        while run < len(self._starts) and (start := self._starts[run]) <= last:
            end = start + self._before[run + 1] - self._before[run]
            yield from range(max(start, first), min(end, last + 1))
            run += 1


class RankedIds(Sequence[int]):
    """A sequence of ids that are looked up by their rank, from 0, when they are read."""

    @abstractmethod
    def at(self, rank: int) -> int:
        """The id at *rank*."""

    @abstractmethod
    def ids_at(self, first: int, end: int) -> list[int]:
        """The ids of the ranks from *first* to *end*, exclusive."""

    @overload
    def __getitem__(self, place: int) -> int: ...

    @overload
    def __getitem__(self, place: slice) -> list[int]: ...

    def __getitem__(self, place: int | slice) -> int | list[int]:
        if isinstance(place, int):
            return self.at(range(len(self))[place])
        ranks = range(len(self))[place]
        if not ranks:
            return []
        ids = self.ids_at(min(ranks), max(ranks) + 1)
        return ids[:: ranks.step] if ranks.step > 0 else ids[::-1][:: -ranks.step]


class ChainedIds(RankedIds):
    """Several sequences of ids as one, without copying them."""

    def __init__(self, parts: Iterable[Sequence[int]]) -> None:
        self._parts = [part for part in parts if part]
        self._ends = list(accumulate(map(len, self._parts)))

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def __iter__(self) -> Iterator[int]:
        return chain.from_iterable(self._parts)

    def at(self, rank: int) -> int:
        part = bisect_right(self._ends, rank)
        return self._parts[part][rank - self._ends[part]]  # counted from the end of the part

    def ids_at(self, first: int, end: int) -> list[int]:
        ids: list[int] = []
        for part in range(bisect_right(self._ends, first), len(self._parts)):
            start = self._ends[part] - len(self._parts[part])
            if start >= end:
                break
            ids += self._parts[part][max(first - start, 0) : end - start]
        return ids
