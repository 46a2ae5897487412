"""The plan of a walk: which ids are proven, asked for, and still to be cut into ranges. Pure; nothing here waits."""

import heapq
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic

from gateway.bitrix.lists.estimate import Estimate
from gateway.bitrix.lists.list_specs import HIGHEST_ID
from gateway.bitrix.lists.page import PAGE_ROWS, Page, Rendered
from gateway.bitrix.protocol.v2 import BATCH_COMMANDS

SURVEYED_COMMANDS = 50  # a list that should take more is surveyed before it is cut
SAMPLES = 8  # of a survey, at most; fewer where there would be less than SAMPLED_COMMANDS to each
SAMPLED_COMMANDS = 12
TRUSTED_RANGES = 60  # of a list that is not counted may be asked for on the strength of each page with rows


@dataclass(order=True)
class Range:
    """Ids from beyond *lo* up to *hi*, read by a chain of so many *pages*, that should have about so many *rows*.

    Two kinds make up a survey: the *head* is all that there is to read, and a *sample* tells of the list around it.
    """

    lo: int
    hi: int
    pages: int = field(default=1, compare=False)
    rows: float = field(default=PAGE_ROWS, compare=False)
    sample: bool = field(default=False, compare=False)
    head: bool = field(default=False, compare=False)


@dataclass(order=True)
class _Gap:
    """Ids from beyond *lo* up to *hi* still to be cut, with so many *rows* an id, None for as many as on the whole."""

    lo: int
    hi: int
    rows: float | None = field(default=None, compare=False)


def boundless() -> float:
    """No bound."""
    return math.inf


@dataclass(frozen=True)
class Bounds:
    """What a plan keeps to: *rows* held back or under way, what these may weigh now, and how many are *wanted*.

    A page weighs the length of what was made of its rows.
    """

    rows: int
    weight: Callable[[], float] = boundless
    wanted: float = math.inf


