"""Lists that are read whole: by offset, or all rows in one answer."""

from collections.abc import Sequence

from gateway.bitrix.client import PortalClient
from gateway.bitrix.errors import PortalBroken, PortalError, WalkFailed
from gateway.bitrix.lists.list_specs import Paging, Row
from gateway.bitrix.lists.page import MAX_PAGE_ATTEMPTS, PAGE_ROWS, ListCall, smaller_pages
from gateway.bitrix.protocol.v2 import BATCH_COMMANDS, Answer, Command, Params

OFFSET_ROWS = 50_000  # limit of a list that is read by offset
CHANGED = "the list changed while it was read"


async def read_whole(client: PortalClient, calls: Sequence[ListCall]) -> list[list[Row] | PortalError]:
    """The rows of each list, sorted by id, read together in batches; for lists without keyset.

    A list ends with a page that is shorter than PAGE_ROWS or empty, or before a page that only repeats rows. When the
    last page is full, the offset after it is requested too: a total that is too low is found out there, and the list
    is read on to its end. The first request also reads the last page of the list, in descending order: it has no rows
    beyond those read, unless the portal's pages are smaller than PAGE_ROWS, or it ignores offsets.

    A reading counts if the total equals the number of rows, or if all rows came in one page. A total that is too low
    cannot show that rows were deleted between two pages, so two readings must find the same ids. The same holds for
    a total that is too high if the list is known for it; in all other lists it means that rows are missing. Readings
    that do not count are repeated, up to three in all. A list that the portal refuses stands as its error, and the
    others go on.

    Raises:
        WalkFailed: a list could not be had whole, or the failure concerns more than this one list.
    """
    lists: dict[int, list[Row] | PortalError] = {}
    unconfirmed: dict[int, set[int]] = {}  # ids of an earlier reading whose total is wrong
    for ask in range(1, MAX_PAGE_ATTEMPTS + 1):
        pending = [index for index in range(len(calls)) if index not in lists]
        for index, reading in zip(pending, await _read_once(client, [calls[i] for i in pending]), strict=True):
            error = reading.error
            if error is None and not reading.confirmed and unconfirmed.get(index) != reading.rows.keys():
                unconfirmed[index] = set(reading.rows)
                error = PortalBroken(CHANGED)
            if error is None:
                lists[index] = [reading.rows[row_id] for row_id in sorted(reading.rows)]
            elif error.refuses_command:
                lists[index] = error
            elif ask == MAX_PAGE_ATTEMPTS or not isinstance(error, PortalBroken):
                raise WalkFailed(calls[index].method, 0, error) from error
    return [lists[index] for index in range(len(calls))]


async def _read_once(client: PortalClient, calls: Sequence[ListCall]) -> list["_Reading"]:
    """One reading of each list; every request carries the next pages of all lists."""
    readings = [_Reading(call) for call in calls]
    while due := [(reading, commands) for reading in readings if (commands := reading.due())]:
        try:
            outcomes = iter(await client.batch([command for _, commands in due for command in commands]))
        except PortalError as error:
            raise WalkFailed(due[0][0].call.method, 0, error) from error
        for reading, commands in due:
            reading.take([next(outcomes) for _ in commands])
    return readings


class _Reading:
    """The state of one reading of one list: what to request next, and what the answers prove. No I/O."""

    def __init__(self, call: ListCall) -> None:
        self.call = call
        self.rows: dict[int, Row] = {}
        self.error: PortalError | None = None
        self.confirmed = False  # whether the total, or a single page, proves that these are all rows
        self._is_unpaged = call.facts.paging is Paging.UNPAGED
        self._pages = 0  # the first one, and those with new rows
        self._totals: set[int | None] = set()
        self._last: set[int] = set()  # ids of the last page
        self._ended = False

    def due(self) -> list[Command]:
        """The commands of the next request; none after the end of the list, or an error."""
        if self._ended or self.error is not None:
            return []
        read = len(self.rows)
        if self._pages == 0:
            return [self._page(0)] if self._is_unpaged else [self._page(0), self._page(0, "DESC")]
        if self._pages == 1:  # all that is counted, and the offset after a last page that is full
            stop = max(min(self._total, OFFSET_ROWS), read) + 1
        else:  # more than is counted: as many pages again
            stop = read + min(read, BATCH_COMMANDS * PAGE_ROWS)
        return [self._page(start) for start in range(read, stop, PAGE_ROWS)]

    def take(self, outcomes: Sequence[Answer | PortalError]) -> None:
        """Take in the outcomes of the commands that were due."""
        try:
            answers = [_answer(outcome) for outcome in outcomes]
            if self._pages == 0:
                self._add(answers[0])
                self._last = {row_id for answer in answers[1:] for row_id, _ in self.call.facts.rows(answer)}
            else:
                for answer in answers:
                    self._add(answer)
            count = len(self.rows)
            expected = count if self._ended else max(count, self._total)
            if expected > OFFSET_ROWS and (self._pages > 1 or expected > count):
                raise PortalBroken(f"more than {OFFSET_ROWS} rows in a list that is read by offset")
            if self._ended:
                self._check()
        except PortalError as error:
            self.error = error

    @property
    def _total(self) -> int:
        return max(total or 0 for total in self._totals)

    def _page(self, start: int, direction: str = "ASC") -> Command:
        paging: Params = {"start": start} if start or not self._is_unpaged else {}
        order = {} if self._is_unpaged else self.call.facts.ordered(direction)
        return Command(self.call.method, {**self.call.params, **order, **paging})

    def _add(self, answer: Answer) -> None:
        """
        Raises:
            PortalBroken: the page repeats some of its rows or of those before, or follows the end of the list.
        """
        page = self.call.facts.rows(answer)
        new = {row_id: row for row_id, row in page if row_id not in self.rows}
        if self._pages and not new:  # an empty page, or the last page once more
            self._ended = True
            return
        if len(new) != len(page) or self._ended:
            raise PortalBroken(CHANGED)
        self.rows |= new
        self._pages += 1
        self._totals.add(answer.total)
        self._ended = not page or len(page) % PAGE_ROWS != 0

    def _check(self) -> None:
        """
        Raises:
            PortalBroken: the rows are not the whole list, or not for sure.
        """
        count = len(self.rows)
        if not self._last <= self.rows.keys():
            if self._pages == 1 and count == len(self._last) < PAGE_ROWS:
                raise smaller_pages(count)
            raise PortalBroken("the last page of the list has rows that no other page has")
        if len(self._totals) > 1:
            raise PortalBroken(CHANGED)
        (total,) = self._totals
        if total is None and not self._is_unpaged:
            raise PortalBroken("the portal does not count the rows of the list")
        if self._total > count and self.call.facts.total_is_right:
            raise PortalBroken(f"the portal counts {total} rows and gives {count}")
        self.confirmed = self._pages == 1 or total == count


def _answer(outcome: Answer | PortalError) -> Answer:
    if isinstance(outcome, PortalError):
        raise outcome
    return outcome
