"""Log lines for requests that failed because the database cannot be used, limited in number."""

import logging

from gateway.clock import Clock

logger = logging.getLogger(__name__)

MAX_LINES_PER_S = 20


class StorageLog:
    """Writes at most MAX_LINES_PER_S lines a second; the next line says how many were left out."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._second = -1
        self._lines = 0
        self._left_out = 0

    def add(self, reason: str, request_id: str) -> None:
        """Log a request that failed for *reason*."""
        second = int(self._clock.monotonic())
        if second != self._second:
            self._second, self._lines = second, 0
        if self._lines >= MAX_LINES_PER_S:
            self._left_out += 1
            return
        self._lines += 1
        fields: dict[str, object] = {"reason": reason, "request_id": request_id}
        if self._left_out:
            fields["left_out"] = self._left_out
            self._left_out = 0
        logger.warning("request refused: the database cannot be used", extra=fields)
