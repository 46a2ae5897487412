"""Pages of mirrored rows as response bodies, cached until their rows change."""

from collections import OrderedDict
from dataclasses import dataclass
from hashlib import blake2b

from gateway.errors import NotFound
from gateway.mirror.resources import Resource
from gateway.page_cache import PageCache, PageKey, ServedPage, Source, Versions
from storage.mirror import MirrorStore
from storage.records import Account, ListFacts

MAX_SYNCED_LISTS = 8192  # lists of records whose time of sync is cached; the pages of others are read again
ETAG_BYTES = 12  # of the digest of a page


def whole_users(list_id: int) -> Source:
    """The whole users of the list *list_id*, which has only a part of each. They have a generation of their own."""
    return list_id, "whole"


@dataclass(frozen=True)
class PageContent:
    """A page of records before it is served: its JSON, its links, and `Pages.invalidations` when its read began.

    *others* are the versions of what it was made of besides its list.
    """

    body: bytes
    link: str
    invalidations: int
    others: Versions = ()


class Pages(PageCache):
    """Serves pages from memory, and reads them from the mirror after their list has changed.

    The versions of a list are its generations, and its source is its list_id, which it keeps when the rows of two
    portals are merged. The keys have the account, the portal, the portal's id for callers and the resource; then page
    and size, or the text of a query, after the id for a single record.
    """

    def __init__(self, store: MirrorStore, *, cache_bytes: int) -> None:
        super().__init__(cache_bytes)
        self._store = store
        self._synced_at: OrderedDict[int, int] = OrderedDict()  # of lists of records, by list_id

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
            f'"{self.epoch}.{account.account_id}.{found.list_id}.{found.generation}"',
            found.list_id,
        )
        self.remember(key, ((found.list_id, found.generation),), served, invalidations)
        return served

    def empty(self, resource: Resource, account_id: int) -> ServedPage:
        """The page of a list without rows.

        Raises:
            NotFound: the resource answers that with a 404.
        """
        if resource.empty is not None:
            raise NotFound(resource.empty, code=f"{resource.name}_not_found")
        return ServedPage(b'{"count":0,"items":[]}', f'"{self.epoch}.{account_id}.0.0"')

    def serve(
        self, key: PageKey | None, account: Account, facts: ListFacts, generation: int, content: PageContent
    ) -> ServedPage:
        """The page that was made of the records of a list at *generation*. It is cached, unless *key* is None.

        *content* carries the number of invalidations at the time when its read began. A page that is made of its list
        alone is tagged by the generation, any other by its content.
        """
        tag = f"{generation}" if not content.others else _digest(content)
        etag = f'"{self.epoch}.{account.account_id}.{facts.list_id}.{tag}"'
        served = ServedPage(content.body, etag, facts.list_id, content.link)
        if facts.synced_at is not None:
            self.synced(facts.list_id, max(facts.synced_at, self._synced_at.get(facts.list_id, 0)))
        versions = ((facts.list_id, generation), *content.others)
        self.remember(key, versions, served, content.invalidations)
        return served

    def synced_at(self, list_id: int) -> int | None:
        """Since when the records of a list are up to date, in Unix seconds; None before the first sync, or evicted."""
        return self._synced_at.get(list_id)

    def synced(self, list_id: int, at: int) -> None:
        """Record that the records of the list are up to date since the Unix time *at*."""
        self._synced_at[list_id] = at
        self._synced_at.move_to_end(list_id)
        if len(self._synced_at) > MAX_SYNCED_LISTS:
            self._synced_at.popitem(last=False)


def _digest(content: PageContent) -> str:
    digest = blake2b(content.body, digest_size=ETAG_BYTES)
    digest.update(content.link.encode())
    return digest.hexdigest()
