"""Lists and replaces the products of records for callers."""

from collections.abc import Sequence
from functools import partial

from gateway.bitrix.lists.list_specs import Row
from gateway.bitrix.protocol.json_body import encode_json
from gateway.crm.context import WriteContext
from gateway.crm.journaled import Served
from gateway.crm.missing_records import naming
from gateway.crm.product_rows import ProductRows, check_rows
from gateway.fields.service import KnownFields
from gateway.mirror.field_access import FieldAccess, with_known_fields
from gateway.mirror.resources import Resource, record_type
from storage.records import Account
from storage.write_journal import StoredAnswer, Write


class ProductService:
    """Reads and replaces the product rows of records."""

    def __init__(self, context: WriteContext) -> None:
        self._context = context

    async def list(self, account: Account, resource: Resource, row_id: int) -> Sequence[Row]:
        """The product rows of a record, in the portal's order.

        Raises:
            PortalError: the portal does not have the record, refused or failed.
        """
        async with self._context.directory.mark_stale_on_auth_failure(account):
            with naming(resource, row_id):
                return await self._products(account, resource, row_id).read()

    async def check(self, rows: Sequence[object], access: FieldAccess, resource: Resource) -> Sequence[Row]:
        """Check the rows of a request. Their fields are fetched again if a name is unknown.

        Raises:
            InvalidInput: names every unknown field and every wrong value.
            PortalError: the fields could not be fetched.
        """

        async def check(known: KnownFields) -> Sequence[Row]:
            return check_rows(rows, known.fields, record_type(resource))

        return await with_known_fields(access, self._context.clock, check)

    async def replace(
        self, account: Account, resource: Resource, row_id: int, rows: Sequence[Row], key: str | None
    ) -> Served:
        """Replace the product rows of a record: 200 with those that the portal has then.

        Raises:
            InvalidInput: a row has an id that no row of the record has; nothing was written.
            PortalError: the portal refused the rows. OutcomeUnknown: its answer was lost; rows have no key by which it
                could be told whether they were stored, or changed by others meanwhile.
            TooBusy: the portal's limits leave no room in time; nothing was sent.
            IdempotencyKeyReused: the key has been used for another request.
        """

        async def work(write: Write) -> StoredAnswer:
            products = self._products(account, resource, row_id)
            if write.is_new:
                async with self._context.directory.mark_stale_on_auth_failure(account):
                    with naming(resource, row_id):
                        await products.check_ids(rows)

            async def send() -> None:
                with naming(resource, row_id):
                    await products.replace(rows)

            async def read() -> bytes:
                return encode_json({"items": await products.read()}, "the product rows are")

            await self._context.journaled.carry_out(account, write, send, None)
            await self._context.mirror.refresh(account, resource, row_id)  # its amount follows the rows
            shown = await self._context.mirror.attempt(read(), resource, row_id)
            return StoredAnswer(200, None, shown or b'{"items":null}')

        target = f"{resource.name}/{row_id}/products"
        return await self._context.journaled.perform(account, key, "PUT", target, rows, "", work)

    def _products(self, account: Account, resource: Resource, row_id: int) -> ProductRows:
        call = partial(self._context.calls.call_alone, account)
        return ProductRows(self._context.clients.client(account), call, record_type(resource), row_id)
