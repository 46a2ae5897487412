"""Uploads files to a folder of a portal's Disk, side by side, each of them exactly once."""

import asyncio
from collections.abc import Sequence
from functools import partial

from gateway.accounts.allowed_methods import MethodAllowlist
from gateway.accounts.clients import PortalClients
from gateway.accounts.directory import AccountDirectory
from gateway.bitrix.client import PortalClient
from gateway.bitrix.errors import PortalError
from gateway.bitrix.outcomes import send_once
from gateway.bitrix.protocol.file_bodies import FileContent
from gateway.bitrix.protocol.v2 import Command
from gateway.clock import Clock
from gateway.disk.lost_uploads import LostUploads
from gateway.disk.objects import DiskFile, decode_file
from gateway.errors import GatewayError
from storage.records import Account

UPLOAD = "disk.folder.uploadfile"
SIDE_BY_SIDE = 16  # of one request: each needs about 1 MB while it is sent

Outcome = DiskFile | GatewayError


class UploadService:
    """Uploads files through the limiters of portals."""

    def __init__(
        self, allowed: MethodAllowlist, directory: AccountDirectory, clients: PortalClients, clock: Clock
    ) -> None:
        self._allowed = allowed
        self._directory = directory
        self._clients = clients
        self._clock = clock
        self._lost = LostUploads()

    async def upload(
        self, account: Account, folder_id: int, files: Sequence[FileContent], *, unique: bool
    ) -> list[Outcome]:
        """Upload *files* to a folder. Return the uploaded file, or the error, of each, in their order.

        With *unique*, a file whose name is taken gets another name; otherwise it is refused.

        Raises:
            MethodDenied: the settings do not allow uploads.
            TooBusy: the portal's limits would delay the first file for too long; nothing was sent.
        """
        self._allowed.check(UPLOAD)
        upload = partial(self._upload, account, self._clients.client(account), folder_id, unique=unique)
        places = asyncio.Semaphore(SIDE_BY_SIDE)

        async def outcome_of(file: FileContent) -> Outcome:
            async with places:
                try:
                    return await upload(file, committed=True)
                except GatewayError as error:
                    return error

        first: Outcome
        try:
            first = await upload(files[0], committed=False)
        except PortalError as error:
            first = error
        return [first, *await asyncio.gather(*map(outcome_of, files[1:]))]

    async def _upload(
        self,
        account: Account,
        client: PortalClient,
        folder_id: int,
        file: FileContent,
        *,
        unique: bool,
        committed: bool,
    ) -> DiskFile:
        """Upload one file. A lost answer is looked up before the upload is repeated."""
        params = {"id": folder_id, "data": {"NAME": file.name}, "generateUniqueName": unique}
        command = Command(UPLOAD, params, write=True)
        portal_id, sent_at = account.portal.portal_id, self._clock.now()

        async def send() -> DiskFile:
            return decode_file(await client.files(committed=committed).upload(command, file))

        async def look_up() -> DiskFile | None:
            return await self._lost.find(client, portal_id, folder_id, file, sent_at=sent_at, unique=unique)

        async with self._lost.uploading(portal_id, file), self._directory.mark_stale_on_auth_failure(account):
            uploaded = await send_once(send, look_up, self._clock)
            self._lost.told(portal_id, uploaded)
        return uploaded
