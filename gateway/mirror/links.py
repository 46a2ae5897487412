"""Reads records again that were linked to a deleted contact or company.

A portal removes such links and leaves the records' times of modification as they are, so no incremental sync sees it.
Where it cleans up later, the links are gone after a minute or two. The links of quotes and items to a company stay.
Source: [srv] crm/classes/general/crm_company.php, crm/lib/cleaning/cleaningmanager.php, crm/lib/binding/
"""

import asyncio
import logging
from collections.abc import Sequence

from gateway.accounts.directory import AccountDirectory
from gateway.background import detached, end
from gateway.clock import Clock
from gateway.errors import GatewayError
from gateway.mirror.pages import Pages
from gateway.mirror.portal_records import PortalRecords
from gateway.mirror.query_fields import ID
from gateway.mirror.resources import Resource, find_resource
from storage.conditions import Comparison, Group
from storage.errors import StorageError
from storage.json_values import Column, Kind, QueryField
from storage.mirror_queries import QueryStore, Selection
from storage.own_writes import OwnWriteStore
from storage.records import Account, Portal
from storage.sync_settings import SyncSettingsStore

logger = logging.getLogger(__name__)

LINKS: dict[str, Column] = {"contacts": "contact", "companies": "company"}
CONTACTS_OF_ITEMS = QueryField("contactIds", Kind.NUMBER, multiple=True)  # all of them, the first one included
GATHER_S = 1  # records that are deleted meanwhile share the readings of the first one
WAITS_S = (0, 120)  # before the linked records are read: at once, and after a portal has cleaned up
MAX_DELETED = 500  # records whose links are looked for at once
MAX_LINKED = 500  # records of one list that are read at once; a full sync reads the others

_Links = tuple[str, Portal, Column]
"""Account, portal, and what is linked."""


class LinkRefresher:
    """Reads the mirrored records that are linked to deleted ones, in the background.

    Finding those of one list takes at most *limit_s* seconds.
    """

    def __init__(
        self,
        settings: SyncSettingsStore,
        queries: QueryStore,
        records: PortalRecords,
        mirror: OwnWriteStore,
        pages: Pages,
        directory: AccountDirectory,
        clock: Clock,
        *,
        limit_s: float,
    ) -> None:
        self._settings = settings
        self._queries = queries
        self._records = records
        self._mirror = mirror
        self._pages = pages
        self._directory = directory
        self._clock = clock
        self._limit_s = limit_s
        self._deleted: dict[_Links, list[int]] = {}  # what the next reading of each is for
        self._tasks: set[asyncio.Task[None]] = set()

    def refresh(self, account: Account, resource: Resource, row_ids: Sequence[int]) -> None:
        """Begin to read again what is linked to the records *row_ids* of *resource*, which were deleted."""
        column = LINKS.get(resource.name)
        if column is None or not row_ids:
            return
        links = account.account_key, account.portal, column
        if links in self._deleted:
            self._deleted[links] += row_ids
            return
        self._deleted[links] = list(row_ids)
        task = detached(self._refresh(account, links), name=f"links to {resource.name}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Stop reading."""
        await end(list(self._tasks))

    async def _refresh(self, account: Account, links: _Links) -> None:
        await self._clock.sleep(GATHER_S)
        *_, column = links
        row_ids = self._deleted.pop(links)[:MAX_DELETED]
        for wait_s in WAITS_S:
            await self._clock.sleep(wait_s)
            try:
                current = await self._directory.find_current(account)
                if current is None or not await self._read_linked(current, column, row_ids):
                    return
            except (GatewayError, StorageError, TimeoutError) as error:
                names = {"account": account.account_key, "linked": column, "ids": row_ids[:10], "reason": str(error)}
                logger.warning("records that are linked to deleted ones were not read again", extra=names)
                return

    async def _read_linked(self, account: Account, column: Column, row_ids: Sequence[int]) -> bool:
        """Store the linked records as the portal has them now. Return whether there were any."""
        any_linked = False
        settings = await self._settings.list_all(account.account_id, account.portal.portal_id)
        for resource in [find_resource(name) for name, setting in settings.items() if setting.enabled]:
            linked = await self._find(account, resource, column, row_ids)
            if linked:
                any_linked = True
                page = await self._records.fetch_in_background(account, resource, linked)
                changed = await self._mirror.save(account.account_id, account.portal, resource.name, page)
                if changed is not None:
                    self._pages.changed(changed.list_id, changed.generation)
        return any_linked

    async def _find(self, account: Account, resource: Resource, column: Column, row_ids: Sequence[int]) -> list[int]:
        """The ids of the first records of *resource* whose *column* has one of *row_ids*; none if they have none."""
        record = resource.record
        names = {} if record is None else {found: name for name, found in record.columns.items()}
        if record is None or column not in names:
            return []
        facts = await self._queries.facts(account.account_id, account.portal, resource.name)
        if facts is None:
            return []
        fields = [QueryField(names[column], Kind.NUMBER, column=column)]
        if record.is_item and column == "contact":
            fields.append(CONTACTS_OF_ITEMS)
        links = tuple(Comparison(field, "in", tuple(row_ids)) for field in fields)
        condition = Group(any=True, negative=False, conditions=links)
        selection = Selection(facts.list.list_id, condition, order=ID, zone_s=facts.zone_s, size=MAX_LINKED)
        selected = await self._queries.select(selection, self._clock.timeout(self._limit_s))
        return [] if selected is None else [row_id for _, row_id in selected.positions]
