"""The portal's two limits as arithmetic on `now`; nothing here waits.

Source: protocol.md 12 (b24restdocs limits.md, settings/performance/limits.md)
"""

import math

DRAIN_EVERY_S = 1.0
OPERATING_LIMIT_S = 480.0
OPERATING_PAUSE_SHARE = 0.9
OPERATING_WINDOW_S = 600.0
OPERATING_BASKET_S = 60.0


class LeakyBucket:
    """The portal's request counter as we must assume it to be: reserve first, then wait.

    The portal adds one per HTTP request, takes off *leak_per_s* once a second and refuses while the counter exceeds
    *capacity*. It drains on its own clock, which we cannot see: staying one second's leak below its limit covers the
    second by which the two may differ.
    """

    def __init__(self, capacity: int, leak_per_s: float) -> None:
        self._capacity = capacity
        self._leak = leak_per_s * DRAIN_EVERY_S
        self._ceiling = max(capacity - self._leak, 1)
        self._level = 0.0
        self._drained_at: float | None = None

    def reserve(self, now: float) -> float:
        """Take one place, and get the seconds to wait before using it."""
        self._drain(now)
        self._level += 1
        return self.wait(now)

    def wait(self, now: float) -> float:
        """The seconds until all that is reserved may have been sent; longer than before if it was filled since."""
        drained_at = self._drain(now)
        over = self._level - self._ceiling
        return max(drained_at + math.ceil(over / self._leak) * DRAIN_EVERY_S - now, 0.0) if over > 0 else 0.0

    def give_back(self) -> None:
        """Return a place that was reserved and never used."""
        self._level = max(self._level - 1, 0.0)

    def fill(self, now: float) -> None:
        """Believe the portal, which has just refused a request, that its counter is past its capacity."""
        self._drain(now)
        self._level = max(self._level, self._capacity + 1.0)

    def _drain(self, now: float) -> float:
        """Take off what has leaked by *now*, in whole seconds like the portal; the moment of the last drain."""
        if self._drained_at is None:
            self._drained_at = now
        steps = max(math.floor((now - self._drained_at) / DRAIN_EVERY_S), 0)
        self._drained_at += steps * DRAIN_EVERY_S
        self._level = max(self._level - steps * self._leak, 0.0)
        return self._drained_at


class OperatingBudget:
    """The operating time of one method for one credential: the portal's own gauge, newest reading, never summed.

    From 90 % of the limit on, and after a 429, the method rests until the portal's gauge shrinks. Times are Unix times.
    """

    def __init__(self, limit_s: float = OPERATING_LIMIT_S) -> None:
        self._pause_from_s = limit_s * OPERATING_PAUSE_SHARE
        self._reset_at: float | None = None
        self._paused_until = -math.inf

    def note(self, operating_s: float | None, reset_at: float | None, now: float) -> None:
        """Take the reading that came with an answer; one without a gauge changes nothing."""
        if reset_at is not None:
            self._reset_at = reset_at
        if operating_s is not None:
            self._paused_until = self._shrinks_at(now) if operating_s >= self._pause_from_s else -math.inf

    def block(self, now: float) -> None:
        """Take the portal's 429, which brings no reading of its own."""
        self._paused_until = self._shrinks_at(now)

    def wait(self, now: float) -> float:
        """The seconds for which the method should rest."""
        return max(self._paused_until - now, 0.0)

    def _shrinks_at(self, now: float) -> float:
        if self._reset_at is None or self._reset_at <= now:
            return now + OPERATING_BASKET_S
        return min(self._reset_at, now + OPERATING_WINDOW_S)
