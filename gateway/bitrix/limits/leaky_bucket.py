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
    """The portal's request counter as we must assume it to be.

    The portal adds one per HTTP request, takes off *leak_per_s* once a second and refuses while the counter exceeds
    *capacity*. It drains on its own clock, which we cannot see: staying one second's leak below its limit covers the
    second by which the two may differ. *kept* is how much of the room is not for the asker.
    """

    def __init__(self, capacity: int, leak_per_s: float) -> None:
        self.capacity = capacity
        self._leak = leak_per_s * DRAIN_EVERY_S
        self._ceiling = max(capacity - self._leak, 1)
        self._level = 0.0
        self._drained_at: float | None = None

    def level(self, now: float) -> float:
        """What the counter stands at."""
        self._drain(now)
        return self._level

    def room(self, now: float, kept: int = 0) -> int:
        """How many requests may be sent now; even a small bucket lets one through at a time."""
        return max(math.floor(self._usable(kept) - self.level(now)), 0)

    def wait(self, now: float, ahead: int = 0, kept: int = 0) -> float:
        """The seconds until one request may be sent, after *ahead* others that go first."""
        over = self.level(now) + ahead + 1 - self._usable(kept)
        return math.ceil(over / self._leak) * DRAIN_EVERY_S - self._since_drain(now) if over > 0 else 0.0

    def until_drain(self, now: float) -> float:
        """The seconds until there is less in it, or would be."""
        self._drain(now)
        return DRAIN_EVERY_S - self._since_drain(now)

    def take(self, now: float) -> None:
        """Count a request that is sent now."""
        self.add(1, now)

    def give_back(self) -> None:
        """Take off a request that was counted and never sent."""
        self._level = max(self._level - 1, 0.0)

    def add(self, level: float, now: float) -> None:
        """Count what another bucket of the same portal has counted, or this one did before."""
        self._drain(now)
        self._level += level

    def fill(self, now: float) -> None:
        """Believe the portal, which has just refused a request, that its counter is past its capacity."""
        self._drain(now)
        self._level = max(self._level, self.capacity + 1.0)

    def restore(self, level: float | None, age_s: float, now: float) -> None:
        """Go on from an earlier bucket's *level*, *age_s* seconds old; one not noted, or to come, is taken for full."""
        was = self.capacity + 1.0 if level is None or age_s < 0 else level
        self.add(max(was - math.floor(max(age_s, 0.0) / DRAIN_EVERY_S) * self._leak, 0.0), now)

    def _usable(self, kept: int) -> float:
        return max(self._ceiling - kept, 1)

    def _since_drain(self, now: float) -> float:
        return 0.0 if self._drained_at is None else now - self._drained_at

    def _drain(self, now: float) -> None:
        """Take off what has leaked by *now*, in whole seconds like the portal."""
        if self._drained_at is None:
            self._drained_at = now
        steps = max(math.floor((now - self._drained_at) / DRAIN_EVERY_S), 0)
        self._drained_at += steps * DRAIN_EVERY_S
        self._level = max(self._level - steps * self._leak, 0.0)


class OperatingBudget:
    """The operating time of one method for one credential: the portal's own gauge, newest reading, never summed.

    From 90 % of the limit on, and after a 429, the method rests until the portal's gauge shrinks. Times are Unix times.
    """

    def __init__(self, limit_s: float = OPERATING_LIMIT_S) -> None:
        self._pause_from_s = limit_s * OPERATING_PAUSE_SHARE
        self._reset_at: float | None = None
        self._paused_until = -math.inf
        self._blocked_until = -math.inf  # by the portal's word, which an answer sent off before it does not lift

    def note(self, operating_s: float | None, reset_at: float | None, now: float) -> None:
        """Take the reading that came with an answer; one without a gauge changes nothing."""
        if reset_at is not None:
            self._reset_at = reset_at
        if operating_s is not None:
            self._paused_until = self._shrinks_at(now) if operating_s >= self._pause_from_s else -math.inf

    def block(self, now: float) -> None:
        """Take the portal's 429, which brings no reading of its own."""
        self._blocked_until = self._shrinks_at(now)

    def join(self, other: "OperatingBudget") -> None:
        """Rest for as long as the longer of the two: they turned out to be the same."""
        self._paused_until = max(self._paused_until, other._paused_until)
        self._blocked_until = max(self._blocked_until, other._blocked_until)

    def wait(self, now: float) -> float:
        """The seconds for which the method should rest."""
        return max(self._paused_until - now, self._blocked_until - now, 0.0)

    def _shrinks_at(self, now: float) -> float:
        if self._reset_at is None or self._reset_at <= now:
            return now + OPERATING_BASKET_S
        return min(self._reset_at, now + OPERATING_WINDOW_S)
