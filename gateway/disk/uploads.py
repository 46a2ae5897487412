"""Uploads files to a folder of a portal's Disk, side by side, each of them exactly once."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

from gateway.accounts.allowed_methods import MethodAllowlist
from gateway.accounts.clients import PortalClients
from gateway.accounts.directory import AccountDirectory
from gateway.bitrix.client import PortalClient
from gateway.bitrix.errors import OutcomeUnknown, PortalBroken
from gateway.bitrix.outcomes import send_once
from gateway.bitrix.protocol.file_bodies import FileContent
from gateway.bitrix.protocol.v2 import Command
from gateway.clock import Clock
from gateway.disk.lost_uploads import LostUploads
from gateway.disk.objects import DiskFile, decode_file
from gateway.errors import AuthorizationRequired, GatewayError, TooBusy
from storage.records import Account

logger = logging.getLogger(__name__)

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
        self._lost = LostUploads(clock)

    async def upload(
        self, account: Account, folder_id: int, files: Sequence[FileContent], *, unique: bool
    ) -> list[Outcome]:
        """Upload *files* to a folder. Return the uploaded file, or the error, of each, in their order.

        With *unique*, a file whose name is taken gets another name; otherwise it is refused. The first file waits no
        longer than a caller may. Once it has been sent, the others follow, and all wait for as long as it takes.

        Raises:
            MethodDenied: the settings do not allow uploads.
            TooBusy: the first file would wait for too long; nothing was sent.
            AuthorizationRequired: the account has changed meanwhile; nothing was sent.
        """
        self._allowed.check(UPLOAD)
        request = _Request(account, self._clients.client(account), folder_id, unique)
        others: list[asyncio.Task[Outcome]] = []
        async with asyncio.TaskGroup() as group:
            first = group.create_task(self._outcome(request, files[0], request.begun.set if len(files) > 1 else None))
            first.add_done_callback(lambda _first: request.begun.set())
            await request.begun.wait()
            if not (first.done() and isinstance(first.result(), TooBusy | AuthorizationRequired)):
                others += [group.create_task(self._outcome(request, file)) for file in files[1:]]
        outcomes = [task.result() for task in (first, *others)]
        if isinstance(outcomes[0], TooBusy | AuthorizationRequired) and not others:
            raise outcomes[0]
        return outcomes

    async def _outcome(
        self, request: "_Request", file: FileContent, on_sent: Callable[[], None] | None = None
    ) -> Outcome:
        """The uploaded file, or the error; one that is not foreseen does not stop the other files either."""
        try:
            return await self._upload(request, file, on_sent)
        except GatewayError as error:
            return error
        except Exception:
            logger.exception("an upload failed", extra={"account": request.account.account_key})
            return GatewayError()

    async def _upload(self, request: "_Request", file: FileContent, on_sent: Callable[[], None] | None) -> DiskFile:
        """Upload one file. A lost answer is looked up before the upload is repeated.

        *on_sent* is called when a request has been sent to the portal.
        """
        client, begun, portal_id = request.client, request.begun, request.account.portal.portal_id
        params = {"id": request.folder_id, "data": {"NAME": file.name}, "generateUniqueName": request.unique}
        command = Command(UPLOAD, params, write=True)
        max_wait_s, sent_at = None if begun.is_set() else client.max_wait_s, 0.0

        async with (
            self._lost.uploading(portal_id, request.folder_id, file, max_wait_s) as waited_s,
            self._directory.mark_stale_on_auth_failure(request.account),
        ):

            async def send() -> DiskFile:
                nonlocal sent_at
                async with request.places:
                    sent_at = self._clock.monotonic()
                    transfers = client.files(committed=begun.is_set(), waited_s=waited_s, on_sent=on_sent)
                    uploaded = _stored_file(await transfers.upload(command, file))
                self._lost.claim(portal_id, uploaded)
                return uploaded

            async def look_up() -> DiskFile | None:
                return await self._lost.find(
                    client, portal_id, request.folder_id, file, sent_at=sent_at, unique=request.unique
                )

            return await send_once(send, look_up, self._clock)


@dataclass(frozen=True)
class _Request:
    """Where the files of one request go.

    Once it has *begun*, which is when its first file has been sent, the others follow. Each takes one of the *places*
    while it is sent, but not while its answer is looked up.
    """

    account: Account
    client: PortalClient
    folder_id: int
    unique: bool
    begun: asyncio.Event = field(default_factory=asyncio.Event)
    places: asyncio.Semaphore = field(default_factory=partial(asyncio.Semaphore, SIDE_BY_SIDE))


def _stored_file(row: object) -> DiskFile:
    """The file that the answer to an upload describes.

    Raises:
        OutcomeUnknown: it describes none. The file may have been stored, as the portal reports no error.
    """
    try:
        return decode_file(row)
    except PortalBroken as error:
        raise OutcomeUnknown(error) from error
