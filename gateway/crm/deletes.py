"""Deletes records for callers, alone or with the contact and the company that they are linked to."""

from collections.abc import Callable, Collection

import orjson

from gateway.bitrix.rows.records import decode_integer
from gateway.crm.context import WriteContext
from gateway.crm.journaled import Served
from gateway.crm.missing_records import naming
from gateway.crm.stages import as_item
from gateway.crm.writes import RecordWrites
from gateway.errors import GatewayError
from gateway.mirror.links import LinkRefresher
from gateway.mirror.resources import RECORDS, RecordType, Resource, record_type
from storage.records import Account
from storage.write_journal import StoredAnswer, Write

# What can be deleted with a record: by name, the field of crm.item that holds its id, and its resource.
# Source: methods.md 5 (b24restdocs api-reference/crm/universal/object-fields.md)
LINKED = {"contact": ("contactId", RECORDS["contacts"]), "company": ("companyId", RECORDS["companies"])}

Describe = Callable[[GatewayError], dict[str, object]]


class RecordDeletes:
    """Deletes records. Both methods take the caller's Idempotency-Key, if any, and raise what `RecordService` does.

    *links* reads again what the deleted records were linked to. *describe* returns the JSON of an error.
    """

    def __init__(self, context: WriteContext, links: LinkRefresher, *, describe: Describe) -> None:
        self._context = context
        self._links = links
        self._describe = describe

    async def delete(self, account: Account, resource: Resource, row_id: int, key: str | None) -> Served:
        """Delete a record: 204."""

        async def work(write: Write) -> StoredAnswer:
            await self._delete(account, resource, row_id, write)
            return StoredAnswer(204)

        return await self._context.journaled.perform(
            account, key, "DELETE", f"{resource.name}/{row_id}", None, "", work
        )

    async def delete_with(
        self, account: Account, resource: Resource, row_id: int, linked: Collection[str], key: str | None
    ) -> Served:
        """Delete a record, and then what it is *linked* to, by its names in LINKED: 200 with what became of each.

        An error means that the record could not be deleted; then what it is linked to is not touched.
        """

        async def work(write: Write) -> StoredAnswer:
            links = await self._linked_ids(account, resource, row_id, linked, write)
            await self._delete(account, resource, row_id, write)
            outcomes: dict[str, object] = {"item": {"id": row_id, "deleted": True}, **dict.fromkeys(LINKED)}
            for name, linked_id in links.items():
                if linked_id is not None:
                    outcomes[name] = await self._outcome(account, LINKED[name][1], linked_id, write)
            return StoredAnswer(200, None, orjson.dumps(outcomes))

        target, sent = f"{resource.name}/{row_id}", sorted(linked)
        return await self._context.journaled.perform(account, key, "DELETE", target, sent, "", work)

    async def _linked_ids(
        self, account: Account, resource: Resource, row_id: int, linked: Collection[str], write: Write
    ) -> dict[str, int | None]:
        """The ids of what the record is linked to. They are kept in the journal: the record will be gone.

        Raises:
            PortalError: the portal does not have the record, or refused to show it.
        """
        if write.origin:
            kept: dict[str, int | None] = orjson.loads(write.origin)
            return kept
        async with self._context.directory.mark_stale_on_auth_failure(account):
            with naming(resource, row_id):
                item = await self._writes(account, as_item(record_type(resource))).get(row_id)
        links = {name: decode_integer(item.get(field)) or None for name, (field, _) in LINKED.items() if name in linked}
        await self._context.journaled.keep_origin(write, orjson.dumps(links).decode())
        return links

    async def _delete(self, account: Account, resource: Resource, row_id: int, write: Write) -> None:
        writes = self._writes(account, record_type(resource))

        async def send() -> bool:
            with naming(resource, row_id):
                await writes.delete(row_id)
            return True

        async def look_up() -> bool | None:
            return await writes.is_deleted(row_id) or None

        await self._context.journaled.carry_out(account, write, send, look_up)
        await self._context.mirror.bury(account, resource, row_id)
        self._links.refresh(account, resource, [row_id])

    async def _outcome(self, account: Account, resource: Resource, row_id: int, write: Write) -> dict[str, object]:
        """Delete what a record was linked to, and return what became of it: an error does not stop the others."""
        try:
            await self._delete(account, resource, row_id, write)
        except GatewayError as error:
            return {"id": row_id, "deleted": False, "error": self._describe(error)}
        return {"id": row_id, "deleted": True}

    def _writes(self, account: Account, record: RecordType) -> RecordWrites:
        return RecordWrites(self._context.call(account), record, {})
