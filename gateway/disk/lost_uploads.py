"""Finds files whose upload was not answered: by name, size and time in their folder."""

import asyncio
import os
from collections import OrderedDict
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any
from weakref import WeakValueDictionary

from gateway.bitrix.client import PortalClient
from gateway.bitrix.errors import PortalBroken
from gateway.bitrix.protocol.file_bodies import FileContent
from gateway.bitrix.protocol.v2 import Command
from gateway.disk.objects import DiskFile, decode_file

CHILDREN = "disk.folder.getchildren"
CLOCKS_DIFFER_S = 60  # between the portal's clock and ours, at most
MAX_KNOWN = 65_536  # files that were told to callers

_Key = tuple[int, str, int]
"""Portal, stem of the name, and size."""


class LostUploads:
    """Knows which files belong to which upload, so that no file is told to two callers.

    Uploads of the same name and size run one after another: while one of them is under way, the file of another could
    not be told from it.
    """

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[int, int], None] = OrderedDict()  # portal and id of a file
        self._locks: WeakValueDictionary[_Key, asyncio.Lock] = WeakValueDictionary()

    @asynccontextmanager
    async def uploading(self, portal_id: int, file: FileContent) -> AsyncIterator[None]:
        """Wait until no other upload of such a file is under way, and let others wait until the block ends."""
        key = (portal_id, os.path.splitext(file.name)[0], file.size)
        lock = self._locks.setdefault(key, asyncio.Lock())
        async with lock:
            yield

    def told(self, portal_id: int, file: DiskFile) -> None:
        """Remember that *file* is the result of an upload."""
        self._known[portal_id, file.id] = None
        if len(self._known) > MAX_KNOWN:
            self._known.popitem(last=False)

    async def find(
        self, client: PortalClient, portal_id: int, folder_id: int, file: FileContent, *, sent_at: float, unique: bool
    ) -> DiskFile | None:
        """Return the newest file of the folder that the lost upload of *file* at the Unix time *sent_at* has made.

        With *unique*, the portal may have added a number to its name. None if there is no such file.

        Raises:
            PortalError: the portal cannot be asked.
            TooBusy: the same.
        """
        stem, extension = os.path.splitext(file.name)
        name = {"%NAME": stem} if unique else {"=NAME": file.name}
        listing = {"id": folder_id, "filter": {"TYPE": "file", **name}, "order": {"ID": "DESC"}}
        answer = await client.call(Command(CHILDREN, listing))
        if not isinstance(answer.result, list):
            raise PortalBroken("the children of a folder are not a list")
        for row in answer.result:
            found = decode_file(row)
            fits = found.name == file.name or (unique and _is_numbered(found.name, stem, extension))
            is_new = _created_at(row) >= sent_at - CLOCKS_DIFFER_S
            if fits and is_new and found.size == file.size and (portal_id, found.id) not in self._known:
                return found
        return None


def _is_numbered(name: str, stem: str, extension: str) -> bool:
    """Whether *name* is that of a file whose name was taken: "name (1).ext". Source: methods.md 8.3"""
    if not (name.startswith(f"{stem} (") and name.endswith(f"){extension}")):
        return False
    number = name[len(stem) + 2 : len(name) - len(extension) - 1]
    return number.isascii() and number.isdigit()


def _created_at(row: Mapping[str, Any] | Sequence[Any]) -> float:
    """When a portal's object was made, in Unix seconds.

    Raises:
        PortalBroken: it does not say so.
    """
    try:
        return datetime.fromisoformat(row["CREATE_TIME"]).timestamp() if isinstance(row, Mapping) else 0.0
    except (KeyError, TypeError, ValueError) as error:
        raise PortalBroken("an object of Disk without a time") from error
