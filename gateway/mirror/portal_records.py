"""Reads single records from the portal, in the form in which the mirror stores and serves them."""

from collections.abc import Mapping, Sequence

from gateway.accounts.clients import PortalClients
from gateway.accounts.directory import AccountDirectory
from gateway.bitrix.errors import RecordNotFound
from gateway.bitrix.lists.by_ids import command_of, read_by_ids, rows_of
from gateway.bitrix.lists.list_specs import Row
from gateway.bitrix.lists.page import Page
from gateway.clock import Clock
from gateway.mirror.resources import PortalList, Resource, record_type
from storage.mirror_records import RecordStore
from storage.records import Account, RowPage


class PortalRecords:
    """Reads records as the portal has them now."""

    def __init__(self, store: RecordStore, directory: AccountDirectory, clients: PortalClients, clock: Clock) -> None:
        self._store = store
        self._directory = directory
        self._clients = clients
        self._clock = clock

    async def fetch(self, account: Account, resource: Resource, row_id: int) -> RowPage:
        """A page of one record, ready to store; see `record_json`.

        Raises:
            PortalError: the portal does not have the record, or refused to show it.
        """
        page = await self.fetch_all(account, resource, [row_id])
        if not page.rows:
            async with self._directory.mark_stale_on_auth_failure(account):
                await self._clients.client(account).call(record_type(resource).command("get", id=row_id))
            raise RecordNotFound("", "Not found")
        return page

    async def fetch_all(self, account: Account, resource: Resource, row_ids: Sequence[int]) -> RowPage:
        """A page of the records with *row_ids*, at most PAGE_ROWS, that the portal has and shows, ready to store.

        Raises:
            PortalError: the portal refused, or failed.
        """
        mark = await self._mark(account, resource)
        (portal_list,) = resource.lists("")
        call = portal_list.call
        async with self._directory.mark_stale_on_auth_failure(account):
            answer = await self._clients.client(account).call(command_of(call, row_ids))
        return self._page(resource, portal_list, rows_of(call, row_ids, answer), mark)

    async def fetch_in_background(self, account: Account, resource: Resource, row_ids: Sequence[int]) -> RowPage:
        """As `fetch_all`, for any number of records, and letting callers go first."""
        mark = await self._mark(account, resource)
        (portal_list,) = resource.lists("")
        async with self._directory.mark_stale_on_auth_failure(account):
            client = self._clients.client(account).background()
            rows = await read_by_ids(client, portal_list.call, row_ids)
        return self._page(resource, portal_list, rows, mark)

    async def _mark(self, account: Account, resource: Resource) -> int:
        """The generation of the mirrored list before records are read; 0 if there is none."""
        facts = await self._store.facts(account.account_id, account.portal, resource.name)
        return 0 if facts is None else facts.generation

    def _page(self, resource: Resource, portal_list: PortalList, rows: Mapping[int, Row], mark: int) -> RowPage:
        page = Page(list(rows.values()), list(rows), 0, None, mark=mark)
        return resource.render(portal_list, page, int(self._clock.now()))


def record_json(page: RowPage, row_id: int) -> bytes:
    """The JSON of a record of *page*, as pages of records show it."""
    return dict(page.rows)[row_id][:-1] + page.head
