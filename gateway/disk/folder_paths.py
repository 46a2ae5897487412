"""Finds the folder that files go to. Folders of a path are made where they are absent."""

from dataclasses import dataclass

from gateway.bitrix.errors import ObjectConflict, PortalBroken
from gateway.bitrix.outcomes import send_once
from gateway.clock import Clock
from gateway.disk.drive import Drive
from storage.records import Account


@dataclass(frozen=True)
class Destination:
    """Where files go to: *folder_id*, or else the root folder of *storage_id*; from there down the names of *path*."""

    folder_id: int | None
    storage_id: int | None
    path: tuple[str, ...] = ()


class FolderPaths:
    """Finds folders of a portal's Disk by their paths."""

    def __init__(self, drive: Drive, clock: Clock) -> None:
        self._drive = drive
        self._clock = clock

    async def resolve(self, account: Account, destination: Destination) -> int:
        """Return the id of the folder at *destination*, where it is now.

        Raises:
            ObjectConflict: A file has the name of a folder.
            PortalError: The portal has no such folder or storage, or refused.
            TooBusy: The portal's limits leave no room in time.
        """
        folder_id = destination.folder_id
        if folder_id is None:
            assert destination.storage_id is not None, "a destination is a folder or a storage"
            folder_id = await self._root_of(account, destination.storage_id)
        for name in destination.path:
            folder_id = await self._find_or_add(account, folder_id, name)
        return folder_id

    async def _root_of(self, account: Account, storage_id: int) -> int:
        root = (await self._drive.storage(account, storage_id)).get("ROOT_OBJECT_ID")
        try:
            return int(str(root))
        except ValueError as error:
            raise PortalBroken("a storage without a root folder") from error

    async def _find_or_add(self, account: Account, parent_id: int, name: str) -> int:
        async def look_up() -> int | None:
            return await self._drive.find_folder(account, parent_id, name)

        async def add() -> int:
            try:
                return int((await self._drive.add_folder(account, parent_id, name))["id"])
            except ObjectConflict as error:  # another caller was faster, or a file has the name
                found = await look_up()
                if found is None:
                    sentence = f"path: {name!r} is no folder: {error.description or error.portal_code}"
                    raise ObjectConflict(
                        error.portal_code, error.description, error.status, message=sentence
                    ) from error
                return found

        found = await look_up()
        return await send_once(add, look_up, self._clock) if found is None else found
