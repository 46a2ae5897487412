"""The commands that one keyset list is read by, and the checks that every page of it must pass."""

from collections.abc import Callable, Sequence
from enum import Enum
from itertools import pairwise
from typing import Generic, Protocol

from gateway.bitrix.errors import PortalBroken, PortalError, WalkFailed
from gateway.bitrix.lists.id_filter import Bounded
from gateway.bitrix.lists.list_specs import HIGHEST_ID, Row
from gateway.bitrix.lists.page import MAX_PAGE_ATTEMPTS, PAGE_ROWS, Page, Rendered, checked_ids, smaller_pages
from gateway.bitrix.lists.plan import Plan, Range
from gateway.bitrix.protocol.v2 import Answer, Command, Params, batch_label
from gateway.clock import Clock


class Pace(Enum):
    """How a walk spends the portal's budget."""

    THRIFTY = "thrifty"  # the fewest requests: full batches, few side by side
    EAGER = "eager"  # batches side by side, and shorter ones where there is room for them

    @property
    def window(self) -> int:
        """The rows under way, or held back until those before them have come, beyond which no new range is begun.

        As many as keep it going; ranges that turn out to hold more than was expected go beyond.
        """
        return 20_000 if self is Pace.THRIFTY else 120_000


class Portal(Protocol):
    """What a walk needs of a portal's client."""

    @property
    def clock(self) -> Clock:
        """The time that pauses and durations are measured by."""

    def background(self) -> "Portal":
        """The same for work that lets interactive calls go first."""

    def room(self) -> int:
        """How many requests may go now without waiting."""

    def wait(self, requests: int) -> float:
        """How many seconds the last of so many requests would have to wait."""

    def retrying(self, error: PortalError, wait_s: float, /) -> None:
        """Told that a part of the walk is tried again after *wait_s* seconds."""

    async def batch(self, commands: Sequence[Command]) -> list[Answer | PortalError]:
        """The outcome of each of *commands*, after all retries."""

    async def attempt(self, commands: Sequence[Command], sent: Callable[[float], None]) -> list[Answer | PortalError]:
        """The outcome of each of *commands* in one request; *sent* is told when it goes, and how long it rested."""


