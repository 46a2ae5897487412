"""Pages of mirrored rows as response bodies, cached until their rows change."""

import secrets
from collections import OrderedDict
from dataclasses import dataclass
from hashlib import blake2b

from gateway.errors import NotFound
from gateway.memory import LruCache
from gateway.mirror.resources import Resource
from storage.mirror import MirrorStore
from storage.records import Account, ListFacts

ENTRY_BYTES, VERSION_BYTES = 1024, 160  # estimated overhead of a cached page besides its body, and of each version
MAX_GENERATIONS = 65_536  # lists whose current generation is cached, two numbers each
MAX_SYNCED_LISTS = 8192  # lists of records whose time of sync is cached; the pages of others are read again

PageKey = tuple[int, int, str, str, int, int] | tuple[int, int, str, str, str] | tuple[int, int, str, str, int, str]
"""Account, portal, the portal's id for callers, resource, and page and size, or else the text of a query, for a single
record after its id.
"""
Source = int | tuple[int, str]
"""What pages are made of: a list by its list_id, the whole users of a list, or a portal's description of fields."""
Versions = tuple[tuple[Source, int], ...]
ETAG_BYTES = 12  # of the digest of a page


def whole_users(list_id: int) -> Source:
    """The whole users of the list *list_id*, which has only a part of each. They have a generation of their own."""
    return list_id, "whole"


@dataclass(frozen=True)
class ServedPage:
    """A page's JSON and its entity tag, with quotes. *list_id* is 0 if the list was never stored.

    *link* is the value of the header Link; empty without links.
    """

    body: bytes
    etag: str
    list_id: int = 0
    link: str = ""


@dataclass(frozen=True)
class PageContent:
    """A page of records before it is served: its JSON, its links, and `Pages.invalidations` when its read began.

    *others* are the versions of what it was made of besides its list.
    """

    body: bytes
    link: str
    invalidations: int
    others: Versions = ()


@dataclass(frozen=True)
class CachedPage:
    """A page, and the versions of all that it was made of."""

    versions: Versions
    page: ServedPage


class Pages:
    """Serves pages from memory, and reads them from the mirror after their list has changed.

    A cached page carries the generation of its list at the time of its snapshot. After each commit of changed rows,
    `changed` must be called; pages of older generations are then read again. A page whose read overlaps the commit is
    not served from the cache either.
    """

    def __init__(self, store: MirrorStore, *, cache_bytes: int) -> None:
        self._store = store
        self._pages: LruCache[PageKey, CachedPage] = LruCache(cache_bytes, _weigh)
        # A list keeps its list_id when the rows of two portals are merged.
        self._versions: OrderedDict[Source, int] = OrderedDict()
        self.invalidations = 0  # a page read before one of them is not cached
        self._synced_at: OrderedDict[int, int] = OrderedDict()  # of lists of records, by list_id
        # Random for each start, so that a restored or copied database cannot repeat an entity tag.
        self._epoch = secrets.token_hex(8)

    async def page(self, account: Account | None, resource: Resource, *, page: int, size: int) -> ServedPage:
        """Page *page* (from 1) of *size* rows of *resource*, by our ids in ascending order.

        Raises:
            NotFound: the list is empty, and the resource answers that with a 404.
        """
        if account is None:
            return self.empty(resource, 0)
        portal_id = account.portal.portal_id
        bitrix_id = account.portal.bitrix_id
        key = (account.account_id, portal_id, bitrix_id, resource.name, page, size)
        if (cached := self.find(key)) is not None:
            return cached
        invalidations = self.invalidations
        found = await self._store.page(
            account.account_id,
            account.portal,
            resource.name,
            page=page,
            size=size,
        )
        if found is None or found.count == 0:
            return self.empty(resource, account.account_id)
        served = ServedPage(
            b'{"count":%d,"items":[%b]}' % (found.count, found.items),
            f'"{self._epoch}.{account.account_id}.{found.list_id}.{found.generation}"',
            found.list_id,
        )
        self._remember(key, ((found.list_id, found.generation),), served, invalidations)
        return served

    def empty(self, resource: Resource, account_id: int) -> ServedPage:
        """The page of a list without rows.

        Raises:
            NotFound: the resource answers that with a 404.
        """
        if resource.empty is not None:
            raise NotFound(resource.empty, code=f"{resource.name}_not_found")
        return ServedPage(b'{"count":0,"items":[]}', f'"{self._epoch}.{account_id}.0.0"')

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

    def serve(
        self, key: PageKey | None, account: Account, facts: ListFacts, generation: int, content: PageContent
    ) -> ServedPage:
        """The page that was made of the records of a list at *generation*. It is cached, unless *key* is None.

        *content* carries the number of invalidations at the time when its read began. A page that is made of its list
        alone is tagged by the generation, any other by its content.
        """
        tag = f"{generation}" if not content.others else _digest(content)
        etag = f'"{self._epoch}.{account.account_id}.{facts.list_id}.{tag}"'
        served = ServedPage(content.body, etag, facts.list_id, content.link)
        if facts.synced_at is not None:
            self.synced(facts.list_id, max(facts.synced_at, self._synced_at.get(facts.list_id, 0)))
        versions = ((facts.list_id, generation), *content.others)
        self._remember(key, versions, served, content.invalidations)
        return served

    def _remember(self, key: PageKey | None, versions: Versions, served: ServedPage, invalidations: int) -> None:
        if key is None or invalidations != self.invalidations:
            return
        for source, version in versions:
            if source in self._versions:
                self._versions.move_to_end(source)
            else:
                self._note(source, version)
        (list_id, generation), *_ = versions
        self.changed(list_id, generation)  # the read may be the first to show a change
        self._pages.remember(key, CachedPage(versions, served))

    def synced_at(self, list_id: int) -> int | None:
        """Since when the records of a list are up to date, in Unix seconds; None before the first sync, or evicted."""
        return self._synced_at.get(list_id)

    def synced(self, list_id: int, at: int) -> None:
        """Record that the records of the list are up to date since the Unix time *at*."""
        self._synced_at[list_id] = at
        self._synced_at.move_to_end(list_id)
        if len(self._synced_at) > MAX_SYNCED_LISTS:
            self._synced_at.popitem(last=False)

    def changed(self, source: Source, generation: int) -> None:
        """Record that *source* has reached *generation*. One that is recorded late changes nothing."""
        self._note(source, max(generation, self.generation(source)))

    def described(self, source: Source, version: int) -> None:
        """Record the *version* of a description of fields that holds from now on. Versions have no order."""
        self._note(source, version)

    def generation(self, source: Source) -> int:
        """The last generation that was recorded; 0 if none is known."""
        return self._versions.get(source, 0)

    def forget(self) -> None:
        """Drop all pages, including those being read: the portal's id in them may have changed."""
        self.invalidations += 1
        self._pages.clear()
        self._versions.clear()

    def _note(self, source: Source, version: int) -> None:
        self._versions[source] = version
        self._versions.move_to_end(source)
        if len(self._versions) > MAX_GENERATIONS:
            self._versions.popitem(last=False)
            self.invalidations += 1  # a page being read may belong to the dropped list


def _digest(content: PageContent) -> str:
    digest = blake2b(content.body, digest_size=ETAG_BYTES)
    digest.update(content.link.encode())
    return digest.hexdigest()


def _weigh(key: PageKey, cached: CachedPage) -> int:
    texts = len(cached.page.body) + len(cached.page.link) + len(str(key[-1]))
    return texts + ENTRY_BYTES + len(cached.versions) * VERSION_BYTES
