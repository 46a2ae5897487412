"""Read a list of a portal: complete, or with a loud failure.

A keyset list is walked by ranges of ids, many to a batch. The walk goes in rounds: an opening reads the first page
after the cursor and finds the largest id; the ids between are cut into ranges, each wide enough for just under a page;
the next round opens after the largest id, and the short page that it meets there proves the end. Nothing is addressed
by offset, so deletions and additions meanwhile shift nothing.

Source: protocol.md 6.1 (b24restdocs settings/performance/huge-data.md)
"""

import heapq
import math
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field

from gateway.bitrix.client import PortalClient
from gateway.bitrix.errors import PortalBroken, PortalError, WalkFailed
from gateway.bitrix.methods import METHODS, ListMethod, Paging, Row
from gateway.bitrix.wire import BATCH_COMMANDS, Answer, Command, Params

PAGE_ROWS = 50
RANGE_ROWS = 48  # rows expected in a range: just under a page, so that one command mostly proves it
EMPTY_WIDENS = 16
WINDOW_ROWS = 5000  # rows held back because those before them have not come yet
OFFSET_ROWS = 50_000  # read of a list by offset; one that counts more is not believed
MAX_ASKS = 3  # of the same page, when it comes and breaks a check


@dataclass(frozen=True)
class ListCall:
    """A list method and its own parameters; ordering, paging and bounds on the id are the reader's to add."""

    method: str
    params: Params = field(default_factory=dict)

    @property
    def facts(self) -> ListMethod:
        return METHODS[self.method]


@dataclass(frozen=True)
class Page:
    """All rows with ``after < id <= upto``, ascending; *upto* None says that there is nothing beyond."""

    rows: list[Row]
    after: int
    upto: int | None


@dataclass(order=True)
class _Range:
    """Ids from beyond *lo* up to *hi* that are still to be read, and how often they were asked for in vain."""

    lo: int
    hi: int
    asks: int = field(default=0, compare=False)


async def walk(client: PortalClient, call: ListCall, *, cursor: int = 0) -> AsyncIterator[Page]:
    """The pages of a keyset list in the order of ids, from beyond *cursor* to the proven end; each follows on the last.

    Holds a bounded number of rows, whatever the length of the list.

    Raises:
        WalkFailed: the portal failed for good; its cursor is the end of the last page given out, to go on from.
    """
    reader = _Reader(client, call)
    while True:
        first, largest = await reader.open(cursor)
        yield first
        if first.upto is None:
            return
        async for page in reader.between(first, largest):
            yield page
        cursor = largest


