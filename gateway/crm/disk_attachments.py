"""Attaches files of Disk to records: uploaded first, then named in one change of a field, by their ids or links."""

from collections.abc import Sequence

from yarl import URL

from gateway.accounts.allowed_methods import MethodAllowlist
from gateway.bitrix.errors import OutcomeUnknown, PortalBroken
from gateway.bitrix.protocol.file_bodies import FileContent
from gateway.crm.bodies import Written
from gateway.crm.file_fields import LINK, FileField, decode_texts, no_file
from gateway.crm.record_files import RecordFiles
from gateway.crm.service import RecordService
from gateway.disk.drive import Drive
from gateway.disk.folder_paths import Destination, FolderPaths
from gateway.disk.objects import DiskFile, content_address, decode_file
from gateway.disk.uploads import Outcome, UploadService
from gateway.errors import FilesNotAttached, GatewayError, StorageFailed, UnattachedFile
from gateway.fields.service import KnownFields
from gateway.mirror.resources import Resource, record_type
from storage.errors import StorageError
from storage.records import Account


class RemovedAgain(GatewayError):
    """was uploaded and removed again, as another file failed"""

    code = "removed_again"


class LeftInDisk(GatewayError):
    """was uploaded, is not attached, and could not be removed from Disk again"""

    code = "left_in_disk"


class DiskAttachments:
    """Changes the fields of records that hold ids or links of files in Disk. Raises what `RecordFiles` does."""

    def __init__(
        self,
        allowed: MethodAllowlist,
        records: RecordService,
        files: RecordFiles,
        drive: Drive,
        paths: FolderPaths,
        uploads: UploadService,
    ) -> None:
        self._allowed = allowed
        self._records = records
        self._files = files
        self._drive = drive
        self._paths = paths
        self._uploads = uploads

    async def add(
        self,
        account: Account,
        resource: Resource,
        row_id: int,
        field: FileField,
        known: KnownFields,
        destination: Destination,
        files: Sequence[FileContent],
        *,
        unique: bool,
    ) -> list[DiskFile]:
        """Upload *files* to *destination*, and add them to a field, whose value they replace if it has only one.

        Raises:
            FilesNotAttached: an upload failed, or the record was not changed. What was uploaded is removed again,
                unless it is not known whether the record was changed.
        """
        self._allowed.check(record_type(resource).command("update").method)
        async with self._files.changing(account, resource, row_id):
            await self._files.read(account, resource, row_id)  # nothing is uploaded for a record that does not exist
            folder_id = await self._paths.resolve(account, destination)
            outcomes = await self._uploads.upload(account, folder_id, files, unique=unique)
            uploaded = [each for each in outcomes if isinstance(each, DiskFile)]
            if len(uploaded) < len(files):
                raise await self._undone(account, files, outcomes, RemovedAgain())
            try:
                values = [_value_of(each, field) for each in uploaded]
                if field.multiple:  # others may have changed it while the files were uploaded
                    values = [*decode_texts(await self._files.read(account, resource, row_id), field), *values]
                await self._change(account, resource, row_id, field, known, values)
            except OutcomeUnknown as error:
                pairs = zip(files, uploaded, strict=True)
                raise FilesNotAttached(
                    [UnattachedFile(file.name, error, _left(each)) for file, each in pairs]
                ) from error
            except (GatewayError, StorageError) as error:
                reason = error if isinstance(error, GatewayError) else StorageFailed()
                raise await self._undone(account, files, outcomes, reason) from error
        return uploaded

    async def remove(
        self, account: Account, resource: Resource, row_id: int, field: FileField, known: KnownFields, file_id: int
    ) -> None:
        """Remove a file from a field. It stays in Disk.

        Raises:
            NotFound: the field does not have the file.
        """
        async with self._files.changing(account, resource, row_id):
            values = decode_texts(await self._files.read(account, resource, row_id), field)
            value = str(file_id)
            if field.type == LINK:
                value = _link_of(decode_file(await self._drive.file(account, file_id)))
            if value not in values:
                raise no_file(field, file_id)
            await self._change(account, resource, row_id, field, known, [each for each in values if each != value])

    async def _change(
        self,
        account: Account,
        resource: Resource,
        row_id: int,
        field: FileField,
        known: KnownFields,
        values: Sequence[str],
    ) -> None:
        value = list(values) if field.multiple else next(iter(values), "")
        await self._records.change(account, resource, row_id, Written({field.name: value}), known, None)

    async def _undone(
        self, account: Account, files: Sequence[FileContent], outcomes: Sequence[Outcome], reason: GatewayError
    ) -> FilesNotAttached:
        """The error for *files* of which none is attached, after those that were uploaded are removed again."""
        lines: list[UnattachedFile] = []
        for file, outcome in zip(files, outcomes, strict=True):
            if not isinstance(outcome, DiskFile):
                lines.append(UnattachedFile(file.name, outcome))
                continue
            try:
                await self._drive.discard(account, outcome.id)
                lines.append(UnattachedFile(file.name, reason))
            except (GatewayError, StorageError):
                lines.append(UnattachedFile(file.name, LeftInDisk(), _left(outcome)))
        return FilesNotAttached(lines)


def _left(file: DiskFile) -> dict[str, object]:
    """How a caller finds a file that stays in Disk."""
    return {"id": file.id, "url": content_address(file.id)}


def _value_of(file: DiskFile, field: FileField) -> str:
    """What a field holds of a file.

    Raises:
        PortalBroken: it holds links, and the file has no page.
    """
    return _link_of(file) if field.type == LINK else str(file.id)


def _link_of(file: DiskFile) -> str:
    """The address of a file's page, without the blanks that portals leave in it. Source: methods.md 8.2"""
    if not file.page:
        raise PortalBroken("a file of Disk without a page")
    return str(URL(file.page))