class PageReader(Generic[Rendered]):
    """Puts the commands of one walk, lets no page pass unchecked, and renders the rows of those that do."""

    def __init__(self, client: Portal, bounded: Bounded, pace: Pace, render: Callable[[list[Row]], Rendered]) -> None:
        self.client = client
        self.bounded = bounded
        self.pace = pace
        self.method = bounded.call.method
        self._facts = bounded.call.facts
        self._render = render
        self.command_s = 0.0  # what a command of the opening took, by the portal's clock; 0 where it did not say

    async def open(self, after: int) -> tuple[Page[Rendered], int]:
        """The first page beyond *after*, and the largest id that there is.

        Both ends of the list are read, unless it can have one row at most: where the first page is not full, the last
        one must hold the same rows, or the portal's pages are smaller than PAGE_ROWS.
        """
        upto = self.bounded.upto
        if upto is not None and upto <= after:
            return Page(self._render([]), [], after, None), after
        one_row = upto is not None and upto - after == 1
        commands = [self._command(after, upto, direction) for direction in (("ASC",) if one_row else ("ASC", "DESC"))]
        for ask in range(1, MAX_PAGE_ATTEMPTS + 1):
            try:
                outcomes = await self.client.batch(commands)
            except PortalError as error:
                raise WalkFailed(self.method, after, error) from error
            try:
                ascending, *others = [self._rows(outcome) for outcome in outcomes]
                ids = checked_ids(ascending, after, upto)
                descending = _checked_end(others[0], after, ids) if others else []
                took_s = [one.duration_s for one in outcomes if isinstance(one, Answer) and one.duration_s is not None]
                self.command_s = max(took_s, default=0.0)
                break
            except PortalError as error:
                if ask == MAX_PAGE_ATTEMPTS or not isinstance(error, PortalBroken):
                    raise WalkFailed(self.method, after, error) from error
        self.client = self.client.background()
        largest = max([ids[-1] if ids else after, *(row_id for row_id, _ in descending)])
        if len(ids) == PAGE_ROWS and descending and descending[-1][0] <= ids[-1]:  # the two meet
            last = ids[-1]
            ascending += [one for one in reversed(descending) if one[0] > last]
            ids = [row_id for row_id, _ in ascending]
        whole = len(ids) != PAGE_ROWS or ids[-1] == largest
        return Page(self._render([row for _, row in ascending]), ids, after, None if whole else ids[-1]), largest

    def commands(self, ranges: Sequence[Range], *, counts: bool) -> list[Command]:
        """The commands of one batch that read *ranges*, every page of a chain from the last row of the one before.

        Where it *counts*, that of a head asks for the number of rows as well.
        """
        commands: list[Command] = []
        for one in ranges:
            after: int | str = one.lo
            upto = None if one.hi == HIGHEST_ID else one.hi
            for number in range(one.pages):
                commands.append(self._command(after, upto, "ASC", counted=counts and one.head and number == 0))
                after = self._facts.reference(batch_label(len(commands) - 1), PAGE_ROWS - 1)
        return commands

    def prove(self, plan: Plan[Rendered], asked: Range, outcomes: Sequence[Answer | PortalError]) -> None:
        """Let *plan* have what the *outcomes* of the range's commands prove of it.

        A chain counts as far as its pages are full and each begins after the last; what an unresolved reference brings
        does not.

        Raises:
            PortalError: nothing is proven, for what became of the first command.
        """
        if asked.head and isinstance(outcomes[0], Answer) and plan.counts:
            plan.count(outcomes[0].total)
        rows, ids = self._checked(self._rows(outcomes[0]), asked.lo, asked.hi)
        pages = [(rows, ids)]
        for outcome in outcomes[1:]:
            if len(ids) < PAGE_ROWS or ids[-1] == asked.hi:
                break
            try:
                found = self._rows(outcome)
                if found and found[0][0] <= ids[-1]:  # as from the beginning of the list: the reference led nowhere
                    plan.unchain()
                rows, ids = self._checked(found, ids[-1], asked.hi)
            except PortalError:
                break
            pages.append((rows, ids))
        plan.prove(asked, pages)

    def _checked(self, rows: list[tuple[int, Row]], lo: int, hi: int) -> tuple[Rendered, list[int]]:
        ids = checked_ids(rows, lo, hi)
        return self._render([row for _, row in rows]), ids

    def _command(self, after: int | str, upto: int | None, direction: str, *, counted: bool = False) -> Command:
        bounds: Params = {">": after} if upto is None else {">": after, "<=": upto}
        params = self._facts.filtered(self.bounded.call.params, bounds)
        return Command(self.method, {**params, **self._facts.ordered(direction), "start": 0 if counted else -1})

    def _rows(self, outcome: Answer | PortalError) -> list[tuple[int, Row]]:
        if isinstance(outcome, PortalError):
            raise outcome
        return self._facts.rows(outcome)


def _checked_end(rows: list[tuple[int, Row]], after: int, first: Sequence[int]) -> list[tuple[int, Row]]:
    """The *rows* of a list's last page, largest id first; *first* are the ids of its first one.

    Raises:
        PortalBroken: they do not descend to beyond *after*, or do not fit the first page; the error says so where the
            portal's pages are smaller than PAGE_ROWS.
    """
    ids = [row_id for row_id, _ in rows]
    if any(here <= following for here, following in pairwise([*ids, after])):
        raise PortalBroken("a page that does not descend to where it should end")
    if len(first) == PAGE_ROWS:
        contradictory = len(ids) < PAGE_ROWS or ids[0] < first[-1]
    else:  # the first page is all that there is
        contradictory = len(ids) == PAGE_ROWS or not set(first) <= set(ids)
    if contradictory and len(ids) == len(first) < PAGE_ROWS:
        raise smaller_pages(len(first))
    if contradictory:
        raise PortalBroken("two pages that contradict each other")
    return rows
