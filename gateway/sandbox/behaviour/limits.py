"""The limits of a portal: the leaky bucket of an address and the operating time of a method. No I/O, no clock."""

from collections import deque
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Tariff:
    """The limits of a portal's plan.

    Source: [docs] limits.md, settings/performance/limits.md
    """

    bucket_capacity: int
    bucket_leak_per_s: int
    operating_limit_s: float


TARIFFS: dict[str, Tariff | None] = {
    "standard": Tariff(bucket_capacity=50, bucket_leak_per_s=2, operating_limit_s=480),
    "enterprise": Tariff(bucket_capacity=250, bucket_leak_per_s=5, operating_limit_s=480),
    "off": None,
}

BASKET_S = 60
WINDOW_S = 600
MIN_COUNTED_S = 0.1


class LeakyBucket:
    """Counts the requests of one source address and refuses them while the count exceeds the capacity.

    A burst therefore gets ``capacity + 1`` answers. Refused requests do not count. The bucket drains in steps, once per
    second of the portal's clock.
    Source: [docs] limits.md, taken literally
    """

    def __init__(self, capacity: int, leak_per_s: int) -> None:
        self.capacity = capacity
        self.leak_per_s = leak_per_s
        self.level = 0
        self._second = 0

    def admit(self, now: float) -> bool:
        """Count a request at *now* (monotonic seconds). Return False if it is refused."""
        second = int(now)
        self.level = max(0, self.level - (second - self._second) * self.leak_per_s)
        self._second = second
        if self.level > self.capacity:
            return False
        self.level += 1
        return True


@dataclass
class _Basket:
    minute: int
    opened_at: float
    spent_s: float


class Billed(Protocol):
    """The attributes of a method of either REST version that operating time needs."""

    @property
    def name(self) -> str: ...

    @property
    def is_billed(self) -> bool: ...


def reset_of(opened_at: float) -> int:
    """The Unix time at which a basket opened at *opened_at* leaves the sum."""
    return int(opened_at + WINDOW_S)


class OperatingTime:
    """The seconds spent by each client on each method in the last ten minutes, in baskets of one minute.

    Source: [docs] limits.md; [srv] rest/lib load limiter
    """

    def __init__(self, limit_s: float) -> None:
        self.limit_s = limit_s
        self._baskets: dict[Hashable, deque[_Basket]] = {}

    def spend(self, client: str, method: str, seconds: float, now: float) -> None:
        """Book *seconds* of *method* for *client*, an application's id or ``webhook``."""
        if seconds < MIN_COUNTED_S:
            return
        baskets = self._current(client, method, now)
        minute = int(now // BASKET_S)
        if not baskets or baskets[-1].minute != minute:
            baskets.append(_Basket(minute, now, 0.0))
        baskets[-1].spent_s += seconds

    def spent_s(self, client: str, method: str, now: float) -> float:
        """The seconds booked at *now*. Zero is an int, as in a portal's answers."""
        return sum(basket.spent_s for basket in self._current(client, method, now))

    def reset_at(self, client: str, method: str, now: float) -> int:
        """The Unix time at which the oldest basket leaves the sum; without baskets, that of one opened *now*."""
        baskets = self._current(client, method, now)
        return reset_of(baskets[0].opened_at if baskets else now)

    def is_blocked(self, client: str, method: str, now: float) -> bool:
        """Whether more than the limit is booked. The call that crosses the limit is still answered."""
        return self.spent_s(client, method, now) > self.limit_s

    def _current(self, client: str, method: str, now: float) -> deque[_Basket]:
        baskets = self._baskets.setdefault((client, method), deque())
        while baskets and now >= reset_of(baskets[0].opened_at):
            baskets.popleft()
        return baskets
