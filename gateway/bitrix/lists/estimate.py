"""Estimates how many rows a list still holds, and from that how large its ranges and chains should be. Pure."""

import math
from collections.abc import Sequence

from gateway.bitrix.lists.density import Density
from gateway.bitrix.lists.page import PAGE_ROWS
from gateway.bitrix.protocol.v2 import BATCH_COMMANDS

MIN_SINGLE_PAGE_ROWS = 46  # single-page ranges must be this full on average; if that is not safe, chains are used
PAGE_SIGMAS = 1.8  # safety margin (σ) between the expected rows of a single-page range and a full page
CHAIN_SIGMAS = 1.2  # safety margin (σ) of a chained range: a few overfull ranges cost less than many unused commands
OVERFULL_SIGMAS = 2.0  # safety margin (σ) for the remainder of an overfull range; later ranges wait for it
MAX_MARGIN = 0.1  # upper limit of a chained range's safety margin, as a share of its rows
MAX_CHAINED_ROWS = PAGE_ROWS * BATCH_COMMANDS  # in one range: as many as the pages of one batch hold
MAX_UNCHAINED_ROWS = 300  # in one range without chains, where each page takes a batch of its own
MAX_COUNT_RATIO = 4  # ignore the portal's count if it differs more than this from the observed density
MIN_CHECKED_PAGES = 20  # observed pages before the count is compared with the observed density


class Estimate:
    """The estimated distribution of rows among the *ids* not yet proven: from the observed density and a count.

    Where rows are even, a range is sized to hold just under one page, so that one command proves it. Elsewhere it is
    sized to hold just under several pages, read by a chain. A range ends in a page that is not full, and this loss
    weighs less the more pages the range has.
    """

    def __init__(self, ids: int) -> None:
        self._ids = ids
        self._count = 0  # the portal's count of rows among the ids; 0 if unknown or not trusted
        self._density = Density()
        self._observed_pages = 0
        self._chains_work = True
        self.max_range_rows = MAX_CHAINED_ROWS

    def observe(self, ids: Sequence[int], after: int, upto: int) -> None:
        """Learn from the ids of all rows with ``after < id <= upto``."""
        self._density.observe(ids, after, upto)
        self._observed_pages += 1

    def observe_sample(self, ids: Sequence[int], after: int, upto: int) -> None:
        """Learn from a page that starts at an arbitrary id, *after*, and ends at *upto* at the latest.

        An arbitrary id is likelier to fall between two distant rows than between two close ones. To correct for that,
        only half of the distance before the first row counts. A page that is not full covers its range as it is.
        """
        if len(ids) == PAGE_ROWS:
            self.observe(ids, (after + ids[0]) // 2, ids[-1])
        else:
            self.observe(ids, after, upto)

    def prove(self, ids: Sequence[int], after: int, upto: int) -> None:
        """Learn from the ids of all rows with ``after < id <= upto``, and remove that range from the unproven ids."""
        self.observe(ids, after, upto)
        self._ids -= upto - after
        self._count = max(self._count - len(ids), 0) if self._ids else 0
        if self._count and self._observed_pages >= MIN_CHECKED_PAGES:
            expected = self._density.expected_rows(self._ids)
            if not expected / MAX_COUNT_RATIO <= self._count <= expected * MAX_COUNT_RATIO:
                self._count = 0

    def set_count(self, rows: int | None) -> None:
        """Use the portal's count of the rows among the unproven ids; None if the portal sent none."""
        self._count = min(max(rows or 0, 0), self._ids)

    def disable_chains(self) -> None:
        """Stop using chains: the portal does not resolve references."""
        self._chains_work = False
        self.max_range_rows = MAX_UNCHAINED_ROWS

    @property
    def has_count(self) -> bool:
        """Whether the portal's count is known and trusted."""
        return self._count > 0

    @property
    def uses_chains(self) -> bool:
        """Whether new ranges are read by chains."""
        return self._chains_work and not self._is_even

    @property
    def remaining_rows(self) -> float:
        """The number of rows expected among the unproven ids."""
        return self.expected_rows(self._ids)

    def expected_rows(self, ids: int) -> float:
        """The number of rows expected among *ids* consecutive ids."""
        return ids * self._count / self._ids if self._count else self._density.expected_rows(ids)

    def expected_ids(self, rows: float) -> float:
        """The number of consecutive ids expected to hold *rows* rows."""
        return rows * self._ids / self._count if self._count else self._density.expected_ids(rows)

    def expected_commands(self, rows: float) -> float:
        """The number of commands expected to be needed for *rows* rows."""
        return rows / self._target_rows(self.max_range_rows) * self.max_range_rows / PAGE_ROWS

    def range_rows(self, batch_commands: int, *, budget_scarce: bool) -> float:
        """The number of rows that a new range should hold, in batches of *batch_commands* commands.

        While the *budget is scarce*, chained ranges have no safety margin: the remainders of a few overfull ranges
        share a batch with other ranges, and cost less than unused commands in every chain.
        """
        if self._is_even:
            return self._target_rows(PAGE_ROWS)
        capacity = min(self.max_range_rows, PAGE_ROWS * batch_commands)
        return capacity if budget_scarce and capacity > PAGE_ROWS else self._target_rows(capacity)

    def chain_pages(self, rows: float) -> int:
        """The number of pages to request in one chain for *rows* expected rows: an upper bound on what is likely."""
        if not self._chains_work:
            return 1
        likely_rows = rows + min(self._margin(rows), 2 * MAX_MARGIN * rows)
        return max(min(math.ceil(likely_rows / PAGE_ROWS), BATCH_COMMANDS), 1)

    def remainder_pages(self, requested_pages: int, local_rows: float, rows: float, ids: int) -> int:
        """The number of pages to request for the rest of an overfull range, first requested in *requested_pages* pages.

        *ids* ids remain. They hold *local_rows* rows at the density of the pages read; *rows* is the best estimate.
        If the local density is higher, up to twice the pages of the first request are requested.
        """
        if not self._chains_work:
            return 1
        margin = OVERFULL_SIGMAS * math.sqrt(max(rows, 1) * self._density.dispersion)
        likely_rows = min(rows + min(margin, 2 * MAX_MARGIN * rows + PAGE_ROWS), ids)
        pages = max(math.ceil(likely_rows / PAGE_ROWS), min(2 * requested_pages, math.ceil(local_rows / PAGE_ROWS)))
        return max(min(pages, BATCH_COMMANDS), 1)

    @property
    def _is_even(self) -> bool:
        """Whether rows are even enough for single-page ranges."""
        return self._target_rows(PAGE_ROWS) >= MIN_SINGLE_PAGE_ROWS

    def _target_rows(self, capacity: int) -> float:
        """*capacity* rows minus a safety margin: at most half a page of one page, at most MAX_MARGIN of several."""
        return capacity - min(self._margin(capacity), MAX_MARGIN * capacity if capacity > PAGE_ROWS else PAGE_ROWS / 2)

    def _margin(self, rows: float) -> float:
        """How far the number of rows is likely to differ from *rows* expected ones."""
        sigmas = PAGE_SIGMAS if rows <= PAGE_ROWS else CHAIN_SIGMAS
        return sigmas * math.sqrt(rows * self._density.dispersion)
