"""Sends the batches of a walk, several in flight at once, and retries the ranges that failed."""

import asyncio
import random
from collections.abc import Coroutine, Iterable, Sequence
from dataclasses import dataclass
from typing import Generic

from gateway.bitrix.errors import AnswerTooLarge, PortalError, WalkFailed
from gateway.bitrix.lists.batch_size import BatchSizer
from gateway.bitrix.lists.page import MAX_PAGE_ATTEMPTS, Page, Rendered
from gateway.bitrix.lists.page_reader import PageReader
from gateway.bitrix.lists.plan import Plan
from gateway.bitrix.lists.ranges import Range
from gateway.bitrix.protocol.v2 import Answer, Command
from gateway.bitrix.retry import decide


@dataclass
class _Batch:
    """One request of a walk, and what became of it."""

    ranges: Sequence[Range]
    commands: Sequence[Command]
    counted: bool  # it requests a count
    sent_at: float | None = None  # None while it waits for its turn
    mark: int = 0  # of the moment at which it was sent
    budget_waited_s: float = 0.0  # how long it waited for an operating budget
    outcomes: Sequence[Answer | PortalError] = ()
    failure: PortalError | None = None  # of the batch as a whole

    @property
    def is_too_large(self) -> bool:
        """Whether its answer was too large and smaller batches can help."""
        return isinstance(self.failure, AnswerTooLarge) and len(self.commands) > 1

    def chains(self) -> Iterable[tuple[Range, list[Answer | PortalError]]]:
        """Each range with the outcomes of its commands."""
        outcomes = iter(self.outcomes)
        for requested in self.ranges:
            yield requested, [next(outcomes) for _ in range(requested.pages)]


@dataclass
class _History:
    """The failed attempts to read one range."""

    since: float  # when the first attempt was sent
    attempts: int = 0
    budget_waited_s: float = 0.0  # how long later attempts waited for an operating budget: does not count as elapsed

    def wait_s(self, error: PortalError, now: float, budget_waited_s: float, *, answered: bool) -> float | None:
        """Seconds until the next attempt after *error*, None if there is none. *answered*: a page failed a check."""
        if self.attempts:  # the first attempt waited before *since*
            self.budget_waited_s += budget_waited_s
        self.attempts += 1
        if answered:
            return 0.0 if self.attempts < MAX_PAGE_ATTEMPTS else None
        elapsed_s = now - self.since - self.budget_waited_s
        return decide(error, self.attempts, elapsed_s, False, random.random()).wait_s


