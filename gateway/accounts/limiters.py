"""One limiter for each portal, whatever the account and the credential."""

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

MAX_GATES = 500  # that are kept while nothing is under way there, and as many of hosts without a row
LOOKED_AT = 16  # of the limiters used least recently, to find some that can go


class PortalLimiters:
    """The limiters of all portals that are called; one that is at rest goes when there are many."""

    def __init__(self, config: Config, store: AccountStore, buckets: BucketStore, clock: Clock) -> None:
        self._config = config
        self._store = store
        self._buckets = buckets
        self._clock = clock
        self._limiters: WeakValueDictionary[int, PortalLimiter] = WeakValueDictionary()  # whoever holds them
        self._kept: OrderedDict[int, PortalLimiter] = OrderedDict()
        self._of_hosts: OrderedDict[str, PortalLimiter] = OrderedDict()  # of portals that have no row yet
        self._earlier: dict[int, Bucket] = {}  # of a former start, until the portal's limiter is needed

    async def open(self) -> None:
        """Learn what the gateway left behind at the portals when it last ended."""
        self._earlier = {bucket.portal_id: bucket for bucket in await self._buckets.list_all()}

    async def close(self) -> None:
        """Note what it leaves behind; nothing is to be sent after that."""
        levels = {portal_id: limiter.level for portal_id, limiter in self._limiters.items()}
        try:
            await self._buckets.save(levels, self._clock.now())
        except StorageError as error:
            logger.warning("the next start must let the portals rest first", extra={"reason": str(error)})

    async def at(self, host: str) -> PortalLimiter:
        """The limiter of the portal at *host*, also while we have no row for it."""
        portal = await self._store.find_portal(host)
        if portal is not None:
            return self.of(portal)
        limiter = self._of_hosts.get(host) or self._new()
        _keep(self._of_hosts, host, limiter)
        return limiter

    def of(self, portal: Portal) -> PortalLimiter:
        """The limiter of a portal."""
        limiter = self._limiters.get(portal.portal_id)
        if limiter is None:
            limiter = self._limiters[portal.portal_id] = self._new()
            if (earlier := self._earlier.pop(portal.portal_id, None)) is not None:
                limiter.restore(earlier.level, earlier.marked_at)
            limiter.save_checkpoints(partial(self._buckets.mark, portal.portal_id))
        _keep(self._kept, portal.portal_id, limiter)
        if (met_before := self._of_hosts.pop(portal.host or "", None)) is not None:
            limiter.merge(met_before)
        return limiter

    def join(self, holder: Portal | None, portal: Portal) -> None:
        """Use one limiter for *portal* and for *holder* of its host, whose rows have become one."""
        if holder is not None and holder.member_id is None and holder.portal_id != portal.portal_id:
            limiter = self.of(portal)
            limiter.merge(self.of(holder))
            self._limiters[holder.portal_id] = limiter
            _keep(self._kept, holder.portal_id, limiter)

    def _new(self) -> PortalLimiter:
        config = self._config
        return PortalLimiter(
            self._clock,
            capacity=config.bucket_capacity,
            leak_per_s=config.bucket_leak_per_s,
            concurrency=config.portal_concurrency,
            operating_limit_s=config.operating_limit_s,
        )


def _keep(kept: OrderedDict[K, PortalLimiter], key: K, limiter: PortalLimiter) -> None:
    """Keep *limiter* as the one used last; beyond the bound, drop idle ones: a new one would be as good."""
    kept[key] = limiter
    kept.move_to_end(key)
    if len(kept) > MAX_GATES:
        for old, one in list(islice(kept.items(), LOOKED_AT)):
            if one is not limiter and one.is_idle:
                del kept[old]
