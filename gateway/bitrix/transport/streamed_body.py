"""Bodies of requests that are sent piece by piece, so that they need not be in memory."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class StreamedBody:
    """A body of *length* bytes. *chunks* makes them, anew for each attempt to send it."""

    content_type: str
    length: int
    chunks: Callable[[], AsyncIterator[bytes]]
