"""Stores what the passes of a run have read, and tells the page cache about it."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

from gateway.bitrix.errors import PortalError
from gateway.bitrix.lists.list_specs import Row
from gateway.bitrix.lists.page import Opening, Page
from gateway.bitrix.protocol.times import portal_time
from gateway.bitrix.protocol.v2 import Answer, Command
from gateway.clock import Clock
from gateway.mirror.pages import Pages, whole_users
from gateway.mirror.resources import PortalList, Resource
from storage.records import RowPage, SyncRun
from storage.syncs import MissingRow, SyncStore

ROWS_AT_ONCE = 250  # rendered while all requests wait, some milliseconds


class SyncWriter:
    """Writes the rows of one run.

    *keep_descriptions* is called with the answers to the descriptions of records, and *on_progress* after each
    transaction. *deleted* are the ids of the rows that the run has found deleted.
    """

    def __init__(
        self,
        store: SyncStore,
        pages: Pages,
        clock: Clock,
        resource: Resource,
        run: SyncRun,
        keep_descriptions: Callable[[Sequence[Answer | PortalError]], Awaitable[object]],
        on_progress: Callable[[], None] = lambda: None,
    ) -> None:
        self._store = store
        self._pages = pages
        self._clock = clock
        self._resource = resource
        self._run = run
        self._keep_descriptions = keep_descriptions
        self._on_progress = on_progress
        self.deleted: list[int] = []
        self._generation = run.generation  # the last one that this run has seen

    @property
    def list_id(self) -> int:
        """Our id of the list."""
        return self._run.list_id

    def mark(self) -> int:
        """The generation of the list, to mark the moment at which rows are requested."""
        self._generation = max(self._generation, self._pages.version(self._run.list_id))
        return self._generation

    async def render(self, portal_list: PortalList, page: Page[list[Row]]) -> RowPage:
        """The rows of *page*, ready to store now. Other tasks run between parts of them."""
        now = int(self._clock.now())
        parts = []
        for start in range(0, max(len(page.rows), 1), ROWS_AT_ONCE):
            end = start + ROWS_AT_ONCE
            part = replace(page, rows=page.rows[start:end], ids=page.ids[start:end])
            parts.append(self._resource.render(portal_list, part, now))
            await self._clock.sleep(0)
        return RowPage.join(parts)

    def opening(self, *companions: Command) -> Opening:
        """The first request of a walk, with *companions*; before them, the descriptions of records."""
        record = self._resource.record
        return Opening(companions if record is None else (*record.descriptions, *companions))

    async def save_opening(self, opening: Opening) -> None:
        """Store what the first answer of a walk over records says: the portal's time, the largest id, the descriptions.

        Raises:
            PortalError: the portal did not tell its time, or the fields.
        """
        record = self._resource.record
        if record is None or opening.first is None:
            return
        started, opening.first = portal_time(opening.first), None
        await self._store.save_opening(
            self._run.list_id, server_time=started.unix_s, zone_s=started.zone_s, largest=opening.largest
        )
        await self._keep_descriptions(opening.outcomes[: len(record.descriptions)])

    async def save_page(self, portal_list: PortalList, page: Page[list[Row]]) -> None:
        """Store all rows of a range, and its end, from which an interrupted run resumes."""
        stored = await self.render(portal_list, page)
        left_out = len(page.rows) - len(stored.rows)
        await self._committed(await self._store.save_page(self._run.list_id, stored, left_out=left_out))

    async def save_changes(self, portal_list: PortalList, page: Page[list[Row]]) -> None:
        """Store rows; other rows stay as they are."""
        stored = await self.render(portal_list, page)
        await self._committed(await self._store.save_changes(self._run.list_id, stored))

    async def resolve_missing(self, missing: Sequence[MissingRow], found: Sequence[RowPage]) -> None:
        """Store the rows that were *found* when the *missing* ones were requested by id. The others are deleted."""
        tombstone = self._resource.tombstone(int(self._clock.now()))
        present = {(page.sublist, row_id) for page in found for row_id, _ in page.rows}
        self.deleted += [row_id for _, sublist, row_id in missing if (sublist, row_id) not in present]
        await self._committed(await self._store.resolve_missing(self._run.list_id, missing, found, tombstone=tombstone))

    async def _committed(self, generation: int) -> None:
        self._pages.changed(self._run.list_id, generation)
        if self._resource.of_users:
            whole = await self._store.user_generation(self._run.list_id)
            self._pages.changed(whole_users(self._run.list_id), whole)
        self._on_progress()
