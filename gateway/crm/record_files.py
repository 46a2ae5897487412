"""The files of records: listed, opened, added to a field and removed from it.

Source: methods.md 5.7 (b24restdocs api-reference/files/how-to-update-files.md)
"""

from asyncio import Lock
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from weakref import WeakValueDictionary

from gateway.accounts.allowed_methods import MethodAllowlist
from gateway.bitrix.errors import OutcomeUnknown, PortalBroken, PortalError
from gateway.bitrix.lists.list_specs import Row
from gateway.bitrix.outcomes import send_once
from gateway.bitrix.protocol.file_bodies import FileContent
from gateway.bitrix.protocol.v2 import Answer
from gateway.bitrix.transport.download import Download
from gateway.crm.context import WriteContext
from gateway.crm.file_fields import (
    FileField,
    StoredFile,
    decode_files,
    decode_item,
    no_file,
    read_item,
    update_item,
)
from gateway.crm.missing_records import naming
from gateway.errors import FilesNotAttached, UnattachedFile
from gateway.mirror.resources import Resource, record_type
from storage.records import Account

UPDATE = "crm.item.update"
MAX_BYTES = 1536 * 1024 * 1024  # of one update: a portal takes 2 GB, of base64. Source: methods.md 8.3


class RecordFiles:
    """Reads and changes the files in fields of records. All methods raise:

    RecordNotFound: the portal does not have the record.
    PortalError: the portal refused or failed; OutcomeUnknown if a change may have been carried out.
    TooBusy: the portal's limits leave no room in time; nothing was sent.
    MethodDenied: the settings do not allow a change.

    The changes of one record are carried out one after another, as each sends all files that stay.
    """

    def __init__(self, context: WriteContext, allowed: MethodAllowlist) -> None:
        self._context = context
        self._allowed = allowed
        self._locks: WeakValueDictionary[tuple[int, str, int], Lock] = WeakValueDictionary()

    async def read(self, account: Account, resource: Resource, row_id: int) -> Row:
        """Return the record with all its fields, in the form of an item."""
        async with self._context.directory.mark_stale_on_auth_failure(account):
            with naming(resource, row_id):
                answer = await self._context.calls.call(account, read_item(record_type(resource), row_id))
        return decode_item(answer.result)

    async def find(
        self, account: Account, resource: Resource, row_id: int, field: FileField, file_id: int
    ) -> StoredFile:
        """Return a file of a field.

        Raises:
            NotFound: the field does not have it.
        """
        return find_file(decode_files(await self.read(account, resource, row_id), field), field, file_id)

    @asynccontextmanager
    async def open(
        self,
        account: Account,
        resource: Resource,
        row_id: int,
        field: FileField,
        file: StoredFile,
        headers: Mapping[str, str],
    ) -> AsyncIterator[Download]:
        """Open the content of a *file* that was found just now, for the block, with *headers* such as Range.

        Raises:
            TooManyDownloads: as many files as possible are open.
        """

        async def find_again() -> str:
            return _address_of(await self.find(account, resource, row_id, field, file.id))

        files = self._context.clients.client(account).files(committed=False)
        opening = files.download(_address_of(file), headers, find_again)
        async with self._context.directory.mark_stale_on_auth_failure(account), opening as download:
            yield download

    async def add(
        self, account: Account, resource: Resource, row_id: int, field: FileField, files: Sequence[FileContent]
    ) -> list[int]:
        """Add *files* to a field, in one update, or replace the file of a field that has one. Return their ids.

        Raises:
            FilesNotAttached: the portal refused them, or it is not known whether it stored them.
        """
        self._allowed.check(UPDATE)
        async with self.changing(account, resource, row_id):
            kept = await self._ids(account, resource, row_id, field)

            async def send() -> list[int]:
                value = [*map(_staying, kept), *files] if field.multiple else files[0]
                answer = await self._update(account, resource, row_id, field, value)
                try:
                    return _added(decode_files(decode_item(answer.result), field), kept, len(files))
                except PortalBroken as error:  # it was carried out, whatever the answer says
                    raise OutcomeUnknown(error) from error

            async def look_up() -> list[int] | None:
                nonlocal kept
                now = decode_files(await self.read(account, resource, row_id), field)
                if not {each.id for each in now} <= set(kept):
                    return _added(now, kept, len(files))
                kept = [each.id for each in now]  # others may have removed some meanwhile
                return None

            try:
                added = await send_once(send, look_up, self._context.clock)
            except PortalError as error:
                raise FilesNotAttached([UnattachedFile(file.name, error) for file in files]) from error
        await self._context.mirror.refresh(account, resource, row_id)
        return added

    async def remove(self, account: Account, resource: Resource, row_id: int, field: FileField, file_id: int) -> None:
        """Remove a file from a field; the portal deletes it.

        Raises:
            NotFound: the field does not have the file.
        """
        self._allowed.check(UPDATE)
        async with self.changing(account, resource, row_id):
            kept = await self._ids(account, resource, row_id, field)
            if file_id not in kept:
                raise no_file(field, file_id)

            async def send() -> bool:
                value = [_staying(each) for each in kept if each != file_id] if field.multiple else ""
                await self._update(account, resource, row_id, field, value)
                return True

            async def look_up() -> bool | None:
                nonlocal kept
                kept = await self._ids(account, resource, row_id, field)
                return file_id not in kept or None

            async with self._context.directory.mark_stale_on_auth_failure(account):
                await send_once(send, look_up, self._context.clock)
        await self._context.mirror.refresh(account, resource, row_id)

    @asynccontextmanager
    async def changing(self, account: Account, resource: Resource, row_id: int) -> AsyncIterator[None]:
        """Wait until no other change of the record's files is under way, and let others wait until the block ends."""
        key = (account.portal.portal_id, resource.name, row_id)
        lock = self._locks.setdefault(key, Lock())
        async with lock:
            yield

    async def _ids(self, account: Account, resource: Resource, row_id: int, field: FileField) -> list[int]:
        return [each.id for each in decode_files(await self.read(account, resource, row_id), field)]

    async def _update(
        self, account: Account, resource: Resource, row_id: int, field: FileField, value: object
    ) -> Answer:
        command = update_item(record_type(resource), row_id, field, value)
        async with self._context.directory.mark_stale_on_auth_failure(account):
            return await self._context.clients.client(account).files(committed=True).call(command)


def _address_of(file: StoredFile) -> str:
    """The address of a content.

    Raises:
        PortalBroken: there is none.
    """
    if file.address is None:
        raise PortalBroken("a file of a record without an address")
    return file.address


def _staying(file_id: int) -> dict[str, int]:
    """What an update sends for a file that stays."""
    return {"id": file_id}


def _added(now: Sequence[StoredFile], kept: Sequence[int], number: int) -> list[int]:
    """The ids of the files that are there *now* and were not *kept*, in the order sent: portals number files as stored.

    Raises:
        OutcomeUnknown: there are not just the *number* that was sent.
    """
    added = sorted({each.id for each in now} - set(kept))
    if len(added) != number:
        raise OutcomeUnknown(PortalBroken("the record has other files than were sent"))
    return added


def find_file(files: Sequence[StoredFile], field: FileField, file_id: int) -> StoredFile:
    """The file with this id.

    Raises:
        NotFound: the field does not have it.
    """
    for file in files:
        if file.id == file_id:
            return file
    raise no_file(field, file_id)
