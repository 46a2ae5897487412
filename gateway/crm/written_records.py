"""Keeps the mirror right after a write: the record is read back from the portal, or buried, before the caller hears."""

import logging
from collections.abc import Awaitable

from gateway.clock import Clock
from gateway.errors import GatewayError
from gateway.mirror.pages import Pages
from gateway.mirror.portal_records import PortalRecords, record_json
from gateway.mirror.resources import Resource
from storage.errors import StorageError
from storage.own_writes import ChangedList, OwnWriteStore
from storage.records import Account

logger = logging.getLogger(__name__)


class WrittenRecords:
    """The records that were written, as the portal has them and as the mirror shows them.

    The write has been carried out, so nothing that fails here makes it fail: the next sync finds the change.
    """

    def __init__(self, mirror: OwnWriteStore, records: PortalRecords, pages: Pages, clock: Clock) -> None:
        self._mirror = mirror
        self._records = records
        self._pages = pages
        self._clock = clock

    async def read_back(self, account: Account, resource: Resource, row_id: int) -> bytes:
        """The JSON of a record that was written, which the mirror then has too; its id alone if it cannot be read."""
        try:
            page = await self._records.fetch(account, resource, row_id)
        except (GatewayError, StorageError) as error:
            logger.warning(
                "a record was written, but could not be read back",
                extra={"resource": resource.name, "id": row_id, "reason": str(error)},
            )
            return b'{"id":%d}' % row_id
        saving = self._mirror.save(account.account_id, account.portal, resource.name, page)
        return await self._stored(resource, saving) or record_json(page)

    async def bury(self, account: Account, resource: Resource, row_id: int) -> None:
        """Mark a record that was deleted as deleted in the mirror."""
        tombstone = resource.tombstone(int(self._clock.now())) or b""
        await self._stored(
            resource, self._mirror.bury(account.account_id, account.portal, resource.name, row_id, tombstone)
        )

    async def _stored(self, resource: Resource, saving: Awaitable[ChangedList | None]) -> bytes | None:
        """The record as the mirror has it after *saving*; None if it is not mirrored, or could not be stored."""
        try:
            changed = await saving
        except StorageError as error:
            logger.error("the mirror does not show a write", extra={"resource": resource.name, "reason": str(error)})
            return None
        if changed is None:
            return None
        self._pages.changed(changed.list_id, changed.generation)
        return changed.item
