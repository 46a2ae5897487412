"""The plan of a walk: which ids are proven, asked for, and still to be cut into ranges. Pure; nothing here waits."""

import heapq
import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from gateway.bitrix.density import Density
from gateway.bitrix.methods import HIGHEST_ID, Row
from gateway.bitrix.pages import PAGE_ROWS, Page
from gateway.bitrix.wire import BATCH_COMMANDS

EVEN_ROWS = 46  # expected in a range just under a page; where so many cannot be had safely, ranges take several pages
SAFE_DEVIATIONS = 1.8  # between the rows expected in a range and as many as its pages hold
SPARE = 0.1  # of the pages of a chain, at most, are there for rows beyond those expected
CHAINED_ROWS = PAGE_ROWS * BATCH_COMMANDS  # in a range, at most: what the pages of one batch can hold
UNCHAINED_ROWS = 300  # the same where each page of it takes a batch of its own
SURVEYED_COMMANDS = 200  # a list that should take more is sampled all over before it is cut
SAMPLES = 24
TRUSTED_RANGES = 60  # may be asked for on the strength of each page with rows


@dataclass(order=True)
class Range:
    """Ids from beyond *lo* up to *hi*, read by a chain of so many *pages*, that should have about so many *rows*.

    A *sample* tells of the list, and proves nothing.
    """

    lo: int
    hi: int
    pages: int = field(default=1, compare=False)
    rows: float = field(default=PAGE_ROWS, compare=False)
    sample: bool = field(default=False, compare=False)


@dataclass(order=True)
class _Stretch:
    """Ids from beyond *lo* up to *hi* still to be cut, with so many *rows* an id, None for as many as on the whole."""

    lo: int
    hi: int
    rows: float | None = field(default=None, compare=False)


