"""The plan of a walk: which ids are proven, asked for, and still to be cut into ranges. Pure; nothing here waits."""

import heapq
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Generic

from gateway.bitrix.density import Density
from gateway.bitrix.methods import HIGHEST_ID
from gateway.bitrix.pages import PAGE_ROWS, Page, Rendered
from gateway.bitrix.wire import BATCH_COMMANDS

EVEN_ROWS = 46  # expected in a range just under a page; where so many cannot be had safely, ranges take several pages
SAFE_DEVIATIONS = 1.8  # between the rows expected in a range and a full page
CHAIN_DEVIATIONS = 1.2  # the same of a range that several pages are there for: few more cost less than some in vain
SPARE = 0.1  # of the pages of a chain, at most, are there for rows beyond those expected
CHAINED_ROWS = PAGE_ROWS * BATCH_COMMANDS  # in a range, at most: what the pages of one batch can hold
UNCHAINED_ROWS = 300  # the same where each page of it takes a batch of its own
SURVEYED_COMMANDS = 50  # a list that should take more is surveyed before it is cut
SAMPLES = 8  # of a survey, at most; fewer where there would be less than SAMPLED_COMMANDS to each
SAMPLED_COMMANDS = 12
TRUSTED_RANGES = 60  # may be asked for on the strength of each page with rows


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
class _Stretch:
    """Ids from beyond *lo* up to *hi* still to be cut, with so many *rows* an id, None for as many as on the whole."""

    lo: int
    hi: int
    rows: float | None = field(default=None, compare=False)


