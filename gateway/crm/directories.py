"""Finds the values of directories, such as the sources of leads, and the currencies that callers may write."""

from collections.abc import Mapping, Set
from dataclasses import dataclass

from gateway.accounts.clients import PortalClients
from gateway.accounts.directory import AccountDirectory
from gateway.bitrix.client import PortalClient
from gateway.bitrix.errors import PortalBroken
from gateway.bitrix.lists.list_specs import Row
from gateway.bitrix.lists.page import ListCall
from gateway.bitrix.protocol.v2 import Command
from gateway.clock import Clock
from gateway.crm.catalog import read_lists, sort_of
from gateway.crm.choices import Choices
from gateway.crm.claims import Claims
from gateway.crm.values import CURRENCIES
from gateway.fields.service import REFRESH_INTERVAL_S
from gateway.memory import LruCache
from gateway.mirror.names import NameList, NameService, group_names
from storage.records import Account

CACHE_BYTES = 8 * 1024 * 1024  # for the directories and currencies of all portals
STATUSES = "crm.status.list"
CURRENCY_LIST = "crm.currency.list"
Named = Mapping[str, Set[str]]
"""The ids and texts that name values, by directory."""


@dataclass(frozen=True)
class _Remembered:
    """What a portal's list had at the Unix time *read_at*."""

    names: NameList
    read_at: float

    def has(self, named: Named) -> bool:
        groups = self.names.groups
        return all(Choices(groups.get(directory, {})).have(values) for directory, values in named.items())


class DirectoryFinder:
    """Knows directories from the mirror, and those values that it does not know from the portal.

    A portal's list is remembered, and read again for an unknown value, but not more often than REFRESH_INTERVAL_S.
    """

    def __init__(self, names: NameService, directory: AccountDirectory, clients: PortalClients, clock: Clock) -> None:
        self._names = names
        self._directory = directory
        self._clients = clients
        self._clock = clock
        self._claims = Claims(clock)
        self._cache: LruCache[tuple[int, str], _Remembered] = LruCache(CACHE_BYTES, _weigh)

    async def find(self, account: Account, named: Named) -> Mapping[str, Choices]:
        """The choices of each directory in which values are *named*. Empty directories are left out.

        Raises:
            PortalError: the mirror does not know a value, and the portal cannot be asked.
        """
        if not named:
            return {}
        mirrored = (await self._names.load(account)).directories
        found = {directory: Choices(mirrored.get(directory, {})) for directory in named}
        lacking = {directory: values for directory, values in named.items() if not found[directory].have(values)}
        for method in READERS:
            wanted = {name: values for name, values in lacking.items() if _list_of(name) == method}
            if wanted:
                groups = (await self._remembered(account, method, wanted)).names.groups
                found |= {name: Choices({**found[name].names, **groups.get(name, {})}) for name in wanted}
        return {directory: choices for directory, choices in found.items() if choices.names}

    async def _remembered(self, account: Account, method: str, wanted: Named) -> _Remembered:
        """What the list *method* has: as it is remembered, if that has all values or is recent."""
        key = (account.portal.portal_id, method)
        remembered = self._cache.get(key)
        if remembered is not None and (remembered.has(wanted) or self._is_recent(remembered)):
            self._cache.move_to_end(key)
            return remembered
        async with self._claims.hold([f"{key[0]} {method}"]):
            remembered = self._cache.get(key)
            if remembered is None or not self._is_recent(remembered):  # nobody has read it meanwhile
                async with self._directory.mark_stale_on_auth_failure(account):
                    names = await READERS[method](self._clients.client(account))
                remembered = _Remembered(names, self._clock.now())
                self._cache.remember(key, remembered)
        return remembered

    def _is_recent(self, remembered: _Remembered) -> bool:
        return self._clock.now() - remembered.read_at < REFRESH_INTERVAL_S


async def _read_statuses(client: PortalClient) -> NameList:
    """Source: methods.md 0.1 and 3 (b24restdocs api-reference/crm/status/crm-status-list.md)"""
    (rows,) = await read_lists(client, [ListCall(STATUSES)])
    rows.sort(key=sort_of)
    return group_names((str(row.get("ENTITY_ID")), *_named(row, "STATUS_ID", "NAME")) for row in rows)


async def _read_currencies(client: PortalClient) -> NameList:
    """Source: b24restdocs api-reference/crm/currency/crm-currency-list.md: all currencies, without pages"""
    rows = (await client.call(Command(CURRENCY_LIST))).result
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise PortalBroken("the currencies are not a list of objects")
    return group_names((CURRENCIES, *_named(row, "CURRENCY", "FULL_NAME")) for row in rows)


def _named(row: Row, key: str, name: str) -> tuple[str, str]:
    """An id and its text, which is the id itself if there is none."""
    value = str(row.get(key))
    return value, str(row.get(name) or value)


READERS = {STATUSES: _read_statuses, CURRENCY_LIST: _read_currencies}


def _list_of(directory: str) -> str:
    """The method that lists the values of *directory*."""
    return CURRENCY_LIST if directory == CURRENCIES else STATUSES


def _weigh(_key: tuple[int, str], remembered: _Remembered) -> int:
    return remembered.names.size