class Plan:
    """The ids from the end of a *first* page up to *largest*, and the *tail* beyond, up to its highest id, if any.

    New ranges are cut as long as the rows before them, held back or under way, fit into *window*. What was begun goes
    on ahead of them and needs no room, and the head of the line may always go, so that the window cannot jam.
    Where rows lie unevenly, a range is read by one chain with pages to spare, so that it most likely is proven at once.
    """

    def __init__(
        self,
        first: Page,
        ids: Sequence[int],
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
        self._density.note(ids, first.after, position)
        self._pages_seen = 1
        self._wall: int = HIGHEST_ID + 1
        self._chains = True
        self._urgent: list[Range] = []
        self._asked: dict[int, Range] = {}
        self._proven: dict[int, Page] = {}
        self._held = 0
        self._unproven = largest - position  # ids
        self._uncut = [_Stretch(position, largest)] if position < largest else []
        self._samples = 0  # that have not told yet
        if self._uncut and self.commands_left > SURVEYED_COMMANDS:
            self._survey()

    @property
    def commands_left(self) -> float:
        """How many more commands the plan should take, as far as can be told."""
        commands = self._density.rows(self._unproven) / self._just_under(self._most_rows) * self._most_rows / PAGE_ROWS
        return max(commands - sum(one.pages for one in self._asked.values()), self.begun)

    @property
    def begun(self) -> int:
        """How many commands there are to give for what was begun, or failed."""
        return sum(one.pages for one in self._urgent if one.lo < self._wall)

    @property
    def rows_waiting(self) -> int:
        """How many rows wait for a range that was begun or failed, and is not under way."""
        return self._held if self._urgent and self._urgent[0].lo == self.position else 0

    @property
    def at_wall(self) -> bool:
        """Whether all that lies before a range that failed for good has been given out."""
        return self.position >= self._wall

    @property
    def surveying(self) -> bool:
        """Whether samples are still to come, before anything is cut."""
        return self._samples > 0

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

    def prove(self, asked: Range, pages: Sequence[tuple[list[Row], Sequence[int]]]) -> None:
        """Take in the checked *pages* of *asked*, each its rows and their ids, all but the last one full.

        A short page proves the rest of the range, a full one as much as it goes over.
        """
        del self._asked[asked.lo]
        if asked.sample:
            self._learn(asked, [row_id for _, ids in pages for row_id in ids])
            return
        upto = asked.lo
        for rows, ids in pages:
            after, upto = upto, ids[-1] if len(ids) == PAGE_ROWS else asked.hi
            self._proven[after] = Page(rows, after, upto)
            self._held += len(rows)
            self._pages_seen += bool(ids)
            if asked.lo < self._end:
                self._unproven -= upto - after
                self._density.note(ids, after, upto)
        if upto < asked.hi and asked.lo < self._end:  # where the tail goes on is not for this plan
            self._go_on(asked, upto, (asked.lo, len(pages)))

    def unchain(self) -> None:
        """Take in that the portal does not follow references as it should: one command a range from now on."""
        self._chains = False
        self._most_rows = UNCHAINED_ROWS

    def give_back(self, asked: Range) -> None:
        """Ask for a range again, ahead of new ones: it brought nothing that counts."""
        del self._asked[asked.lo]
        heapq.heappush(self._urgent, asked)

    def give_up(self, asked: Range) -> None:
        """Take in that a range failed for good: what lies before it is still read, and nothing beyond."""
        del self._asked[asked.lo]
        if asked.sample:
            self._samples -= 1
        else:
            self._wall = min(self._wall, asked.lo)

    def next_page(self) -> Page | None:
        """The page at the head of the line, once it is proven."""
        page = self._proven.pop(self.position, None)
        if page is not None:
            assert page.upto is not None
            self._held -= len(page.rows)
            self.position = page.upto
        return page

    def _survey(self) -> None:
        """Ask for a page here and there first, and once for two: that tells whether references are followed."""
        (whole,) = self._uncut
        stripe = (whole.hi - whole.lo) // (SAMPLES + 1)
        for number in range(1, SAMPLES + 1):
            lo = whole.lo + number * stripe
            self._urgent.append(Range(lo, lo + stripe, 2 if number == 1 else 1, sample=True))
        self._samples = SAMPLES

    def _learn(self, sample: Range, ids: Sequence[int]) -> None:
        """Take in what a sample tells of the list.

        It began at any id, which is the likelier within a gap the longer that is: only what follows its first row
        tells of the whole, unless it ends before its page does.
        """
        self._samples -= 1
        self._pages_seen += bool(ids)
        if len(ids) and len(ids) % PAGE_ROWS == 0:
            self._density.note(ids, (sample.lo + ids[0]) // 2, ids[-1])
        else:
            self._density.note(ids, sample.lo, sample.hi)

    def _go_on(self, asked: Range, upto: int, seen: tuple[int, int]) -> None:
        """Plan what is left of *asked* beyond *upto*, after *seen*: so many full pages from an id on."""
        rest = asked.hi - upto
        since, pages = seen
        local = pages * PAGE_ROWS * rest / (upto - since)
        expected = math.sqrt(max(self._density.rows(rest), 1) * local)  # the list says one thing, the place another
        if expected > self._most_rows:
            heapq.heappush(
                self._uncut, _Stretch(upto, asked.hi, min(expected, BATCH_COMMANDS * self._most_rows) / rest)
            )
        else:
            doubled = min(2 * asked.pages, math.ceil(local / PAGE_ROWS), BATCH_COMMANDS) if self._chains else 1
            heapq.heappush(self._urgent, Range(upto, asked.hi, max(self._pages(expected), doubled), expected))

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
        before += sum(len(page.rows) for start, page in self._proven.items() if start < lo)
        total = sum(asked.rows for asked in self._asked.values()) + self._held
        room = int(min(self._window - before, 2 * self._window - total) / expected)
        room = min(room, TRUSTED_RANGES * (1 + self._pages_seen) - len(self._asked)) * pages
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
        return max(math.floor(rows / stretch.rows if stretch.rows else self._density.ids(rows)), PAGE_ROWS)

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
        return SAFE_DEVIATIONS * math.sqrt(rows * self._density.spread)

    def _pages(self, expected: float) -> int:
        """How many pages of a range to ask for in one chain: as many as it may well have."""
        if not self._chains:
            return 1
        most_likely = expected + min(self._margin(expected), 2 * SPARE * expected)
        return max(min(math.ceil(most_likely / PAGE_ROWS), BATCH_COMMANDS), 1)
