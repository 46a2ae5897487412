"""Storages, folders and files of a portal's Disk: reading, naming, moving and deleting them.

Source: methods.md, section 8 (b24restdocs api-reference/disk/)
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from gateway.accounts.allowed_methods import MethodAllowlist
from gateway.accounts.clients import PortalClients
from gateway.accounts.directory import AccountDirectory
from gateway.bitrix.errors import PortalBroken
from gateway.bitrix.protocol.v2 import Answer, Command
from gateway.bitrix.transport.download import Download
from gateway.disk.objects import SECRET, DiskFile, Shown, decode_file, show_object
from gateway.errors import GatewayError, StateConflict
from storage.records import Account

STORAGES, STORAGE = "disk.storage.getlist", "disk.storage.get"
FOLDER, CHILDREN, ADD_FOLDER = "disk.folder.get", "disk.folder.getchildren", "disk.folder.addsubfolder"
FILE, RENAME, MOVE = "disk.file.get", "disk.file.rename", "disk.file.moveto"
TRASH, DELETE = "disk.file.markdeleted", "disk.file.delete"
OTHER_CONTENT = "the content of the file has changed meanwhile: request it again"
OTHER_STORAGE = "a file cannot be moved to another storage"


@dataclass(frozen=True)
class DiskPage:
    """A part of a list. *next* is where the following part begins; None at the end."""

    items: list[Shown]
    next: int | None


@dataclass(frozen=True)
class Content:
    """A file, the *version* of its content, and the portal's *address* of it, which has the credential in it."""

    file: DiskFile
    version: str
    address: str = field(repr=False)


