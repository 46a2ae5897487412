"""Counts the calls of each method since the start, over all accounts."""

from dataclasses import dataclass

from gateway.bitrix.monitoring.methods import METHOD_USES
from gateway.clock import Clock


@dataclass(slots=True)
class CallCount:
    """The calls of a method, retries included, and how many of them failed."""

    calls: int = 0
    errors: int = 0


class CallCounters:
    """One `CallCount` for each method in METHOD_USES, and a single one for all others, which only callers name.

    Callers can therefore not make the counters grow, nor see what others call.
    """

    def __init__(self, clock: Clock) -> None:
        self.since = clock.now()
        self.passed_through = CallCount()
        self._counts = {method.lower(): CallCount() for use in METHOD_USES for method in use.methods}

    def of(self, method: str) -> CallCount:
        """Return the count of *method*, in whatever case. Portals ignore the case too."""
        return self._counts.get(method.lower(), self.passed_through)

    def add(self, method: str, *, failed: bool) -> None:
        """Count a call of *method*."""
        count = self.of(method)
        count.calls += 1
        count.errors += failed
