"""How dense and how even the rows of a list are among its ids, measured on the pages observed."""

import math
from collections.abc import Sequence
from operator import mul, sub

DECAY = 0.99  # weight of the past at each page: about the last hundred pages determine the density


class Density:
    """Moving sums over the pages observed: rows, ids and squared distances between neighbouring ids."""

    def __init__(self) -> None:
        self._rows = 0.0
        self._ids = 0.0
        self._squared_distances = 0.0

    def observe(self, ids: Sequence[int], after: int, upto: int) -> None:
        """Record that the rows with ``after < id <= upto`` are exactly those with these *ids*."""
        points = [after, *ids, upto]
        distances = list(map(sub, points[1:], points))
        self._rows = self._rows * DECAY + len(ids)
        self._ids = self._ids * DECAY + upto - after
        self._squared_distances = self._squared_distances * DECAY + sum(map(mul, distances, distances))

    def expected_rows(self, ids: float) -> float:
        """The number of rows expected among *ids* consecutive ids."""
        return ids * self._rows / self._ids if self._ids else 0.0

    def expected_ids(self, rows: float) -> float:
        """The number of consecutive ids expected to hold *rows* rows."""
        return rows * self._ids / self._rows if self._rows >= 1 else rows * max(self._ids, 1.0)

    @property
    def dispersion(self) -> float:
        """The variance of the number of rows in a range, divided by its mean (the index of dispersion).

        It is 0 if no id is missing, below 1 if single ids are missing, and above 1 if whole clusters are missing.
        By renewal theory it equals the squared coefficient of variation of the distances between neighbouring ids,
        for any distribution, in ranges much longer than these distances.
        """
        if not self._ids:
            return math.inf
        return max(self._rows * self._squared_distances / self._ids**2 - 1, 0.0)
