"""Read a keyset list of a portal by many cursors at once: complete and in order, or with a loud failure.

An opening reads the first page after the cursor and finds the largest id; the ids between are cut into ranges, many to
a batch, and the batches run side by side. Every page is checked against the boundary it should begin at. A tail reads
what has come beyond the largest id, and its end is the end of the walk. Nothing is addressed by offset, so deletions
and additions meanwhile shift nothing.

Source: protocol.md 6.1 (b24restdocs settings/performance/huge-data.md)
"""

import asyncio
import math
import random
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import pairwise
from typing import Protocol

from gateway.bitrix.bounds import Bounded
from gateway.bitrix.errors import PortalBroken, PortalError, WalkFailed
from gateway.bitrix.methods import HIGHEST_ID, Row
from gateway.bitrix.pages import MAX_ASKS, PAGE_ROWS, ListCall, Page, checked_ids
from gateway.bitrix.ranges import Plan, Range
from gateway.bitrix.retry import decide
from gateway.bitrix.whole import OFFSET_ROWS, read_by_ids, read_whole
from gateway.bitrix.wire import BATCH_COMMANDS, Answer, Command, Params, batch_label
from gateway.clock import Clock

__all__ = ["MAX_ASKS", "OFFSET_ROWS", "ListCall", "Pace", "Page", "Portal", "read_by_ids", "read_whole", "walk"]

BATCH_S = 20.0  # a batch should take no longer; the portal cuts it off after 60 s, protocol.md 12.3
SURVEY_COMMANDS = 8  # in a batch, while an eager walk knows little of its list


class Pace(Enum):
    """How a walk spends the portal's budget.

    *window* bounds the rows under way or held back until those before them have come, *most_rows* those expected in a
    range where rows lie unevenly, and *samples* the pages of a survey.
    """

    THRIFTY = (20_000, 300, 25)  # the fewest requests: full batches
    EAGER = (80_000, 300, 24)  # shorter batches side by side for as long as there is room for them

    def __init__(self, window: int, most_rows: int, samples: int) -> None:
        self.window = window
        self.most_rows = most_rows
        self.samples = samples


class Portal(Protocol):
    """What a walk needs of a portal's client."""

    @property
    def clock(self) -> Clock:
        """The time that pauses and durations are measured by."""

    def background(self) -> "Portal":
        """The same for work that lets interactive calls go first."""

    def room(self) -> int:
        """How many requests may go now without waiting."""

    async def batch(self, commands: Sequence[Command]) -> list[Answer | PortalError]:
        """The outcome of each of *commands*, after all retries."""

    async def attempt(self, commands: Sequence[Command], sent: Callable[[float], None]) -> list[Answer | PortalError]:
        """The outcome of each of *commands* in one request; *sent* is told when it goes, and how long it rested."""


async def walk(
    client: Portal,
    call: ListCall,
    *,
    cursor: int = 0,
    pace: Pace = Pace.THRIFTY,
) -> AsyncGenerator[Page, None]:
    """The pages of a keyset list in the order of ids, from beyond *cursor* to the proven end; each follows on the last.

    Holds a bounded number of rows, whatever the length of the list. Conditions on the id in the call's own filter
    narrow what is read. An eager walk is thrifty while the portal's bucket has no room.
    The first request goes in the client's own lane, all others in the background's: interactive calls overtake them.
    Closing the iterator (``contextlib.aclosing``) ends the requests under way.

    Raises:
        WalkFailed: the portal failed for good; its cursor is the end of the last page given out, to go on from.
        InvalidInput: the call's filter is none, or bounds the id by what is no number.
    """
    asker = _Asker(client, Bounded.of(call, cursor), pace)
    after, upto = asker.bounded.after, asker.bounded.upto
    for tail in (upto or HIGHEST_ID, None):  # the second round only if the first one's tail is a full page
        first, ids, largest = await asker.open(after)
        yield first
        if first.upto is None:
            return
        plan = Plan(
            first,
            ids,
            largest,
            tail=tail if tail != largest else None,
            window=pace.window,
            most_rows=pace.most_rows,
            samples=pace.samples,
        )
        runner = _Runner(asker, plan)
        try:
            while (page := await runner.next()) is not None:
                at_end = page.upto == (tail or largest)
                yield Page(page.rows, page.after, None) if at_end else page
                if at_end:
                    return
        finally:
            await runner.close()
        after = plan.position


