"""Reads single records from the portal, in the form in which the mirror stores and serves them."""

from collections.abc import Sequence

from gateway.accounts.clients import PortalClients
from gateway.accounts.directory import AccountDirectory
from gateway.bitrix.errors import RecordNotFound
from gateway.bitrix.lists.by_ids import command_of, rows_of
from gateway.bitrix.lists.page import Page
from gateway.clock import Clock
from gateway.mirror.resources import Resource, record_type
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
        facts = await self._store.facts(account.account_id, account.portal, resource.name)
        (portal_list,) = resource.lists("")
        call = portal_list.call
        async with self._directory.mark_stale_on_auth_failure(account):
            answer = await self._clients.client(account).call(command_of(call, row_ids))
        rows = rows_of(call, row_ids, answer)
        page = Page(list(rows.values()), list(rows), 0, None, mark=0 if facts is None else facts.generation)
        return resource.render(portal_list, page, int(self._clock.now()))


def record_json(page: RowPage, row_id: int) -> bytes:
    """The JSON of a record of *page*, as pages of records show it."""
    return dict(page.rows)[row_id][:-1] + page.head
