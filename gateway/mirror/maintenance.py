"""Work on stored records that callers need not wait for: building indexes of fields and deleting purged rows."""

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress

from gateway.background import running
from gateway.clock import Clock
from storage.errors import StorageError
from storage.json_values import QueryField
from storage.mirror_indexes import IndexStore
from storage.sync_settings import SyncSettingsStore

logger = logging.getLogger(__name__)

RETRY_INTERVAL_S = 60  # how soon work is tried again that the database refused


class MirrorMaintenance:
    """Declares indexes and purges lists at once, and does the work in the background, in short transactions."""

    def __init__(self, indexes: IndexStore, settings: SyncSettingsStore, clock: Clock) -> None:
        self._indexes = indexes
        self._settings = settings
        self._clock = clock
        self._work_waits = asyncio.Event()

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Do the work in the background until the block ends, also what earlier starts left."""
        async with running(self._keep_working(), name="mirror maintenance"):
            yield

    async def list_indexed(self, list_id: int) -> list[str]:
        """The names of the indexed fields of a list, in the order in which they were declared."""
        return await self._indexes.list_fields(list_id)

    async def index(self, list_id: int, fields: Sequence[QueryField], zone_s: int, *, drop_others: bool) -> None:
        """Index these fields of a list; times without a zone are in *zone_s*, seconds east of UTC.

        *drop_others* drops the indexes of all other fields.
        """
        await self._indexes.declare(list_id, fields, zone_s, drop_others=drop_others)
        self._work_waits.set()

    async def purge(self, list_id: int) -> int:
        """Empty a list. Its rows are deleted in the background. Return the list's new generation."""
        generation = await self._settings.purge(list_id)
        self._work_waits.set()
        return generation

    async def _keep_working(self) -> None:
        while True:
            self._work_waits.clear()
            try:
                while await self._indexes.work() or await self._settings.delete_purged():
                    pass
            except StorageError as error:
                logger.warning("purged rows could not be deleted, or indexes not built", extra={"reason": str(error)})
                with suppress(TimeoutError):
                    async with self._clock.timeout(RETRY_INTERVAL_S):
                        await self._work_waits.wait()
            else:
                await self._work_waits.wait()
