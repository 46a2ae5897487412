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
SAFE_DEVIATIONS = 1.8  # between the rows expected in a range and a full page
FEWEST_ROWS = 25
CONTINUED_ROWS = 200  # still expected in a range, at most, for it to be read on page by page; more are cut again
SURVEYED_RANGES = 200  # a list of more than so many is sampled all over before it is cut
TRUSTED_RANGES = 30  # may be asked for on the strength of each page with rows


@dataclass(order=True)
class Range:
    """Ids from beyond *lo* up to *hi* that a command asks for; of a *sample* only the first page is wanted."""

    lo: int
    hi: int
    sample: bool = field(default=False, compare=False)


@dataclass(order=True)
class _Stretch:
    """Ids from beyond *lo* up to *hi* that are still to be cut into ranges of *width*, None for that of the day."""

    lo: int
    hi: int
    width: float | None = field(default=None, compare=False)


class Plan:
    """The ids from the end of a *first* page up to *largest*, and the *tail* beyond, up to its highest id, if any.

    New ranges are cut as long as the rows before them, held back or under way, fit into *window*. What was begun goes
    on ahead of them and needs no room, and the head of the line may always go, so that the window cannot jam.
    *most_rows* is what a range may be expected to hold where rows lie unevenly; *samples* is the size of the survey.
    """

    def __init__(
        self,
        first: Page,
        ids: Sequence[int],
        largest: int,
        *,
        tail: int | None,
        window: int,
        most_rows: int,
        samples: int,
    ) -> None:
        position = first.upto or 0
        self.position = position
        self._end = largest
        self._tail = None if tail is None else Range(largest, tail)
        self._window = window
        self._most_rows = most_rows
        self._density = Density()
        self._density.note(ids, first.after, position)
        self._pages_seen = 1
        self._wall: int = HIGHEST_ID + 1
        self._urgent: list[Range] = []
        self._asked: dict[int, Range] = {}
        self._proven: dict[int, Page] = {}
        self._held = 0
        self._unproven = largest - position  # ids
        self._uncut = [_Stretch(position, largest)] if position < largest else []
        self._surveyed = bool(self._uncut) and self.ranges_left > SURVEYED_RANGES
        if self._surveyed:
            self._survey(samples)

    @property
    def ranges_left(self) -> float:
        """How many more commands the plan should take, as far as can be told."""
        pages = self._density.rows(self._unproven) / PAGE_ROWS
        return max(pages - len(self._asked), len(self._urgent))

    @property
    def at_wall(self) -> bool:
        """Whether all that lies before a range that failed for good has been given out."""
        return self.position >= self._wall

    @property
    def surveying(self) -> bool:
        """Whether samples were asked for, and none has come yet."""
        return self._surveyed and self._pages_seen == 1

    def available(self, batches: int) -> int:
        """How many ranges there are to ask for now, where so many *batches* may go side by side."""
        return len([one for one in self._urgent if one.lo < self._wall]) + self._cuttable(batches)

    def take(self, most: int, batches: int) -> list[Range]:
        """Up to *most* ranges to ask for, begun ones first, all in order as far as they are new."""
        taken: list[Range] = []
        while self._urgent and len(taken) < most and self._urgent[0].lo < self._wall:
            taken.append(heapq.heappop(self._urgent))
        new = min(most - len(taken), self._cuttable(batches))
        while new > 0 and self._uncut:
            cut = self._cut(new, batches)
            taken += cut
            new -= len(cut)
        if new > 0 and self._tail is not None:
            taken.append(self._tail)
            self._tail = None
        self._asked.update((one.lo, one) for one in taken)
        return taken

    def prove(self, asked: Range, rows: list[Row], ids: Sequence[int]) -> None:
        """Take in a checked page of *asked*: a short one proves all of it, a full one as far as it goes."""
        del self._asked[asked.lo]
        upto = ids[-1] if len(ids) == PAGE_ROWS else asked.hi
        self._proven[asked.lo] = Page(rows, asked.lo, upto)
        self._held += len(rows)
        if asked.lo >= self._end:  # the tail; where it goes on is not for this plan
            return
        self._unproven -= upto - asked.lo
        self._density.note(ids, asked.lo, upto)
        self._pages_seen += bool(ids)
        if upto == asked.hi:
            return
        rest = asked.hi - upto
        local = PAGE_ROWS / (upto - asked.lo)
        expected = (self._density.rows(rest) + local * rest) / 2
        if asked.sample:
            heapq.heappush(self._uncut, _Stretch(upto, asked.hi))
        elif expected > CONTINUED_ROWS:
            width = max(self._most_rows * rest / expected, rest / BATCH_COMMANDS)
            heapq.heappush(self._uncut, _Stretch(upto, asked.hi, width))
        else:
            heapq.heappush(self._urgent, Range(upto, asked.hi))

    def give_back(self, asked: Range) -> None:
        """Ask for a range again, ahead of new ones: it brought nothing that counts."""
        del self._asked[asked.lo]
        heapq.heappush(self._urgent, asked)

    def give_up(self, asked: Range) -> None:
        """Take in that a range failed for good: what lies before it is still read, and nothing beyond."""
        del self._asked[asked.lo]
        self._wall = min(self._wall, asked.lo)

    def next_page(self) -> Page | None:
        """The page at the head of the line, once it is proven."""
        page = self._proven.pop(self.position, None)
        if page is not None:
            assert page.upto is not None
            self._held -= len(page.rows)
            self.position = page.upto
        return page

    def _survey(self, samples: int) -> None:
        """Ask for a page here and there first: it is read anyway, and tells of the rows all over the list."""
        (whole,) = self._uncut
        width = self._width(1)
        stripe = width * math.ceil((whole.hi - whole.lo) / samples / width)
        self._uncut = []
        for lo in range(whole.lo, whole.hi, stripe):
            self._urgent.append(Range(lo, min(lo + stripe, whole.hi), sample=True))

    def _cuttable(self, batches: int) -> int:
        """How many new ranges there are and may be cut now; the tail is one."""
        if self.surveying:
            return 0
        left = int(self._tail is not None and self._end < self._wall)
        if not self._uncut or self._uncut[0].lo >= self._wall:
            return left
        lo = self._uncut[0].lo
        weight = max(self._rows_a_range(batches), PAGE_ROWS)
        before = sum(weight for start in self._asked if start < lo)
        before += sum(len(page.rows) for start, page in self._proven.items() if start < lo)
        total = len(self._asked) * weight + self._held
        room = int(min(self._window - before, 2 * self._window - total) / weight)
        room = min(room, TRUSTED_RANGES * (1 + self._pages_seen) - len(self._asked))
        if lo == self.position:
            room = max(room, BATCH_COMMANDS)
        width = self._width(batches)
        for stretch in self._uncut:
            if left >= room:
                break
            left += math.ceil((stretch.hi - stretch.lo) / (stretch.width or width))
        return max(min(left, room), 0)

    def _cut(self, most: int, batches: int) -> list[Range]:
        """Up to *most* ranges from the beginning of what is uncut, of about the same width."""
        stretch = heapq.heappop(self._uncut)
        ids = stretch.hi - stretch.lo
        width = math.ceil(ids / math.ceil(ids / (stretch.width or self._width(batches))))
        cut_upto = min(stretch.lo + most * width, stretch.hi)
        if cut_upto < stretch.hi:
            heapq.heappush(self._uncut, _Stretch(cut_upto, stretch.hi, stretch.width))
        return [Range(lo, min(lo + width, cut_upto)) for lo in range(stretch.lo, cut_upto, width)]

    def _width(self, batches: int) -> int:
        """How many ids the next ranges get; as many as a page has rows can always be had."""
        return max(math.floor(self._density.ids(self._rows_a_range(batches))), PAGE_ROWS)

    def _rows_a_range(self, batches: int) -> float:
        """How many rows the next ranges are to hold.

        Just under a page where rows lie evenly, so that one command mostly proves a range. Elsewhere several pages,
        since each range ends in a page that is not full; fewer where even so nothing but a batch or so is left.
        """
        single = PAGE_ROWS - SAFE_DEVIATIONS * math.sqrt(PAGE_ROWS * self._density.spread)
        if single >= EVEN_ROWS:
            return single
        left = self._density.rows(sum(stretch.hi - stretch.lo for stretch in self._uncut))
        return min(max(single, FEWEST_ROWS, left / (BATCH_COMMANDS * batches)), self._most_rows)
