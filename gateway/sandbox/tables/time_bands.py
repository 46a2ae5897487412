"""Computed columns of times that rise with the id, so that a filter on the time needs to read few rows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf
from typing import TypeAlias

Spans: TypeAlias = Mapping[str, tuple[float, float]]
"""By column: the earliest and the latest Unix time that a row must have, both inclusive."""

Ids: TypeAlias = tuple[float, float]
"""A range of ids, both bounds exclusive."""


@dataclass(frozen=True)
class TimeBand:
    """The times of a computed column: row *n* has one from ``start + n * step`` to *spread* seconds later."""

    start: float
    step: float
    spread: float

    def possible(self, earliest: float, latest: float) -> Ids:
        """The ids whose times may lie in the span."""
        return (earliest - self.start - self.spread) / self.step - 1, (latest - self.start) / self.step + 1

    def certain(self, earliest: float, latest: float) -> Ids:
        """The ids whose times lie within the span, not on its ends."""
        return (earliest - self.start) / self.step + 1, (latest - self.start - self.spread) / self.step - 1


@dataclass(frozen=True)
class Part:
    """Ascending ids. If *is_certain*, all their rows have times within the spans; else they have to be tested."""

    ids: Sequence[int]
    is_certain: bool = False


def possible_and_certain(bands: Mapping[str, TimeBand], spans: Spans) -> tuple[Ids, Ids]:
    """The ids whose rows may have times within all *spans*, and those whose rows surely have.

    A column without a band may have any time in any row.
    """
    possible, certain = (-inf, inf), (-inf, inf)
    for column, span in spans.items():
        if column in bands:
            possible = intersection(possible, bands[column].possible(*span))
            certain = intersection(certain, bands[column].certain(*span))
        else:
            certain = (inf, inf)
    return possible, certain


def intersection(one: Ids, other: Ids) -> Ids:
    return max(one[0], other[0]), min(one[1], other[1])
