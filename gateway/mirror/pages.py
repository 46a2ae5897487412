"""Pages of mirrored rows as the bytes that go over the wire, remembered until their rows change."""

import secrets
from collections import OrderedDict
from dataclasses import dataclass

from gateway.errors import NotFound
from gateway.memory import LruCache
from gateway.mirror.resources import Resource
from storage.mirror import MirrorStore
from storage.records import Account

ENTRY_BYTES = 1024  # about what a remembered page takes beside its body
MAX_GENERATIONS = 65_536  # lists whose generation is remembered, two numbers each

PageKey = tuple[int, int, str, str, int, int]  # account, portal, resource, page, size


@dataclass(frozen=True)
class ServedPage:
    """A page's JSON and its entity tag (quotes included)."""

    body: bytes
    etag: str


@dataclass(frozen=True)
class RememberedPage:
    """A page, and which list it shows at which generation."""

    list_id: int
    generation: int
    page: ServedPage


class Pages:
    """Serves pages from the mirror, and from memory as long as nothing has changed.

    A page is remembered with the generation of its list at the moment of its snapshot. Whoever commits a change of rows
    says so by `changed`; a page of an older generation is then read again, also one whose read was under way.
    """

    def __init__(self, store: MirrorStore, *, cache_bytes: int) -> None:
        self._store = store
        self._pages: LruCache[PageKey, RememberedPage] = LruCache(cache_bytes, _weigh)
        # By list: one keeps its id when portals turn out to be the same.
        self._generations: OrderedDict[int, int] = OrderedDict()
        self._forgotten = 0
        # Random, new at every start: a restored or copied file cannot repeat a tag.
        self._epoch = secrets.token_hex(8)

    async def page(self, account: Account | None, resource: Resource, *, page: int, size: int) -> ServedPage:
        """Page *page* (from 1) of *size* rows of what *account* mirrors, lowest of our ids first.

        Raises:
            NotFound: when nothing at all is listed and the resource has a 404 for that.
        """
        if account is None:
            return self._empty(resource, 0)
        portal_id = account.portal.portal_id
        bitrix_id = account.portal.bitrix_id
        key = (account.account_id, portal_id, bitrix_id, resource.name, page, size)
        known = self._pages.get(key)
        if known is not None and known.generation == self._generations.get(known.list_id):
            self._pages.move_to_end(key)
            return known.page
        forgotten = self._forgotten
        found = await self._store.page(account.account_id, account.portal, resource.name, page=page, size=size)
        if found is None or found.count == 0:
            return self._empty(resource, account.account_id)
        served = ServedPage(
            b'{"count":%d,"items":[%b]}' % (found.count, found.items),
            f'"{self._epoch}.{account.account_id}.{found.list_id}.{found.generation}"',
        )
        if forgotten == self._forgotten:
            self._note(found.list_id, max(found.generation, self._generations.get(found.list_id, 0)))
            self._pages.remember(key, RememberedPage(found.list_id, found.generation, served))
        return served

    def changed(self, list_id: int, generation: int) -> None:
        """Take note that the list is at *generation* now."""
        self._note(list_id, generation)

    def forget(self) -> None:
        """Forget every page, those being read included: what they say of their portal may have changed."""
        self._forgotten += 1
        self._pages.clear()
        self._generations.clear()

    def _empty(self, resource: Resource, account_id: int) -> ServedPage:
        if resource.empty is not None:
            raise NotFound(resource.empty, code=f"{resource.name}_not_found")
        return ServedPage(b'{"count":0,"items":[]}', f'"{self._epoch}.{account_id}.0.0"')

    def _note(self, list_id: int, generation: int) -> None:
        self._generations[list_id] = generation
        self._generations.move_to_end(list_id)
        if len(self._generations) > MAX_GENERATIONS:
            self._generations.popitem(last=False)
            self._forgotten += 1  # a page that is being read now could be of the list that was forgotten


def _weigh(_key: PageKey, remembered: RememberedPage) -> int:
    return len(remembered.page.body) + ENTRY_BYTES
