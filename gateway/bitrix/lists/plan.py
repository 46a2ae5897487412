"""The plan of a walk: which ids are proven, requested, and not requested yet. Pure; nothing here waits."""

import heapq
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic

from gateway.bitrix.lists.estimate import Estimate
from gateway.bitrix.lists.list_specs import MAX_ID
from gateway.bitrix.lists.page import PAGE_ROWS, Page, Rendered
from gateway.bitrix.lists.ranges import Gap, Gaps, Range
from gateway.bitrix.protocol.v2 import BATCH_COMMANDS

MIN_SURVEYED_COMMANDS = 50  # a list expected to take more commands is surveyed first
MAX_SAMPLES = 8  # in a survey
COMMANDS_PER_SAMPLE = 12  # a survey has one sample for each 12 commands that the list should take
# Without a count, this many ranges may be in flight for each observed page with rows: the density may be wrong.
RANGES_PER_PAGE = 60


def unlimited() -> float:
    """No limit."""
    return math.inf


@dataclass(frozen=True)
class Window:
    """The limits of a walk: *rows* in flight or held back, their *weight* now, and the total number *wanted*.

    The weight of a page is the length of its rendered rows.
    """

    rows: int
    weight: Callable[[], float] = unlimited
    wanted: float = math.inf


class Plan(Generic[Rendered]):
    """The ids between a *first* page and the *largest* id, and the growth range beyond it up to *growth_upto*, if any.

    New ranges are requested while they fit into the *window*. Continuations go first and ignore the window, and so
    does the range at the position, so the window cannot block the walk.
    """

    def __init__(self, first: Page[Rendered], largest: int, *, growth_upto: int | None, window: Window) -> None:
        position = first.upto or 0
        self.position = position  # all pages up to this id were returned by `next_page`
        self.wants_count = True  # the head should request the portal's count
        self.budget_scarce = False  # save requests rather than time
        self._largest = largest
        self._growth = None if growth_upto is None else Range(largest, growth_upto)
        self._window = window
        self._wanted_rows = window.wanted - len(first.ids)  # after the position
        self._estimate = Estimate(largest - position)
        # From the first row on: the distance from the cursor to the first row says nothing about the list.
        self._estimate.observe(first.ids[1:], first.ids[0], position)
        self._pages_with_rows = 1
        self._failure_bound: int = MAX_ID + 1  # no range from here on is requested
        self._continuations: list[Range] = []  # a heap
        self._requested: dict[int, Range] = {}  # ranges in flight, by the id that they start after
        self._requested_rows = 0.0  # expected in the ranges in flight
        self._proven: dict[int, Page[Rendered]] = {}  # pages held back, by the id that they start after
        self._held_rows = 0  # in the pages held back
        self._unfinished_survey: set[int] = set()  # the ids after which its unanswered ranges start
        self._total_weight, self._weighed_rows = len(first.rows), len(first.ids)  # of all pages so far
        self._gaps = Gaps(self._estimate)
        self._gaps.add(Gap(position, largest))
        if self._gaps and self.remaining_commands > MIN_SURVEYED_COMMANDS:
            self._start_survey()

    @property
    def remaining_commands(self) -> float:
        """How many more commands the plan is expected to request."""
        commands = self._estimate.expected_commands(min(self._estimate.remaining_rows, self._wanted_rows))
        in_flight = sum(requested.pages for requested in self._requested.values())
        return max(commands - in_flight, self.continuation_commands)

    @property
    def has_unrequested(self) -> bool:
        """Whether anything is left to request, now or later, besides what is in flight."""
        return bool(self._continuations or self._gaps or self._growth)

    @property
    def continuation_commands(self) -> int:
        """How many commands the continuations take."""
        return sum(waiting.pages for waiting in self._continuations if waiting.after < self._failure_bound)

    @property
    def at_failure_bound(self) -> bool:
        """Whether all pages before a permanently failed range have been returned."""
        return self.position >= self._failure_bound

    @property
    def surveying(self) -> bool:
        """Whether the survey is not finished; until then no gap is cut."""
        return bool(self._unfinished_survey)

    def available_commands(self, batch_commands: int) -> int:
        """How many commands can be requested now, up to *batch_commands*."""
        continuing = self.continuation_commands
        if continuing >= batch_commands:
            return batch_commands
        return min(continuing + self._new_commands(batch_commands), batch_commands)

    def next_ranges(self, batch_commands: int) -> list[Range]:
        """The ranges of the next batch, up to *batch_commands* commands: continuations, new ranges, growth range."""
        ranges: list[Range] = []
        left, new_commands = batch_commands, self._new_commands(batch_commands)
        while self._continuations and left > 0 and self._continuations[0].after < self._failure_bound:
            continuation = heapq.heappop(self._continuations)
            continuation.pages = min(continuation.pages, left)
            ranges.append(continuation)
            left -= continuation.pages
        left = min(left, new_commands)
        while left > 0 and self._gaps:
            new_ranges = self._gaps.cut(left, batch_commands, budget_scarce=self.budget_scarce)
            ranges += new_ranges
            left -= sum(new_range.pages for new_range in new_ranges)
        if left > 0 and self._growth is not None and not self._gaps:
            ranges.append(self._growth)
            self._growth = None
        self._requested.update((requested.after, requested) for requested in ranges)
        self._requested_rows += sum(requested.rows for requested in ranges)
        return ranges

    def set_count(self, rows: int | None) -> None:
        """Use the portal's count of the rows among the unproven ids; None if the portal sent none."""
        self._estimate.set_count(rows)

    def prove(self, requested: Range, pages: Sequence[tuple[Rendered, list[int]]], mark: int = 0) -> None:
        """Record the checked *pages* of a range: each its rows and their ids, all but the last one full.

        *mark* is that of the moment at which the range was requested.
        A full page proves the ids up to its last row, a page that is not full proves the rest of the range.
        """
        self._finish_request(requested)
        if requested.sample:
            ((_, ids),) = pages
            self._pages_with_rows += bool(ids)
            self._estimate.observe_sample(ids, requested.after, requested.upto)
            return
        is_growth = requested.after >= self._largest
        upto = requested.after
        for rows, ids in pages:
            after, upto = upto, ids[-1] if len(ids) == PAGE_ROWS else requested.upto
            self._proven[after] = Page(rows, ids, after, upto, mark)
            self._held_rows += len(ids)
            self._total_weight += len(rows)
            self._weighed_rows += len(ids)
            self._pages_with_rows += bool(ids)
            if not is_growth:
                self._estimate.prove(ids, after, upto)
        if requested.head:
            self._gaps.add(Gap(upto, requested.upto))
        elif upto < requested.upto and not is_growth:  # the walk continues an overfull growth range by another round
            self._continue(requested, upto, len(pages))

    def disable_chains(self) -> None:
        """Request one page per range from now on: the portal does not resolve references."""
        self._estimate.disable_chains()
        for continuation in self._continuations:
            continuation.pages = 1

    def requeue(self, requested: Range) -> None:
        """Request a range again, before new ones and without a count: its first command proved nothing."""
        self._forget_request(requested)
        self.wants_count = self.wants_count and not requested.head
        heapq.heappush(self._continuations, requested)

    def mark_failed(self, requested: Range) -> None:
        """Record that a range failed permanently. The ids before it are still read, those after it are not."""
        self._finish_request(requested)
        if not requested.sample:
            self._failure_bound = min(self._failure_bound, requested.after)

    def next_page(self) -> Page[Rendered] | None:
        """The page at the position, which moves past it; None if that page is not proven yet."""
        page = self._proven.pop(self.position, None)
        if page is not None:
            assert page.upto is not None
            self._held_rows -= len(page.ids)
            self._wanted_rows -= len(page.ids)
            self.position = page.upto
        return page

    def _forget_request(self, requested: Range) -> None:
        del self._requested[requested.after]
        self._requested_rows -= requested.rows

    def _finish_request(self, requested: Range) -> None:
        self._forget_request(requested)
        self._unfinished_survey.discard(requested.after)

    def _start_survey(self) -> None:
        """Request the head and samples at regular distances; nothing else until they are answered.

        The head yields the portal's count and shows whether references are resolved, the samples show the dispersion.
        """
        gap = self._gaps.pop()
        samples = min(int(self.remaining_commands / COMMANDS_PER_SAMPLE), MAX_SAMPLES)
        distance = gap.ids // (samples + 1)
        self._continuations = [Range(gap.after, gap.upto, 2, head=True)]
        for after in range(gap.after + distance, gap.upto - distance + 1, distance):
            self._continuations.append(Range(after, after + distance, sample=True))
        self._unfinished_survey.update(surveyed.after for surveyed in self._continuations)

    def _continue(self, requested: Range, upto: int, full_pages: int) -> None:
        """Plan the remainder of an overfull range after *upto*, where its *full_pages* end.

        The list as a whole and these pages predict different numbers of rows; the geometric mean is used. If it is
        more than a range may hold, the remainder becomes a gap, otherwise a continuation. A gap is expected to hold at
        most BATCH_COMMANDS of the largest ranges.
        """
        ids = requested.upto - upto
        local_rows = full_pages * PAGE_ROWS * ids / (upto - requested.after)
        rows = math.sqrt(max(self._estimate.expected_rows(ids), 1) * local_rows)
        limit = self._estimate.max_range_rows
        if rows > limit:
            self._gaps.add(Gap(upto, requested.upto, min(rows, BATCH_COMMANDS * limit) / ids))
        else:
            pages = self._estimate.remainder_pages(requested.pages, local_rows, rows, ids)
            heapq.heappush(self._continuations, Range(upto, requested.upto, pages, rows))

    def _new_commands(self, batch_commands: int) -> int:
        """How many commands can be requested now for new ranges and the growth range; counting stops at a batch."""
        if self.surveying:
            return 0
        growth = int(self._growth is not None and self._largest < self._failure_bound)
        if not self._gaps or self._gaps.after >= self._failure_bound:
            return growth
        rows = self._estimate.range_rows(batch_commands, budget_scarce=self.budget_scarce)
        pages = self._estimate.chain_pages(rows) if self._estimate.uses_chains else 1
        ranges = int(self._free_rows(self._gaps.after) / rows)
        if not self._estimate.has_count:
            ranges = min(ranges, RANGES_PER_PAGE * (1 + self._pages_with_rows) - len(self._requested))
        allowed = ranges * pages
        if self._gaps.after == self.position:  # the window must not block it
            wanted = self._estimate.expected_commands(max(self._wanted_rows, PAGE_ROWS))
            allowed = max(allowed, BATCH_COMMANDS if wanted > BATCH_COMMANDS else math.ceil(wanted))
        commands = growth + self._gaps.commands(rows, pages, enough=batch_commands - growth)
        return max(min(commands, allowed), 0)

    def _free_rows(self, after: int) -> float:
        """How many rows of the window are free for a range that begins after *after*.

        Only rows before that range use up the window: those after it cannot delay it. All rows together may use twice
        the window.
        """
        row_weight = self._total_weight / self._weighed_rows if self._weighed_rows else 1.0
        limit = min(self._window.rows, self._window.weight() / max(row_weight, 1.0), self._wanted_rows)
        before = total = self._requested_rows + self._held_rows
        if 2 * total > limit:  # only then is the exact sum worth its time; otherwise all count as before the range
            before = sum(requested.rows for start, requested in self._requested.items() if start < after)
            before += sum(len(page.ids) for start, page in self._proven.items() if start < after)
        return min(limit - before, 2 * limit - total)
