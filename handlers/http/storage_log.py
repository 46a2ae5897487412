"""Log lines of requests that the database refused: one each, unless they come by the thousand."""

import logging

from gateway.clock import Clock

logger = logging.getLogger(__name__)

LINES_A_SECOND = 20


class StorageLog:
    """Writes at most LINES_A_SECOND lines a second; the next line after that says how many were left out."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._second = -1
        self._lines = 0
        self._left_out = 0

    def refused(self, reason: str, request_id: str) -> None:
        """Note a request that failed for *reason*."""
        second = int(self._clock.monotonic())
        if second != self._second:
            self._second, self._lines = second, 0
        if self._lines >= LINES_A_SECOND:
            self._left_out += 1
            return
        self._lines += 1
        told: dict[str, object] = {"reason": reason, "request_id": request_id}
        if self._left_out:
            told["left_out"] = self._left_out
            self._left_out = 0
        logger.warning("request refused: the database cannot be used", extra=told)
