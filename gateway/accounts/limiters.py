"""One limiter for each portal, whatever the account and the credential."""

import logging
from collections import OrderedDict
from functools import partial
from itertools import islice
from typing import TypeVar
from weakref import WeakValueDictionary

from gateway.bitrix.limits.limiter import PortalGate
from gateway.clock import Clock
from gateway.settings.config import Config
from storage.accounts import AccountStore
from storage.buckets import BucketStore
from storage.errors import StorageError
from storage.records import Bucket, Portal

logger = logging.getLogger(__name__)

K = TypeVar("K", int, str)

MAX_GATES = 500  # that are kept while nothing is under way there, and as many of hosts without a row
LOOKED_AT = 16  # of the gates used least recently, to find some that can go


class PortalGates:
    """The gates of all portals that are called; one that is at rest goes when there are many."""

    def __init__(self, config: Config, store: AccountStore, buckets: BucketStore, clock: Clock) -> None:
        self._config = config
        self._store = store
        self._buckets = buckets
        self._clock = clock
        self._gates: WeakValueDictionary[int, PortalGate] = WeakValueDictionary()  # whoever holds them
        self._kept: OrderedDict[int, PortalGate] = OrderedDict()
        self._of_hosts: OrderedDict[str, PortalGate] = OrderedDict()  # of portals that have no row yet
        self._earlier: dict[int, Bucket] = {}  # of a former start, until the portal's gate is needed

    async def open(self) -> None:
        """Learn what the gateway left behind at the portals when it last ended."""
        self._earlier = {bucket.portal_id: bucket for bucket in await self._buckets.list_all()}

    async def close(self) -> None:
        """Note what it leaves behind; nothing is to be sent after that."""
        levels = {portal_id: gate.level for portal_id, gate in self._gates.items()}
        try:
            await self._buckets.save(levels, self._clock.now())
        except StorageError as error:
            logger.warning("the next start has to let the portals rest first", extra={"reason": str(error)})

    async def at(self, host: str) -> PortalGate:
        """The limiter of the portal at *host*, also while we have no row for it."""
        portal = await self._store.find_portal(host)
        if portal is not None:
            return self.of(portal)
        gate = self._of_hosts.get(host) or self._new()
        _keep(self._of_hosts, host, gate)
        return gate

    def of(self, portal: Portal) -> PortalGate:
        """The limiter of a portal."""
        gate = self._gates.get(portal.portal_id)
        if gate is None:
            gate = self._gates[portal.portal_id] = self._new()
            if (earlier := self._earlier.pop(portal.portal_id, None)) is not None:
                gate.restore(earlier.level, earlier.marked_at)
            gate.keep_marks(partial(self._buckets.mark, portal.portal_id))
        _keep(self._kept, portal.portal_id, gate)
        if (met_before := self._of_hosts.pop(portal.host or "", None)) is not None:
            gate.join(met_before)
        return gate

    def join(self, holder: Portal | None, portal: Portal) -> None:
        """Let one gate stand before *portal* and before *holder* of its host, whose row has become one with its row."""
        if holder is not None and holder.member_id is None and holder.portal_id != portal.portal_id:
            gate = self.of(portal)
            gate.join(self.of(holder))
            self._gates[holder.portal_id] = gate
            _keep(self._kept, holder.portal_id, gate)

    def _new(self) -> PortalGate:
        config = self._config
        return PortalGate(
            self._clock,
            capacity=config.bucket_capacity,
            leak_per_s=config.bucket_leak_per_s,
            concurrency=config.portal_concurrency,
            operating_limit_s=config.operating_limit_s,
        )


def _keep(kept: OrderedDict[K, PortalGate], key: K, gate: PortalGate) -> None:
    """Keep *gate* as the one used last; beyond the bound, let those go that are at rest: new ones would be as good."""
    kept[key] = gate
    kept.move_to_end(key)
    if len(kept) > MAX_GATES:
        for old, one in list(islice(kept.items(), LOOKED_AT)):
            if one is not gate and one.at_rest:
                del kept[old]
