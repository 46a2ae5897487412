"""The batches of a walk: what goes together, how many side by side, and what becomes of those that fail."""

import asyncio
import math
import random
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from typing import Generic

from gateway.bitrix.errors import PortalBroken, PortalError, PortalFailing, WalkFailed
from gateway.bitrix.list_reader import ListReader, Pace
from gateway.bitrix.pages import MAX_ASKS, Page, Rendered
from gateway.bitrix.ranges import Plan, Range
from gateway.bitrix.retry import decide
from gateway.bitrix.wire import BATCH_COMMANDS, Answer

BATCH_S = 20.0  # a batch should take no longer; the portal cuts it off after 60 s, protocol.md 12.3
SURVEY_COMMANDS = 2  # in a batch, where there is room for several of them
SHARE = 0.6  # of the room, for batches of new ranges; the rest is for what goes on with them
SPREAD = 0.7  # batches side by side begin over so many times what one takes, which keeps some places for what goes on


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


class Batches(Generic[Rendered]):
    """Sends the batches of one plan, several side by side, and hands its pages on.

    No more than one batch waits for its turn to be sent, so that what goes next is decided when it can go.
    """

    def __init__(self, reader: ListReader[Rendered], plan: Plan[Rendered]) -> None:
        self._reader = reader
        self._client = reader.client
        self._clock = reader.client.clock
        self._plan = plan
        self._tasks: set[asyncio.Task[None]] = set()
        self._in_flight = 0  # batches that are sent, or wait for their turn
        self._one_waits = False
        self._news = asyncio.Event()
        self._command_s = 0.0
        self._most = self._ceiling = BATCH_COMMANDS  # commands in a batch
        self._borne = 0  # commands of the largest batch that has come back
        self._histories: dict[int, _History] = {}  # of ranges that failed, by where they begin
        self._failed: tuple[int, PortalError] | None = None  # the first range that failed for good
        self._fatal: BaseException | None = None  # what concerns more than one range

    async def next(self) -> Page[Rendered] | None:
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
                raise WalkFailed(self._reader.method, self._plan.position, cause) from cause
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
            size = self._size()
            available = self._plan.available(size)
            if available == 0 or (available < size and self._in_flight):
                return
            self._one_waits = True
            self._in_flight += 1
            self._begin(self._ask(self._plan.take(size)))

    def _room(self) -> int:
        """How many batches may go side by side now, beyond those that do; the thrifty have no use for it."""
        return self._client.room() if self._reader.pace is Pace.EAGER else 0

    def _size(self) -> int:
        """How many commands the next batch gets: all that fit, where requests are scarce or the walk is thrifty.

        Where there is room to *spare*, work is shared out among short batches side by side, and what goes on with a
        range goes alone, so that it comes back the sooner.
        """
        most = self._most
        if self._command_s > 0:
            most = min(max(int(BATCH_S / self._command_s), 1), most)
        if self._reader.pace is Pace.THRIFTY:
            return most
        room, begun = self._room(), self._plan.begun
        spare = room - math.ceil(self._plan.commands_left / most)
        if self._plan.surveying:
            return SURVEY_COMMANDS if spare > 0 else most
        if begun and spare > 0:
            return min(begun, most)
        return min(max(math.ceil(self._plan.commands_left / (room * SHARE)), 1), most) if room > 0 else most

    def _went(self, commands: int) -> None:
        """Let the next batch go: at once, or where several go side by side, so that they come back one after another.

        Rows that come back all together would have to be held back all together.
        """
        room = self._room()
        if room > 0 and self._command_s > 0:
            self._begin(self._go_on_after(SPREAD * self._command_s * commands / (self._in_flight + room)))
        else:
            self._one_waits = False
            self._pump()

    async def _go_on_after(self, pause_s: float) -> None:
        await self._clock.sleep(pause_s)
        self._one_waits = False
        self._pump()

    def _begin(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

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
                self._went(len(commands))

        commands = self._reader.commands(ranges, counts=self._plan.counts)
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
            self._note_size(len(commands), failure)
        again, pause_s = [], 0.0
        told = iter(outcomes)
        for asked in ranges:
            chain = [next(told) for _ in range(asked.pages)]
            try:
                self._reader.prove(self._plan, asked, chain)
                self._histories.pop(asked.lo, None)
            except PortalError as error:
                if asked.sample:
                    self._plan.give_up(asked)  # it would only have told of the list
                    continue
                history = self._histories.setdefault(asked.lo, _History(now if sent_at is None else sent_at))
                wait_s = history.wait_s(error, now, rested_s, came=isinstance(chain[0], Answer))
                if wait_s is not None:
                    again.append(asked)
                    pause_s = max(pause_s, wait_s)
                elif failure is not None:
                    self._fatal = failure
                else:
                    self._plan.give_up(asked)
                    del self._histories[asked.lo]
                    self._failed = min(self._failed or (asked.lo, error), (asked.lo, error), key=lambda one: one[0])
        self._pump()
        if again:
            self._news.set()
            await self._clock.sleep(pause_s)
            for asked in again:
                self._plan.give_back(asked)
            self._pump()

    def _note_size(self, commands: int, failure: PortalError | None) -> None:
        """Take in what became of a batch of so many *commands*: it may be too large where none of its size has come."""
        if failure is None:
            self._borne = max(self._borne, commands)
            self._most = min(self._most + 1, self._ceiling)
        elif commands > max(self._borne, 1) and isinstance(failure, PortalBroken | PortalFailing):
            self._ceiling = min(self._ceiling, commands - 1)
            self._most = min(self._most, commands // 2)

    def _note_duration(self, command_s: float, *, failed: bool) -> None:
        """Take in how long each command of a batch took; of one that failed only if it took long, to halve the next."""
        if failed and command_s <= self._command_s:
            return
        self._command_s = command_s if self._command_s == 0 else max((self._command_s + command_s) / 2, 1e-9)
