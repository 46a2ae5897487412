"""Creates and changes records for callers: checked, carried out once, and shown in the mirror."""

import logging
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace

from gateway.bitrix.lists.list_fields import Field
from gateway.crm.bodies import Written, check_written, journal_body
from gateway.crm.context import WriteContext
from gateway.crm.directories import DirectoryFinder
from gateway.crm.journaled import Served
from gateway.crm.missing_records import naming
from gateway.crm.stage_check import StageChecker
from gateway.crm.stages import as_item
from gateway.crm.users import UserFinder
from gateway.crm.values import KnownValues, emails_in, named_in_directories
from gateway.crm.writes import RecordWrites
from gateway.fields.service import KnownFields
from gateway.mirror.field_access import FieldAccess, with_known_fields
from gateway.mirror.resources import RecordType, Resource, record_type
from storage.records import Account
from storage.write_journal import StoredAnswer, Write

logger = logging.getLogger(__name__)


class RecordService:
    """Writes records. `create`, `change` and `move` take the caller's Idempotency-Key, if any, and raise:
    PortalError: the portal refused or failed; OutcomeUnknown if the write may have been carried out.
    TooBusy: the portal's limits leave no room in time; nothing was sent.
    IdempotencyKeyReused: the key has been used for another request.
    """

    def __init__(
        self, context: WriteContext, users: UserFinder, directories: DirectoryFinder, stages: StageChecker
    ) -> None:
        self._context = context
        self._users = users
        self._directories = directories
        self._stages = stages

    async def check(
        self,
        account: Account,
        resource: Resource,
        body: Mapping[str, object],
        access: FieldAccess,
        *,
        creates: bool,
        required: Sequence[str] = (),
    ) -> tuple[Written, KnownFields]:
        """Check a request that *creates* or changes a record, in which *required* fields must be there.

        The fields are fetched again if a name is unknown.

        Raises:
            InvalidInput: names every unknown or missing field and every wrong value.
            PortalError: the fields, users named by their e-mails, or values of directories could not be fetched.
        """

        async def checked(known: KnownFields) -> tuple[Written, KnownFields]:
            fields = _without_directory_of_stages(known.fields, record_type(resource))
            users = await self._users.find(account, emails_in(body, fields))
            directories = await self._directories.find(account, named_in_directories(body, fields))
            values = KnownValues(users, directories)
            return check_written(body, fields, values, creates=creates, required=required), known

        return await with_known_fields(access, self._context.clock, checked)

    async def create(
        self, account: Account, resource: Resource, written: Written, known: KnownFields, key: str | None
    ) -> Served:
        """Create a record: 201 with its JSON and its address."""

        async def work(write: Write) -> StoredAnswer:
            row_id = await self.carry_out_create(account, resource, written, known, write)
            return await self.answer_created(account, resource, row_id)

        origin, body = str(uuid.uuid4()), journal_body(written)
        return await self._context.journaled.perform(account, key, "POST", resource.name, body, origin, work)

    async def change(
        self, account: Account, resource: Resource, row_id: int, written: Written, known: KnownFields, key: str | None
    ) -> Served:
        """Change a record: 200 with its JSON."""

        async def work(write: Write) -> StoredAnswer:
            writes = self.writes(account, resource, known)
            with naming(resource, row_id):
                return await self.carry_out_change(account, resource, row_id, writes, written, write)

        target = f"{resource.name}/{row_id}"
        return await self._context.journaled.perform(account, key, "PATCH", target, journal_body(written), "", work)

    async def move(
        self,
        account: Account,
        resource: Resource,
        row_id: int,
        stage: str | None,
        pipeline: int | None,
        key: str | None,
    ) -> Served:
        """Move a record to a *stage*, given by its id or name, of its pipeline or another one: 200 with its JSON.

        Raises:
            InvalidInput: there is no such pipeline or stage.
        """
        record = record_type(resource)

        async def work(write: Write) -> StoredAnswer:
            writes = RecordWrites(self._context.call(account), as_item(record), {})
            async with self._context.directory.mark_stale_on_auth_failure(account):
                with naming(resource, row_id):
                    record_now = await writes.get(row_id)
                values = await self._stages.moved_values(account, record, record_now, stage, pipeline)
            return await self._change(account, resource, row_id, writes, Written(values), write)

        target = f"{resource.name}/{row_id}/stage"
        return await self._context.journaled.perform(account, key, "PUT", target, [stage, pipeline], "", work)

    async def carry_out_create(
        self, account: Account, resource: Resource, written: Written, known: KnownFields, write: Write
    ) -> int:
        """Create the record that *write* stands for, and return its id."""
        writes = self.writes(account, resource, known)
        await self._stages.check(account, writes, written, None)
        values = writes.with_origin(written, write.origin)

        async def send() -> int:
            return await writes.add(values)

        find = writes.find_created_as_given if writes.has_origin(written) else writes.find_created

        async def look_up() -> int | None:
            return await find(values)

        async with self._stages.explained(account, writes, written, None):
            return await self._context.journaled.carry_out(
                account, write, send, look_up if writes.origin_fields else None
            )

    async def answer_created(self, account: Account, resource: Resource, row_id: int) -> StoredAnswer:
        """The answer to the creation of a record."""
        body = await self._context.mirror.read_back(account, resource, row_id)
        return StoredAnswer(201, f"/bitrix/{resource.name}/{row_id}", body)

    async def carry_out_change(
        self, account: Account, resource: Resource, row_id: int, writes: RecordWrites, written: Written, write: Write
    ) -> StoredAnswer:
        """Change a record, and answer with it. Nothing is sent if nothing is *written*."""
        if not written.values and not written.multifields:
            return StoredAnswer(200, None, await self._context.mirror.read_back(account, resource, row_id))
        await self._stages.check(account, writes, written, row_id)
        async with self._stages.explained(account, writes, written, row_id):
            return await self._change(account, resource, row_id, writes, written, write)

    async def _change(
        self, account: Account, resource: Resource, row_id: int, writes: RecordWrites, written: Written, write: Write
    ) -> StoredAnswer:
        async def send() -> bool:
            await writes.update(row_id, written)
            return True

        async def look_up() -> bool | None:
            return await writes.is_changed(row_id, written) or None

        await self._context.journaled.carry_out(account, write, send, look_up)
        return StoredAnswer(200, None, await self._context.mirror.read_back(account, resource, row_id))

    def writes(self, account: Account, resource: Resource, known: KnownFields | None) -> RecordWrites:
        """What writes the records of *resource*, whose fields are *known*."""
        fields = {} if known is None else known.fields
        return RecordWrites(self._context.call(account), record_type(resource), fields)


def _without_directory_of_stages(fields: Mapping[str, Field], record: RecordType) -> Mapping[str, Field]:
    """*fields*; that of stages names the directory of one pipeline alone, so that `StageChecker` checks it."""
    stage = record.names.stage
    return fields if stage is None or stage not in fields else {**fields, stage: replace(fields[stage], directory="")}
