"""Keeps the mirror right after a write: the record is read back from the portal, or buried, before the caller hears."""

import logging
from collections.abc import Awaitable, Mapping, Sequence
from typing import TypeVar

from gateway.bitrix.errors import RecordNotFound
from gateway.bitrix.lists.page import PAGE_ROWS
from gateway.clock import Clock
from gateway.crm.gathering import Gatherer
from gateway.errors import GatewayError
from gateway.mirror.pages import Pages
from gateway.mirror.portal_records import PortalRecords, record_json
from gateway.mirror.record_reader import RecordReader
from gateway.mirror.resources import Resource
from storage.errors import StorageError
from storage.own_writes import ChangedList, OwnWriteStore
from storage.records import Account

logger = logging.getLogger(__name__)

T = TypeVar("T")

_List = tuple[Account, str]
_Record = tuple[Resource, int]


class WrittenRecords:
    """The records that were written, as the portal has them and as the mirror shows them.

    The write has been carried out, so nothing that fails here makes it fail: the next sync finds the change.
    """

    def __init__(
        self, mirror: OwnWriteStore, records: PortalRecords, reader: RecordReader, pages: Pages, clock: Clock
    ) -> None:
        self._mirror = mirror
        self._records = records
        self._reader = reader
        self._gatherer: Gatherer[_List, _Record, bytes] = Gatherer(self._read, weigh=lambda _: 1, most=PAGE_ROWS)
        self._pages = pages
        self._clock = clock

    async def read_back(self, account: Account, resource: Resource, row_id: int) -> bytes:
        """The JSON of a record that was written, which the mirror then has too; its id alone if it cannot be read.

        Records of one list that are read back at the same time share a request.
        """
        reading = self._gatherer.submit((account, resource.name), (resource, row_id))
        return await self.attempt(reading, resource, row_id) or b'{"id":%d}' % row_id

    async def refresh(self, account: Account, resource: Resource, row_id: int) -> None:
        """Store a record that was changed as the portal has it now, if it is mirrored."""
        if await self.attempt(self._reader.is_mirrored(account, resource), resource, row_id):
            await self.read_back(account, resource, row_id)

    async def attempt(self, reading: Awaitable[T], resource: Resource, row_id: int) -> T | None:
        """What *reading* returns about a record that was written; None if it cannot be read."""
        try:
            return await reading
        except (GatewayError, StorageError) as error:
            logger.warning(
                "a record was written, but could not be read back",
                extra={"resource": resource.name, "id": row_id, "reason": str(error)},
            )
            return None

    async def bury(self, account: Account, resource: Resource, row_id: int) -> None:
        """Mark a record that was deleted as deleted in the mirror."""
        tombstone = resource.tombstone(int(self._clock.now())) or b""
        burying = self._mirror.bury(account.account_id, account.portal, resource.name, row_id, tombstone)
        await self._stored(resource, burying)

    async def close(self) -> None:
        """Cancel what is being read back."""
        await self._gatherer.close()

    async def _read(self, key: _List, items: Sequence[_Record]) -> Sequence[bytes | GatewayError]:
        (account, _), (resource, _) = key, items[0]
        row_ids = list(dict.fromkeys(row_id for _, row_id in items))
        page = await self._records.fetch_all(account, resource, row_ids)
        saving = self._mirror.save(account.account_id, account.portal, resource.name, page)
        shown = {row_id: record_json(page, row_id) for row_id, _ in page.rows}
        shown |= await self._stored(resource, saving)
        return [shown.get(row_id) or RecordNotFound("", "Not found") for _, row_id in items]

    async def _stored(self, resource: Resource, saving: Awaitable[ChangedList | None]) -> Mapping[int, bytes]:
        """The records as the mirror has them after *saving*; none if they are not mirrored, or could not be stored."""
        try:
            changed = await saving
        except StorageError as error:
            logger.error("the mirror does not show a write", extra={"resource": resource.name, "reason": str(error)})
            return {}
        if changed is None:
            return {}
        self._pages.changed(changed.list_id, changed.generation)
        return changed.items
