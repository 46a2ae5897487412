"""Creates and changes records for callers: checked, carried out once, and shown in the mirror."""

import logging
import uuid
from collections.abc import Mapping
from functools import partial

from gateway.accounts.directory import AccountDirectory
from gateway.clock import Clock
from gateway.crm.bodies import Written, check_written, emails_in, journal_body
from gateway.crm.gathered_calls import GatheredCalls
from gateway.crm.journaled import JournaledWrites, Served
from gateway.crm.stage_check import StageChecker
from gateway.crm.stages import as_item
from gateway.crm.users import UserFinder
from gateway.crm.writes import RecordWrites
from gateway.crm.written_records import WrittenRecords
from gateway.fields.service import KnownFields
from gateway.mirror.field_access import with_known_fields
from gateway.mirror.queries import FieldAccess
from gateway.mirror.resources import Resource, record_type
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
        self,
        journaled: JournaledWrites,
        mirror: WrittenRecords,
        directory: AccountDirectory,
        calls: GatheredCalls,
        users: UserFinder,
        stages: StageChecker,
        clock: Clock,
    ) -> None:
        self._journaled = journaled
        self._mirror = mirror
        self._directory = directory
        self._calls = calls
        self._users = users
        self._stages = stages
        self._clock = clock

    async def check(
        self, account: Account, body: Mapping[str, object], access: FieldAccess, *, creates: bool
    ) -> tuple[Written, KnownFields]:
        """Check a request that *creates* or changes a record. The fields are fetched again if a name is unknown.

        Raises:
            InvalidInput: names every unknown field and every wrong value.
            PortalError: the fields, or users named by their e-mails, could not be fetched.
        """

        async def checked(known: KnownFields) -> tuple[Written, KnownFields]:
            users = await self._users.find(account, emails_in(body, known.fields))
            return check_written(body, known.fields, users, creates=creates), known

        return await with_known_fields(access, self._clock, checked)

    async def create(
        self, account: Account, resource: Resource, written: Written, known: KnownFields, key: str | None
    ) -> Served:
        """Create a record: 201 with its JSON and its address."""

        async def work(write: Write) -> StoredAnswer:
            row_id = await self.carry_out_create(account, resource, written, known, write)
            return await self.answer_created(account, resource, row_id)

        origin, body = str(uuid.uuid4()), journal_body(written)
        return await self._journaled.perform(account, key, "POST", resource.name, body, origin, work)

    async def change(
        self, account: Account, resource: Resource, row_id: int, written: Written, known: KnownFields, key: str | None
    ) -> Served:
        """Change a record: 200 with its JSON."""

        async def work(write: Write) -> StoredAnswer:
            writes = self.writes(account, resource, known)
            return await self.carry_out_change(account, resource, row_id, writes, written, write)

        target = f"{resource.name}/{row_id}"
        return await self._journaled.perform(account, key, "PATCH", target, journal_body(written), "", work)

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
            writes = RecordWrites(partial(self._calls.call, account), as_item(record), {})
            async with self._directory.mark_stale_on_auth_failure(account):
                values = await self._stages.moved_values(account, record, await writes.get(row_id), stage, pipeline)
            return await self._change(account, resource, row_id, writes, Written(values), write)

        target = f"{resource.name}/{row_id}/stage"
        return await self._journaled.perform(account, key, "PUT", target, [stage, pipeline], "", work)

    async def carry_out_create(
        self, account: Account, resource: Resource, written: Written, known: KnownFields, write: Write
    ) -> int:
        """Create the record that *write* stands for, and return its id."""
        writes = self.writes(account, resource, known)
        await self._stages.check(account, writes, written, None)
        values = writes.with_origin(written, write.origin)

        async def send() -> int:
            return await writes.add(values)

        async def look_up() -> int | None:
            return await writes.find_created(values, given=writes.has_origin(written))

        async with self._stages.explained(account, writes, written, None):
            return await self._journaled.carry_out(account, write, send, look_up if writes.origin_fields else None)

    async def answer_created(self, account: Account, resource: Resource, row_id: int) -> StoredAnswer:
        """The answer to the creation of a record."""
        body = await self._mirror.read_back(account, resource, row_id)
        return StoredAnswer(201, f"/bitrix/{resource.name}/{row_id}", body)

    async def carry_out_change(
        self, account: Account, resource: Resource, row_id: int, writes: RecordWrites, written: Written, write: Write
    ) -> StoredAnswer:
        """Change a record, and answer with it. Nothing is sent if nothing is *written*."""
        if not written.values and not written.multifields:
            return StoredAnswer(200, None, await self._mirror.read_back(account, resource, row_id))
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

        await self._journaled.carry_out(account, write, send, look_up)
        return StoredAnswer(200, None, await self._mirror.read_back(account, resource, row_id))

    def writes(self, account: Account, resource: Resource, known: KnownFields | None) -> RecordWrites:
        """What writes the records of *resource*, whose fields are *known*."""
        fields = {} if known is None else known.fields
        return RecordWrites(partial(self._calls.call, account), record_type(resource), fields)