class Plan(Generic[Rendered]):
    """The ids from the end of a *first* page up to *largest*, and the *tail* beyond, up to its highest id, if any.

    New ranges are cut as long as the rows before them, held back or under way, fit into the *bounds*. What was begun
    goes on ahead of them and needs no room, and the head of the line may always go, so that the bounds cannot jam.
    """

    def __init__(self, first: Page[Rendered], largest: int, *, tail: int | None, bounds: Bounds) -> None:
        position = first.upto or 0
        self.position = position
        self.counts = True  # whether a head may be asked for its number of rows
        self.tight = False  # whether requests are what there is least of
        self._end = largest
        self._tail = None if tail is None else Range(largest, tail)
        self._bounds = bounds
        self._wanted = bounds.wanted - len(first.ids)  # rows beyond the position
        self._estimate = Estimate(largest - position)
        self._estimate.meet(first.ids[1:], first.ids[0], position)  # what is missing before them tells of nothing else
        self._pages_seen = 1
        self._wall: int = HIGHEST_ID + 1
        self._urgent: list[Range] = []
        self._asked: dict[int, Range] = {}
        self._asked_rows = 0.0
        self._proven: dict[int, Page[Rendered]] = {}
        self._held = 0
        self._weight, self._weighed = len(first.rows), len(first.ids)  # of all pages, and their rows
        self._uncut = [_Gap(position, largest)] if position < largest else []
        self._surveyed: set[int] = set()  # where ranges of the survey begin that have not told yet
        if self._uncut and self.commands_left > SURVEYED_COMMANDS:
            self._survey()

    @property
    def commands_left(self) -> float:
        """How many more commands the plan should take, as far as can be told."""
        commands = self._estimate.commands(min(self._estimate.rows_left, self._wanted))
        return max(commands - sum(one.pages for one in self._asked.values()), self.begun)

    @property
    def pending(self) -> bool:
        """Whether there is anything to ask for, now or later, beyond what is under way."""
        return bool(self._urgent or self._uncut or self._tail)

    @property
    def begun(self) -> int:
        """How many commands there are to give for what was begun, or failed."""
        return sum(one.pages for one in self._urgent if one.lo < self._wall)

    @property
    def at_wall(self) -> bool:
        """Whether all that lies before a range that failed for good has been given out."""
        return self.position >= self._wall

    @property
    def surveying(self) -> bool:
        """Whether the list is still to be learned of, before anything is cut."""
        return bool(self._surveyed)

    def available(self, most: int) -> int:
        """How many commands there are to give now, where *most* go into a batch; more than that count as *most*."""
        return most if self.begun >= most else min(self.begun + self._cuttable(most), most)

    def take(self, most: int) -> list[Range]:
        """Ranges to ask for by up to *most* commands: begun ones first, new ones in order."""
        taken: list[Range] = []
        left, cuttable = most, self._cuttable(most)
        while self._urgent and left > 0 and self._urgent[0].lo < self._wall:
            begun = heapq.heappop(self._urgent)
            begun.pages = min(begun.pages, left)
            taken.append(begun)
            left -= begun.pages
        left = min(left, cuttable)
        while left > 0 and self._uncut:
            cut = [self._cut_chain(left)] if self._estimate.chained else self._cut(left, most)
            taken += cut
            left -= sum(one.pages for one in cut)
        if left > 0 and self._tail is not None and not self._uncut:
            taken.append(self._tail)
            self._tail = None
        self._asked.update((one.lo, one) for one in taken)
        self._asked_rows += sum(one.rows for one in taken)
        return taken

    def count(self, rows: int | None) -> None:
        """Take in how many rows the portal counts among the ids that are not proven; None where it does not say."""
        self._estimate.count(rows)

    def prove(self, asked: Range, pages: Sequence[tuple[Rendered, list[int]]]) -> None:
        """Take in the checked *pages* of *asked*, each its rows and their ids, all but the last one full.

        A short page proves the rest of the range, a full one as much as it goes over.
        """
        self._answered(asked)
        if asked.sample:
            ((_, ids),) = pages
            self._pages_seen += bool(ids)
            self._estimate.sample(ids, asked.lo, asked.hi)
            return
        upto = asked.lo
        for rows, ids in pages:
            after, upto = upto, ids[-1] if len(ids) == PAGE_ROWS else asked.hi
            self._proven[after] = Page(rows, ids, after, upto)
            self._held += len(ids)
            self._weight += len(rows)
            self._weighed += len(ids)
            self._pages_seen += bool(ids)
            if asked.lo < self._end:
                self._estimate.prove(ids, after, upto)
        if asked.head:
            self._uncut = [_Gap(upto, asked.hi)] if upto < asked.hi else []
        elif upto < asked.hi and asked.lo < self._end:  # where the tail goes on is not for this plan
            self._go_on(asked, upto, (asked.lo, len(pages)))

    def unchain(self) -> None:
        """Take in that the portal does not follow references as it should: one command a range from now on."""
        self._estimate.unchain()
        for begun in self._urgent:
            begun.pages = 1

    def requeue(self, asked: Range) -> None:
        """Ask for a range again, ahead of new ones, and not for a count: it brought nothing that counts."""
        self._withdraw(asked)
        self.counts = self.counts and not asked.head
        heapq.heappush(self._urgent, asked)

    def mark_failed(self, asked: Range) -> None:
        """Take in that a range failed for good: what lies before it is still read, and nothing beyond."""
        self._answered(asked)
        if not asked.sample:
            self._wall = min(self._wall, asked.lo)

    def next_page(self) -> Page[Rendered] | None:
        """The page at the head of the line, once it is proven."""
        page = self._proven.pop(self.position, None)
        if page is not None:
            assert page.upto is not None
            self._held -= len(page.ids)
            self._wanted -= len(page.ids)
            self.position = page.upto
        return page

    def _withdraw(self, asked: Range) -> None:
        del self._asked[asked.lo]
        self._asked_rows -= asked.rows

    def _answered(self, asked: Range) -> None:
        self._withdraw(asked)
        self._surveyed.discard(asked.lo)

    def _survey(self) -> None:
        """Ask for two pages from the beginning on, counted, and for one here and there, before anything is cut.

        The count tells how many rows there are to an id, the samples how unevenly they lie, and the two pages whether
        references are followed.
        """
        (whole,) = self._uncut
        self._uncut = []
        samples = min(int(self.commands_left / SAMPLED_COMMANDS), SAMPLES)
        stripe = (whole.hi - whole.lo) // (samples + 1)
        self._urgent = [Range(whole.lo, whole.hi, 2, head=True)]
        for lo in range(whole.lo + stripe, whole.hi - stripe + 1, stripe):
            self._urgent.append(Range(lo, lo + stripe, sample=True))
        self._surveyed.update(one.lo for one in self._urgent)

    def _go_on(self, asked: Range, upto: int, seen: tuple[int, int]) -> None:
        """Plan what is left of *asked* beyond *upto*, after *seen*: so many full pages from an id on."""
        rest = asked.hi - upto
        since, pages = seen
        local = pages * PAGE_ROWS * rest / (upto - since)
        expected = math.sqrt(max(self._estimate.rows(rest), 1) * local)  # the list says one thing, the place another
        most = self._estimate.most_rows
        if expected > most:
            heapq.heappush(self._uncut, _Gap(upto, asked.hi, min(expected, BATCH_COMMANDS * most) / rest))
        else:
            longest = self._estimate.pages_after(asked.pages, local, expected, rest)
            heapq.heappush(self._urgent, Range(upto, asked.hi, longest, expected))

    def _cuttable(self, most: int) -> int:
        """How many commands new ranges are worth that may be cut now, or at least *most*; the tail is one."""
        if self.surveying:
            return 0
        left = int(self._tail is not None and self._end < self._wall)
        if not self._uncut or self._uncut[0].lo >= self._wall:
            return left
        lo = self._uncut[0].lo
        expected = self._estimate.rows_a_range(most, tight=self.tight)
        pages = self._estimate.pages(expected) if self._estimate.chained else 1
        room = int(self._room_before(lo) / expected)
        if not self._estimate.counted:
            room = min(room, TRUSTED_RANGES * (1 + self._pages_seen) - len(self._asked))
        room *= pages
        if lo == self.position:
            wanted = self._estimate.commands(max(self._wanted, PAGE_ROWS))
            room = max(room, BATCH_COMMANDS if wanted > BATCH_COMMANDS else math.ceil(wanted))
        for stretch in self._uncut:
            if left >= most:
                break
            left += math.ceil((stretch.hi - stretch.lo) / self._width(expected, stretch)) * pages
        return max(min(left, room), 0)

    def _room_before(self, lo: int) -> float:
        """How many rows more may be under way or held back, where the next range begins at *lo*."""
        a_row = self._weight / self._weighed if self._weighed else 1.0
        window = min(self._bounds.rows, self._bounds.weight() / max(a_row, 1.0), self._wanted)
        before = total = self._asked_rows + self._held
        if 2 * total > window:  # not all of it lies before
            before = sum(asked.rows for start, asked in self._asked.items() if start < lo)
            before += sum(len(page.ids) for start, page in self._proven.items() if start < lo)
        return min(window - before, 2 * window - total)

    def _cut(self, commands: int, most: int) -> list[Range]:
        """Up to so many ranges of about the same width and a page each, from the beginning of what is uncut."""
        stretch = heapq.heappop(self._uncut)
        rows = self._estimate.rows_a_range(most, tight=self.tight)
        ids = stretch.hi - stretch.lo
        width = math.ceil(ids / math.ceil(ids / self._width(rows, stretch)))
        hi = min(stretch.lo + commands * width, stretch.hi)
        self._leave(stretch, hi)
        return [Range(lo, min(lo + width, hi), 1, rows) for lo in range(stretch.lo, hi, width)]

    def _cut_chain(self, commands: int) -> Range:
        """A range that most likely takes no more than so many *commands*, from the beginning of what is uncut."""
        stretch = heapq.heappop(self._uncut)
        rows = self._estimate.rows_a_range(commands, tight=self.tight)
        width = max(self._width(rows, stretch), commands * PAGE_ROWS)
        if stretch.lo + width < stretch.hi:
            self._leave(stretch, stretch.lo + width)
            return Range(stretch.lo, stretch.lo + width, commands, rows)
        rows *= (stretch.hi - stretch.lo) / width
        return Range(stretch.lo, stretch.hi, min(self._estimate.pages(rows), commands), rows)

    def _leave(self, stretch: _Gap, lo: int) -> None:
        """Keep what is uncut of *stretch* beyond *lo*: the further it goes, the more like the list on the whole."""
        if lo < stretch.hi:
            ids = stretch.hi - lo
            rows = stretch.rows and math.sqrt(stretch.rows * max(self._estimate.rows(ids), 1) / ids)
            heapq.heappush(self._uncut, _Gap(lo, stretch.hi, rows))

    def _width(self, rows: float, stretch: _Gap) -> int:
        """How many ids of *stretch* should hold so many *rows*; as many as a page has rows can always be had."""
        return max(math.floor(rows / stretch.rows if stretch.rows else self._estimate.ids(rows)), PAGE_ROWS)
