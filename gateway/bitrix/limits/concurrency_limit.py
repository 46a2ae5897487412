"""How many requests a portal bears at once, found out as they go; pure."""

import math

from gateway.memory import LruCache

HALVED = 0.5
GROWS_EVERY_S = 1.0  # so that the answers to one step are seen before the next: a halved 32 is whole again in 16 s
MIN_SIZE = 2  # one of them for whoever waits
SLOW_FACTOR = 2.0
SLOW_FROM_S = 1.0
SLOW_RUN = 3  # one slow answer says nothing
NOVELTY = 1 / 16  # of one answer in what is usual: what stays slow is the new usual after a dozen
KIND_CACHE_BYTES = 32 * 1024  # of one portal
KIND_BYTES = 192  # what a kind takes beside its name


class ConcurrencyLimit:
    """The most requests in flight: halved when the portal strains, one more for each second in which it answers well.

    It strains when it fails or times out, and when several answers in a row take twice what is usual for their kind,
    by the portal's own measure. Requests that were under way at a cut tell nothing about what came of it.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._size = float(most)
        self._cut_at = -math.inf
        self._grown_at = -math.inf
        self._slow = 0
        self._usual_s: LruCache[str, float] = LruCache(KIND_CACHE_BYTES, _weigh)

    @property
    def size(self) -> int:
        """How many may be in flight."""
        return math.floor(self._size)

    @property
    def for_background(self) -> int:
        """How many of them may be background work; the rest, an eighth or one at least, is kept for callers."""
        return max(self.size - max(self.size // 8, 1), 1)

    def answered(self, kind: str, commands: int, took_s: float, started_at: float, now: float) -> None:
        """Take an answer to *commands* of one *kind* that was *took_s* seconds in the making."""
        usual_s = self._usual_s.get(kind, took_s / commands)
        self._usual_s.remember(kind, usual_s + (took_s / commands - usual_s) * NOVELTY)
        if took_s >= SLOW_FROM_S and took_s > SLOW_FACTOR * usual_s * commands:
            self._slow += 1
            if self._slow >= SLOW_RUN:
                self.on_overload(started_at, now)
        else:
            self._slow = 0
            if started_at >= self._cut_at and now >= self._grown_at + GROWS_EVERY_S:
                self._size = min(self._size + 1, self._most)
                self._grown_at = now

    def on_overload(self, started_at: float, now: float) -> None:
        """Take a failure of the portal's, or its being slow, in a request sent at *started_at*."""
        if started_at < self._cut_at:
            return
        self._size = max(math.floor(self._size * HALVED), min(MIN_SIZE, self._most))
        self._cut_at = self._grown_at = now
        self._slow = 0


def _weigh(kind: str, _usual_s: float) -> int:
    return len(kind) + KIND_BYTES
