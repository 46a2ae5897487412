"""An LRU cache bounded in bytes."""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


def text_bytes(text: str) -> int:
    """Approximate size of *text* in bytes, without its fixed overhead. Other text than ASCII may be stored twice."""
    return len(text) if text.isascii() else 8 * len(text)


class LruCache(OrderedDict[K, V]):
    """A cache of at most *max_bytes*; *weigh* estimates the size of an entry.

    Write with `remember` and `forget`, which maintain the total size. Read with the methods of OrderedDict: `get`, and
    `move_to_end` to mark an entry as used. They run no Python code, so a hit costs little.
    """

    def __init__(self, max_bytes: int, weigh: Callable[[K, V], int]) -> None:
        super().__init__()
        self._max_bytes = max_bytes
        self._weigh = weigh
        self.held_bytes = 0

    def remember(self, key: K, value: V) -> None:
        """Store *value* as the most recently used entry; an entry larger than the cache is not stored."""
        self.forget(key)
        weight = self._weigh(key, value)
        if weight > self._max_bytes:
            return
        self[key] = value
        self.held_bytes += weight
        while self.held_bytes > self._max_bytes:
            self.held_bytes -= self._weigh(*self.popitem(last=False))

    def forget(self, key: K) -> None:
        """Remove the entry, if it exists."""
        if key in self:
            self.held_bytes -= self._weigh(key, self.pop(key))

    def clear(self) -> None:
        """Remove every entry."""
        super().clear()
        self.held_bytes = 0
