"""Handlers of placements on portals, and where each of them stands."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from sqlite3 import Connection
from typing import Any, Literal

from storage.database import Database
from storage.widget_installations import HAS_VERSION, install
from storage.widgets import StoredWidget

PlacementState = Literal["binding", "bound", "unbinding"]


@dataclass(frozen=True)
class StoredPlacement:
    """A handler of a placement on the portal *portal_id*. *installation_id* is None once the widget is removed.

    *placement_id* is the random part of the *handler*'s address. The state was stored before each call to the portal.
    """

    placement_id: str
    account_key: str
    portal_id: int
    installation_id: int | None
    placement: str
    definition: str
    handler: str
    state: PlacementState


@dataclass(frozen=True)
class BegunInstallation:
    """What an installation is about to change: handlers *to_bind*, after those that are *displaced* are unbound.

    A portal may allow one handler of a placement only, so those of an earlier version go first.
    """

    displaced: list[StoredPlacement]
    to_bind: list[StoredPlacement]


@dataclass(frozen=True)
class WantedPlacement:
    """A placement that a widget is to have: its code, and its titles and options as JSON."""

    placement: str
    definition: str


NewHandler = Callable[[], tuple[str, str]]
"""Returns a new placement_id, and the handler's address with it."""
WantedOf = Callable[[bytes], Sequence[WantedPlacement]]
"""Returns the placements of a manifest."""


@dataclass(frozen=True)
class InstalledPlacement:
    """A handler and what it opens: the *manifest* of the version that the installation follows, and if it is *active*.

    The manifest is None once the widget is removed.
    """

    stored: StoredPlacement
    manifest: bytes | None
    active: bool


class PlacementStore:
    """Reads and writes handlers of placements. Writes are durable: on disk before the method returns."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find_installed(self, placement_id: str) -> InstalledPlacement | None:
        """Return the handler with this id and its installation, or None."""
        return await self._database.read(_find_installed, placement_id)

    async def begin(
        self,
        account_key: str,
        portal_id: int,
        widget: StoredWidget,
        wanted: Sequence[WantedPlacement],
        new_handler: NewHandler,
        *,
        now: int,
    ) -> BegunInstallation | None:
        """Store what an installation of *widget* is about to change on a portal.

        What is bound already stays so. An installation that is new is not active yet. None: the widget has another
        version by now, or is gone.
        """
        return await self._database.write_durably(_begin, account_key, portal_id, widget, wanted, new_handler, now)

    async def finish(
        self, account_key: str, widget: StoredWidget, wanted: Sequence[WantedPlacement], settings: bytes, *, now: int
    ) -> bool:
        """Install *widget*, whose *wanted* placements have been bound. Its other placements are to be unbound.

        Return False and change nothing if the widget has another version by now, or is gone.
        """
        return await self._database.write_durably(_finish, account_key, widget, wanted, settings, now)

    async def plan(
        self, account_key: str, portal_id: int, wanted_of: WantedOf, new_handler: NewHandler, origin: str
    ) -> list[StoredPlacement]:
        """Store which handlers of an account are to be bound on its portal, and which unbound. Return all of them.

        Installations that were abandoned by a crash are removed, and handlers on other portals forgotten. Handlers
        that are not below the address *origin* are replaced.
        """
        return await self._database.write_durably(_plan, account_key, portal_id, wanted_of, new_handler, origin)

    async def settled(self, bound: Sequence[str], unbound: Sequence[str]) -> None:
        """Record which handlers are bound now, and forget those that are unbound, by their ids."""
        await self._database.write_durably(_settled, bound, unbound)

    async def list_handlers(self, portal_id: int) -> set[str]:
        """Return the addresses of all handlers on a portal, whatever their account."""
        return await self._database.read(_list_handlers, portal_id)

    async def list_accounts(self) -> list[str]:
        """Return the accounts that have handlers, or widgets that need some."""
        return await self._database.read(_list_accounts)

    async def list_pending(self) -> list[str]:
        """Return the accounts with handlers to bind or to unbind, or with widgets that follow another version now."""
        return await self._database.read(_list_pending)


PLACEMENT = """
SELECT placement_id, account_key, portal_id, installation_id, placement, definition, handler, state
FROM widget_placements
"""
FIND_INSTALLED = """
SELECT p.placement_id, p.account_key, p.portal_id, p.installation_id, p.placement, p.definition, p.handler, p.state,
       v.manifest, coalesce(i.active, 0)
