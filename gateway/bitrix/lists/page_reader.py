"""Makes the commands that read one keyset list, checks every page they return, and renders its rows."""

from collections.abc import Callable, Sequence
from enum import Enum
from itertools import pairwise
from typing import Generic, Protocol

from gateway.bitrix.errors import PortalBroken, PortalError, WalkFailed
from gateway.bitrix.lists.id_filter import BoundedCall
from gateway.bitrix.lists.list_specs import MAX_ID, Row
from gateway.bitrix.lists.page import (
    MAX_PAGE_ATTEMPTS,
    PAGE_ROWS,
    Mark,
    Opening,
    Page,
    Rendered,
    answer_of,
    checked_ids,
    page_size_error,
    unmarked,
)
from gateway.bitrix.lists.plan import Plan
from gateway.bitrix.lists.ranges import Range
from gateway.bitrix.protocol.v2 import Answer, Command, Params, batch_label
from gateway.clock import Clock


class Pace(Enum):
    """How a walk spends the portal's request budget."""

    THRIFTY = "thrifty"  # as few requests as possible: full batches, few in flight
    EAGER = "eager"  # as fast as the limits allow: many batches in flight, shorter ones while there is spare room

    @property
    def window_rows(self) -> int:
        """How many rows may be in flight or held back; beyond that, no new range is requested.

        It is large enough to keep the walk running. Ranges that hold more rows than expected may exceed it.
        """
        return 20_000 if self is Pace.THRIFTY else 120_000


class Portal(Protocol):
    """The part of a portal's client that a walk uses."""

    @property
    def clock(self) -> Clock:
        """The clock for pauses and durations."""

    def background(self) -> "Portal":
        """The same client at background priority: interactive calls go first."""

    def room(self) -> int:
        """How many requests could be sent now without waiting."""

    def wait(self, requests: int) -> float:
        """How many seconds the last of *requests* requests would have to wait."""

    def retrying(self, error: PortalError, wait_s: float, /) -> None:
        """Called when a part of the walk failed with *error* and is retried after *wait_s* seconds."""

    async def batch(self, commands: Sequence[Command]) -> list[Answer | PortalError]:
        """The outcome of each of *commands*, after all retries."""

    async def attempt(self, commands: Sequence[Command], sent: Callable[[float], None]) -> list[Answer | PortalError]:
        """The outcome of each of *commands* in one request, without retries.

        *sent* is called when the request is sent, with the seconds it waited for an operating budget.
        """


