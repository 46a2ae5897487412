"""How many requests a portal can take at once, learned from its answers; pure."""

import math

from gateway.memory import LruCache

DECREASE_FACTOR = 0.5
INCREASE_INTERVAL_S = 1.0  # lets the effect of one step show before the next: from 16 back to 32 takes 16 s
MIN_SIZE = 2  # one of them for callers
SLOW_FACTOR = 2.0  # an answer is slow if it took longer than this many times the usual duration of its kind
MIN_SLOW_S = 1.0  # a shorter answer is never slow
SLOW_STREAK = 3  # slow answers in a row that mean overload: a single one says nothing
SMOOTHING = 1 / 16  # weight of one answer in the usual duration: any lasting slowdown is usual after about 12 answers
KIND_CACHE_BYTES = 32 * 1024  # per portal
KIND_BYTES = 192  # memory that one kind takes, without its name


class ConcurrencyLimit:
    """The maximum number of requests in flight: halved on overload, raised by one per second of good answers.

    Overload is a failure, a timeout, or several answers in a row that take twice as long as usual for their kind, by
    the portal's own measure. Requests sent before a decrease do not change the limit after it.
    """

    def __init__(self, max_size: int) -> None:
        self._max_size = max_size
        self._size = float(max_size)
        self._decreased_at = -math.inf
        self._increased_at = -math.inf
        self._slow_answers = 0
        self._usual_s: LruCache[str, float] = LruCache(KIND_CACHE_BYTES, _weigh)  # duration of a command, by kind

    @property
    def size(self) -> int:
        """The maximum number of requests in flight."""
        return math.floor(self._size)

    @property
    def background_size(self) -> int:
        """The maximum number of background requests in flight. An eighth, at least one, is reserved for callers."""
        return max(self.size - max(self.size // 8, 1), 1)

    def on_success(self, kind: str, commands: int, duration_s: float, started_at: float, now: float) -> None:
        """Record an answer that took the portal *duration_s* seconds.

        The request was sent at *started_at*, with *commands* commands. *kind* names its methods.
        """
        usual_s = self._usual_s.get(kind, duration_s / commands)
        self._usual_s.remember(kind, usual_s + (duration_s / commands - usual_s) * SMOOTHING)
        if duration_s >= MIN_SLOW_S and duration_s > SLOW_FACTOR * usual_s * commands:
            self._slow_answers += 1
            if self._slow_answers >= SLOW_STREAK:
                self.on_overload(started_at, now)
        else:
            self._slow_answers = 0
            if started_at >= self._decreased_at and now >= self._increased_at + INCREASE_INTERVAL_S:
                self._size = min(self._size + 1, self._max_size)
                self._increased_at = now

    def on_overload(self, started_at: float, now: float) -> None:
        """Record that the portal failed or was slow to answer a request sent at *started_at*."""
        if started_at < self._decreased_at:
            return
        self._size = max(math.floor(self._size * DECREASE_FACTOR), min(MIN_SIZE, self._max_size))
        self._decreased_at = self._increased_at = now
        self._slow_answers = 0


def _weigh(kind: str, _usual_s: float) -> int:
    return len(kind) + KIND_BYTES
