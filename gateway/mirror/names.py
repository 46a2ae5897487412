"""The names of users, stages, other values of directories and pipelines, by which people know them."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import orjson

from gateway.memory import LruCache, text_bytes
from gateway.mirror.pages import Pages
from gateway.page_cache import Source, Versions
from storage.mirror_dictionaries import DictionarySnapshot, DictionaryStore
from storage.records import Account

CACHE_BYTES = 16 * 1024 * 1024  # for the names of all accounts
LIST_BYTES, NAME_BYTES, GROUP_BYTES = 1024, 320, 512  # estimated size of a list, a name and a group without their texts

Groups = Mapping[str, Mapping[str, str]]
"""Names by the portal's id, in groups: directories by ENTITY_ID, pipelines by entity type id."""


@dataclass(frozen=True)
class NameList:
    """The names in one mirrored dictionary. *emails* are the ids of users by their e-mail in lower case."""

    groups: Groups = field(default_factory=dict)
    emails: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    size: int = LIST_BYTES


Snapshot = DictionarySnapshot[NameList]


@dataclass(frozen=True)
class Names:
    """All names of an account, and the versions of the dictionaries that they are from.

    There are no *versions* if one of the dictionaries was never stored: what is made of these names is then not cached.
    """

    users: Mapping[str, str]
    directories: Groups
    pipelines: Groups
    versions: Versions


class NameService:
    """Knows the names of each account. A dictionary is read again after it has changed."""

    def __init__(self, store: DictionaryStore, pages: Pages) -> None:
        self._store = store
        self._pages = pages
        self._cache: LruCache[tuple[int, int, str], Snapshot] = LruCache(CACHE_BYTES, _weigh)

    async def load(self, account: Account) -> Names:
        """All names of *account*."""
        found = [await self._load(account, resource, make) for resource, make in MAKERS.items()]
        users, directories, pipelines = [NameList() if each is None else each.content for each in found]
        versions: list[tuple[Source, int]] = [(each.list_id, each.generation) for each in found if each is not None]
        return Names(
            users.groups.get("", {}),
            directories.groups,
            pipelines.groups,
            tuple(versions) if len(versions) == len(found) else (),
        )

    async def users_by_email(self, account: Account) -> Mapping[str, tuple[int, ...]]:
        """The ids of the account's users by their e-mail, in lower case."""
        found = await self._load(account, "users", _users)
        return {} if found is None else found.content.emails

    async def _load(
        self, account: Account, resource: str, make: Callable[[Iterable[bytes]], NameList]
    ) -> Snapshot | None:
        key = (account.account_id, account.portal.portal_id, resource)
        cached = self._cache.get(key)
        if cached is not None and self._pages.version(cached.list_id) == cached.generation:
            self._cache.move_to_end(key)
            return cached
        found = await self._store.load(account.account_id, account.portal, resource, make)
        if found is not None:
            self._pages.changed(found.list_id, found.generation)
            self._cache.remember(key, found)
        return found


def _users(rows: Iterable[bytes]) -> NameList:
    """The names of users, as far as they have any."""
    names: dict[str, str] = {}
    emails: dict[str, tuple[int, ...]] = {}
    for row in map(orjson.loads, rows):
        if name := " ".join(part for part in (row["name"].strip(), row["lastName"].strip()) if part):
            names[row["bitrixUserID"]] = name
        if email := row.get("email", "").lower():
            emails[email] = (*emails.get(email, ()), int(row["bitrixUserID"]))
    size = sum(NAME_BYTES + text_bytes(name) for name in names.values())
    size += sum(NAME_BYTES + text_bytes(email) for email in emails)
    return NameList({"": names}, emails, LIST_BYTES + size)


def _directories(rows: Iterable[bytes]) -> NameList:
    return group_names((row["entityID"], row["statusID"], row["name"]) for row in map(orjson.loads, rows))


def _pipelines(rows: Iterable[bytes]) -> NameList:
    return group_names((str(row["entityTypeId"]), str(row["bitrixID"]), row["name"]) for row in map(orjson.loads, rows))


def group_names(entries: Iterable[tuple[str, str, str]]) -> NameList:
    """The names of *entries*: group, id and name."""
    groups: dict[str, dict[str, str]] = {}
    size = LIST_BYTES
    for group, value, name in entries:
        if group not in groups:
            groups[group] = {}
            size += GROUP_BYTES + text_bytes(group)
        if name:
            groups[group][value] = name
            size += NAME_BYTES + text_bytes(value) + text_bytes(name)
    return NameList(groups, size=size)


MAKERS: Mapping[str, Callable[[Iterable[bytes]], NameList]] = {
    "users": _users,
    "steps": _directories,
    "pipelines": _pipelines,
}


def _weigh(_key: tuple[int, int, str], found: Snapshot) -> int:
    return found.content.size
