"""Finds files whose upload was not answered: by name, size and time in their folder."""

import asyncio
import os
import re
from collections import OrderedDict
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, nullcontext
from datetime import datetime
from weakref import WeakValueDictionary

from gateway.bitrix.client import PortalClient
from gateway.bitrix.errors import PortalBroken, PortalError
from gateway.bitrix.outcomes import SETTLED_S
from gateway.bitrix.protocol.file_bodies import FileContent
from gateway.bitrix.protocol.times import portal_time
from gateway.bitrix.protocol.v2 import Answer, Command
from gateway.clock import Clock
from gateway.disk.objects import DiskFile, decode_file
from gateway.errors import TooBusy

CHILDREN = "disk.folder.getchildren"
TOLERANCE_S = 10  # the portal tells times in whole seconds, and its servers' clocks may differ a little
MAX_PAGES = 20  # of one look-up
MAX_KNOWN = 65_536  # files that belong to an upload
NUMBER = re.compile(r" \([0-9]+\)$")  # of a file whose name was taken: "name (1).ext". Source: methods.md 8.3

_Key = tuple[int, int, str, int]
"""Portal, folder, name without numbers, and size."""


class LostUploads:
    """Knows which files belong to which upload, so that no file is told to two callers.

    Uploads run one after another if the portal may give their files the same name, in one folder, and their sizes are
    equal: while one of them is under way, its file could not be told from that of another.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._known: OrderedDict[tuple[int, int], None] = OrderedDict()  # portal and id of a file
        self._locks: WeakValueDictionary[_Key, asyncio.Lock] = WeakValueDictionary()

    @asynccontextmanager
    async def uploading(
        self, portal_id: int, folder_id: int, file: FileContent, max_wait_s: float | None
    ) -> AsyncIterator[float]:
        """Wait until no other upload of such a file is under way, and let others wait until the block ends.

        Yield the seconds waited.

        Raises:
            TooBusy: that takes longer than *max_wait_s* seconds; None for no maximum.
        """
        lock = self._locks.setdefault((portal_id, folder_id, _series(file.name), file.size), asyncio.Lock())
        began_at = self._clock.monotonic()
        try:
            async with nullcontext() if max_wait_s is None else self._clock.timeout(max_wait_s):
                await lock.acquire()
        except TimeoutError:
            raise TooBusy(SETTLED_S, "a file of this name and size is being uploaded") from None
        try:
            yield self._clock.monotonic() - began_at
        finally:
            lock.release()

    def claim(self, portal_id: int, file: DiskFile) -> bool:
        """Record that *file* belongs to an upload. False: it belonged to one before."""
        key = (portal_id, file.id)
        if key in self._known:
            return False
        self._known[key] = None
        if len(self._known) > MAX_KNOWN:
            self._known.popitem(last=False)
        return True

    async def find(
        self, client: PortalClient, portal_id: int, folder_id: int, file: FileContent, *, sent_at: float, unique: bool
    ) -> DiskFile | None:
        """Claim and return the newest file of the folder that the lost upload of *file* has made.

        It was sent at *sent_at* on the monotonic clock. With *unique*, the portal may have added a number to its name.
        None if there is no such file.

        Raises:
            PortalError: the portal cannot be asked, or has too many files to look through.
            TooBusy: the same.
        """
        stem, _ = os.path.splitext(file.name)
        name = {"%NAME": stem} if unique else {"=NAME": file.name}
        listing = {"id": folder_id, "filter": {"TYPE": "file", **name}, "order": {"ID": "DESC"}}
        start: int | None = 0
        for _ in range(MAX_PAGES):
            answer = await client.call(Command(CHILDREN, {**listing, "start": start}))
            made_after = self._portal_moment(answer, sent_at) - TOLERANCE_S
            is_new = True
            for row in _rows(answer):
                found, is_new = decode_file(row), _created_at(row) >= made_after
                fits = file.name in (found.name, _unnumbered(found.name) if unique else found.name)
                if fits and is_new and found.size == file.size and self.claim(portal_id, found):
                    return found
            start = answer.next
            if start is None or not is_new:
                return None
        raise PortalError("", message="too many new files in the folder to find one of them")

    def _portal_moment(self, answer: Answer, at: float) -> float:
        """When the portal's clock, which *answer* has just told, showed our monotonic time *at*; perhaps earlier.

        Raises:
            PortalBroken: the answer does not tell it.
        """
        return portal_time(answer).unix_s - (self._clock.monotonic() - at)


def _unnumbered(name: str) -> str:
    """*name* without the number that a portal adds if a name is taken."""
    stem, extension = os.path.splitext(name)
    return NUMBER.sub("", stem) + extension


def _series(name: str) -> str:
    """*name* without any numbers: what all names have in common that a portal may make of each other."""
    while (shorter := _unnumbered(name)) != name:
        name = shorter
    return name


def _rows(answer: Answer) -> list[Mapping[str, object]]:
    if not isinstance(answer.result, list) or not all(isinstance(row, Mapping) for row in answer.result):
        raise PortalBroken("the children of a folder are not a list of objects")
    return answer.result


def _created_at(row: Mapping[str, object]) -> float:
    """When a portal's object was made, in Unix seconds of its clock.

    Raises:
        PortalBroken: it does not say so.
    """
    try:
        return datetime.fromisoformat(str(row["CREATE_TIME"])).timestamp()
    except (KeyError, ValueError, OverflowError) as error:
        raise PortalBroken("an object of Disk without a time") from error
