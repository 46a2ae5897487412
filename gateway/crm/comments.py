"""The comments in the timelines of records.

Source: methods.md 14 (b24restdocs api-reference/crm/timeline/comments/)
"""

from gateway.bitrix.errors import OutcomeUnknown, PortalBroken
from gateway.bitrix.lists.list_specs import Row
from gateway.bitrix.lists.page import ListCall
from gateway.bitrix.protocol.json_body import encode_json
from gateway.bitrix.protocol.v2 import Command
from gateway.bitrix.rows.records import decode_integer
from gateway.crm.catalog import read_lists
from gateway.crm.context import WriteContext
from gateway.crm.journaled import Served
from gateway.crm.missing_records import naming
from gateway.crm.writes import created_id
from gateway.mirror.resources import RecordType, Resource, record_type
from gateway.mirror.stage_directories import SMART_INVOICE
from storage.records import Account
from storage.write_journal import StoredAnswer, Write


def owner_of(record: RecordType, row_id: int) -> dict[str, object]:
    """What names a record as the owner of a timeline, in fields and filters.

    Source: methods.md 14, 6.4 (b24restdocs api-reference/crm/data-types.md): lead, dynamic_128; smart_invoice
    """
    if not record.is_item:
        name = record.prefix.removeprefix("crm.")
    elif record.entity_type_id == SMART_INVOICE:
        name = "smart_invoice"
    else:
        name = f"dynamic_{record.entity_type_id}"
    return {"ENTITY_TYPE": name, "ENTITY_ID": row_id}


class CommentService:
    """Lists and adds comments."""

    def __init__(self, context: WriteContext) -> None:
        self._context = context

    async def list(self, account: Account, resource: Resource, row_id: int) -> list[Row]:
        """All comments of a record, the oldest first.

        Raises:
            PortalError: the portal does not have the record, refused, or the list could not be read completely.
        """
        record = record_type(resource)
        call = ListCall("crm.timeline.comment.list", {"filter": owner_of(record, row_id)})
        async with self._context.directory.mark_stale_on_auth_failure(account):
            (rows,) = await read_lists(self._context.clients.client(account), [call])
            if not rows:  # the list of a record that the portal does not have is empty too
                with naming(resource, row_id):
                    await self._context.calls.call(account, record.command("get", id=row_id))
        return [_json(row) for row in rows]

    async def add(self, account: Account, resource: Resource, row_id: int, text: str, key: str | None) -> Served:
        """Add a comment: 201 with its JSON.

        Raises:
            PortalError: the portal refused it. OutcomeUnknown: its answer was lost; comments have no key by which they
                are found.
            TooBusy: the portal's limits leave no room in time; nothing was sent.
            IdempotencyKeyReused: the key has been used for another request.
        """
        fields = {**owner_of(record_type(resource), row_id), "COMMENT": text}
        call = self._context.call(account)

        async def work(write: Write) -> StoredAnswer:
            async def send() -> int:
                with naming(resource, row_id):
                    answer = await call(Command("crm.timeline.comment.add", {"fields": fields}, write=True))
                comment_id = created_id(answer.result)
                if comment_id is None:
                    raise OutcomeUnknown(PortalBroken("a created comment without an id"))
                return comment_id

            async def read(comment_id: int) -> bytes:
                result = (await call(Command("crm.timeline.comment.get", {"id": comment_id}))).result
                if not isinstance(result, dict):
                    raise PortalBroken("a comment is not an object")
                return encode_json(_json(result), "a comment is")

            comment_id = await self._context.journaled.carry_out(account, write, send, None)
            shown = await self._context.mirror.attempt(read(comment_id), resource, row_id)
            return StoredAnswer(201, None, shown or b'{"id":%d}' % comment_id)

        target = f"{resource.name}/{row_id}/comments"
        return await self._context.journaled.perform(account, key, "POST", target, text, "", work)


def _json(row: Row) -> Row:
    """A comment as callers see it.

    Raises:
        PortalBroken: it has no id.
    """
    comment_id = decode_integer(row.get("ID"))
    if comment_id is None:
        raise PortalBroken("a comment without an id")
    return {"id": comment_id, **row}
