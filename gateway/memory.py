"""A cache that is bounded in bytes: what was used least recently goes first."""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


def text_bytes(text: str) -> int:
    """About how many bytes *text* takes beside its fixed part; what is no ASCII may be held in two forms of four."""
    return len(text) if text.isascii() else 8 * len(text)


class LruCache(OrderedDict[K, V]):
    """Values by key, with at most *max_bytes* in all as *weigh* estimates each entry.

    Write by `remember` and `forget`, which keep the account. Read as from any OrderedDict: `get`, and `move_to_end` to
    mark an entry as used, which cost no Python call each.
    """

    def __init__(self, max_bytes: int, weigh: Callable[[K, V], int]) -> None:
        super().__init__()
        self._max_bytes = max_bytes
        self._weigh = weigh
        self.held_bytes = 0

    def remember(self, key: K, value: V) -> None:
        """Store *value* as the entry used last; an entry that is too large for the whole cache is not stored."""
        self.forget(key)
        weight = self._weigh(key, value)
        if weight > self._max_bytes:
            return
        self[key] = value
        self.held_bytes += weight
        while self.held_bytes > self._max_bytes:
            self.held_bytes -= self._weigh(*self.popitem(last=False))

    def forget(self, key: K) -> None:
        """Remove the entry, where there is one."""
        if key in self:
            self.held_bytes -= self._weigh(key, self.pop(key))

    def clear(self) -> None:
        """Remove every entry."""
        super().clear()
        self.held_bytes = 0
