"""The pipelines of each type of records: which there are, by the mirror, and by the portal where it does not tell."""

from asyncio import Lock
from collections.abc import Mapping
from dataclasses import dataclass
from operator import itemgetter
from weakref import WeakValueDictionary

from gateway.accounts.clients import PortalClients
from gateway.accounts.directory import AccountDirectory
from gateway.bitrix.lists.list_specs import LIST_SPECS
from gateway.bitrix.protocol.v2 import Answer, Command
from gateway.clock import Clock
from gateway.memory import LruCache, text_bytes
from gateway.mirror.names import NameService
from gateway.mirror.stage_directories import directory_of
from storage.records import Account

MAX_AGE_S = 600  # older pipelines are read again
CACHE_BYTES = 4 * 1024 * 1024  # for the pipelines of all portals
LIST_BYTES, NAME_BYTES = 1024, 256  # estimated size of a list and of a name without its text

_Key = tuple[int, int, int]
"""Account, portal and entity type."""


@dataclass(frozen=True)
class Pipelines:
    """The names of a type's pipelines by ascending id, and the id of the default one, if there is any.

    *read_at* is the monotonic time at which they were read.
    """

    names: Mapping[int, str]
    default: int | None
    read_at: float


class PipelineDirectory:
    """Knows the pipelines of each account's portal."""

    def __init__(self, names: NameService, directory: AccountDirectory, clients: PortalClients, clock: Clock) -> None:
        self._names = names
        self._directory = directory
        self._clients = clients
        self._clock = clock
        self._read: LruCache[_Key, Pipelines] = LruCache(CACHE_BYTES, _weigh)
        self._locks: WeakValueDictionary[_Key, Lock] = WeakValueDictionary()

    async def knows(self, account: Account, entity_type_id: int, pipeline: int) -> bool:
        """Whether the portal had the *pipeline* when its pipelines or stages were mirrored or read, without a call."""
        mirrored = await self._names.load(account)
        return (
            str(pipeline) in mirrored.pipelines.get(str(entity_type_id), {})
            or directory_of(entity_type_id, pipeline) in mirrored.directories
            or pipeline in self._remembered(account, entity_type_id)
        )

    async def read(self, account: Account, entity_type_id: int) -> Pipelines:
        """The pipelines that the portal has now. Those who ask at once share a call.

        Raises:
            PortalError: the portal refused, or could not be asked.
        Source: methods.md 3 (b24restdocs api-reference/crm/universal/category/crm-category-list.md)
        """
        key = _key(account, entity_type_id)
        lock = self._locks.get(key)
        if lock is None:
            lock = self._locks[key] = Lock()
        before = self._read.get(key)
        async with lock:
            found = self._read.get(key)
            if found is None or found is before:  # else another one has read them meanwhile
                found = await self._call(account, entity_type_id)
                self._read.remember(key, found)
        return found

    def _remembered(self, account: Account, entity_type_id: int) -> Mapping[int, str]:
        found = self._read.get(_key(account, entity_type_id))
        is_fresh = found is not None and self._clock.monotonic() - found.read_at <= MAX_AGE_S
        return found.names if found is not None and is_fresh else {}

    async def _call(self, account: Account, entity_type_id: int) -> Pipelines:
        listed = Command("crm.category.list", {"entityTypeId": entity_type_id})
        async with self._directory.mark_stale_on_auth_failure(account):
            answer = await self._clients.client(account).call(listed)
        rows = LIST_SPECS[listed.method].rows(answer)
        default = next((pipeline for pipeline, row in rows if row.get("isDefault") == "Y"), None)
        return Pipelines(pipeline_names(answer), default, self._clock.monotonic())


def pipeline_names(answer: Answer) -> dict[int, str]:
    """The names of the pipelines in an *answer* of crm.category.list, by ascending id.

    Raises:
        PortalBroken: it is no such list.
    """
    rows = sorted(LIST_SPECS["crm.category.list"].rows(answer), key=itemgetter(0))
    return {pipeline: str(row.get("name")) for pipeline, row in rows}


def _key(account: Account, entity_type_id: int) -> _Key:
    return account.account_id, account.portal.portal_id, entity_type_id


def _weigh(_key: _Key, found: Pipelines) -> int:
    return LIST_BYTES + sum(NAME_BYTES + text_bytes(name) for name in found.names.values())
