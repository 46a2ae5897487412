"""How thickly and how evenly the rows of a list lie among its ids, as far as it has been read."""

import math
from collections.abc import Sequence
from operator import mul, sub

FORGETS = 0.99  # with each page, so that about the last hundred count


class Density:
    """Rows and ids of the pages seen so far, newer ones weighing more."""

    def __init__(self) -> None:
        self._rows = 0.0
        self._ids = 0.0
        self._squares = 0.0  # of the gaps between one row's id and the next

    def note(self, ids: Sequence[int], after: int, upto: int) -> None:
        """Take in that the rows from beyond *after* up to *upto* are those with these *ids*."""
        places = [after, *ids, upto]
        gaps = list(map(sub, places[1:], places))
        self._rows = self._rows * FORGETS + len(ids)
        self._ids = self._ids * FORGETS + upto - after
        self._squares = self._squares * FORGETS + sum(map(mul, gaps, gaps))

    def rows(self, ids: int) -> float:
        """How many rows to expect among so many *ids*."""
        return ids * self._rows / self._ids if self._ids else 0.0

    def ids(self, rows: float) -> float:
        """How many ids should hold so many *rows*."""
        return rows * self._ids / self._rows if self._rows >= 1 else rows * max(self._ids, 1.0)

    @property
    def spread(self) -> float:
        """The variance of the number of rows in a range, as a multiple of their mean.

        0 where every id is there, below 1 where ids are missing here and there, above where whole clusters are. Ranges
        that are long against the gaps vary as the squares of these do, whatever their distribution (renewal theory).
        """
        return max(self._rows * self._squares / self._ids**2 - 1, 0.0) if self._ids else math.inf