class Plan(Generic[Rendered]):
    """The ids from the end of a *first* page up to *largest*, and the *tail* beyond, up to its highest id, if any.

    New ranges are cut as long as the rows before them, held back or under way, fit into *window*. What was begun goes
    on ahead of them and needs no room, and the head of the line may always go, so that the window cannot jam.
    Where rows lie unevenly, a range is read by one chain with pages to spare, so that it most likely is proven at once.
    """

    def __init__(
        self,
        first: Page[Rendered],
        largest: int,
        *,
        tail: int | None,
        window: int,
    ) -> None:
        position = first.upto or 0
        self.position = position
        self._end = largest
        self._tail = None if tail is None else Range(largest, tail)
        self._window = window
        self._most_rows = CHAINED_ROWS
        self._density = Density()
        self._density.note(first.ids, first.after, position)
        self._pages_seen = 1
        self._wall: int = HIGHEST_ID + 1
        self._chains = True
        self._urgent: list[Range] = []
        self._asked: dict[int, Range] = {}
        self._proven: dict[int, Page[Rendered]] = {}
        self._held = 0
        self._unproven = largest - position  # ids
        self._rows_left = 0  # among them, by the portal's count; 0 where that is not known
        self.counts = True  # whether a head may be asked for its number of rows
        self._uncut = [_Stretch(position, largest)] if position < largest else []
        self._surveyed: set[int] = set()  # where ranges of the survey begin that have not told yet
        if self._uncut and self.commands_left > SURVEYED_COMMANDS:
            self._survey()

    @property
    def commands_left(self) -> float:
        """How many more commands the plan should take, as far as can be told."""
        commands = self._rows(self._unproven) / self._just_under(self._most_rows) * self._most_rows / PAGE_ROWS
        return max(commands - sum(one.pages for one in self._asked.values()), self.begun)

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
            cut = [self._cut_chain(left)] if self._chained else self._cut(left, most)
            taken += cut
            left -= sum(one.pages for one in cut)
        if left > 0 and self._tail is not None and not self._uncut:
            taken.append(self._tail)
            self._tail = None
        self._asked.update((one.lo, one) for one in taken)
        return taken

    def count(self, rows: int | None) -> None:
        """Take in how many rows the portal counts among the ids that are not proven; None where it does not say."""
        self._rows_left = max(rows or 0, 0)

    def prove(self, asked: Range, pages: Sequence[tuple[Rendered, list[int]]]) -> None:
        """Take in the checked *pages* of *asked*, each its rows and their ids, all but the last one full.

        A short page proves the rest of the range, a full one as much as it goes over.
        """
        self._answered(asked)
        if asked.sample:
            ((_, ids),) = pages
            self._learn(asked, ids)
            return
        upto = asked.lo
        for rows, ids in pages:
            after, upto = upto, ids[-1] if len(ids) == PAGE_ROWS else asked.hi
            self._proven[after] = Page(rows, ids, after, upto)
            self._held += len(ids)
            self._pages_seen += bool(ids)
            if asked.lo < self._end:
                self._unproven -= upto - after
                self._rows_left = max(self._rows_left - len(ids), 0)
                self._density.note(ids, after, upto)
        if asked.head:
            self._uncut = [_Stretch(upto, asked.hi)] if upto < asked.hi else []
        elif upto < asked.hi and asked.lo < self._end:  # where the tail goes on is not for this plan
            self._go_on(asked, upto, (asked.lo, len(pages)))

    def unchain(self) -> None:
        """Take in that the portal does not follow references as it should: one command a range from now on."""
        self._chains = False
        self._most_rows = UNCHAINED_ROWS

    def give_back(self, asked: Range) -> None:
        """Ask for a range again, ahead of new ones, and not for a count: it brought nothing that counts."""
        del self._asked[asked.lo]
        self.counts = False
        heapq.heappush(self._urgent, asked)

    def give_up(self, asked: Range) -> None:
        """Take in that a range failed for good: what lies before it is still read, and nothing beyond."""
        self._answered(asked)
        if not asked.sample:
            self._wall = min(self._wall, asked.lo)

    def _answered(self, asked: Range) -> None:
        del self._asked[asked.lo]
        self._surveyed.discard(asked.lo)

    def next_page(self) -> Page[Rendered] | None:
        """The page at the head of the line, once it is proven."""
        page = self._proven.pop(self.position, None)
        if page is not None:
            assert page.upto is not None
            self._held -= len(page.ids)
            self.position = page.upto
        return page

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

    def _learn(self, sample: Range, ids: Sequence[int]) -> None:
        """Take in what a sample tells of the list.

        It began at any id, which is the likelier within a gap the longer that is: only what follows its first row
        tells of the whole, unless it ends before its page does.
        """
        self._pages_seen += bool(ids)
        if len(ids) == PAGE_ROWS:
            self._density.note(ids, (sample.lo + ids[0]) // 2, ids[-1])
        else:
            self._density.note(ids, sample.lo, sample.hi)

    def _go_on(self, asked: Range, upto: int, seen: tuple[int, int]) -> None:
        """Plan what is left of *asked* beyond *upto*, after *seen*: so many full pages from an id on."""
        rest = asked.hi - upto
        since, pages = seen
        local = pages * PAGE_ROWS * rest / (upto - since)
        expected = math.sqrt(max(self._rows(rest), 1) * local)  # the list says one thing, the place another
        if expected > self._most_rows:
            rows = min(expected, BATCH_COMMANDS * self._most_rows)
            heapq.heappush(self._uncut, _Stretch(upto, asked.hi, rows / rest))
        else:
            doubled = min(2 * asked.pages, math.ceil(local / PAGE_ROWS), BATCH_COMMANDS) if self._chains else 1
            heapq.heappush(self._urgent, Range(upto, asked.hi, max(self._pages(expected), doubled), expected))

    def _rows(self, ids: int) -> float:
        """How many rows to expect among so many *ids* that are not proven."""
        if self._rows_left and self._unproven:
            return ids * self._rows_left / self._unproven
        return self._density.rows(ids)

    def _ids(self, rows: float) -> float:
        """How many ids that are not proven should hold so many *rows*."""
        if self._rows_left and self._unproven:
            return rows * self._unproven / self._rows_left
        return self._density.ids(rows)

    def _cuttable(self, most: int) -> int:
        """How many commands new ranges are worth that may be cut now, or at least *most*; the tail is one."""
        if self.surveying:
            return 0
        left = int(self._tail is not None and self._end < self._wall)
        if not self._uncut or self._uncut[0].lo >= self._wall:
            return left
        lo = self._uncut[0].lo
        expected = self._rows_a_range(most)
        pages = self._pages(expected) if self._chained else 1
        before = sum(asked.rows for start, asked in self._asked.items() if start < lo)
        before += sum(len(page.ids) for start, page in self._proven.items() if start < lo)
        total = sum(asked.rows for asked in self._asked.values()) + self._held
        room = int(min(self._window - before, 2 * self._window - total) / expected)
        if not self._rows_left:
            room = min(room, TRUSTED_RANGES * (1 + self._pages_seen) - len(self._asked))
        room *= pages
        if lo == self.position:
            room = max(room, BATCH_COMMANDS)
        for stretch in self._uncut:
            if left >= most:
                break
            left += math.ceil((stretch.hi - stretch.lo) / self._width(expected, stretch)) * pages
        return max(min(left, room), 0)

    def _cut(self, commands: int, most: int) -> list[Range]:
        """Up to so many ranges of about the same width and a page each, from the beginning of what is uncut."""
        stretch = heapq.heappop(self._uncut)
        rows = self._rows_a_range(most)
        ids = stretch.hi - stretch.lo
        width = math.ceil(ids / math.ceil(ids / self._width(rows, stretch)))
        hi = min(stretch.lo + commands * width, stretch.hi)
        if hi < stretch.hi:
            heapq.heappush(self._uncut, _Stretch(hi, stretch.hi, stretch.rows))
        return [Range(lo, min(lo + width, hi), 1, rows) for lo in range(stretch.lo, hi, width)]

    def _cut_chain(self, commands: int) -> Range:
        """A range that most likely takes no more than so many *commands*, from the beginning of what is uncut."""
        stretch = heapq.heappop(self._uncut)
        rows = self._rows_a_range(commands)
        width = max(self._width(rows, stretch), commands * PAGE_ROWS)
        if stretch.lo + width < stretch.hi:
            heapq.heappush(self._uncut, _Stretch(stretch.lo + width, stretch.hi, stretch.rows))
            return Range(stretch.lo, stretch.lo + width, commands, rows)
        rows *= (stretch.hi - stretch.lo) / width
        return Range(stretch.lo, stretch.hi, min(self._pages(rows), commands), rows)

    def _width(self, rows: float, stretch: _Stretch) -> int:
        """How many ids of *stretch* should hold so many *rows*; as many as a page has rows can always be had."""
        return max(math.floor(rows / stretch.rows if stretch.rows else self._ids(rows)), PAGE_ROWS)

    @property
    def _chained(self) -> bool:
        """Whether new ranges are read by chains."""
        return self._chains and not self._even

    @property
    def _even(self) -> bool:
        """Whether rows lie so evenly that a range can be had that is just under a page."""
        return self._just_under(PAGE_ROWS) >= EVEN_ROWS

    def _rows_a_range(self, most: int) -> float:
        """How many rows the next ranges are to hold, where a batch has *most* commands.

        Just under a page where rows lie evenly, so that one command proves a range. Elsewhere just under several pages:
        each range ends in a page that is not full, and the more rows it has, the less that weighs.
        """
        return self._just_under(PAGE_ROWS if self._even else min(self._most_rows, PAGE_ROWS * most))

    def _just_under(self, rows: int) -> float:
        return rows - min(self._margin(rows), SPARE * rows if rows > PAGE_ROWS else PAGE_ROWS / 2)

    def _margin(self, rows: float) -> float:
        """How many rows more, or fewer, than expected are still likely."""
        deviations = SAFE_DEVIATIONS if rows <= PAGE_ROWS else CHAIN_DEVIATIONS
        return deviations * math.sqrt(rows * self._density.spread)

    def _pages(self, expected: float) -> int:
        """How many pages of a range to ask for in one chain: as many as it may well have."""
        if not self._chains:
            return 1
        most_likely = expected + min(self._margin(expected), 2 * SPARE * expected)
        return max(min(math.ceil(most_likely / PAGE_ROWS), BATCH_COMMANDS), 1)
