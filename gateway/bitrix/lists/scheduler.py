"""The batches of a walk: they go one after another, several side by side, and those that fail go again."""

import asyncio
import random
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from typing import Generic

from gateway.bitrix.errors import AnswerTooLarge, PortalError, WalkFailed
from gateway.bitrix.lists.batch_size import BatchSizer
from gateway.bitrix.lists.page import MAX_PAGE_ATTEMPTS, Page, Rendered
from gateway.bitrix.lists.page_reader import PageReader
from gateway.bitrix.lists.plan import Plan, Range
from gateway.bitrix.protocol.v2 import Answer
from gateway.bitrix.retry import decide


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
            return 0.0 if self.tries < MAX_PAGE_ATTEMPTS else None
        return decide(error, self.tries, now - self.since - self.rested_s, False, random.random()).wait_s


class BatchScheduler(Generic[Rendered]):
    """Sends the batches of one plan, several side by side, and hands its pages on.

    No more than one batch waits for its turn to be sent, so that what goes next is decided when it can go.
    """

    def __init__(self, reader: PageReader[Rendered], plan: Plan[Rendered]) -> None:
        self._reader = reader
        self._client = reader.client
        self._clock = reader.client.clock
        self._plan = plan
        self._tasks: set[asyncio.Task[None]] = set()
        self._pacing = BatchSizer(reader.client, plan, reader.pace, reader.command_s)
        self._in_flight = 0  # batches that are sent, or wait for their turn
        self._one_waits = False
        self._wakeup = asyncio.Event()
        self._histories: dict[int, _History] = {}  # of ranges that failed, by where they begin
        self._failed: tuple[int, PortalError] | None = None  # the first range that failed for good
        self._fatal: BaseException | None = None  # what concerns more than one range

    async def next(self) -> Page[Rendered] | None:
        """The next page in order; None at the end of the plan.

        Raises:
            WalkFailed: a range failed for good, and all before it has been given out.
        """
        while True:
            self._wakeup.clear()
            self._send_ready()
            if (page := self._plan.next_page()) is not None:
                return page
            if self._fatal is not None and not isinstance(self._fatal, PortalError):
                raise self._fatal
            cause = self._fatal or (self._failed[1] if self._failed and self._plan.at_wall else None)
            if isinstance(cause, PortalError):
                raise WalkFailed(self._reader.method, self._plan.position, cause) from cause
            if not self._tasks:
                return None
            await self._wakeup.wait()

    async def close(self) -> None:
        """End all requests under way."""
        self._fatal = self._fatal or asyncio.CancelledError()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _send_ready(self) -> None:
        """Start what can go now: a batch that is not full waits for others under way, unless there is room enough."""
        while not self._one_waits and self._fatal is None and self._plan.pending:
            self._plan.tight = self._pacing.tight
            size = self._pacing.size(alone=not self._in_flight)
            available = self._plan.available(size)
            if available == 0 or (available < size and self._in_flight):
                return
            self._one_waits = True
            self._in_flight += 1
            self._begin(self._ask(self._plan.take(size)))

    def _let_next_go(self, pause_s: float = 0.0) -> None:
        if pause_s > 0:
            self._begin(self._go_on_after(pause_s))
        else:
            self._one_waits = False
            self._send_ready()

    async def _go_on_after(self, pause_s: float) -> None:
        await self._clock.sleep(pause_s)
        self._let_next_go()

    def _begin(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._fatal = self._fatal or error
        self._wakeup.set()

    async def _ask(self, ranges: Sequence[Range]) -> None:
        """Ask for *ranges* in one batch, and again for those that failed and may come right, after their pause."""
        sent_at: float | None = None
        rested_s = 0.0

        def sent(rested: float) -> None:
            nonlocal sent_at, rested_s
            rested_s += rested
            if sent_at is None:
                sent_at = self._clock.monotonic()
                self._let_next_go(self._pacing.sent(len(commands), self._in_flight))

        commands = self._reader.commands(ranges, counts=self._plan.counts)
        counted = self._plan.counts and any(asked.head for asked in ranges)
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
            self._pacing.came(len(commands), now - sent_at, failure, counted=counted)
        smaller_will_do = isinstance(failure, AnswerTooLarge) and len(commands) > 1
        again, pause_s = [], 0.0
        reason: PortalError | None = None
        told = iter(outcomes)
        for asked in ranges:
            chain = [next(told) for _ in range(asked.pages)]
            try:
                self._reader.prove(self._plan, asked, chain)
                self._histories.pop(asked.lo, None)
            except PortalError as error:
                if asked.sample:
                    self._plan.mark_failed(asked)  # it would only have told of the list
                    continue
                if smaller_will_do:
                    again.append(asked)
                    continue
                history = self._histories.setdefault(asked.lo, _History(now if sent_at is None else sent_at))
                wait_s = history.wait_s(error, now, rested_s, came=isinstance(chain[0], Answer))
                if wait_s is not None:
                    again.append(asked)
                    pause_s = max(pause_s, wait_s)
                    reason = error
                elif failure is not None:
                    self._fatal = failure
                else:
                    self._plan.mark_failed(asked)
                    del self._histories[asked.lo]
                    self._failed = min(self._failed or (asked.lo, error), (asked.lo, error), key=lambda one: one[0])
        self._send_ready()
        if again:
            if reason is not None:
                self._client.retrying(reason, pause_s)
            self._wakeup.set()
            await self._clock.sleep(pause_s)
            for asked in again:
                self._plan.requeue(asked)
            self._send_ready()
