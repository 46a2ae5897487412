"""How often one call has been attempted, and how much longer it may wait."""

import random
from collections.abc import Callable

from gateway.bitrix.errors import PortalError
from gateway.bitrix.retry import RetryDecision, decide
from gateway.clock import Clock


class Attempts:
    """The attempts of one call, and its remaining waits.

    The retry deadline runs from the first attempt and excludes waits for operating budgets.

    Until a call is *committed*, it may wait *max_wait_s* seconds in total for the portal's limits, and is then refused
    with TooBusy. A committed call has taken effect in part, or nobody waits for it: it stays in the queue for as long
    as it takes, and waits up to *max_budget_wait_s* seconds for operating budgets. None means no maximum.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        max_wait_s: float | None = None,
        max_budget_wait_s: float | None = None,
        committed: bool = False,
    ) -> None:
        self._clock = clock
        self._started_at = clock.monotonic()
        self._budget_waited_s = 0.0
        self._wait_left_s = max_wait_s
        self.budget_wait_left_s = max_budget_wait_s
        self.committed = committed
        self.count = 0
        self.sent_at = 0.0  # monotonic, of the last attempt

    @property
    def queue_wait_s(self) -> float | None:
        """How long the next attempt may wait in the queue; None for no maximum."""
        return None if self.committed else self._wait_left_s

    @property
    def budget_wait_s(self) -> float | None:
        """How long the next attempt may wait for operating budgets; None for no maximum."""
        return self.budget_wait_left_s if self.committed else self._wait_left_s

    def on_queue_wait(self, waited_s: float) -> None:
        """Deduct a wait in the queue."""
        self._wait_left_s = _deducted(self._wait_left_s, waited_s)

    def on_budget_wait(self, waited_s: float) -> None:
        """Deduct a wait for operating budgets."""
        self._budget_waited_s += waited_s
        self._wait_left_s = _deducted(self._wait_left_s, waited_s)
        self.budget_wait_left_s = _deducted(self.budget_wait_left_s, waited_s)

    def on_sent(self) -> None:
        """Count an attempt that is sent now."""
        self.sent_at = self._clock.monotonic()
        if self.count == 0:  # the retry deadline runs from here
            self._started_at, self._budget_waited_s = self.sent_at, 0.0
        self.count += 1

    def decide(self, error: PortalError, write: bool) -> RetryDecision:
        """Decide about another attempt after *error*; *write* says whether the call may change something."""
        elapsed_s = self._clock.monotonic() - self._started_at - self._budget_waited_s
        return decide(error, self.count, elapsed_s, write, random.random())


class SingleAttempt(Attempts):
    """One attempt, never repeated here. *on_sent* is called with the seconds waited for operating budgets before it."""

    def __init__(
        self,
        clock: Clock,
        on_sent: Callable[[float], None] = lambda _waited_s: None,
        *,
        max_wait_s: float | None = None,
        committed: bool = False,
    ) -> None:
        super().__init__(clock, max_wait_s=max_wait_s, committed=committed)
        self._report_sent = on_sent

    def on_sent(self) -> None:
        self._report_sent(self._budget_waited_s)
        super().on_sent()

    def decide(self, error: PortalError, _write: bool) -> RetryDecision:
        return RetryDecision(error, None)


class CommittedBySending(Attempts):
    """The attempts of a call that is committed once it has been sent; *on_sent* is then called."""

    def __init__(
        self, clock: Clock, on_sent: Callable[[], None], *, max_wait_s: float | None = None, committed: bool = False
    ) -> None:
        super().__init__(clock, max_wait_s=max_wait_s, committed=committed)
        self._report_sent = on_sent

    def on_sent(self) -> None:
        super().on_sent()
        self.committed = True
        self._report_sent()


def _deducted(left_s: float | None, waited_s: float) -> float | None:
    return None if left_s is None else max(left_s - waited_s, 0.0)
