"""Reads lists without keyset completely: by offset, or all rows in one answer."""

from collections.abc import Sequence

from gateway.bitrix.client import PortalClient
from gateway.bitrix.errors import PortalBroken, PortalError, WalkFailed
from gateway.bitrix.lists.list_specs import Paging, Row
from gateway.bitrix.lists.page import MAX_PAGE_ATTEMPTS, PAGE_ROWS, ListCall, answer_of, page_size_error
from gateway.bitrix.protocol.v2 import BATCH_COMMANDS, Answer, Command, Params

MAX_OFFSET_ROWS = 50_000  # longest list that is read by offset
CHANGED = "the list changed while it was read"


async def read_full(client: PortalClient, calls: Sequence[ListCall]) -> list[dict[int, Row] | PortalError]:
    """Read several lists together in batches; return the rows of each by their ids, in ascending order.

    A list ends with a page that is empty or shorter than PAGE_ROWS, or before a page that only repeats rows. After a
    full last page, the next offset is requested too: this reveals a total that is too low, and the reading continues
    to the real end. The first request also reads the last page of the list, in descending order. It must not have rows
    that the other pages lack; if it does, the portal's pages are smaller than PAGE_ROWS, or it ignores offsets.

    A reading is confirmed if the total equals the number of rows, or if all rows came in one page. With a total that
    is too low, rows deleted between two pages would go unnoticed, so two readings must find the same ids. A total that
    is too high means missing rows, except in lists known for wrong totals, where two equal readings are also enough.
    Other readings are repeated, up to three in all. A list that the portal refuses is returned as its error.

    Raises:
        WalkFailed: a list could not be read completely, or an error concerns more than one list.
    """
    lists: dict[int, dict[int, Row] | PortalError] = {}
    unconfirmed: dict[int, set[int]] = {}  # by list: the ids of its last unconfirmed reading
    for attempt in range(1, MAX_PAGE_ATTEMPTS + 1):
        pending = [index for index in range(len(calls)) if index not in lists]
        for index, reading in zip(pending, await _read_once(client, [calls[i] for i in pending]), strict=True):
            error = reading.error
            if error is None and not reading.confirmed and unconfirmed.get(index) != reading.rows.keys():
                unconfirmed[index] = set(reading.rows)
                error = PortalBroken(CHANGED)
            if error is None:
                lists[index] = dict(sorted(reading.rows.items()))
            elif error.refuses_command:
                lists[index] = error
            elif attempt == MAX_PAGE_ATTEMPTS or not isinstance(error, PortalBroken):
                raise WalkFailed(calls[index].method, 0, error) from error
    return [lists[index] for index in range(len(calls))]


async def _read_once(client: PortalClient, calls: Sequence[ListCall]) -> list["_Reading"]:
    """Read each list once. Every request carries the next pages of all lists."""
    readings = [_Reading(call) for call in calls]
    while unfinished := [(reading, commands) for reading in readings if (commands := reading.next_commands())]:
        try:
            outcomes = iter(await client.batch([command for _, commands in unfinished for command in commands]))
        except PortalError as error:
            raise WalkFailed(unfinished[0][0].call.method, 0, error) from error
        for reading, commands in unfinished:
            reading.on_outcomes([next(outcomes) for _ in commands])
    return readings


class _Reading:
    """The state of one reading of one list: what to request next, and what the answers prove. No I/O."""

    def __init__(self, call: ListCall) -> None:
        self.call = call
        self.rows: dict[int, Row] = {}
        self.error: PortalError | None = None
        self.confirmed = False  # the total, or a single page, proves that these are all rows
        self._is_unpaged = call.spec.paging is Paging.UNPAGED
        self._pages = 0  # pages with new rows, and the first page
        self._totals: set[int | None] = set()
        self._last_page_ids: set[int] = set()
        self._ended = False

    def next_commands(self) -> list[Command]:
        """The commands of the next request; none after the end of the list, or after an error."""
        if self._ended or self.error is not None:
            return []
        start = len(self.rows)
        if self._pages == 0:
            return [self._command(0)] if self._is_unpaged else [self._command(0), self._command(0, "DESC")]
        if self._pages == 1:  # all counted rows, and the offset after a full last page
            stop = max(min(self._total, MAX_OFFSET_ROWS), start) + 1
        else:  # the list is longer than its total: double what has been read
            stop = start + min(start, BATCH_COMMANDS * PAGE_ROWS)
        return [self._command(offset) for offset in range(start, stop, PAGE_ROWS)]

    def on_outcomes(self, outcomes: Sequence[Answer | PortalError]) -> None:
        """Process the outcomes of the last `next_commands`. A failed check becomes the reading's `error`."""
        try:
            answers = [answer_of(outcome) for outcome in outcomes]
            if self._pages == 0:
                self._add(answers[0])
                self._last_page_ids = {row_id for answer in answers[1:] for row_id, _ in self.call.spec.rows(answer)}
            else:
                for answer in answers:
                    self._add(answer)
            count = len(self.rows)
            expected = count if self._ended else max(count, self._total)
            if expected > MAX_OFFSET_ROWS and (self._pages > 1 or expected > count):
                raise PortalBroken(f"more than {MAX_OFFSET_ROWS} rows in a list that is read by offset")
            if self._ended:
                self._check()
        except PortalError as error:
            self.error = error

    @property
    def _total(self) -> int:
        return max(total or 0 for total in self._totals)

    def _command(self, start: int, direction: str = "ASC") -> Command:
        paging: Params = {"start": start} if start or not self._is_unpaged else {}
        order = {} if self._is_unpaged else self.call.spec.ordered(direction)
        return Command(self.call.method, {**self.call.params, **order, **paging})

    def _add(self, answer: Answer) -> None:
        """Add the rows of the next page.

        Raises:
            PortalBroken: the page has new rows and also repeats some, or follows the end of the list.
        """
        page = self.call.spec.rows(answer)
        new_rows = {row_id: row for row_id, row in page if row_id not in self.rows}
        if self._pages and not new_rows:  # an empty page, or the last page again
            self._ended = True
            return
        if len(new_rows) != len(page) or self._ended:
            raise PortalBroken(CHANGED)
        self.rows |= new_rows
        self._pages += 1
        self._totals.add(answer.total)
        self._ended = not page or len(page) % PAGE_ROWS != 0

    def _check(self) -> None:
        """Check the finished reading, and set `confirmed`.

        Raises:
            PortalBroken: the rows are not, or may not be, the complete list.
        """
        count = len(self.rows)
        if not self._last_page_ids <= self.rows.keys():
            if self._pages == 1 and count == len(self._last_page_ids) < PAGE_ROWS:
                raise page_size_error(count)
            raise PortalBroken("the last page of the list has rows that no other page has")
        if len(self._totals) > 1:
            raise PortalBroken(CHANGED)
        (total,) = self._totals
        if total is None and not self._is_unpaged:
            raise PortalBroken("the portal does not count the rows of the list")
        if self._total > count and self.call.spec.total_is_right:
            raise PortalBroken(f"the portal counts {total} rows and gives {count}")
        self.confirmed = self._pages == 1 or total == count
