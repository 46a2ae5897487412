"""Ranges of ids that a walk requests, and gaps: the ids that are not yet cut into ranges. Pure."""

import heapq
import math
from dataclasses import dataclass, field

from gateway.bitrix.lists.estimate import Estimate
from gateway.bitrix.lists.page import PAGE_ROWS


@dataclass(order=True)
class Range:
    """Ids with ``after < id <= upto``, read by a chain of *pages* commands, that should hold about *rows* rows.

    A survey consists of two kinds: its *head* starts at the position and extends to the largest id, and a *sample*
    only shows the density around it.
    """

    after: int
    upto: int
    pages: int = field(default=1, compare=False)
    rows: float = field(default=PAGE_ROWS, compare=False)
    sample: bool = field(default=False, compare=False)
    head: bool = field(default=False, compare=False)


@dataclass(order=True)
class Gap:
    """Ids with ``after < id <= upto``. *density* is the expected rows per id, None for that of the whole list."""

    after: int
    upto: int
    density: float | None = field(default=None, compare=False)

    @property
    def ids(self) -> int:
        return self.upto - self.after


class Gaps:
    """All gaps of a list, in the order of ids. Ranges are cut from the beginning of the first one."""

    def __init__(self, estimate: Estimate) -> None:
        self._estimate = estimate
        self._gaps: list[Gap] = []

    def __bool__(self) -> bool:
        return bool(self._gaps)

    @property
    def after(self) -> int:
        """The id after which the first gap begins. There must be one."""
        return self._gaps[0].after

    def add(self, gap: Gap) -> None:
        """Add *gap*, unless it is empty."""
        if gap.ids > 0:
            heapq.heappush(self._gaps, gap)

    def pop(self) -> Gap:
        """Remove and return the first gap. There must be one."""
        return heapq.heappop(self._gaps)

    def commands(self, rows: float, pages: int, *, enough: int) -> int:
        """How many commands would read all gaps by ranges of *rows* rows and *pages* pages; stops at *enough*."""
        commands = 0
        for gap in self._gaps:
            if commands >= enough:
                break
            commands += math.ceil(gap.ids / self._width(rows, gap)) * pages
        return commands

    def cut(self, commands: int, batch_commands: int, *, budget_scarce: bool) -> list[Range]:
        """Cut the next ranges from the first gap: a single one if it is read by a chain, else one per command.

        They take at most *commands* commands, of batches that have *batch_commands*.
        """
        gap = self.pop()
        if self._estimate.uses_chains:
            return [self._cut_chain(gap, commands, budget_scarce=budget_scarce)]
        rows = self._estimate.range_rows(batch_commands, budget_scarce=budget_scarce)
        return self._cut_single_pages(gap, commands, rows)

    def _cut_single_pages(self, gap: Gap, commands: int, rows: float) -> list[Range]:
        """Up to *commands* ranges of about the same width."""
        width = math.ceil(gap.ids / math.ceil(gap.ids / self._width(rows, gap)))
        upto = min(gap.after + commands * width, gap.upto)
        self._put_back(gap, upto)
        return [Range(after, min(after + width, upto), 1, rows) for after in range(gap.after, upto, width)]

    def _cut_chain(self, gap: Gap, commands: int, *, budget_scarce: bool) -> Range:
        """One range that is unlikely to need more than *commands* commands."""
        rows = self._estimate.range_rows(commands, budget_scarce=budget_scarce)
        width = max(self._width(rows, gap), commands * PAGE_ROWS)
        if width < gap.ids:
            self._put_back(gap, gap.after + width)
            return Range(gap.after, gap.after + width, commands, rows)
        rows *= gap.ids / width
        return Range(gap.after, gap.upto, min(self._estimate.chain_pages(rows), commands), rows)

    def _put_back(self, gap: Gap, after: int) -> None:
        """Add what *gap* holds after *after*. With each cut, its density gets closer to that of the whole list."""
        if after < gap.upto:
            ids = gap.upto - after
            density = gap.density and math.sqrt(gap.density * max(self._estimate.expected_rows(ids), 1) / ids)
            self.add(Gap(after, gap.upto, density))

    def _width(self, rows: float, gap: Gap) -> int:
        """How many ids of *gap* should hold *rows* rows; at least PAGE_ROWS, which never overfill a page."""
        return max(math.floor(rows / gap.density if gap.density else self._estimate.expected_ids(rows)), PAGE_ROWS)
