"""The rate limiters of the portals: one for each portal, shared by all its accounts and credentials."""

import logging
from collections import OrderedDict
from functools import partial
from itertools import islice
from typing import TypeVar
from weakref import WeakValueDictionary

from gateway.bitrix.limits.limiter import PortalLimiter
from gateway.clock import Clock
from gateway.settings.config import Config
from storage.accounts import AccountStore
from storage.buckets import BucketStore
from storage.errors import StorageError
from storage.records import Bucket, Portal

logger = logging.getLogger(__name__)

K = TypeVar("K", int, str)

MAX_IDLE_LIMITERS = 500  # kept of portals with a row, and the same number of hosts without one
EVICTION_CANDIDATES = 16  # least recently used limiters that are checked for idle ones


class PortalLimiters:
    """Makes the limiter of a portal when it is first needed. Drops idle ones when there are more than the maximum."""

    def __init__(self, config: Config, store: AccountStore, buckets: BucketStore, clock: Clock) -> None:
        self._config = config
        self._store = store
        self._buckets = buckets
        self._clock = clock
        self._limiters: WeakValueDictionary[int, PortalLimiter] = WeakValueDictionary()  # all that are in use
        self._recent: OrderedDict[int, PortalLimiter] = OrderedDict()
        self._by_host: OrderedDict[str, PortalLimiter] = OrderedDict()  # of portals without a row
        self._stored: dict[int, Bucket] = {}  # of the previous run, until the portal's limiter is made

    async def open(self) -> None:
        """Load the request counters that the previous run stored."""
        self._stored = {bucket.portal_id: bucket for bucket in await self._buckets.list_all()}

    async def close(self) -> None:
        """Store the request counters. No request may be sent afterwards."""
        levels = {portal_id: limiter.level for portal_id, limiter in self._limiters.items()}
        try:
            await self._buckets.save(levels, self._clock.now())
        except StorageError as error:
            message = "request counters were not stored; the next start assumes full ones"
            logger.warning(message, extra={"reason": str(error)})

    async def limiter_at(self, host: str) -> PortalLimiter:
        """Return the limiter of the portal at *host*, which may have no row yet."""
        portal = await self._store.find_portal(host)
        if portal is not None:
            return self.of(portal)
        limiter = self._by_host.get(host) or self._new()
        _remember(self._by_host, host, limiter)
        return limiter

    def of(self, portal: Portal) -> PortalLimiter:
        """Return the limiter of *portal*."""
        limiter = self._limiters.get(portal.portal_id)
        if limiter is None:
            limiter = self._limiters[portal.portal_id] = self._new()
            if (bucket := self._stored.pop(portal.portal_id, None)) is not None:
                limiter.restore(bucket.level, bucket.marked_at)
            limiter.save_checkpoints(partial(self._buckets.mark, portal.portal_id))
        _remember(self._recent, portal.portal_id, limiter)
        if (host_limiter := self._by_host.pop(portal.host or "", None)) is not None:
            limiter.merge(host_limiter)
        return limiter

    def merge(self, known: Portal | None, portal: Portal) -> None:
        """Use one limiter for both rows of a portal whose member_id has been learned.

        *known* is the row that had the portal's host before; it is merged only if it had no member_id.
        """
        if known is not None and known.member_id is None and known.portal_id != portal.portal_id:
            limiter = self.of(portal)
            limiter.merge(self.of(known))
            self._limiters[known.portal_id] = limiter
            _remember(self._recent, known.portal_id, limiter)

    def _new(self) -> PortalLimiter:
        config = self._config
        return PortalLimiter(
            self._clock,
            capacity=config.bucket_capacity,
            leak_per_s=config.bucket_leak_per_s,
            concurrency=config.portal_concurrency,
            operating_limit_s=config.operating_limit_s,
        )


def _remember(recent: OrderedDict[K, PortalLimiter], key: K, limiter: PortalLimiter) -> None:
    """Make *limiter* the most recently used one. Above the maximum, drop idle ones: a new one is equivalent."""
    recent[key] = limiter
    recent.move_to_end(key)
    if len(recent) > MAX_IDLE_LIMITERS:
        for old_key, old in list(islice(recent.items(), EVICTION_CANDIDATES)):
            if old is not limiter and old.is_idle:
                del recent[old_key]
