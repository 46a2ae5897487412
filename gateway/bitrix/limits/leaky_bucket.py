"""The portal's request rate limit, as arithmetic on `now`; nothing here waits.

Source: protocol.md 12 (b24restdocs limits.md, settings/performance/limits.md)
"""

import math

DRAIN_INTERVAL_S = 1.0


class LeakyBucket:
    """Our model of the portal's request counter.

    The portal adds one per HTTP request, subtracts *leak_per_s* once a second and refuses requests while the counter
    exceeds *capacity*. It drains on its own clock, which we cannot see. Between our drain and the portal's, its counter
    is above ours by what we have drained: the leak of a second, or all that was counted if that is less. So the bucket
    stays one second's leak below the capacity, or at half of it if the leak is larger. *reserved* is the part of the
    room that a request may not use.
    """

    def __init__(self, capacity: int, leak_per_s: float) -> None:
        self.capacity = capacity
        self._leak = leak_per_s * DRAIN_INTERVAL_S
        self._limit = max(capacity - self._leak, capacity / 2, 1)
        self._level = 0.0
        self._drained_at: float | None = None

    def level(self, now: float) -> float:
        """Return the counter's value at *now*."""
        self._drain(now)
        return self._level

    def room(self, now: float, reserved: int = 0) -> int:
        """Return how many requests may be sent at once. Even the smallest bucket admits one at a time."""
        return max(math.floor(self._free(now, reserved)), 0)

    def wait_s(self, now: float, ahead: int = 0, reserved: int = 0) -> float:
        """Return the seconds until a request may be sent that has *ahead* others before it."""
        excess = ahead + 1 - self._free(now, reserved)
        return math.ceil(excess / self._leak) * DRAIN_INTERVAL_S - self._since_drain(now) if excess > 0 else 0.0

    def next_drain_s(self, now: float) -> float:
        """Return the seconds until the bucket drains again."""
        self._drain(now)
        return DRAIN_INTERVAL_S - self._since_drain(now)

    def take(self, now: float) -> None:
        """Count a request that is sent now."""
        self.add(1, now)

    def refund(self) -> None:
        """Subtract a request that was counted but never sent."""
        self._level = max(self._level - 1, 0.0)

    def add(self, level: float, now: float) -> None:
        """Add the *level* of another bucket of the same portal, or an earlier level of this one."""
        self._drain(now)
        self._level += level

    def mark_full(self, now: float) -> None:
        """Raise the level above the capacity: the portal has just refused a request."""
        self._drain(now)
        self._level = max(self._level, self.capacity + 1.0)

    def restore(self, level: float | None, age_s: float, now: float) -> None:
        """Continue from an earlier bucket's *level*, *age_s* seconds old.

        An unknown level (None), or one from the future, counts as full.
        """
        earlier = self.capacity + 1.0 if level is None or age_s < 0 else level
        self.add(max(earlier - math.floor(max(age_s, 0.0) / DRAIN_INTERVAL_S) * self._leak, 0.0), now)

    def _free(self, now: float, reserved: int) -> float:
        return max(self._limit - reserved, 1) - self.level(now)

    def _since_drain(self, now: float) -> float:
        return 0.0 if self._drained_at is None else now - self._drained_at

    def _drain(self, now: float) -> None:
        """Subtract the leak of the whole seconds since the last drain, as the portal does."""
        if self._drained_at is None:
            self._drained_at = now
        steps = max(math.floor((now - self._drained_at) / DRAIN_INTERVAL_S), 0)
        self._drained_at += steps * DRAIN_INTERVAL_S
        self._level = max(self._level - steps * self._leak, 0.0)