class _Asker:
    """Puts the commands of one walk, and lets no page pass unchecked."""

    def __init__(self, client: Portal, bounded: Bounded, pace: Pace) -> None:
        self.client = client
        self.bounded = bounded
        self.pace = pace
        self.method = bounded.call.method
        self._facts = bounded.call.facts

    async def open(self, after: int) -> tuple[Page, list[int], int]:
        """The first page beyond *after*, its ids, and the largest id that there is."""
        upto = self.bounded.upto
        if upto is not None and upto <= after:
            return Page([], after, None), [], after
        one_page = upto is not None and upto - after <= PAGE_ROWS
        commands = [self._command(after, upto, direction) for direction in (("ASC",) if one_page else ("ASC", "DESC"))]
        for ask in range(1, MAX_ASKS + 1):
            try:
                outcomes = await self.client.batch(commands)
            except PortalError as error:
                raise WalkFailed(self.method, after, error) from error
            try:
                ascending, *others = [self._rows(outcome) for outcome in outcomes]
                ids = checked_ids(ascending, after, upto)
                descending = _checked_end(others[0], after, ids) if others else []
                break
            except PortalError as error:
                if ask == MAX_ASKS or not isinstance(error, PortalBroken):
                    raise WalkFailed(self.method, after, error) from error
        self.client = self.client.background()
        largest = max([ids[-1] if ids else after, *(row_id for row_id, _ in descending)])
        if len(ids) == PAGE_ROWS and descending and descending[-1][0] <= ids[-1]:  # the two meet
            last = ids[-1]
            ascending += [one for one in reversed(descending) if one[0] > last]
            ids = [row_id for row_id, _ in ascending]
        whole = len(ids) != PAGE_ROWS or ids[-1] == largest
        return Page([row for _, row in ascending], after, None if whole else ids[-1]), ids, largest

    def commands(self, ranges: Sequence[Range]) -> list[Command]:
        """The commands of one batch that read *ranges*, every page of a chain from the last row of the one before."""
        commands: list[Command] = []
        for one in ranges:
            after: int | str = one.lo
            for _ in range(one.pages):
                commands.append(self._command(after, None if one.hi == HIGHEST_ID else one.hi, "ASC"))
                after = self._facts.reference(batch_label(len(commands) - 1), PAGE_ROWS - 1)
        return commands

    def prove(self, plan: Plan, asked: Range, outcomes: Sequence[Answer | PortalError]) -> None:
        """Let *plan* have what the *outcomes* of the range's commands prove of it.

        A chain counts as far as its pages are full and each begins after the last; what an unresolved reference brings
        does not.

        Raises:
            PortalError: nothing is proven, for what became of the first command.
        """
        rows, ids = self._page(asked.lo, asked.hi, outcomes[0])
        pages = [(rows, ids)]
        for outcome in outcomes[1:]:
            if len(ids) < PAGE_ROWS or ids[-1] == asked.hi:
                break
            try:
                rows, ids = self._page(ids[-1], asked.hi, outcome)
            except PortalError:
                if isinstance(outcome, Answer):
                    plan.unchain()
                break
            pages.append((rows, ids))
        plan.prove(asked, pages)

    def _page(self, lo: int, hi: int, outcome: Answer | PortalError) -> tuple[list[Row], list[int]]:
        rows = self._rows(outcome)
        ids = checked_ids(rows, lo, hi)
        return [row for _, row in rows], ids

    def _command(self, after: int | str, upto: int | None, direction: str) -> Command:
        bounds: Params = {">": after} if upto is None else {">": after, "<=": upto}
        params = self._facts.filtered(self.bounded.call.params, bounds)
        return Command(self.method, {**params, **self._facts.ordered(direction), "start": -1})

    def _rows(self, outcome: Answer | PortalError) -> list[tuple[int, Row]]:
        if isinstance(outcome, PortalError):
            raise outcome
        return self._facts.rows(outcome)


def _checked_end(rows: list[tuple[int, Row]], after: int, first: Sequence[int]) -> list[tuple[int, Row]]:
    """The *rows* of a list's last page, largest id first; *first* are the ids of its first one.

    Raises:
        PortalBroken: they do not descend to beyond *after*, or do not fit the first page.
    """
    ids = [row_id for row_id, _ in rows]
    if any(here <= following for here, following in pairwise([*ids, after])):
        raise PortalBroken("a page that does not descend to where it should end")
    if len(first) == PAGE_ROWS and (len(ids) < PAGE_ROWS or ids[0] < first[-1]):
        raise PortalBroken("two pages that contradict each other")
    return rows


@dataclass
class _History:
    """What has become of a range so far: how often it was asked for, since when, and how much of that was rest."""

    since: float
    tries: int = 0
    rested_s: float = 0.0

    def wait_s(self, error: PortalError, now: float, rested_s: float, *, came: bool) -> float | None:
        """Seconds until it may be asked for again, None if not; a page that *came* and broke a check needs no pause."""
        if self.tries:
            self.rested_s += rested_s
        self.tries += 1
        if came:
            return 0.0 if self.tries < MAX_ASKS else None
        return decide(error, self.tries, now - self.since - self.rested_s, False, random.random()).wait_s