FROM widget_placements AS p
LEFT JOIN widget_installations AS i USING (installation_id)
LEFT JOIN widget_versions AS v USING (version_id)
WHERE p.placement_id = :placement_id
"""


def _find_installed(connection: Connection, placement_id: str) -> InstalledPlacement | None:
    row = connection.execute(FIND_INSTALLED, {"placement_id": placement_id}).fetchone()
    if row is None:
        return None
    *stored, manifest, active = row
    return InstalledPlacement(_placement(stored), manifest, bool(active))


def _placement(row: Sequence[Any]) -> StoredPlacement:
    return StoredPlacement(*row)


FIND_INSTALLATION = """
SELECT installation_id FROM widget_installations WHERE account_key = :account_key AND widget_id = :widget_id
"""
BEGIN_INSTALLATION = """
INSERT INTO widget_installations (account_key, widget_id, version_id, active, installed_at)
VALUES (:account_key, :widget_id, :version_id, 0, :now)
"""
OF_INSTALLATION = f"{PLACEMENT} WHERE installation_id = :installation_id"
ADD = """
INSERT INTO widget_placements VALUES (
    :placement_id, :account_key, :portal_id, :installation_id, :placement, :definition, :handler, 'binding'
)
"""
BOUND = "UPDATE widget_placements SET state = 'bound' WHERE placement_id = :placement_id AND state = 'binding'"
UNSURE = "UPDATE widget_placements SET state = 'binding' WHERE placement_id = :placement_id"
DROP = "UPDATE widget_placements SET state = 'unbinding', installation_id = NULL WHERE placement_id = :placement_id"
FORGET = "DELETE FROM widget_placements WHERE placement_id = :placement_id"
FORGET_ELSEWHERE = "DELETE FROM widget_placements WHERE account_key = :account_key AND portal_id <> :portal_id"
DROP_INACTIVE = """
UPDATE widget_placements SET state = 'unbinding', installation_id = NULL
WHERE installation_id IN (
    SELECT installation_id FROM widget_installations WHERE account_key = :account_key AND NOT active
)
"""
REMOVE_INACTIVE = "DELETE FROM widget_installations WHERE account_key = :account_key AND NOT active"
OF_ACCOUNT = f"{PLACEMENT} WHERE account_key = :account_key"
FOLLOWED = """
SELECT i.installation_id, v.manifest
FROM widget_installations AS i JOIN widget_versions AS v ON v.version_id = i.version_id
WHERE i.account_key = :account_key AND i.active
"""
LIST_HANDLERS = "SELECT handler FROM widget_placements WHERE portal_id = :portal_id"
LIST_ACCOUNTS = """
SELECT account_key FROM widget_placements
UNION
SELECT i.account_key
FROM widget_installations AS i JOIN widget_versions AS v ON v.version_id = i.version_id
WHERE NOT i.active OR json_array_length(v.manifest, '$.placements') > 0
"""
LIST_PENDING = """
SELECT account_key FROM widget_placements WHERE state <> 'bound'
UNION
SELECT account_key FROM widget_installations WHERE active AND placed_version_id IS NOT version_id
"""
PLANNED = """
UPDATE widget_installations SET placed_version_id = version_id
WHERE account_key = :account_key AND active AND placed_version_id IS NOT version_id
"""


def _key(stored: StoredPlacement | WantedPlacement) -> tuple[str, str]:
    return stored.placement, stored.definition


def _begin(
    connection: Connection,
    account_key: str,
    portal_id: int,
    widget: StoredWidget,
    wanted: Sequence[WantedPlacement],
    new_handler: NewHandler,
    now: int,
) -> BegunInstallation | None:
    version = {"widget_id": widget.widget_id, "version_id": widget.version_id}
    if connection.execute(HAS_VERSION, version).fetchone() is None:
        return None
    found = connection.execute(FIND_INSTALLATION, {"account_key": account_key, **version}).fetchone()
    if found is None:
        row = {**version, "account_key": account_key, "now": now}
        found = (connection.execute(BEGIN_INSTALLATION, row).lastrowid,)
    (installation_id,) = found
    handlers = _want(connection, account_key, portal_id, installation_id, wanted, new_handler)
    kept, codes = {each.placement_id for each in handlers}, {each.placement for each in handlers}
    rows = connection.execute(OF_INSTALLATION, {"installation_id": installation_id}).fetchall()
    displaced = [each for each in map(_placement, rows) if each.placement in codes and each.placement_id not in kept]
    connection.executemany(UNSURE, [{"placement_id": each.placement_id} for each in displaced])
    return BegunInstallation(displaced, [each for each in handlers if each.state == "binding"])


def _want(
    connection: Connection,
    account_key: str,
    portal_id: int,
    installation_id: int,
    wanted: Sequence[WantedPlacement],
    new_handler: NewHandler,
) -> list[StoredPlacement]:
    """Add the handlers that an installation lacks. Return those that it is to have."""
    rows = connection.execute(OF_INSTALLATION, {"installation_id": installation_id}).fetchall()
    existing = {_key(each): each for each in map(_placement, rows) if each.portal_id == portal_id}
    handlers: list[StoredPlacement] = []
    for each in wanted:
        stored = existing.get(_key(each))
        if stored is None:
            placement_id, handler = new_handler()
            fields = (placement_id, account_key, portal_id, installation_id, each.placement, each.definition, handler)
            stored = StoredPlacement(*fields, "binding")
            connection.execute(ADD, asdict(stored))
        handlers.append(stored)
    return handlers


def _finish(
    connection: Connection,
    account_key: str,
    widget: StoredWidget,
    wanted: Sequence[WantedPlacement],
    settings: bytes,
    now: int,
) -> bool:
    if not install(connection, account_key, widget, settings, now):
        return False
    key = {"account_key": account_key, "widget_id": widget.widget_id}
    (installation_id,) = connection.execute(FIND_INSTALLATION, key).fetchone()
    keys = {_key(each) for each in wanted}
    for row in connection.execute(OF_INSTALLATION, {"installation_id": installation_id}).fetchall():
        stored = _placement(row)
        connection.execute(BOUND if _key(stored) in keys else DROP, {"placement_id": stored.placement_id})
    return True


def _plan(
    connection: Connection,
    account_key: str,
    portal_id: int,
    wanted_of: WantedOf,
    new_handler: NewHandler,
    origin: str,
) -> list[StoredPlacement]:
    connection.execute(DROP_INACTIVE, {"account_key": account_key})
    connection.execute(REMOVE_INACTIVE, {"account_key": account_key})
    connection.execute(FORGET_ELSEWHERE, {"account_key": account_key, "portal_id": portal_id})
    for row in connection.execute(OF_ACCOUNT, {"account_key": account_key}).fetchall():
        if not _placement(row).handler.startswith(origin):
            connection.execute(DROP, {"placement_id": row[0]})
    kept: set[str] = set()
    for installation_id, manifest in connection.execute(FOLLOWED, {"account_key": account_key}).fetchall():
        wanted = wanted_of(manifest)
        handlers = _want(connection, account_key, portal_id, installation_id, wanted, new_handler)
        kept |= {each.placement_id for each in handlers}
    connection.execute(PLANNED, {"account_key": account_key})
    stored = [_placement(row) for row in connection.execute(OF_ACCOUNT, {"account_key": account_key})]
    for each in stored:
        if each.placement_id not in kept and each.state != "unbinding":
            connection.execute(DROP, {"placement_id": each.placement_id})
    return [_placement(row) for row in connection.execute(OF_ACCOUNT, {"account_key": account_key})]


def _settled(connection: Connection, bound: Sequence[str], unbound: Sequence[str]) -> None:
    for statement, ids in ((BOUND, bound), (FORGET, unbound)):
        connection.executemany(statement, [{"placement_id": each} for each in ids])


def _list_handlers(connection: Connection, portal_id: int) -> set[str]:
    return {row[0] for row in connection.execute(LIST_HANDLERS, {"portal_id": portal_id})}


def _list_accounts(connection: Connection) -> list[str]:
    return [row[0] for row in connection.execute(LIST_ACCOUNTS)]


def _list_pending(connection: Connection) -> list[str]:
    return [row[0] for row in connection.execute(LIST_PENDING)]
