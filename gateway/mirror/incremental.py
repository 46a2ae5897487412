"""An incremental pass over a list of records: read what has changed since the last read, and find what was deleted.

The portal's time of modification says what has changed; a deleted row has none. So the pass compares the number of rows
with the portal's, and where they differ, `reconcile` finds the ids that differ.
"""

from contextlib import aclosing

from gateway.bitrix.client import PortalClient
from gateway.bitrix.lists.page import PAGE_ROWS, ListCall, answer_of
from gateway.bitrix.lists.walk import walk
from gateway.bitrix.protocol.times import PortalTime
from gateway.mirror.reconcile import (
    compare_all_ids,
    compare_counts,
    count_command,
    counted_rows,
    resolve_differences,
)
from gateway.mirror.resources import PortalList
from gateway.mirror.sync_pass import in_larger_pages
from gateway.mirror.sync_writer import SyncWriter
from storage.syncs import SyncStore


class IncrementalPass:
    """Reads the rows modified at or after *since*, and reconciles deletions.

    *modified* is the name of the field with the time of modification. *all_ids*: compare all ids with the portal's,
    even if the numbers of rows are equal.
    """

    def __init__(
        self,
        store: SyncStore,
        client: PortalClient,
        writer: SyncWriter,
        portal_list: PortalList,
        modified: str,
        since: PortalTime,
        *,
        all_ids: bool,
    ) -> None:
        self._store = store
        self._client = client
        self._writer = writer
        self._portal_list = portal_list
        call = portal_list.call
        self._changed = ListCall(call.method, call.spec.limited(call.params, {f">={modified}": since.text()}))
        self._all_ids = all_ids

    async def run(self) -> None:
        """Bring the mirror up to date.

        Raises:
            PortalError: the changes cannot be read completely. Pages already stored remain.
        """
        call, list_id = self._portal_list.call, self._writer.list_id
        rows, total = await self._read_changes()
        live = await self._store.count_live(list_id)
        if total != live and rows >= PAGE_ROWS:  # the count came with the first of several answers
            total = counted_rows(await self._client.call(count_command(call)))
        if total == live and not self._all_ids:
            return
        # Where most rows differ, a walk of all ids takes fewer requests than a search: it reads side by side.
        compare = compare_all_ids if self._all_ids or 2 * abs(total - live) > max(total, live) else compare_counts
        differences = await compare(self._client, call, await self._store.load_live_ids(list_id))
        await resolve_differences(self._store, self._client, self._writer, self._portal_list, differences)

    async def _read_changes(self) -> tuple[int, int]:
        """Store the changed rows. Return how many there are, and the portal's count of all rows."""
        opening = self._writer.opening(count_command(self._portal_list.call))
        rows = 0
        async with aclosing(walk(self._client, self._changed, mark=self._writer.mark, opening=opening)) as pages:
            async for page in in_larger_pages(pages):
                await self._writer.save_opening(opening)
                if page.rows:
                    await self._writer.save_changes(self._portal_list, page)
                rows += len(page.rows)
        return rows, counted_rows(answer_of(opening.outcomes[-1]))