class Drive:
    """Reads and changes the Disk of portals."""

    def __init__(self, allowed: MethodAllowlist, directory: AccountDirectory, clients: PortalClients) -> None:
        self._allowed = allowed
        self._directory = directory
        self._clients = clients

    async def storages(self, account: Account, start: int) -> DiskPage:
        """Return the storages that the account's user may read, from number *start* on.

        Raises:
            PortalError: the portal refused.
        """
        return _page(await self._call(account, STORAGES, start=start, order={"ID": "ASC"}))

    async def storage(self, account: Account, storage_id: int) -> Shown:
        """Return a storage.

        Raises:
            PortalError: the portal refused, or has no such storage.
        """
        return _object(await self._call(account, STORAGE, id=storage_id))

    async def folder(self, account: Account, folder_id: int) -> Shown:
        """Return a folder.

        Raises:
            PortalError: the portal refused, or has no such folder.
        """
        return _object(await self._call(account, FOLDER, id=folder_id))

    async def children(self, account: Account, folder_id: int, start: int) -> DiskPage:
        """Return the folders and files in a folder, by ascending id, from number *start* on.

        Raises:
            PortalError: the portal refused, or has no such folder.
        """
        return _page(await self._call(account, CHILDREN, id=folder_id, start=start, order={"ID": "ASC"}))

    async def find_folder(self, account: Account, folder_id: int, name: str) -> int | None:
        """Return the id of the folder in a folder that has this name, in any case as portals compare names.

        Raises:
            PortalError: the portal refused, or has no such folder.
        """
        wanted = {"TYPE": "folder", "=NAME": name}
        page = _page(await self._call(account, CHILDREN, id=folder_id, filter=wanted, order={"ID": "ASC"}))
        folders = [row for row in page.items if row.get("TYPE") == "folder"]
        return next((int(row["id"]) for row in folders if str(row.get("NAME")).casefold() == name.casefold()), None)

    async def add_folder(self, account: Account, folder_id: int, name: str) -> Shown:
        """Make a folder in a folder, and return it.

        Raises:
            PortalError: the portal refused, as it does if the name is taken.
        """
        return _object(await self._write(account, ADD_FOLDER, id=folder_id, data={"NAME": name}))

    async def file(self, account: Account, file_id: int) -> Shown:
        """Return the facts of a file.

        Raises:
            PortalError: the portal refused, or has no such file.
        """
        return _object(await self._call(account, FILE, id=file_id))

    async def rename(self, account: Account, file_id: int, name: str) -> Shown:
        """Give a file another name, and return it.

        Raises:
            PortalError: the portal refused.
        """
        return _object(await self._write(account, RENAME, id=file_id, newName=name))

    async def move(self, account: Account, file_id: int, folder_id: int) -> Shown:
        """Move a file to another folder, and return it.

        Raises:
            StateConflict: the folder is in another storage.
            PortalError: the portal refused.
        """
        answer = await self._write(account, MOVE, id=file_id, targetFolderId=folder_id)
        if answer.result is False:
            raise StateConflict(OTHER_STORAGE, code="other_storage")
        return _object(answer)

    async def move_and_rename(self, account: Account, file_id: int, folder_id: int, name: str) -> Shown:
        """Move a file to another folder, then give it another name, and return it.

        Raises:
            MethodDenied: the settings do not allow both; nothing was changed.
            StateConflict: the folder is in another storage; nothing was changed.
            PortalError: the portal refused. If the file was moved, the detail says so, as that of any error does then.
        """
        self._allowed.check(RENAME)  # before the file is moved
        await self.move(account, file_id, folder_id)
        try:
            return await self.rename(account, file_id, name)
        except GatewayError as error:
            error.detail = f"{error.detail}; the file was moved to folder {folder_id} before"
            raise

    async def delete(self, account: Account, file_id: int, *, trash: bool) -> None:
        """Delete a file, for good unless *trash* is set: it can then be restored for 30 days.

        Raises:
            PortalError: the portal refused, or has no such file.
        """
        await self._write(account, TRASH if trash else DELETE, id=file_id)

    async def discard(self, account: Account, file_id: int) -> None:
        """Delete a file for good, however long the portal's limits delay it.

        Raises:
            PortalError: the portal refused, or has no such file.
        """
        async with self._directory.mark_stale_on_auth_failure(account):
            deleting = Command(DELETE, {"id": file_id}, write=True)
            await self._clients.client(account).files(committed=True).call(deleting)

    async def content(self, account: Account, file_id: int) -> Content:
        """Return the facts of a file, and where its content is.

        Raises:
            PortalError: the portal refused, or has no such file.
        """
        facts = (await self._call(account, FILE, id=file_id)).result
        shown, address = show_object(facts), facts.get(SECRET) if isinstance(facts, Mapping) else None
        if not isinstance(address, str):
            raise PortalBroken("a file without an address")
        return Content(decode_file(facts), f"{shown['id']}-{shown.get('FILE_ID')}-{shown.get('UPDATE_TIME')}", address)

    @asynccontextmanager
    async def download(self, account: Account, content: Content, headers: Mapping[str, str]) -> AsyncIterator[Download]:
        """Open *content* for the block, with *headers* such as Range, which a portal may ignore.

        Raises:
            PortalError: the portal refused, or the content is not at the portal.
            TooManyDownloads: as many files as possible are open.
            StateConflict: the file has another content meanwhile.
        """

        async def find_again() -> str:
            found = await self.content(account, content.file.id)
            if found.version != content.version:
                raise StateConflict(OTHER_CONTENT, code="file_changed")
            return found.address

        files = self._clients.client(account).files(committed=False)
        opening = files.download(content.address, headers, find_again)
        async with self._directory.mark_stale_on_auth_failure(account), opening as download:
            yield download

    async def _call(self, account: Account, method: str, **params: object) -> Answer:
        return await self._send(account, Command(method, params))

    async def _write(self, account: Account, method: str, **params: object) -> Answer:
        return await self._send(account, Command(method, params, write=True))

    async def _send(self, account: Account, command: Command) -> Answer:
        self._allowed.check(command.method)
        async with self._directory.mark_stale_on_auth_failure(account):
            return await self._clients.client(account).call(command)


def _object(answer: Answer) -> Shown:
    return show_object(answer.result)


def _page(answer: Answer) -> DiskPage:
    if not isinstance(answer.result, list):
        raise PortalBroken("a list of Disk is not a list")
    return DiskPage([show_object(row) for row in answer.result], answer.next)
