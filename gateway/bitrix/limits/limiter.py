"""The limiter of a portal, shared by everything that calls it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager
from weakref import WeakSet

from gateway.bitrix.errors import (
    AnswerTooLarge,
    OperatingLimitReached,
    PortalBroken,
    PortalError,
    PortalFailing,
    PortalUnreachable,
    QueryLimitExceeded,
)
from gateway.bitrix.limits.activity_checkpoint import CHECKPOINT_S, ActivityCheckpoint
from gateway.bitrix.limits.concurrency_limit import ConcurrencyLimit
from gateway.bitrix.limits.leaky_bucket import LeakyBucket
from gateway.bitrix.limits.operating_budget import OPERATING_LIMIT_S, OperatingBudgets
from gateway.bitrix.limits.portal_request import PortalRequest
from gateway.bitrix.limits.request_queue import GRACE_S, Priority, RequestQueue
from gateway.bitrix.protocol.v2 import Answer
from gateway.clock import Clock
from gateway.errors import TooBusy


class OperatingTimeSpent(Exception):
    """A method of a queued request ran out of operating time; the request was not sent."""

    def __init__(self, waited_s: float) -> None:
        super().__init__()
        self.waited_s = waited_s  # in the queue


class LimiterState:
    """What the limiters of one portal share: its queue, its operating budgets and its checkpoint."""

    def __init__(self, queue: RequestQueue, budgets: OperatingBudgets) -> None:
        self.queue = queue
        self.budgets = budgets
        self.checkpoint: ActivityCheckpoint | None = None
        self.users: WeakSet[PortalLimiter] = WeakSet()  # the limiters that share it

    def merge(self, other: "LimiterState") -> None:
        """Take over the requests and readings of *other*, and its users, but not its checkpoint."""
        self.queue.merge(other.queue)
        self.budgets.merge(other.budgets)
        for limiter in list(other.users):
            limiter.use(self)


class PortalLimiter:
    """Keeps requests within a portal's limits: its leaky bucket, a concurrency limit, and the operating budgets.

    The portal counts all accounts together, so all of them must share one limiter. Limiters of portals that turn out to
    be the same can be merged; all of them remain usable.
    """

    def __init__(
        self,
        clock: Clock,
        capacity: int,
        leak_per_s: float,
        concurrency: int,
        operating_limit_s: float = OPERATING_LIMIT_S,
    ) -> None:
        self._clock = clock
        queue = RequestQueue(clock, LeakyBucket(capacity, leak_per_s), ConcurrencyLimit(concurrency))
        self.use(LimiterState(queue, OperatingBudgets(operating_limit_s)))

    def use(self, state: LimiterState) -> None:
        """Limit by *state* from now on."""
        self.state = state
        state.users.add(self)

    def merge(self, other: "PortalLimiter") -> None:
        """Share one state with *other*, which limits the same portal, and with all that share its state."""
        if other.state is not self.state:
            self.state.merge(other.state)

    @property
    def level(self) -> float:
        """The value of the portal's request counter."""
        return self.state.queue.bucket.level(self._clock.monotonic())

    @property
    def is_idle(self) -> bool:
        """Whether a new limiter could replace this one.

        True if no request waits or is in flight, nothing is counted or paused, and no other limiter shares the state.
        """
        state = self.state
        return state.budgets.all_available(self._clock.now()) and state.queue.is_idle and len(state.users) == 1

    def restore(self, level: float | None, checkpoint: float) -> None:
        """Continue from an earlier limiter's *level* at the wall time *checkpoint*; None for an unknown level."""
        if level is None:  # after a crash, the last request may have been sent this much later
            checkpoint += CHECKPOINT_S
        self.state.queue.bucket.restore(level, self._clock.now() - checkpoint, self._clock.monotonic())

    def save_checkpoints(self, save: Callable[[float], Awaitable[None]]) -> None:
        """Before sending a request, store the wall time with *save*, at most once in CHECKPOINT_S seconds."""
        self.state.checkpoint = ActivityCheckpoint(self._clock, save)

    def room(self, priority: Priority) -> int:
        """Return how many requests of *priority* could be sent without waiting."""
        return self.state.queue.room(priority)

    def wait_s(self, priority: Priority, requests: int) -> float:
        """Return the predicted seconds until the last of *requests* new ones of *priority* could be sent."""
        return self.state.queue.wait_s(priority, requests=requests)

    @asynccontextmanager
    async def slot(self, request: PortalRequest) -> AsyncIterator["Slot"]:
        """Wait until *request* may be sent, and keep its slot until the block ends.

        A repeated request goes before the others of its priority.

        Raises:
            TooBusy: the request would wait longer than its attempts allow.
            OperatingTimeSpent: one of its methods ran out of operating time while it waited.
        """
        queued_at = self._clock.monotonic()
        max_wait_s = request.attempts.queue_wait_s
        waiter = self.state.queue.enqueue(request.priority, max_wait_s, first=request.attempts.count > 0)
        if not waiter.done():
            await self._wait_for_turn(request.priority, waiter, max_wait_s)
        try:
            if self.state.checkpoint is not None:
                await self.state.checkpoint.ensure_saved()
            started_at = self._clock.monotonic()
            if self.budget_wait_s(request.budget_key, request.methods) > 0:
                raise OperatingTimeSpent(started_at - queued_at)
        except BaseException:  # also a cancellation: the request is not sent
            self.state.queue.cancel(request.priority, waiter)
            raise
        try:
            yield Slot(self, request, started_at, started_at - queued_at)
        finally:
            self.state.queue.release()

    async def _wait_for_turn(self, priority: Priority, waiter: asyncio.Future[None], max_wait_s: float | None) -> None:
        try:
            if max_wait_s is None:
                await waiter
            else:
                async with self._clock.timeout(max_wait_s + GRACE_S):
                    await waiter
        except TimeoutError:
            self.state.queue.cancel(priority, waiter)
            raise TooBusy(max(self.state.queue.wait_s(priority), 1.0)) from None
        except asyncio.CancelledError:
            self.state.queue.cancel(priority, waiter)
            raise

    async def wait_for_budget(
        self, budget_key: str, methods: Collection[str], max_wait_s: float | None = None
    ) -> float:
        """Wait until all *methods* have operating time, and return the seconds waited.

        Raises:
            TooBusy: the wait would exceed *max_wait_s* seconds.
        """
        waited_s = 0.0
        while (wait_s := self.budget_wait_s(budget_key, methods)) > 0:
            if max_wait_s is not None and waited_s + wait_s > max_wait_s:
                raise TooBusy(wait_s)
            await self._clock.sleep(wait_s)
            waited_s += wait_s
        return waited_s

    def budget_wait_s(self, budget_key: str, methods: Collection[str]) -> float:
        """Return the seconds until all *methods* have operating time for the credential of *budget_key*."""
        return self.state.budgets.wait_s(budget_key, methods, self._clock.now())

    def record(self, budget_key: str, method: str, outcome: Answer | PortalError) -> None:
        """Update the bucket and the operating budget from the outcome of one call, alone or in a batch."""
        match outcome:
            case QueryLimitExceeded():
                self.state.queue.bucket.mark_full(self._clock.monotonic())
            case OperatingLimitReached():
                self.state.budgets.of(budget_key, method).block(self._clock.now())
            case Answer() if outcome.operating_s is not None or outcome.operating_reset_at is not None:
                budget = self.state.budgets.of(budget_key, method)
                budget.update(outcome.operating_s, outcome.operating_reset_at, self._clock.now())

    def record_load(self, request: PortalRequest, outcome: Answer | PortalError, started_at: float) -> None:
        """Update the concurrency limit from the outcome of a request that was sent at *started_at*."""
        now, concurrency = self._clock.monotonic(), self.state.queue.concurrency
        match outcome:
            case Answer():
                duration_s = now - started_at if outcome.duration_s is None else outcome.duration_s
                kind = " ".join(sorted(request.methods))
                concurrency.on_success(kind, request.commands, duration_s, started_at, now)
            case PortalFailing() | PortalUnreachable(sent=True) | AnswerTooLarge():
                concurrency.on_overload(started_at, now)
            case PortalBroken() if outcome.status is not None and outcome.status >= 500:
                concurrency.on_overload(started_at, now)


class Slot:
    """The place of one request among those in flight. It was sent after *waited_s* seconds in the queue."""

    def __init__(self, limiter: PortalLimiter, request: PortalRequest, started_at: float, waited_s: float) -> None:
        self._limiter = limiter
        self._request = request
        self._started_at = started_at
        self.waited_s = waited_s

    def record(self, outcome: Answer | PortalError) -> None:
        """Update the portal's limits from the *outcome* of the request."""
        self._limiter.record(self._request.budget_key, self._request.method, outcome)
        self._limiter.record_load(self._request, outcome, self._started_at)
