"""Handlers of placements on portals, and where each of them stands."""

from collections.abc import Sequence
from dataclasses import dataclass
from sqlite3 import Connection
from typing import Any, Literal

from storage.database import Database

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
    handler: str
    state: PlacementState


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

    async def find(self, placement_id: str) -> StoredPlacement | None:
        """Return the handler with this id, or None."""
        return await self._database.read(_find, placement_id)

    async def find_installed(self, placement_id: str) -> InstalledPlacement | None:
        """Return the handler with this id and its installation, or None."""
        return await self._database.read(_find_installed, placement_id)


PLACEMENT = """
SELECT placement_id, account_key, portal_id, installation_id, placement, handler, state FROM widget_placements
"""
FIND_INSTALLED = """
SELECT p.placement_id, p.account_key, p.portal_id, p.installation_id, p.placement, p.handler, p.state,
       v.manifest, coalesce(i.active, 0)
FROM widget_placements AS p
LEFT JOIN widget_installations AS i USING (installation_id)
LEFT JOIN widget_versions AS v USING (version_id)
WHERE p.placement_id = :placement_id
"""


def _find(connection: Connection, placement_id: str) -> StoredPlacement | None:
    row = connection.execute(
        f"{PLACEMENT} WHERE placement_id = :placement_id", {"placement_id": placement_id}
    ).fetchone()
    return row and _placement(row)


def _find_installed(connection: Connection, placement_id: str) -> InstalledPlacement | None:
    row = connection.execute(FIND_INSTALLED, {"placement_id": placement_id}).fetchone()
    if row is None:
        return None
    *stored, manifest, active = row
    return InstalledPlacement(_placement(stored), manifest, bool(active))


def _placement(row: Sequence[Any]) -> StoredPlacement:
    return StoredPlacement(*row)