class _Runner:
    """Sends the batches of one plan, several side by side, and hands its pages on.

    No more than one batch waits for its turn to be sent, so that what goes next is decided when it can go.
    """

    def __init__(self, asker: _Asker, plan: Plan) -> None:
        self._asker = asker
        self._client = asker.client
        self._clock = asker.client.clock
        self._plan = plan
        self._tasks: set[asyncio.Task[None]] = set()
        self._in_flight = 0  # batches that are sent, or wait for their turn
        self._one_waits = False
        self._news = asyncio.Event()
        self._command_s = 0.0
        self._histories: dict[int, _History] = {}  # of ranges that failed, by where they begin
        self._failed: tuple[int, PortalError] | None = None  # the first range that failed for good
        self._fatal: BaseException | None = None  # what concerns more than one range

    async def next(self) -> Page | None:
        """The next page in order; None at the end of the plan.

        Raises:
            WalkFailed: a range failed for good, and all before it has been given out.
        """
        while True:
            self._news.clear()
            self._pump()
            if (page := self._plan.next_page()) is not None:
                return page
            if self._fatal is not None and not isinstance(self._fatal, PortalError):
                raise self._fatal
            cause = self._fatal or (self._failed[1] if self._failed and self._plan.at_wall else None)
            if isinstance(cause, PortalError):
                raise WalkFailed(self._asker.method, self._plan.position, cause) from cause
            if not self._tasks:
                return None
            await self._news.wait()

    async def close(self) -> None:
        """End all requests under way."""
        self._fatal = self._fatal or asyncio.CancelledError()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _pump(self) -> None:
        """Start what can go now: a batch that is not full waits for others under way, unless there is room enough."""
        while not self._one_waits and self._fatal is None:
            room = self._client.room() if self._asker.pace is Pace.EAGER else 0
            size = self._size(room)
            available = self._plan.available(size)
            if available == 0 or (available < size and self._in_flight):
                return
            self._one_waits = True
            self._in_flight += 1
            task = asyncio.create_task(self._ask(self._plan.take(size)))
            self._tasks.add(task)
            task.add_done_callback(self._ended)

    def _size(self, room: int) -> int:
        """How many commands the next batch gets: all that fit where there is no *room* to send several at once."""
        most = BATCH_COMMANDS
        if self._command_s > 0:
            most = min(max(int(BATCH_S / self._command_s), 1), BATCH_COMMANDS)
        if room <= 0:
            return most
        shared = max(math.ceil(self._plan.ranges_left / room), 1)
        return min(shared, most, SURVEY_COMMANDS if self._plan.surveying else most)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._fatal = self._fatal or error
        self._news.set()

    async def _ask(self, ranges: Sequence[Range]) -> None:
        """Ask for *ranges* in one batch, and again for those that failed and may come right, after their pause."""
        sent_at: float | None = None
        rested_s = 0.0

        def sent(rested: float) -> None:
            nonlocal sent_at, rested_s
            rested_s += rested
            if sent_at is None:
                sent_at = self._clock.monotonic()
                self._one_waits = False
                self._pump()

        commands = self._asker.commands(ranges)
        outcomes: Sequence[Answer | PortalError]
        try:
            outcomes = await self._client.attempt(commands, sent)
            failure = None
        except PortalError as error:
            outcomes = [error] * len(commands)
            failure = error
        finally:
            self._in_flight -= 1
            self._one_waits = self._one_waits and sent_at is not None
        now = self._clock.monotonic()
        if sent_at is not None:
            self._note_duration((now - sent_at) / len(commands), failed=failure is not None)
        again, pause_s = [], 0.0
        told = iter(outcomes)
        for asked in ranges:
            chain = [next(told) for _ in range(asked.pages)]
            try:
                self._asker.prove(self._plan, asked, chain)
                self._histories.pop(asked.lo, None)
            except PortalError as error:
                history = self._histories.setdefault(asked.lo, _History(now if sent_at is None else sent_at))
                wait_s = history.wait_s(error, now, rested_s, came=isinstance(chain[0], Answer))
                if wait_s is not None:
                    again.append(asked)
                    pause_s = max(pause_s, wait_s)
                elif failure is not None:
                    self._fatal = failure
                else:
                    self._plan.give_up(asked)
                    self._failed = min(self._failed or (asked.lo, error), (asked.lo, error), key=lambda one: one[0])
        self._pump()
        if again:
            self._news.set()
            await self._clock.sleep(pause_s)
            for asked in again:
                self._plan.give_back(asked)
            self._pump()

    def _note_duration(self, command_s: float, *, failed: bool) -> None:
        """Take in how long each command of a batch took; of one that failed only if it took long, to halve the next."""
        if failed and command_s <= self._command_s:
            return
        self._command_s = command_s if self._command_s == 0 else max((self._command_s + command_s) / 2, 1e-9)
