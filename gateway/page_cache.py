"""Response bodies in memory, each until something that it was made of changes."""

import secrets
from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass

from gateway.memory import LruCache

ENTRY_BYTES, VERSION_BYTES = 1024, 160  # estimated overhead of a cached page besides its body, and of each version
MAX_VERSIONS = 65_536  # sources whose current version is kept, two numbers each

PageKey = tuple[Hashable, ...]
"""Who asks and what for. The last member counts as text when a page is weighed: it may be long."""
Source = Hashable
"""What pages are made of, such as a list, a portal's description of fields, or a catalogue."""
Versions = tuple[tuple[Source, int], ...]


@dataclass(frozen=True)
class ServedPage:
    """A page's JSON and its entity tag, with quotes. *list_id* is 0 if it is not of a list that is stored.

    *link* is the value of the header Link; empty without links.
    """

    body: bytes
    etag: str
    list_id: int = 0
    link: str = ""


@dataclass(frozen=True)
class CachedPage:
    """A page, and the versions of all that it was made of."""

    versions: Versions
    page: ServedPage


class PageCache:
    """Keeps pages in *max_bytes* until the version of one of their sources is another.

    A cached page carries the versions of its sources at the time of its snapshot. After each commit that changes a
    source, `changed` must be called; pages of older versions are then made again. A page whose read overlaps
    `forget` is not kept.
    """

    def __init__(self, max_bytes: int) -> None:
        self._pages: LruCache[PageKey, CachedPage] = LruCache(max_bytes, _weigh)
        self._versions: OrderedDict[Source, int] = OrderedDict()
        self.invalidations = 0  # a page read before one of them is not cached
        # Random for each start, so that a restored or copied database cannot repeat an entity tag.
        self.epoch = secrets.token_hex(8)

    def find(self, key: PageKey) -> ServedPage | None:
        """The cached page of this key, unless something that it was made of has changed since."""
        cached = self._pages.get(key)
        if cached is None:
            return None
        for source, version in cached.versions:
            if self._versions.get(source) != version:
                return None
        self._pages.move_to_end(key)
        return cached.page

    def remember(self, key: PageKey | None, versions: Versions, served: ServedPage, invalidations: int) -> None:
        """Keep the page *served*, whose read began when `invalidations` was *invalidations*; not without a *key*.

        Its first version may be the first to show a change; the others must have been recorded.
        """
        if key is None or invalidations != self.invalidations:
            return
        for source, version in versions:
            if source in self._versions:
                self._versions.move_to_end(source)
            else:
                self._note(source, version)
        source, version = versions[0]
        self.changed(source, version)
        self._pages.remember(key, CachedPage(versions, served))

    def changed(self, source: Source, version: int) -> None:
        """Record that *source* has reached *version*. One that is recorded late changes nothing."""
        self._note(source, max(version, self.version(source)))

    def described(self, source: Source, version: int) -> None:
        """Record the *version* of a description of fields that holds from now on. Versions have no order."""
        self._note(source, version)

    def version(self, source: Source) -> int:
        """The last version that was recorded; 0 if none is known."""
        return self._versions.get(source, 0)

    def forget(self) -> None:
        """Drop all pages, including those being read."""
        self.invalidations += 1
        self._pages.clear()
        self._versions.clear()

    def _note(self, source: Source, version: int) -> None:
        self._versions[source] = version
        self._versions.move_to_end(source)
        if len(self._versions) > MAX_VERSIONS:
            self._versions.popitem(last=False)
            self.invalidations += 1  # a page being read may belong to the dropped source


def _weigh(key: PageKey, cached: CachedPage) -> int:
    texts = len(cached.page.body) + len(cached.page.link) + len(str(key[-1]))
    return texts + ENTRY_BYTES + len(cached.versions) * VERSION_BYTES
