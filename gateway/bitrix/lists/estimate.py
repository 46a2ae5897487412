"""What a list still holds, as far as can be told, and how large the ranges are to be that it is read by; pure."""

import math
from collections.abc import Sequence

from gateway.bitrix.lists.density import Density
from gateway.bitrix.lists.page import PAGE_ROWS
from gateway.bitrix.protocol.v2 import BATCH_COMMANDS

EVEN_ROWS = 46  # expected in a range just under a page; where so many cannot be had safely, ranges take several pages
SAFE_DEVIATIONS = 1.8  # between the rows expected in a range and a full page
CHAIN_DEVIATIONS = 1.2  # the same of a range that several pages are there for: few more cost less than some in vain
REST_DEVIATIONS = 2.0  # the same of the rest of a range that turned out longer, for which all that follow wait
SPARE = 0.1  # of the pages of a chain, at most, are there for rows beyond those expected
CHAINED_ROWS = PAGE_ROWS * BATCH_COMMANDS  # in a range, at most: what the pages of one batch can hold
UNCHAINED_ROWS = 300  # the same where each page of it takes a batch of its own
BELIEVED = 4  # times what was met of late a count may make it
BELIEVED_FROM = 20  # pages met


class Estimate:
    """How the rows lie among so many *ids* that are not proven yet: by what was met of them, and by a count.

    Ranges hold just under a page where rows lie evenly, so that one command proves a range. Elsewhere they hold just
    under several pages, which are read by a chain of commands: each range ends in a page that is not full, and the more
    rows it has, the less that weighs.
    """

    def __init__(self, ids: int) -> None:
        self._ids = ids
        self._counted = 0  # rows among them; 0 where that is not known, or not believed
        self._density = Density()
        self._pages_met = 0
        self._follows = True  # the portal follows references, so that there can be chains
        self.most_rows = CHAINED_ROWS  # in a range

    def meet(self, ids: Sequence[int], after: int, upto: int) -> None:
        """Take in the rows that lie between *after* and *upto*."""
        self._density.note(ids, after, upto)
        self._pages_met += 1

    def sample(self, ids: Sequence[int], after: int, upto: int) -> None:
        """Take in a page of rows from any id *after* on, which ends by *upto*.

        That id is the likelier within a gap the longer the gap is: only what follows the first row tells of the whole,
        unless the page is not full.
        """
        if len(ids) == PAGE_ROWS:
            self.meet(ids, (after + ids[0]) // 2, ids[-1])
        else:
            self.meet(ids, after, upto)

    def prove(self, ids: Sequence[int], after: int, upto: int) -> None:
        """Take in that these are all rows that lie between *after* and *upto*."""
        self.meet(ids, after, upto)
        self._ids -= upto - after
        self._counted = max(self._counted - len(ids), 0) if self._ids else 0
        if self._counted and self._pages_met >= BELIEVED_FROM:
            met, counted = self._density.rows(self._ids), self._counted
            if not met / BELIEVED <= counted <= met * BELIEVED:
                self._counted = 0

    def count(self, rows: int | None) -> None:
        """Take in how many rows the portal counts among the ids; None where it does not say."""
        self._counted = min(max(rows or 0, 0), self._ids)

    def unchain(self) -> None:
        """Take in that the portal does not follow references as it should."""
        self._follows = False
        self.most_rows = UNCHAINED_ROWS

    @property
    def counted(self) -> bool:
        """Whether the number of rows is known."""
        return self._counted > 0

    @property
    def chained(self) -> bool:
        """Whether new ranges are read by chains."""
        return self._follows and not self._even

    @property
    def rows_left(self) -> float:
        """How many rows there should still be."""
        return self.rows(self._ids)

    def rows(self, ids: int) -> float:
        """How many rows to expect among so many *ids*."""
        return ids * self._counted / self._ids if self._counted else self._density.rows(ids)

    def ids(self, rows: float) -> float:
        """How many ids should hold so many *rows*."""
        return rows * self._ids / self._counted if self._counted else self._density.ids(rows)

    def commands(self, rows: float) -> float:
        """How many commands so many *rows* should take."""
        return rows / self._just_under(self.most_rows) * self.most_rows / PAGE_ROWS

    def rows_a_range(self, most: int, *, tight: bool) -> float:
        """How many rows the next ranges are to hold, where a batch has *most* commands.

        Where requests are *tight*, what chains can hold: some commands more for the rest of a range, which go with
        others, cost less than some in vain in each.
        """
        if self._even:
            return self._just_under(PAGE_ROWS)
        rows = min(self.most_rows, PAGE_ROWS * most)
        return rows if tight and rows > PAGE_ROWS else self._just_under(rows)

    def pages(self, rows: float) -> int:
        """How many pages to ask for in one chain where so many *rows* are expected: as many as there may well be."""
        if not self._follows:
            return 1
        most_likely = rows + min(self._margin(rows), 2 * SPARE * rows)
        return max(min(math.ceil(most_likely / PAGE_ROWS), BATCH_COMMANDS), 1)

    def pages_after(self, pages: int, local: float, rows: float, ids: int) -> int:
        """How many to ask for next where so many *pages* were full.

        There are so many *ids* left, which *local* rows lie among if they lie as on those pages, and probably *rows*.
        """
        if not self._follows:
            return 1
        margin = REST_DEVIATIONS * math.sqrt(max(rows, 1) * self._density.spread)
        most_likely = min(rows + min(margin, 2 * SPARE * rows + PAGE_ROWS), ids)
        pages = max(math.ceil(most_likely / PAGE_ROWS), min(2 * pages, math.ceil(local / PAGE_ROWS)))
        return max(min(pages, BATCH_COMMANDS), 1)

    @property
    def _even(self) -> bool:
        """Whether rows lie so evenly that a range can be had that is just under a page."""
        return self._just_under(PAGE_ROWS) >= EVEN_ROWS

    def _just_under(self, rows: int) -> float:
        return rows - min(self._margin(rows), SPARE * rows if rows > PAGE_ROWS else PAGE_ROWS / 2)

    def _margin(self, rows: float) -> float:
        """How many rows more, or fewer, than expected are still likely."""
        deviations = SAFE_DEVIATIONS if rows <= PAGE_ROWS else CHAIN_DEVIATIONS
        return deviations * math.sqrt(rows * self._density.spread)