class _Reader:
    """Asks for pages of one keyset list, and lets none pass unchecked."""

    def __init__(self, client: PortalClient, call: ListCall) -> None:
        self._client = client
        self._call = call
        self._facts = call.facts

    async def open(self, cursor: int) -> tuple[Page, int]:
        """The first page beyond *cursor*, and the largest id that there is."""
        commands = [self._command({">": cursor}, "ASC"), self._command({">": cursor}, "DESC")]
        for ask in range(1, MAX_ASKS + 1):
            outcomes = await self._batch(commands, cursor)
            try:
                ascending, descending = [self._rows(outcome) for outcome in outcomes]
                ids = _checked_ids(ascending, cursor, None)
                largest = max([ids[-1] if ids else cursor, *(row_id for row_id, _ in descending)])
            except PortalError as error:
                if ask == MAX_ASKS or not isinstance(error, PortalBroken):
                    raise WalkFailed(self._call.method, cursor, error) from error
            else:
                break
        goes_on = len(ids) == PAGE_ROWS and ids[-1] < largest
        return Page([row for _, row in ascending], cursor, ids[-1] if goes_on else None), largest

    async def between(self, first: Page, largest: int) -> AsyncIterator[Page]:
        """The pages from the end of *first* up to *largest*."""
        position = cut_upto = first.upto or 0
        width = _width(len(first.rows), position - first.after)
        unread: list[_Range] = []
        proven: dict[int, Page] = {}
        while position < largest:
            held = sum(len(page.rows) for page in proven.values())
            asked: list[_Range] = []
            while len(asked) < min(BATCH_COMMANDS, max((WINDOW_ROWS - held) // PAGE_ROWS, 1)):
                if unread:
                    asked.append(heapq.heappop(unread))
                elif cut_upto < largest:
                    asked.append(_Range(cut_upto, min(cut_upto + width, largest)))
                    cut_upto = asked[-1].hi
                else:
                    break
            failure, rows_seen, ids_seen = None, 0, 0
            for span, outcome in zip(asked, await self._ranges(asked, position), strict=True):
                try:
                    page = self._page(span, outcome)
                except PortalError as error:
                    span.asks += 1
                    heapq.heappush(unread, span)
                    if not isinstance(error, PortalBroken) or span.asks == MAX_ASKS:
                        failure = failure or error
                    continue
                proven[span.lo] = page
                upto = page.upto or span.hi
                rows_seen, ids_seen = rows_seen + len(page.rows), ids_seen + upto - span.lo
                for rest in _cut(upto, span.hi, _width(len(page.rows), upto - span.lo)):
                    heapq.heappush(unread, rest)
            while page_here := proven.pop(position, None):
                yield page_here
                position = page_here.upto or largest
            if failure is not None:
                raise WalkFailed(self._call.method, position, failure) from failure
            width = _width(rows_seen, ids_seen) if rows_seen else width * EMPTY_WIDENS

    async def _ranges(self, spans: Sequence[_Range], cursor: int) -> list[Answer | PortalError]:
        return await self._batch([self._command({">": span.lo, "<=": span.hi}, "ASC") for span in spans], cursor)

    async def _batch(self, commands: Sequence[Command], cursor: int) -> list[Answer | PortalError]:
        try:
            return await self._client.batch(commands)
        except PortalError as error:
            raise WalkFailed(self._call.method, cursor, error) from error

    def _command(self, bounds: Params, direction: str) -> Command:
        params = self._facts.filtered(self._call.params, bounds)
        return Command(self._call.method, {**params, **self._facts.ordered(direction), "start": -1})

    def _rows(self, outcome: Answer | PortalError) -> list[tuple[int, Row]]:
        if isinstance(outcome, PortalError):
            raise outcome
        return self._facts.rows(outcome)

    def _page(self, span: _Range, outcome: Answer | PortalError) -> Page:
        """What *outcome* proves of *span*: all of it, or as far as a full page goes."""
        rows = self._rows(outcome)
        ids = _checked_ids(rows, span.lo, span.hi)
        return Page([row for _, row in rows], span.lo, ids[-1] if len(ids) == PAGE_ROWS else span.hi)


async def read_whole(client: PortalClient, calls: Sequence[ListCall]) -> list[list[Row] | PortalError]:
    """The rows of each list, sorted by id, read together in batches; for lists without keyset.

    Pages by offset count only if all of them name one total and bring that many different ids, an unpaged list if its
    total, where given, is its number of rows; otherwise it is read again, up to three times. A list that the portal
    refuses stands as its error, and the others go on.

    Raises:
        WalkFailed: a list could not be had whole, or the failure concerns more than this one list.
    """
    lists: dict[int, list[Row] | PortalError] = {}
    for ask in range(1, MAX_ASKS + 1):
        pending = [index for index in range(len(calls)) if index not in lists]
        for index, outcome in zip(pending, await _read_once(client, [calls[i] for i in pending]), strict=True):
            if isinstance(outcome, list) or outcome.refuses_command:
                lists[index] = outcome
            elif ask == MAX_ASKS or not isinstance(outcome, PortalBroken):
                raise WalkFailed(calls[index].method, 0, outcome) from outcome
    return [lists[index] for index in range(len(calls))]


async def _read_once(client: PortalClient, calls: Sequence[ListCall]) -> list[list[Row] | PortalError]:
    """One reading of each list: all first pages, then all others."""
    firsts = await _together(client, [(call, 0) for call in calls])
    others = [
        (index, start)
        for index, (call, first) in enumerate(zip(calls, firsts, strict=True))
        if isinstance(first, Answer) and call.facts.paging is Paging.OFFSET
        for start in range(PAGE_ROWS, min(first.total or 0, OFFSET_ROWS), PAGE_ROWS)
    ]
    pages: list[list[Answer | PortalError]] = [[first] for first in firsts]
    answers = await _together(client, [(calls[index], start) for index, start in others])
    for (index, _), answer in zip(others, answers, strict=True):
        pages[index].append(answer)
    return [_whole(call, answers) for call, answers in zip(calls, pages, strict=True)]


async def _together(client: PortalClient, reads: Sequence[tuple[ListCall, int]]) -> list[Answer | PortalError]:
    try:
        return await client.batch([_offset_command(call, start) for call, start in reads])
    except PortalError as error:
        raise WalkFailed(reads[0][0].method, 0, error) from error


def _offset_command(call: ListCall, start: int) -> Command:
    if call.facts.paging is Paging.UNPAGED:
        return Command(call.method, call.params)
    return Command(call.method, {**call.params, **call.facts.ordered("ASC"), "start": start})


def _whole(call: ListCall, answers: Sequence[Answer | PortalError]) -> list[Row] | PortalError:
    rows: dict[int, Row] = {}
    totals: set[int | None] = set()
    count = 0
    for answer in answers:
        if isinstance(answer, PortalError):
            return answer
        totals.add(answer.total)
        try:
            page = call.facts.rows(answer)
        except PortalBroken as error:
            return error
        rows |= dict(page)
        count += len(page)
    unpaged = call.facts.paging is Paging.UNPAGED
    if len(rows) != count or not (totals == {count} or (unpaged and totals == {None})):
        return PortalBroken("the list changed while it was read")
    return [rows[row_id] for row_id in sorted(rows)]


async def read_by_ids(client: PortalClient, call: ListCall, ids: Sequence[int]) -> list[Row]:
    """The rows with the given *ids*, as far as the portal has them, sorted by id; for keyset lists.

    Raises:
        WalkFailed: not every one of *ids* could be asked for.
    """
    facts = call.facts
    wanted = sorted(set(ids))
    pending = [wanted[start : start + PAGE_ROWS] for start in range(0, len(wanted), PAGE_ROWS)]
    found: dict[int, Row] = {}
    for ask in range(1, MAX_ASKS + 1):
        commands = [
            Command(call.method, {**facts.filtered(call.params, {"@": chunk}), **facts.ordered("ASC")})
            for chunk in pending
        ]
        try:
            outcomes = await client.batch(commands)
        except PortalError as error:
            raise WalkFailed(call.method, 0, error) from error
        again = []
        for chunk, outcome in zip(pending, outcomes, strict=True):
            try:
                if isinstance(outcome, PortalError):
                    raise outcome
                rows = facts.rows(outcome)
                if not set(_checked_ids(rows, 0, None)) <= set(chunk):
                    raise PortalBroken("rows that were not asked for")
                if (outcome.total or 0) != len(rows):  # no total comes with no rows
                    raise PortalBroken("fewer rows than it counts")
                found |= dict(rows)
            except PortalError as error:
                if ask == MAX_ASKS or not isinstance(error, PortalBroken):
                    raise WalkFailed(call.method, 0, error) from error
                again.append(chunk)
        pending = again
    return [found[row_id] for row_id in sorted(found)]


def _checked_ids(rows: Sequence[tuple[int, Row]], lo: int, hi: int | None) -> list[int]:
    """The ids of a page that begins after *lo*, ascends, ends by *hi*, and is no longer than a page."""
    ids = [row_id for row_id, _ in rows]
    if any(here >= following for here, following in zip([lo, *ids], ids, strict=False)):
        raise PortalBroken("a page that does not ascend from where it should begin")
    if hi is not None and ids and ids[-1] > hi:
        raise PortalBroken("a page that goes past its range")
    if len(ids) > PAGE_ROWS:
        raise PortalBroken("a page longer than a page")
    return ids


def _width(rows: int, ids: int) -> int:
    """How many ids should hold RANGE_ROWS rows, where *rows* were found in *ids*; a page's worth of ids always fits."""
    return max(math.floor(RANGE_ROWS * ids / max(rows, 1)), PAGE_ROWS)


def _cut(lo: int, hi: int, width: int) -> Iterator[_Range]:
    """The ids from beyond *lo* to *hi* in ranges of *width*, wider ones where there would be too many for a batch."""
    width = max(width, math.ceil((hi - lo) / BATCH_COMMANDS))
    for start in range(lo, hi, width):
        yield _Range(start, min(start + width, hi))
