"""Reads single records from the portal, in the form in which the mirror stores and serves them."""

from gateway.accounts.clients import PortalClients
from gateway.accounts.directory import AccountDirectory
from gateway.bitrix.errors import RecordNotFound
from gateway.bitrix.lists.page import Page, answer_of
from gateway.bitrix.protocol.v2 import Command
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
        facts = await self._store.facts(account.account_id, account.portal, resource.name)
        record = record_type(resource)
        (portal_list,) = resource.lists("")
        call = portal_list.call
        listed = Command(call.method, {**call.spec.filtered(call.params, {"": row_id}), "start": -1})
        async with self._directory.mark_stale_on_auth_failure(account):
            rows, got = await self._clients.client(account).batch([listed, record.command("get", id=row_id)])
        found = dict(call.spec.rows(answer_of(rows)))
        if row_id not in found:
            answer_of(got)  # raises the portal's own error
            raise RecordNotFound("", "Not found")
        page = Page([found[row_id]], [row_id], 0, None, mark=0 if facts is None else facts.generation)
        return resource.render(portal_list, page, int(self._clock.now()))


def record_json(page: RowPage) -> bytes:
    """The JSON of the only record of *page*, as pages of records show it."""
    ((_, tail),) = page.rows
    return tail[:-1] + page.head