class PageReader(Generic[Rendered]):
    """Reads the pages of one keyset list. No page is accepted unchecked."""

    def __init__(
        self,
        client: Portal,
        bounded_call: BoundedCall,
        pace: Pace,
        render: Callable[[list[Row]], Rendered],
        mark: Mark = unmarked,
    ) -> None:
        self.client = client
        self.bounded_call = bounded_call
        self.pace = pace
        self.mark = mark
        self.method = bounded_call.call.method
        self._spec = bounded_call.call.spec
        self._render = render
        self.opening_command_s = 0.0  # duration of a command of the opening, as the portal reports it; 0 if unknown

    async def open(self, after: int, opening: Opening) -> Page[Rendered]:
        """Read both ends of the list: return the first page after *after*. Fill in *opening*.

        If the first page is not full, the last page must hold the same rows; otherwise the portal's pages are smaller
        than PAGE_ROWS. If the bounds allow one row at most, only the first page is read.

        Raises:
            WalkFailed: a command failed, or the pages repeatedly failed a check.
        """
        upto = self.bounded_call.upto
        if upto is not None and upto <= after:
            opening.largest = after
            return Page(self._render([]), [], after, None)
        one_row = upto is not None and upto - after == 1
        commands = [self._command(after, upto, direction) for direction in (("ASC",) if one_row else ("ASC", "DESC"))]
        for attempt in range(1, MAX_PAGE_ATTEMPTS + 1):
            mark = self.mark()
            try:
                outcomes = await self.client.batch([*commands, *opening.companions])
            except PortalError as error:
                raise WalkFailed(self.method, after, error) from error
            outcomes, opening.outcomes = outcomes[: len(commands)], outcomes[len(commands) :]
            try:
                ascending, *others = [self._rows(outcome) for outcome in outcomes]
                ids = checked_ids(ascending, after, upto)
                descending = checked_last_page(others[0], after, ids) if others else []
                break
            except PortalError as error:
                if attempt == MAX_PAGE_ATTEMPTS or not isinstance(error, PortalBroken):
                    raise WalkFailed(self.method, after, error) from error
        self.opening_command_s = max(
            (answer.duration_s or 0.0 for answer in outcomes if isinstance(answer, Answer)), default=0.0
        )
        self.client = self.client.background()
        opening.first = answer_of(outcomes[0])
        opening.largest = max([ids[-1] if ids else after, *(row_id for row_id, _ in descending)])
        if len(ids) == PAGE_ROWS and descending and descending[-1][0] <= ids[-1]:  # the pages overlap: join them
            last_id = ids[-1]
            ascending += [numbered for numbered in reversed(descending) if numbered[0] > last_id]
            ids = [row_id for row_id, _ in ascending]
        is_complete = len(ids) != PAGE_ROWS or ids[-1] == opening.largest
        return Page(self._render([row for _, row in ascending]), ids, after, None if is_complete else ids[-1], mark)

    def commands(self, ranges: Sequence[Range], *, wants_count: bool) -> list[Command]:
        """The commands of one batch that reads *ranges*.

        In a chain, each command starts after the last row of the one before, by a reference. With *wants_count*, the
        first command of a head also requests the portal's count of rows.
        """
        commands: list[Command] = []
        for requested in ranges:
            after: int | str = requested.after
            upto = None if requested.upto == MAX_ID else requested.upto
            for number in range(requested.pages):
                counted = wants_count and requested.head and number == 0
                commands.append(self._command(after, upto, "ASC", counted=counted))
                after = self._spec.reference(batch_label(len(commands) - 1), PAGE_ROWS - 1)
        return commands

    def prove(
        self, plan: Plan[Rendered], requested: Range, outcomes: Sequence[Answer | PortalError], mark: int
    ) -> None:
        """Check the *outcomes* of the range's commands, and record in *plan* what they prove.

        *mark* is that of the moment at which they were requested.

        A chain proves its pages up to the first one that is not full or does not start after the page before: the
        reference of the next command then does not resolve.

        Raises:
            PortalError: nothing is proven; this is the error of the first command.
        """
        if requested.head and isinstance(outcomes[0], Answer) and plan.wants_count:
            plan.set_count(outcomes[0].total)
        rows, ids = self._checked(self._rows(outcomes[0]), requested.after, requested.upto)
        pages = [(rows, ids)]
        for outcome in outcomes[1:]:
            if len(ids) < PAGE_ROWS or ids[-1] == requested.upto:
                break
            try:
                found = self._rows(outcome)
                if found and found[0][0] <= ids[-1]:  # the portal did not resolve the reference
                    plan.disable_chains()
                rows, ids = self._checked(found, ids[-1], requested.upto)
            except PortalError:
                break
            pages.append((rows, ids))
        plan.prove(requested, pages, mark)

    def _checked(self, rows: list[tuple[int, Row]], after: int, upto: int) -> tuple[Rendered, list[int]]:
        ids = checked_ids(rows, after, upto)
        return self._render([row for _, row in rows]), ids

    def _command(self, after: int | str, upto: int | None, direction: str, *, counted: bool = False) -> Command:
        """One page from after *after*, an id or a reference. ``start: -1`` spares the portal counting the rows."""
        bounds: Params = {">": after} if upto is None else {">": after, "<=": upto}
        params = self._spec.filtered(self.bounded_call.call.params, bounds)
        return Command(self.method, {**params, **self._spec.ordered(direction), "start": 0 if counted else -1})

    def _rows(self, outcome: Answer | PortalError) -> list[tuple[int, Row]]:
        return self._spec.rows(answer_of(outcome))


def checked_last_page(rows: list[tuple[int, Row]], after: int, first_ids: Sequence[int]) -> list[tuple[int, Row]]:
    """The *rows* of a list's last page, largest id first. *first_ids* are the ids of its first page.

    Raises:
        PortalBroken: the rows do not descend to an id after *after*, or contradict the first page; the error says so
            if the portal's pages are smaller than PAGE_ROWS.
    """
    ids = [row_id for row_id, _ in rows]
    if any(current <= following for current, following in pairwise([*ids, after])):
        raise PortalBroken("a page that does not descend to where it should end")
    if len(first_ids) == PAGE_ROWS:
        contradictory = len(ids) < PAGE_ROWS or ids[0] < first_ids[-1]
    else:  # the first page is the whole list
        contradictory = len(ids) == PAGE_ROWS or not set(first_ids) <= set(ids)
    if contradictory and len(ids) == len(first_ids) < PAGE_ROWS:
        raise page_size_error(len(first_ids))
    if contradictory:
        raise PortalBroken("two pages that contradict each other")
    return rows