class BatchScheduler(Generic[Rendered]):
    """Sends the batches of one plan and returns its pages in order.

    At most one batch waits for its turn. The next one is composed only after it was sent, with the latest knowledge.
    """

    def __init__(self, reader: PageReader[Rendered], plan: Plan[Rendered]) -> None:
        self._reader = reader
        self._client = reader.client
        self._clock = reader.client.clock
        self._plan = plan
        self._sizer = BatchSizer(reader.client, plan, reader.pace, reader.opening_command_s)
        self._tasks: set[asyncio.Task[None]] = set()
        self._in_flight = 0  # batches that were sent or wait for their turn
        self._next_blocked = False  # a batch waits for its turn, or the pause after the last one is not over
        self._wakeup = asyncio.Event()  # there may be a next page, a failure or the end
        self._histories: dict[int, _History] = {}  # of failed ranges, by the id that they start after
        self._failed: tuple[int, PortalError] | None = None  # the first permanently failed range, and its error
        self._fatal: BaseException | None = None  # an error of more than one range

    async def next(self) -> Page[Rendered] | None:
        """Return the next page in the order of ids, or None at the end of the plan.

        Raises:
            WalkFailed: a range failed permanently, and all pages before it have been returned.
        """
        while True:
            self._wakeup.clear()
            self._send_ready()
            if (page := self._plan.next_page()) is not None:
                return page
            if self._fatal is not None and not isinstance(self._fatal, PortalError):
                raise self._fatal
            cause = self._fatal or (self._failed[1] if self._failed and self._plan.at_failure_bound else None)
            if isinstance(cause, PortalError):
                raise WalkFailed(self._reader.method, self._plan.position, cause) from cause
            if not self._tasks:
                return None
            await self._wakeup.wait()

    async def close(self) -> None:
        """Cancel all requests in flight."""
        self._fatal = self._fatal or asyncio.CancelledError()  # no further batch is sent
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _send_ready(self) -> None:
        """Send ready batches. Hold back a partial batch while others are in flight."""
        while not self._next_blocked and self._fatal is None and self._plan.has_unrequested:
            self._plan.budget_scarce = self._sizer.budget_scarce
            size = self._sizer.next_size(alone=not self._in_flight)
            available = self._plan.available_commands(size)
            if available == 0 or (available < size and self._in_flight):
                return
            self._next_blocked = True
            self._in_flight += 1
            self._start(self._run_batch(self._plan.next_ranges(size)))

    def _allow_next(self, pause_s: float) -> None:
        """Allow the next batch after *pause_s* seconds."""
        if pause_s > 0:
            self._start(self._allow_after(pause_s))
        else:
            self._next_blocked = False
            self._send_ready()

    async def _allow_after(self, pause_s: float) -> None:
        await self._clock.sleep(pause_s)
        self._allow_next(0.0)

    def _start(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._on_done)

    def _on_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._fatal = self._fatal or error
        self._wakeup.set()

    async def _run_batch(self, ranges: Sequence[Range]) -> None:
        """Send *ranges* in one batch, record what it proves, and requeue the ranges to retry after their pause."""
        wants_count = self._plan.wants_count
        batch = _Batch(
            ranges,
            self._reader.commands(ranges, wants_count=wants_count),
            counted=wants_count and any(requested.head for requested in ranges),
        )
        await self._send(batch)
        retried, pause_s, reason = self._record(batch)
        self._send_ready()
        if retried:
            if reason is not None:
                self._client.retrying(reason, pause_s)
            self._wakeup.set()
            await self._clock.sleep(pause_s)
            for requested in retried:
                self._plan.requeue(requested)
            self._send_ready()

    async def _send(self, batch: _Batch) -> None:
        """Wait for the batch's turn, send it once and store its outcomes. When it is sent, the next batch may queue."""

        def sent(waited_s: float) -> None:
            batch.budget_waited_s += waited_s
            if batch.sent_at is None:
                batch.sent_at = self._clock.monotonic()
                batch.mark = self._reader.mark()
                self._allow_next(self._sizer.on_sent(len(batch.commands), self._in_flight))

        try:
            batch.outcomes = await self._client.attempt(batch.commands, sent)
        except PortalError as error:
            batch.outcomes = [error] * len(batch.commands)
            batch.failure = error
        finally:
            self._in_flight -= 1
            self._next_blocked = self._next_blocked and batch.sent_at is not None

    def _record(self, batch: _Batch) -> tuple[list[Range], float, PortalError | None]:
        """Record the outcomes of *batch* in the plan.

        Return the ranges to retry, the seconds to wait before, and the error to report for the wait, if any.
        """
        now = self._clock.monotonic()
        if batch.sent_at is not None:
            self._sizer.on_response(len(batch.commands), now - batch.sent_at, batch.failure, counted=batch.counted)
        retried: list[Range] = []
        pause_s, reason = 0.0, None
        for requested, outcomes in batch.chains():
            try:
                self._reader.prove(self._plan, requested, outcomes, batch.mark)
                self._histories.pop(requested.after, None)
            except PortalError as error:
                if requested.sample:
                    self._plan.mark_failed(requested)  # a sample is not needed
                    continue
                if batch.is_too_large:
                    retried.append(requested)
                    continue
                wait_s = self._retry_wait_s(requested, error, batch, now, answered=isinstance(outcomes[0], Answer))
                if wait_s is None:
                    self._give_up(requested, error, batch)
                else:
                    retried.append(requested)
                    pause_s, reason = max(pause_s, wait_s), error
        return retried, pause_s, reason

    def _retry_wait_s(
        self, requested: Range, error: PortalError, batch: _Batch, now: float, *, answered: bool
    ) -> float | None:
        """Seconds until the range may be retried after *error*; None if it may not."""
        since = now if batch.sent_at is None else batch.sent_at
        history = self._histories.setdefault(requested.after, _History(since))
        return history.wait_s(error, now, batch.budget_waited_s, answered=answered)

    def _give_up(self, requested: Range, error: PortalError, batch: _Batch) -> None:
        """Record a permanent failure: of the whole walk if the batch as a whole failed, otherwise of one range."""
        if batch.failure is not None:
            self._fatal = batch.failure
            return
        self._plan.mark_failed(requested)
        del self._histories[requested.after]
        if self._failed is None or requested.after < self._failed[0]:
            self._failed = requested.after, error
